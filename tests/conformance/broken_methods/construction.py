"""Methods that declare, construct or keep themselves wrongly."""

# ruff: noqa: RUF012 - presets are written as a plugin's author writes them

import numpy as np
from small_methods import Ridge, info

from broken_methods.register import breaks


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


@breaks("valid_info", "which compares codes")
class HammingOfVectors(Ridge):
    """Names a similarity for codes beside one that it can be ranked by."""

    info = info(retrieval=("cosine", "hamming"))


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


@breaks("unfitted_encode_raises", "names the method")
class NamedByPythonAlone(Ridge):
    info = info(title="NamedByPythonAlone")

    def check_fitted(self, attribute):
        getattr(self, attribute)


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
