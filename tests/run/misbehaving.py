"""Methods that do what a plugin must not, and one that behaves; each costs its own run only."""

import ctypes
import os
import subprocess
import sys
import threading
import time
import warnings

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


def _channel(context):
    """The open file that the harness sends results through; nothing keeps a method from finding it."""
    return context.progress.__self__.connection.fileno()


class SendsGarbage(_Centred):
    info = _info("sends_garbage")

    def fit(self, train, val, context):
        os.write(_channel(context), b"\x00\x00\x00\x05Pnot json")
        return super().fit(train, val, context)


class SendsHalfAMessage(_Centred):
    info = _info("sends_half_a_message")

    def fit(self, train, val, context):
        os.write(_channel(context), b"cmrbR" + (1000).to_bytes(8, "big") + b"half")
        time.sleep(3600)


class PrintsForever(_Centred):
    info = _info("prints_forever")

    def fit(self, train, val, context):
        def fill():
            while True:
                os.write(1, b"z" * (1 << 16))

        for _ in range(4):
            threading.Thread(target=fill, daemon=True).start()
        time.sleep(3600)


class HoldsTheInterpreter(_Centred):
    info = _info("holds_the_interpreter")

    def fit(self, train, val, context):
        sum(range(10**15))


class LeavesProcesses(_Centred):
    info = _info("leaves_processes")

    def fit(self, train, val, context):
        subprocess.Popen(["sleep", "98765"])
        subprocess.Popen(["sleep", "98765"], start_new_session=True)
        threading.Thread(target=time.sleep, args=(3600,)).start()
        return super().fit(train, val, context)


class ClosesOutput(_Centred):
    info = _info("closes_output")

    def fit(self, train, val, context):
        sys.stdout.close()
        sys.stdout = None
        return super().fit(train, val, context)


class _UnprintableError(Exception):
    def __str__(self):
        raise RuntimeError("no text")


class RaisesTheUnprintable(_Centred):
    info = _info("raises_the_unprintable")

    def fit(self, train, val, context):
        raise _UnprintableError


class RaisesMegabytes(_Centred):
    info = _info("raises_megabytes")

    def fit(self, train, val, context):
        raise ValueError("x" * 5_000_000)


class WarnsInHalfCharacters(_Centred):
    info = _info("warns_in_half_characters")

    def fit(self, train, val, context):
        warnings.warn("no such file: \udcff", stacklevel=1)
        return super().fit(train, val, context)


class EatsSmallPieces(_Centred):
    info = _info("eats_small_pieces")

    def fit(self, train, val, context):
        self.kept_ = []
        while True:
            self.kept_.append(bytearray(1000))


class ExitsWell(_Centred):
    info = _info("exits_well")

    def fit(self, train, val, context):
        os._exit(0)


def identity(x):
    return x


class TakesFunctions(_Centred):
    info = _info("takes_functions")

    def __init__(self, kernel=identity, other=lambda x: x, largest=float("inf")):
        self.kernel = kernel
        self.other = other
        self.largest = largest


class OpensTheDataset(_Centred):
    info = _info("opens_the_dataset")

    def declines(self, dataset):
        return f"{len(dataset.part('query'))} modalities in query"


class Logs(_Centred):
    info = _info("logs")

    def fit(self, train, val, context):
        context.logger.warning("only %d of %s directions", 8, context.dim)
        context.logger.warning("only %d of %s directions", 8, context.dim)
        context.logger.warning("%d", "not a number")
        return super().fit(train, val, context)


class RefusesToBeCounted:
    def state_dict(self):
        raise RuntimeError("no")


class HoldsAnOddObject(_Centred):
    info = _info("holds_an_odd_object")

    def fit(self, train, val, context):
        self.odd_ = RefusesToBeCounted()
        return super().fit(train, val, context)
