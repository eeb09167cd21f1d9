"""Methods that fail on legitimate and awkward data."""

import numpy as np
from small_methods import Paired, Ridge, Selecting, paired_info

from broken_methods.register import breaks


@breaks("unequal_dims", "different widths")
class AsWideAsFeatures(Paired):
    info = paired_info(deterministic=True)

    def encode(self, modality, features):
        return super().encode(modality, features)[:, : min(features.shape[1], 12)]


@breaks("three_modalities", "KeyError")
class KnowsImageAndText(Ridge):
    def encode(self, modality, features):
        scale = {"image": 1, "text": 1}[modality]
        return super().encode(modality, features) * np.float32(scale)


@breaks("fewer_items", "ValueError")
class WantsPairsAfterAll(Ridge):
    def fit(self, train, val, context):
        first, second, *_ = train.values()
        self.gap_ = first.labels - second.labels
        return super().fit(train, val, context)


@breaks("unilabel", "NaN")
class DividesByVariance(Ridge):
    def regress(self, X, labels):
        spread = labels.sum(axis=1).std()
        return super().regress(X, labels) / spread if spread == 0 else super().regress(X, labels)

    def encode(self, modality, features):
        with np.errstate(invalid="ignore"):
            return super().encode(modality, features) * np.float32(np.inf) * np.float32(0)


@breaks("multilabel", "one label")
class OneLabelOnly(Ridge):
    def regress(self, X, labels):
        if (labels.sum(axis=1) != 1).any():
            raise ValueError("items must have one label")
        return super().regress(X, labels)


@breaks("one_item_per_class", "LinAlgError")
class NoRidge(Ridge):
    def regress(self, X, labels):
        return np.linalg.inv(np.cov(X.T) * (np.linalg.matrix_rank(X) == X.shape[1])) @ super().regress(X, labels)


@breaks("constant_columns", "NaN")
class DividesByDeviation(Ridge):
    def encode(self, modality, features):
        with np.errstate(invalid="ignore", divide="ignore"):
            return super().encode(modality, features) / np.float32(
                np.float32(1) * (self.deviation_[modality] > 0).all()
            )

    def fit(self, train, val, context):
        self.deviation_ = {m: items.features.std(axis=0) for m, items in train.items()}
        return super().fit(train, val, context)


@breaks("uneven_batches", "ValueError")
class WholeBatchesOnly(Selecting):
    def fit(self, train, val, context):
        for items in train.values():
            batches = np.arange(len(items)) // self.batch_size
            if np.bincount(batches)[-1] == 1:
                raise ValueError("expected more than 1 value per channel when training")
        return super().fit(train, val, context)
