"""Small methods that keep every promise; those of broken_methods/ differ from them in one thing each."""

from types import SimpleNamespace

import numpy as np

from cmrbench.method import Method, MethodInfo, paired_rows


def info(**changed):
    declared = dict(
        name="small",
        title="Small",
        category="supervised_real",
        supervision="labels",
        citation="None: made for tests.",
        modalities=(2, None),
        pairs=False,
    )
    return MethodInfo(**{**declared, **changed})


def hash_info(**changed):
    return info(**{"category": "supervised_hash", "output": "hash", "retrieval": ("hamming",), **changed})


def paired_info(**changed):
    unsupervised = {"category": "unsupervised_real", "supervision": "none", "pairs": True, "modalities": (2, 2)}
    return info(**{**unsupervised, **changed})


class Ridge(Method):
    """Ridge regression on a random vector per class; any number of modalities, no pairs."""

    info = info()

    def __init__(self, reg=0.1, dim=32):
        self.reg = reg
        self.dim = dim

    def fit(self, train, val, context):
        width = context.bits or context.dim or self.dim
        self.targets_ = context.rng("classes").standard_normal((context.n_classes, width)).astype(np.float32)
        self.mean_ = {m: items.features.mean(axis=0) for m, items in train.items()}
        self.W_ = {m: self.regress(items.features - self.mean_[m], items.labels) for m, items in train.items()}
        return self

    def regress(self, X, labels):
        T = labels.astype(np.float32) @ self.targets_
        return np.linalg.solve(X.T @ X + self.reg * len(X) * np.eye(X.shape[1]), X.T @ (T - T.mean(axis=0)))

    def project(self, modality, features):
        self.check_fitted("W_")
        self.check_features(modality, features, {m: len(W) for m, W in self.W_.items()})
        return ((features - self.mean_[modality]) @ self.W_[modality]).astype(np.float32)

    def encode(self, modality, features):
        return self.project(modality, features)


class Codes(Ridge):
    """The signs of `Ridge`, with codes learned for the training items: those of their labels."""

    info = hash_info()

    def fit(self, train, val, context):
        super().fit(train, val, context)
        context.shared("sizes", lambda: {m: len(items) for m, items in train.items()})
        self.train_codes_ = {m: sign(items.labels.astype(np.float32) @ self.targets_) for m, items in train.items()}
        return self

    def encode(self, modality, features):
        return sign(self.project(modality, features))

    def encode_train(self, modality):
        return self.train_codes_[modality]


class Bridged(Ridge):
    """Codes in a space of its own for every modality, four bits longer for each; queries are decoded to classes."""

    info = hash_info()

    def fit(self, train, val, context):
        self.order_, self.spaces_, self.mean_, self.W_ = list(train), {}, {}, {}
        for modality, items in train.items():
            shape = context.n_classes, self.code_length(modality, context.bits)
            self.targets_ = context.rng("classes", modality).standard_normal(shape).astype(np.float32)
            self.spaces_[modality] = self.targets_ - self.targets_.mean(axis=0)
            self.mean_[modality] = items.features.mean(axis=0)
            self.W_[modality] = self.regress(items.features - self.mean_[modality], items.labels)
        return self

    def encode(self, modality, features):
        return sign(self.project(modality, features))

    def encode_train(self, modality):
        return None

    def code_length(self, modality, bits):
        return bits + 4 * self.order_.index(modality)

    def translate(self, codes, modality, target):
        return sign((codes @ self.spaces_[modality].T) @ self.spaces_[target])


class Selecting(Ridge):
    """`Ridge` with the regularisation chosen on validation, a batch size, and a similarity of its own."""

    info = info(selects=True, retrieval=("score", "cosine"))

    def __init__(self, dim=32, batch_size=16):
        self.dim = dim
        self.batch_size = batch_size

    @property
    def reg(self):
        return self.reg_

    def fit(self, train, val, context):
        errors = {}
        for self.reg_ in (0.1, 10.0):
            super().fit(train, None, context)
            errors[self.reg_] = sum(self.error(m, items, context) for m, items in val.items())
        self.reg_ = min(errors, key=errors.get)
        return super().fit(train, None, context)

    def error(self, modality, items, context):
        T = items.labels.astype(np.float32) @ self.targets_
        total = 0.0
        for start in range(0, len(items), self.batch_size):
            rows = slice(start, start + self.batch_size)
            total += np.square(self.project(modality, items.features[rows]) - T[rows]).sum()
        return total

    def score(self, query, gallery, query_modality, gallery_modality):
        return query @ gallery.T


class Paired(Method):
    """Texts as they are, images as the texts that a ridge regression expects beside them; learns from pairs alone."""

    info = paired_info(deterministic=True)

    def fit(self, train, val, context):
        paired_rows(train, self.info.name)
        (a, left), (b, right) = train.items()
        self.mean_ = {m: items.features.mean(axis=0) for m, items in train.items()}
        X, Y = left.features - self.mean_[a], right.features - self.mean_[b]
        dim = context.dim or Y.shape[1]
        self.W_ = {
            a: np.linalg.solve(X.T @ X + len(X) * np.eye(X.shape[1]), X.T @ Y)[:, :dim],
            b: np.eye(Y.shape[1])[:, :dim],
        }
        return self

    encode = Ridge.encode
    project = Ridge.project


class Online(Codes):
    """`Codes`, uncentred, of items that come in chunks: what is kept of a chunk is two sums and its codes."""

    def fit(self, train, val, context):
        vars(self).pop("sums_", None)
        return self.partial_fit(train, context)

    def partial_fit(self, train, context):
        self.refuse_empty(train)
        if not hasattr(self, "sums_"):
            self.targets_ = context.rng("classes").standard_normal((context.n_classes, context.bits)).astype(np.float32)
            self.mean_ = {m: np.zeros(items.dim, np.float32) for m, items in train.items()}
            self.sums_ = {m: (self.reg * np.eye(items.dim), 0.0) for m, items in train.items()}
            self.train_codes_ = {m: np.zeros((0, context.bits), np.int8) for m in train}
        for m, items in train.items():
            T = items.labels.astype(np.float32) @ self.targets_
            gram, cross = self.sums_[m]
            self.sums_[m] = gram + items.features.T @ items.features, cross + items.features.T @ T
            self.train_codes_[m] = np.concatenate([self.train_codes_[m], sign(T)])
        self.W_ = {m: np.linalg.solve(*sums) for m, sums in self.sums_.items()}
        return self

    def refuse_empty(self, train):
        if not all(len(items) for items in train.values()):
            raise ValueError("small was given an empty chunk")


class Oracle(Method):
    """The labels themselves."""

    info = info(category="baseline", reads_labels=True, deterministic=True)

    def fit(self, train, val, context):
        return self

    def encode_labels(self, modality, labels):
        return labels.astype(np.float32)


def sign(X):
    return np.where(X >= 0, 1, -1).astype(np.int8)


GOOD = [Ridge, Codes, Bridged, Selecting, Paired, Online, Oracle]

shared = SimpleNamespace()
"""What a careless module keeps between fits."""
