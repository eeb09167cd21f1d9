"""A method whose fit takes a moment, and leaves a mark for every time that it ran."""

import os
import time
from pathlib import Path

import numpy as np

from cmrbench.method import Method, MethodInfo


class Napping(Method):
    info = MethodInfo(name="napping", title="Napping", category="baseline")

    def __init__(self, nap: float = 0.2, marks: str = ""):
        self.nap = nap
        self.marks = marks

    def fit(self, train, val, context):
        if self.marks:
            Path(self.marks, f"{context.seed}-{os.getpid()}").touch()
        time.sleep(self.nap)
        self.maps_ = {m: context.rng(m).normal(size=(items.dim, 8)) for m, items in train.items()}
        return self

    def encode(self, modality, features):
        return (features @ self.maps_[modality]).astype(np.float32)
