"""Methods that do what a plugin must not, and one that behaves; each costs its own run only."""

import ctypes
import os
import time

import numpy as np

from cmrbench.method import Method, MethodInfo


class _Centred(Method):
    def fit(self, train, val, context):
        self.mean_ = {m: items.features.mean(0) for m, items in train.items()}
        return self

    def encode(self, modality, features):
        self.check_fitted("mean_")
        return (features - self.mean_[modality])[:, :8].astype(np.float32)


def _info(name, **changes):
    return MethodInfo(name=name, title=name, category="baseline", **changes)


class Good(_Centred):
    info = _info("good")


class RaisesInFit(_Centred):
    info = _info("raises_in_fit")

    def fit(self, train, val, context):
        raise RuntimeError("the matrix is <not> positive definite | really")


class RaisesInEncode(_Centred):
    info = _info("raises_in_encode")

    def encode(self, modality, features):
        raise ValueError(f"cannot encode {modality} of shape {features.shape}")


class ReturnsNaN(_Centred):
    info = _info("returns_nan")

    def encode(self, modality, features):
        out = super().encode(modality, features)
        out[3, 2] = np.nan
        return out


class WrongShape(_Centred):
    info = _info("wrong_shape")

    def encode(self, modality, features):
        return super().encode(modality, features)[:-1]


class WrongDtype(_Centred):
    info = _info("wrong_dtype")

    def encode(self, modality, features):
        return super().encode(modality, features).astype(np.int64)


class Constant(_Centred):
    info = _info("constant")

    def encode(self, modality, features):
        return np.ones((len(features), 4), np.float32)


class ZeroCodes(_Centred):
    info = _info("zero_codes", output="hash", retrieval=("hamming",))

    def fit(self, train, val, context):
        self.bits_ = context.bits
        return super().fit(train, val, context)

    def encode(self, modality, features):
        codes = np.ones((len(features), self.bits_), np.int8)
        codes[::2] = -1
        codes[5, 1] = 0
        return codes


class NotSelf(_Centred):
    info = _info("not_self")

    def fit(self, train, val, context):
        super().fit(train, val, context)


class Hangs(_Centred):
    info = _info("hangs")

    def fit(self, train, val, context):
        while True:
            time.sleep(1)


class Allocates(_Centred):
    info = _info("allocates")

    def fit(self, train, val, context):
        kept = []
        while True:
            kept.append(np.ones(4 << 20))


class Segfaults(_Centred):
    info = _info("segfaults")

    def fit(self, train, val, context):
        ctypes.string_at(0)


class PrintsMegabytes(_Centred):
    info = _info("prints_megabytes")

    def fit(self, train, val, context):
        for _ in range(64):
            os.write(1, b"x" * (1 << 17))
            print("y" * (1 << 17))
        return super().fit(train, val, context)


class Exits(_Centred):
    info = _info("exits")

    def fit(self, train, val, context):
        os._exit(3)


class Declines(_Centred):
    info = _info("declines")

    def declines(self, dataset):
        return "only on Tuesdays"


class WritesFeatures(_Centred):
    info = _info("writes_features")

    def fit(self, train, val, context):
        train["image"].features[0, 0] = 1.0
        return super().fit(train, val, context)


class UsesScore(_Centred):
    info = _info("uses_score", retrieval=("score", "cosine"))

    def score(self, query, gallery, query_modality, gallery_modality):
        norms = np.linalg.norm(query, axis=1)[:, None] * np.linalg.norm(gallery, axis=1)[None]
        return query @ gallery.T / np.maximum(norms, 1e-12)
