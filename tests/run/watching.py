"""A method that writes down every file that its process opens, and when its fit had ended."""

import sys
from pathlib import Path

import numpy as np

from cmrbench.method import Method, MethodInfo

OPENED = []
sys.addaudithook(lambda event, details: OPENED.append(str(details[0])) if event == "open" else None)


class Watching(Method):
    info = MethodInfo(name="watching", title="Watching", category="baseline")

    def __init__(self, notes: str = ""):
        self.notes = notes

    def fit(self, train, val, context):
        self.maps_ = {m: context.rng(m).normal(size=(items.dim, 8)) for m, items in train.items()}
        with open("/proc/self/maps") as lines:
            mapped = [line.split()[-1] for line in lines]
        Path(self.notes, "in_fit").write_text("\n".join([*OPENED, *mapped]))
        return self

    def encode(self, modality, features):
        Path(self.notes, "in_encode").write_text("\n".join(OPENED))
        return (features @ self.maps_[modality]).astype(np.float32)
