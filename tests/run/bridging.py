"""Hashing methods with a code space, and a code length, for each modality; only the first translates as it should."""

import numpy as np

from cmrbench.method import Method, MethodInfo

MORE = 5
"""Bits that texts have more than images."""


def _info(name):
    return MethodInfo(
        name=name,
        title=name,
        category="supervised_hash",
        supervision="labels",
        output="hash",
        retrieval=("hamming",),
        citation="None: made for tests.",
    )


def _sign(values):
    return np.where(values >= 0, 1, -1).astype(np.int8)


class Bridging(Method):
    """Least squares from features to random directions, one for each class and modality."""

    info = _info("bridging")

    def fit(self, train, val, context):
        self.first_, self.spaces_, self.maps_, self.learned_ = next(iter(train)), {}, {}, {}
        for modality, items in train.items():
            shape = context.n_classes, self.code_length(modality, context.bits)
            self.spaces_[modality] = context.rng(modality).standard_normal(shape)
            wanted = items.labels @ self.spaces_[modality]
            self.maps_[modality] = np.linalg.lstsq(items.features, wanted, rcond=None)[0]
            self.learned_[modality] = _sign(wanted)
        return self

    def encode(self, modality, features):
        return _sign(features @ self.maps_[modality])

    def encode_train(self, modality):
        return self.learned_[modality]

    def code_length(self, modality, bits):
        return bits if modality == self.first_ else bits + MORE

    def translate(self, codes, modality, target):
        return _sign((codes @ self.spaces_[modality].T) @ self.spaces_[target])


class Untranslated(Bridging):
    info = _info("untranslated")

    def translate(self, codes, modality, target):
        return codes


class Mistranslated(Bridging):
    info = _info("mistranslated")

    def translate(self, codes, modality, target):
        return super().translate(codes, modality, target)[:, 1:]


class OneLength(Bridging):
    """Says that texts have more bits, and gives as many as images have."""

    info = _info("one_length")

    def encode(self, modality, features):
        return super().encode(modality, features)[:, :8]
