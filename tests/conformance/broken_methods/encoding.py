"""Methods whose representation of an item depends on the items beside it, or on earlier calls."""

import numpy as np
import torch
from small_methods import Codes, Ridge, sign

from broken_methods.register import breaks


@breaks("encode_repeats", "second call")
class FreshNoise(Ridge):
    def encode(self, modality, features):
        codes = super().encode(modality, features)
        return codes + np.random.default_rng().standard_normal(codes.shape).astype(np.float32)


@breaks("encode_repeats", "second call")
class CountsCalls(Ridge):
    def encode(self, modality, features):
        self.calls_ = getattr(self, "calls_", 0) + 1
        return super().encode(modality, features) * np.float32(self.calls_)


@breaks("subset_invariance", "subset")
@breaks("batch_size_invariance", "blocks of 1")
class CentresTestItems(Ridge):
    def encode(self, modality, features):
        codes = super().encode(modality, features)
        return codes - codes.mean(axis=0)


@breaks("batch_size_invariance", "blocks of 1")
@breaks("subset_invariance", "subset")
class BatchNormLeftOn(Codes):
    def encode(self, modality, features):
        projected = torch.from_numpy(self.project(modality, features))
        norm = torch.nn.BatchNorm1d(projected.shape[1], affine=False)
        if len(projected) > 1:
            projected = norm(projected)
        return sign(projected.numpy())


@breaks("order_invariance", "reordered")
class AddsPosition(Ridge):
    def encode(self, modality, features):
        codes = super().encode(modality, features)
        codes[:, 0] += np.arange(len(codes))
        return codes


@breaks("batch_size_invariance", "blocks of 7")
class PadsBatches(Ridge):
    def encode(self, modality, features):
        codes = super().encode(modality, features)
        codes[len(codes) // 4 * 4 :] = 0
        return codes if len(codes) != 1 else super().encode(modality, features)
