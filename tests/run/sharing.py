"""Hashing methods that share work between code lengths, and note how often they did it."""

import os
import subprocess
import time
import warnings
from pathlib import Path

import numpy as np

from cmrbench.method import Method, MethodInfo


def _info(name):
    return MethodInfo(name=name, title=name, category="baseline", output="hash", retrieval=("hamming",), pairs=False)


class Shares(Method):
    """Signs of a random projection; the key of the generator is drawn as work that all code lengths share."""

    info = _info("shares")

    def __init__(self, notes: str = "", seconds: float = 0.0, nap: float = 0.0):
        self.notes = notes
        self.seconds = seconds
        self.nap = nap

    def fit(self, train, val, context):
        def draw():
            with (Path(self.notes) / "made").open("a") as notes:
                notes.write(f"{os.getpid()} {context.bits}\n")
            time.sleep(self.seconds)
            return {m: context.rng("key", m).standard_normal((items.dim, 64)) for m, items in train.items()}

        keys = context.shared("keys", draw)
        self.weights_ = {m: key[:, : context.bits] for m, key in keys.items()}
        self.go_on(context)
        time.sleep(self.nap)
        return self

    def go_on(self, context):
        """What else a fit does."""

    def encode(self, modality, features):
        self.check_fitted("weights_")
        return np.where(features @ self.weights_[modality] >= 0, 1, -1).astype(np.int8)


class SharesAndDies(Shares):
    info = _info("shares_and_dies")

    def go_on(self, context):
        print(f"words of {context.bits}")
        if context.bits == 16:
            os._exit(7)


class SharesAndHangs(Shares):
    info = _info("shares_and_hangs")

    def go_on(self, context):
        if context.bits == 16:
            time.sleep(100 * self.nap)


class SharesAndSpoils(Shares):
    """Leaves something in its process that the next run there trips over."""

    info = _info("shares_and_spoils")
    seen = ()

    def go_on(self, context):
        before, SharesAndSpoils.seen = self.seen, (*self.seen, context.bits)
        if context.bits == 16 and before:
            raise MemoryError
        if context.bits == 32 and before:
            os._exit(7)


class SharesAndLeavesProcesses(Shares):
    info = _info("shares_and_leaves_processes")

    def go_on(self, context):
        subprocess.Popen(["sleep", "98766"])


class SharesAndEats(Shares):
    """Takes 200 MiB in shared work, and 400 MiB afterwards at 8 bits."""

    info = _info("shares_and_eats")

    def go_on(self, context):
        context.shared("total", lambda: np.ones(25 << 20).sum())
        if context.bits == 8:
            np.ones(50 << 20).sum()


class SharesAndWarns(Shares):
    info = _info("shares_and_warns")

    def go_on(self, context):
        def warn(name):
            context.logger.warning("%s: logged", name)
            warnings.warn(f"{name}: warned", stacklevel=2)

        context.shared("outer", lambda: context.shared("inner", lambda: warn("inner")) or warn("outer"))
        warn(f"run of {context.bits}")


class SharesNothing(Shares):
    info = _info("shares_nothing")

    def fit(self, train, val, context):
        with (Path(self.notes) / "processes").open("a") as notes:
            notes.write(f"{os.getpid()}\n")
        self.weights_ = {m: np.eye(items.dim)[:, : context.bits] for m, items in train.items()}
        return self
