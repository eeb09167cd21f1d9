"""Online methods that forget, change what they gave, or take anything for a chunk."""

import itertools

import numpy as np
from small_methods import Online, sign

from broken_methods.register import breaks

COUNTER = itertools.count()


@breaks("chunks_repeat", "encodes something else")
class CountsForAll(Online):
    """Draws by a counter that all instances share."""

    def partial_fit(self, train, context):
        super().partial_fit(train, context)
        noise = np.random.default_rng(next(COUNTER))
        self.W_ = {m: W + noise.standard_normal(W.shape) for m, W in self.W_.items()}
        return self


@breaks("chunks_repeat", "learned other image codes")
class ShufflesCodes(Online):
    """Learns the same hash functions, and codes in an order of its own."""

    def partial_fit(self, train, context):
        super().partial_fit(train, context)
        order = np.random.default_rng(next(COUNTER)).permutation(len(self.train_codes_["image"]))
        self.train_codes_ = {m: codes[order] for m, codes in self.train_codes_.items()}
        return self


@breaks("chunks_keep_codes", "a later chunk changed the image codes")
class EncodesAnew(Online):
    """Keeps the items and encodes all of them again."""

    def partial_fit(self, train, context):
        before = self.seen_ if hasattr(self, "sums_") else {m: [] for m in train}
        super().partial_fit(train, context)
        self.seen_ = {m: [*before[m], items.features] for m, items in train.items()}
        self.train_codes_ = {m: self.encode(m, np.concatenate(parts)) for m, parts in self.seen_.items()}
        return self


@breaks("chunks_keep_codes", "rows, for all of them")
class LastChunkOnly(Online):
    """Has codes of the last chunk alone."""

    def partial_fit(self, train, context):
        super().partial_fit(train, context)
        self.train_codes_ = {m: codes[-len(train[m]) :] for m, codes in self.train_codes_.items()}
        return self


@breaks("empty_chunk_refused", "without a word")
class TakesEmptyChunks(Online):
    """Adds nothing to its sums."""

    def refuse_empty(self, train):
        pass


@breaks("empty_chunk_refused", "does not name the method")
class FailsInNumpysWords(Online):
    """Lets a library find out."""

    def refuse_empty(self, train):
        for items in train.values():
            items.features.max(axis=0)


@breaks("empty_chunk_refused", "after 2 others, which was refused, changed")
class ForgetsBeforeRefusing(Online):
    """Looks at the chunk too late."""

    def refuse_empty(self, train):
        try:
            super().refuse_empty(train)
        except ValueError:
            vars(self).pop("sums_", None)
            raise


@breaks("chunks_keep_codes", "partial_fit must return self")
class ReturnsCodes(Online):
    """Gives codes instead of itself."""

    def partial_fit(self, train, context):
        super().partial_fit(train, context)
        return {m: sign(codes) for m, codes in self.train_codes_.items()}
