"""Every check catches a method that breaks its promise and nothing else; good methods pass all of them.

Without this, a check that cannot fail would look like one that every method keeps.
"""

# ruff: noqa: RUF012 - presets are written as a plugin's author writes them

import mmap
import time

import numpy as np
import pytest
import torch
from small_methods import (
    GOOD,
    Codes,
    Oracle,
    Paired,
    Ridge,
    Selecting,
    hash_info,
    info,
    paired_info,
    shared,
    sign,
)

from cmrbench.core.errors import UnknownNameError
from cmrbench.method import Method
from cmrbench.testing import all_checks, run_checks

BROKEN = []


def breaks(check, words):
    """Register a class that `check` must catch with a message that holds `words`."""

    def register(cls):
        BROKEN.append(pytest.param(cls, check, words, id=f"{check}-{cls.__name__}"))
        return cls

    return register


# construction


@breaks("valid_info", "must be a MethodInfo, it is dict")
class InfoAsDict(Ridge):
    """Declares in words of its own."""

    info = {"name": "small"}


@breaks("valid_info", "citation")
class NoCitation(Ridge):
    """Says not where it comes from."""

    info = info(citation=" ")


@breaks("valid_info", "title")
class NoTitle(Ridge):
    """Has no name for tables."""

    info = info(title="")


@breaks("valid_info", "does not go with output")
class WrongTable(Ridge):
    """Stands among the hashing methods."""

    info = info(category="supervised_hash")


@breaks("valid_info", "does not go with supervision")
class HiddenSupervision(Ridge):
    """Stands among the unsupervised methods."""

    info = info(category="unsupervised_real")


@breaks("valid_info", "no score")
class NoScore(Ridge):
    """Names a similarity that it does not have."""

    info = info(retrieval=("score",))


@breaks("valid_info", "docstring")
class NoDocstring(Ridge):
    pass


@breaks("valid_info", "epochs")
class UnknownPreset(Ridge):
    """Presets a parameter that it does not take."""

    PRESETS = {"paper": {"epochs": 3}}


@breaks("valid_info", "is no check")
class UnknownExpectedFailure(Ridge):
    """Excuses a check that does not exist."""

    EXPECTED_FAILURES = {"beats_everything": "it is small"}


@breaks("valid_info", "no reason")
class SilentExpectedFailure(Ridge):
    """Excuses without a reason."""

    EXPECTED_FAILURES = {"beats_random": ""}


@breaks("constructor_only_stores", "works on its parameters")
class Computes(Ridge):
    def __init__(self, reg=0.1):
        self.reg = float(reg)


@breaks("constructor_only_stores", "not stored unchanged")
class Replaces(Ridge):
    def __init__(self, reg=None):
        self.reg = reg if isinstance(reg, float) else 0.1


@breaks("constructor_only_stores", "are no parameters")
class SetsMore(Ridge):
    def __init__(self, reg=0.1):
        self.reg = reg
        self.ready = False


@breaks("constructor_only_stores", "no default")
class NeedsParameter(Ridge):
    def __init__(self, reg):
        self.reg = reg


@breaks("constructor_only_stores", "name every parameter")
class TakesAnything(Ridge):
    def __init__(self, **options):
        self.options = options


@breaks("fit_returns_self", "NoneType")
class ReturnsNothing(Ridge):
    def fit(self, train, val, context):
        super().fit(train, val, context)


@breaks("parameters_kept", "reg")
class ChangesParameter(Ridge):
    def fit(self, train, val, context):
        super().fit(train, val, context)
        self.reg = self.reg / 2
        return self


@breaks("parameters_kept", "grid")
class GrowsParameter(Ridge):
    def __init__(self, grid=None):
        self.grid = grid

    PRESETS = {"quick": {"grid": [1]}}
    reg, dim = 0.1, 32

    def fit(self, train, val, context):
        self.grid.append(2)
        return super().fit(train, val, context)


@breaks("unfitted_encode_raises", "names the method")
class NamelessError(Ridge):
    def check_fitted(self, attribute):
        raise AttributeError(attribute)


@breaks("unfitted_encode_raises", "returned something")
class EncodesUnfitted(Ridge):
    def encode(self, modality, features):
        return super().encode(modality, features) if hasattr(self, "W_") else features


@breaks("survives_pickle", "cannot be pickled")
class HoldsFunction(Ridge):
    def fit(self, train, val, context):
        self.kernel_ = lambda x: x
        return super().fit(train, val, context)


@breaks("survives_pickle", "copy encodes differently")
class ForgetsState(Ridge):
    def __getstate__(self):
        return {**self.__dict__, "mean_": {m: 0 * mean for m, mean in self.mean_.items()}}


@breaks("survives_pickle", "copy encodes differently")
class LosesOnSave(Ridge):
    def save(self, path):
        np.savez(path, **self.W_)

    @classmethod
    def load(cls, path):
        with np.load(f"{path}.npz") as saved:
            method = cls()
            method.W_ = dict(saved)
            method.mean_ = {m: np.zeros(len(W), np.float32) for m, W in method.W_.items()}
        return method


# outputs


@breaks("output_shape", "expected (48, k)")
class DropsLastRow(Ridge):
    def encode(self, modality, features):
        return super().encode(modality, features)[:-1]


@breaks("output_shape", "shape (48,)")
class Flat(Ridge):
    def encode(self, modality, features):
        return super().encode(modality, features)[:, 0]


@breaks("output_shape", "returned list")
class ReturnsList(Ridge):
    def encode(self, modality, features):
        return super().encode(modality, features).tolist()


@breaks("output_shape", "different widths")
class Uneven(Ridge):
    def encode(self, modality, features):
        return super().encode(modality, features)[:, : 10 if modality == "image" else 20]


@breaks("output_shape", "expected (48, 16)")
class TooManyBits(Codes):
    def encode(self, modality, features):
        return np.repeat(super().encode(modality, features), 2, axis=1)


@breaks("output_dtype", "float64")
class DoublePrecision(Ridge):
    def encode(self, modality, features):
        return super().encode(modality, features).astype(np.float64)


@breaks("output_dtype", "expected int8")
class FloatCodes(Codes):
    def encode(self, modality, features):
        return super().encode(modality, features).astype(np.float32)


@breaks("output_values", "NaN")
class NaNs(Ridge):
    def encode(self, modality, features):
        out = super().encode(modality, features)
        out[3] = np.nan
        return out


@breaks("output_values", "codes must be -1 or +1")
class Zeros(Codes):
    def encode(self, modality, features):
        return np.sign(np.round(self.project(modality, features))).astype(np.int8)


@breaks("output_values", "codes must be -1 or +1")
class ZeroOne(Codes):
    def encode(self, modality, features):
        return (super().encode(modality, features) > 0).astype(np.int8)


@breaks("output_varies", "same representation")
class Collapsed(Ridge):
    def encode(self, modality, features):
        return np.ones((len(features), 8), np.float32)


@breaks("code_lengths", "expected (48, 12)")
class WholeBytes(Codes):
    def encode(self, modality, features):
        codes = super().encode(modality, features)
        return np.pad(codes, ((0, 0), (0, -codes.shape[1] % 8)), constant_values=1)


@breaks("asked_dimension", "ignored")
class IgnoresDim(Ridge):
    def encode(self, modality, features):
        return np.repeat(super().encode(modality, features), 2, axis=1)


@breaks("modalities_not_aliased", "share memory")
class OneBuffer(Ridge):
    def encode(self, modality, features):
        codes = super().encode(modality, features)
        if not hasattr(self, "buffer_"):
            self.buffer_ = np.zeros((2, *codes.shape), np.float32)
        buffer = self.buffer_ if len(codes) == self.buffer_.shape[1] else np.zeros((2, *codes.shape), np.float32)
        start = 0 if modality == "image" else 1
        flat = buffer.reshape(-1, codes.shape[1])
        flat[start : start + len(codes)] = codes
        return flat[start : start + len(codes)]


@breaks("modalities_not_aliased", "overwritten by a later call")
class ReusesBuffer(Ridge):
    def encode(self, modality, features):
        codes = super().encode(modality, features)
        buffers = vars(self).setdefault("buffers_", {})
        buffer = buffers.setdefault(modality, np.zeros((500, codes.shape[1]), np.float32))
        buffer[: len(codes)] = codes
        return buffer[: len(codes)]


@breaks("learned_codes", "expected (129, 16)")
class FewerLearnedCodes(Codes):
    def encode_train(self, modality):
        return super().encode_train(modality)[:-1]


@breaks("learned_codes", "codes must be -1 or +1")
class ZerosLearned(Codes):
    def encode_train(self, modality):
        return super().encode_train(modality) * np.int8(0)


@breaks("own_score", "expected (48, 72)")
class TransposedScore(Selecting):
    def score(self, query, gallery, query_modality, gallery_modality):
        return gallery @ query.T


@breaks("own_score", "block of queries")
class ScoreOfTheBlock(Selecting):
    def score(self, query, gallery, query_modality, gallery_modality):
        scores = query @ gallery.T
        return scores - scores.mean(axis=0)


# encoding


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


# determinism


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


# inputs


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


# edge cases


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


# supervision and learning


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


@breaks("beats_random", "from chance")
class Unrelated(Ridge):
    """A random projection of its own for every modality: neighbours are kept, modalities do not meet."""

    def fit(self, train, val, context):
        super().fit(train, val, context)
        self.W_ = {m: context.rng(m).standard_normal(W.shape).astype(np.float32) for m, W in self.W_.items()}
        return self


@breaks("beats_random", "text->image")
class OneWay(Selecting):
    """Its similarity works in one direction only."""

    def score(self, query, gallery, query_modality, gallery_modality):
        scores = query @ gallery.T
        return scores if query_modality == "image" else -scores


@pytest.mark.parametrize(("cls", "check", "words"), BROKEN)
def test_a_broken_method_is_caught(cls, check, words):
    (result,) = run_checks(cls, [check])
    assert result.status in ("failed", "error"), result
    assert words in result.detail


def test_every_check_catches_something():
    assert {check for _, check, _ in (p.values for p in BROKEN)} == {c.name for c in all_checks()}


@pytest.mark.parametrize("cls", GOOD)
def test_good_methods_pass(cls):
    assert [r for r in run_checks(cls) if not r.ok] == []


def test_every_check_applies_to_a_good_method():
    passed = {r.name for cls in GOOD for r in run_checks(cls) if r.status == "passed"}
    assert passed == {c.name for c in all_checks()}


def test_a_label_oracle_is_checked_through_its_labels():
    status = {r.name: r.status for r in run_checks(Oracle)}
    assert status["output_shape"] == status["beats_random"] == "passed"
    assert status["subset_invariance"] == "not_applicable"


class Excused(Unrelated):
    EXPECTED_FAILURES = {"beats_random": "it is a floor"}


class Repaired(Ridge):
    EXPECTED_FAILURES = {"beats_random": "it is a floor"}


def test_an_expected_failure_gives_its_reason():
    (result,) = run_checks(Excused, ["beats_random"])
    assert (result.status, result.detail, result.ok) == ("expected_failure", "it is a floor", True)


def test_an_expected_failure_that_passes_is_a_failure():
    (result,) = run_checks(Repaired, ["beats_random"])
    assert result.status == "failed"
    assert "remove it" in result.detail


class Declining(Ridge):
    def declines(self, dataset):
        return "too small" if dataset.sizes["train"]["image"] < 20 else None


def test_declined_data_is_not_applicable_with_the_reason():
    (result,) = run_checks(Declining, ["one_item_per_class"])
    assert result.status == "not_applicable"
    assert "too small" in result.detail


class Hangs(Ridge):
    """Never ends."""

    def fit(self, train, val, context):
        while True:
            try:
                time.sleep(0.01)
            except Exception:  # a time limit must not be something that this can swallow
                continue


def test_a_hanging_fit_fails_once_and_is_not_tried_again():
    start = time.perf_counter()
    results = run_checks(Hangs, timeout=0.3)
    assert time.perf_counter() - start < 5
    assert next(r.detail for r in results if not r.ok) == "fit did not end in time on the basic dataset"
    assert sum(r.status == "failed" for r in results) > 15


class Crashes(Ridge):
    def fit(self, train, val, context):
        raise RuntimeError("out of luck")


def test_a_crash_is_an_error_with_its_place():
    (result,) = run_checks(Crashes, ["output_shape"])
    assert result.status == "error"
    assert "RuntimeError: out of luck" in result.detail
    assert "test_checks_can_fail.py" in result.detail


def test_params_go_over_the_presets():
    class Seen(Ridge):
        PRESETS = {"quick": {"reg": 1.0, "dim": 7}, "check": {"reg": 2.0}}

    from cmrbench.testing import Case

    assert Case(Seen, {"dim": 9}).params == {"reg": 2.0, "dim": 9}
    assert Case(Seen).fitted.outputs()["image"].shape[1] == 7


def test_an_unknown_check_is_refused_with_the_nearest():
    with pytest.raises(UnknownNameError, match="beats_random"):
        run_checks(Ridge, ["beat_random"])


def test_names_select_in_the_order_of_the_list():
    order = [c.name for c in all_checks()]
    chosen = [r.name for r in run_checks(Ridge, reversed(order[:4]))]
    assert chosen == order[:4]


def test_the_base_class_itself_is_no_method():
    class Nothing(Method):
        """Writes neither fit nor encode."""

        info = hash_info(name="nothing")

    assert {r.status for r in run_checks(Nothing, ["fit_returns_self", "output_shape"])} == {"error"}
