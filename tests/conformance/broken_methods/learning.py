"""Methods that do not learn, in one direction or in both."""

import numpy as np
from small_methods import Bridged, Ridge, Selecting

from broken_methods.register import breaks


@breaks("beats_random", "from chance")
class Unrelated(Ridge):
    """A random projection of its own for every modality: neighbours are kept, modalities do not meet."""

    def fit(self, train, val, context):
        super().fit(train, val, context)
        self.W_ = {m: context.rng(m).standard_normal(W.shape).astype(np.float32) for m, W in self.W_.items()}
        return self


@breaks("beats_random", "image->text")
class TranslatesToTheOpposite(Bridged):
    """Its codes are good, and its translation from images turns them round."""

    def translate(self, codes, modality, target):
        return super().translate(codes, modality, target) * np.int8(-1 if modality == "image" else 1)


@breaks("beats_random", "text->image")
class OneWay(Selecting):
    """Its similarity works in one direction only."""

    def score(self, query, gallery, query_modality, gallery_modality):
        scores = query @ gallery.T
        return scores if query_modality == "image" else -scores
