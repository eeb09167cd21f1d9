"""Methods whose numbers do not follow from the seed, or that carry something over from another fit."""

import numpy as np
import torch
from small_methods import Codes, Ridge, info

from broken_methods.register import breaks
from cmrbench.testing.case import BITS


@breaks("same_seed_same_output", "context.rng")
class GlobalNumpy(Ridge):
    def regress(self, X, labels):
        return super().regress(X, labels) + 0.1 * np.random.standard_normal((X.shape[1], 1))  # noqa: NPY002


@breaks("same_seed_same_output", "context.rng")
class GlobalTorch(Ridge):
    def regress(self, X, labels):
        return super().regress(X, labels) + 0.1 * torch.randn(X.shape[1], 1).numpy()


@breaks("same_seed_same_output", "context.rng")
class OwnEntropy(Codes):
    def regress(self, X, labels):
        return super().regress(X, labels) + 0.1 * np.random.default_rng().standard_normal((X.shape[1], 1))


@breaks("other_seed", "same output to the bit")
class IgnoresSeed(Ridge):
    def fit(self, train, val, context):
        return super().fit(train, val, type(context)(seed=0, dim=context.dim, n_classes=context.n_classes))


@breaks("other_seed", "declares deterministic=True")
class NotDeterministic(Ridge):
    info = info(deterministic=True)


@breaks("refit_starts_afresh", "fitted on other data before")
class WarmStart(Ridge):
    def fit(self, train, val, context):
        if hasattr(self, "W_"):
            context = type(context)(seed=context.seed + 1, n_classes=context.n_classes)
        return super().fit(train, val, context)


@breaks("instances_independent", "another instance")
class ClassState(Ridge):
    def fit(self, train, val, context):
        super().fit(train, val, context)
        ClassState.W_, ClassState.mean_ = self.W_, self.mean_
        del self.W_, self.mean_
        return self


@breaks("shared_work", "shared work of other code lengths")
class SharesWhatDependsOnTheLength(Codes):
    def fit(self, train, val, context):
        super().fit(train, val, context)
        self.flip_ = context.shared("flip", lambda: -1 if context.bits == BITS else 1)
        return self

    def encode(self, modality, features):
        return self.flip_ * super().encode(modality, features)
