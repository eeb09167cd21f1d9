"""Methods that read labels they have not declared, or that know more than the training items say."""

from small_methods import Paired, Ridge, paired_info, shared

from broken_methods.register import breaks


@breaks("labels_withheld", "depends on whether the items carry labels")
class Peeks(Paired):
    info = paired_info(deterministic=True)

    def fit(self, train, val, context):
        super().fit(train, val, context)
        first, items = next(iter(train.items()))
        if items.labels is not None:
            self.mean_[first] = items.features[items.labels[:, 0] == 1].mean(axis=0)
        return self


@breaks("shuffled_labels", "it knows more")
class Remembers(Ridge):
    """Keeps the first model it ever fitted, on true labels, and takes it out again."""

    def fit(self, train, val, context):
        super().fit(train, val, context)
        if not hasattr(shared, "model"):
            shared.model = self.W_, self.mean_
        self.W_, self.mean_ = shared.model
        return self
