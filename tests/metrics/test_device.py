"""The option `device`: what is refused, and that torch is imported for nothing else."""

from __future__ import annotations

import subprocess
import sys

import pytest
import torch

from cmrbench.core.errors import UsageError
from cmrbench.metrics import evaluate, from_labels, given


def on(device, metrics="mAP@all"):
    return evaluate(given([[1.0, 0.0]]), from_labels([1], [1, 0]), metrics, device=device)


@pytest.mark.parametrize("name", ["gpu", "", "cuda:", "cuda:x", "CPU", 0])
def test_an_unknown_device_is_refused(name):
    with pytest.raises(UsageError, match="device must be cpu, cuda or cuda:N, got"):
        on(name)
    with pytest.raises(UsageError, match="device must be"):
        on(name, "NDCG@1[shared]")


def test_a_device_that_is_not_there_is_refused(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(UsageError, match=r"device cuda was asked for, but torch finds no CUDA device"):
        on("cuda")
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    with pytest.raises(UsageError, match=r"device cuda:2 was asked for, but torch finds 2 CUDA"):
        on("cuda:2")


def test_without_torch_a_device_is_refused(monkeypatch):
    monkeypatch.setitem(sys.modules, "torch", None)
    with pytest.raises(UsageError, match=r"device cpu is used through torch, which cannot be imported"):
        on("cpu")
    assert on(None).values == {"mAP@all": 1.0}


def test_torch_is_imported_only_for_a_device():
    code = """
import sys, numpy as np
import cmrbench.metrics as m
m.evaluate_arrays(np.eye(3), np.eye(3), range(3), range(3))
print("torch" in sys.modules)
m.evaluate_arrays(np.eye(3), np.eye(3), range(3), range(3), device="cpu")
print("torch" in sys.modules)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["False", "True"]
