"""Methods that write into the arrays they are handed, or depend on how those are stored."""

import mmap

import torch
from small_methods import Ridge

from broken_methods.register import breaks


@breaks("read_only_inputs", "writes into an array")
class CentresInPlace(Ridge):
    def fit(self, train, val, context):
        for items in train.values():
            features = items.features
            features -= features.mean(axis=0)
        return super().fit(train, val, context)


@breaks("memory_mapped_inputs", "memory map differs")
class SuspectsMemoryMaps(Ridge):
    def encode(self, modality, features):
        codes = super().encode(modality, features)
        return codes[::-1].copy() if in_a_file(features) else codes


@breaks("memory_mapped_inputs", "in memory, please")
class RefusesMemoryMaps(Ridge):
    def fit(self, train, val, context):
        if any(in_a_file(items.features) for items in train.values()):
            raise OSError("in memory, please")
        return super().fit(train, val, context)


@breaks("memory_mapped_inputs", "after fit on memory maps")
class LearnsAnotherRidgeFromFiles(Ridge):
    def regress(self, X, labels):
        return super().regress(X, labels) * (2 if self.from_files_ else 1)

    def fit(self, train, val, context):
        self.from_files_ = any(in_a_file(items.features) for items in train.values())
        return super().fit(train, val, context)


def in_a_file(array):
    while array is not None and not isinstance(array, mmap.mmap):
        array = getattr(array, "base", None)
    return array is not None


@breaks("memory_layout", "memory layout")
class ReadsRawMemory(Ridge):
    def encode(self, modality, features):
        by_rows = features.ravel(order="K").reshape(features.shape)
        return super().encode(modality, by_rows)


@breaks("inputs_unchanged", "fit changed the features")
class WritesThroughTorch(Ridge):
    def fit(self, train, val, context):
        for items in train.values():
            torch.from_numpy(items.features).sub_(1.0)
        return super().fit(train, val, context)


@breaks("inputs_unchanged", "encode changed the features")
class ScalesQueries(Ridge):
    def encode(self, modality, features):
        codes = super().encode(modality, features)
        torch.from_numpy(features).mul_(2.0)
        return codes


@breaks("inputs_unchanged", "fit changed the labels")
class RelabelsThroughTorch(Ridge):
    def fit(self, train, val, context):
        super().fit(train, val, context)
        for items in train.values():
            torch.from_numpy(items.labels).fill_(1)
        return self


@breaks("wrong_width_refused", "without a word")
class CutsColumns(Ridge):
    def encode(self, modality, features):
        return super().encode(modality, features[:, : len(self.W_[modality])])
