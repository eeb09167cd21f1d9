"""Robustness transforms: declared, seeded changes of a dataset, named in its name (``wiki+noise=0.4``)."""

from cmrbench.data.transforms.apply import apply
from cmrbench.data.transforms.base import Transform
from cmrbench.data.transforms.registry import TRANSFORMS, parse

__all__ = ["TRANSFORMS", "Transform", "apply", "parse"]
