"""Hashing methods that share work between code lengths, and note how often they did it."""

import os
import time
from pathlib import Path

import numpy as np

from cmrbench.method import Method, MethodInfo


class Shares(Method):
    """Signs of a random projection; the key of the generator is drawn as work that all code lengths share."""

    info = MethodInfo(
        name="shares", title="Shares", category="baseline", output="hash", retrieval=("hamming",), pairs=False
    )
    dies_at = 0

    def __init__(self, notes: str = "", seconds: float = 0.0):
        self.notes = notes
        self.seconds = seconds

    def fit(self, train, val, context):
        def draw():
            with (Path(self.notes) / "made").open("a") as notes:
                notes.write(f"{os.getpid()} {context.bits}\n")
            time.sleep(self.seconds)
            return {m: context.rng("key", m).standard_normal((items.dim, 64)) for m, items in train.items()}

        keys = context.shared("keys", draw)
        if context.bits == self.dies_at:
            os._exit(7)
        self.weights_ = {m: key[:, : context.bits] for m, key in keys.items()}
        return self

    def encode(self, modality, features):
        self.check_fitted("weights_")
        return np.where(features @ self.weights_[modality] >= 0, 1, -1).astype(np.int8)


class SharesAndDies(Shares):
    info = MethodInfo(
        name="shares_and_dies", title="Dies", category="baseline", output="hash", retrieval=("hamming",), pairs=False
    )
    dies_at = 16


class SharesNothing(Shares):
    info = MethodInfo(
        name="shares_nothing", title="Nothing", category="baseline", output="hash", retrieval=("hamming",), pairs=False
    )

    def fit(self, train, val, context):
        with (Path(self.notes) / "processes").open("a") as notes:
            notes.write(f"{os.getpid()}\n")
        self.weights_ = {m: np.eye(items.dim)[:, : context.bits] for m, items in train.items()}
        return self
