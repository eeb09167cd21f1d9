"""The contract that a plugin author reads: `Method`, `MethodInfo`, `Context`. One screen, no framework.

A plugin is a file with one subclass of `Method`::

    class MeanShift(Method):
        '''Centre every modality; compare by cosine.'''

        info = MethodInfo(name="mean_shift", title="MeanShift", category="unsupervised_real", pairs=False)

        def fit(self, train, val, context):
            self.mean_ = {m: items.features.mean(0) for m, items in train.items()}
            return self

        def encode(self, modality, features):
            self.check_fitted("mean_")
            return features - self.mean_[modality]

The harness calls ``fit`` once, then ``encode`` for queries and gallery. It hands out read-only arrays, withholds
labels from unsupervised methods, and opens the test items only after ``fit`` has returned.
"""

from __future__ import annotations

import inspect
import logging
import time
from collections.abc import Callable, Hashable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar, TypeVar, cast

from cmrbench.core.citation import Citation
from cmrbench.core.errors import MethodError
from cmrbench.core.hashing import derive_seed
from cmrbench.core.sharing import Heard, Shared

if TYPE_CHECKING:
    import numpy as np
    from typing_extensions import Self

    from cmrbench.core.dataset import Dataset
    from cmrbench.core.items import Items

T = TypeVar("T")

CATEGORIES = {
    "unsupervised_real": "Unsupervised real-valued",
    "supervised_real": "Supervised real-valued",
    "unsupervised_hash": "Unsupervised hashing",
    "supervised_hash": "Supervised hashing",
    "baseline": "Baselines",
}
"""The survey's taxonomy, and the baselines that every table shows."""

LOGGER = "cmrbench.method"
"""Name of the logger in `Context`; what a method logs there as a warning is kept with its run."""

RETRIEVALS = ("cosine", "euclidean", "inner", "hamming", "2sknn", "score")

KINDS = ("vector", "set", "tokens")
"""What an item's features can be: one vector; a set of vectors, such as a picture's regions; numbers of words."""


@dataclass(frozen=True)
class MethodInfo:
    """What a method declares about itself; nothing is guessed from its behaviour.

    Attributes
    ----------
    name : str
        Lower case, what is typed on the command line.
    title : str
        As the paper and the tables write it.
    category : str
        A key of `CATEGORIES`.
    supervision : str
        ``"none"`` (training labels are withheld) or ``"labels"``.
    output : str
        ``"real"``: float32 vectors. ``"hash"``: codes in {-1, +1}, as many columns as `Context.bits`.
    retrieval : tuple of str
        Strategies that rank its representations when the user names none; out of `RETRIEVALS`.
    group, venue, url : str
        For tables: sub-group in the survey, venue and year (``"MM10"``), code.
    citation : Citation, str or None
        What to cite: a `cmrbench.core.citation.Citation`, which ``cmrbench cite`` prints as BibTeX, or a full reference
        in one line of text.
    modalities : tuple of (int, int or None)
        Fewest and most modalities it takes; None: no upper limit.
    pairs : bool
        Whether row i of every modality must belong to the same instance. Where an instance has several items of a
        modality (five captions a picture), `fit` is then handed as many rows of it, and the picture is repeated.
    multilabel : bool
        Whether it can learn from items with several labels.
    selects : bool
        Whether it chooses epochs or parameters on `val`. A method that does not is fitted on train and val together.
    deterministic : bool
        Whether the seed changes nothing.
    torch : bool
        Whether it uses torch (such runs start from a process that has torch loaded).
    reads_labels : bool
        Whether its representations are made from the test items' own labels (baselines only; always flagged).
    reconstruction : bool
        Whether it was rebuilt from abstracts and other people's descriptions, because neither the paper's text nor its
        authors' code could be had (always flagged).
    kinds : tuple of str
        Kinds of features that it takes, out of `KINDS`. ``"vector"``: (n, d) float32. ``"set"``: (n, r, d) float16 or
        float32. ``"tokens"``: (n, length) int32, 0 is padding. Datasets with a modality of another kind are declined.
    """

    name: str
    title: str
    category: str
    supervision: str = "none"
    output: str = "real"
    retrieval: tuple[str, ...] = ("cosine",)
    group: str = ""
    venue: str = ""
    citation: Citation | str | None = None
    url: str = ""
    modalities: tuple[int, int | None] = (2, 2)
    pairs: bool = True
    multilabel: bool = True
    selects: bool = False
    deterministic: bool = False
    torch: bool = False
    reads_labels: bool = False
    reconstruction: bool = False
    kinds: tuple[str, ...] = ("vector",)

    def __post_init__(self) -> None:
        def need(ok: bool, what: str) -> None:
            if not ok:
                raise MethodError(f"MethodInfo of {self.name!r}: {what}")

        need(
            bool(self.name) and self.name.isidentifier() and self.name == self.name.lower(),
            "name must be a lower-case identifier",
        )
        need(self.category in CATEGORIES, f"category {self.category!r} is none of {', '.join(CATEGORIES)}")
        need(
            self.supervision in ("none", "labels"),
            f"supervision {self.supervision!r} is neither none nor labels",
        )
        need(self.output in ("real", "hash"), f"output {self.output!r} is neither real nor hash")
        need(bool(self.retrieval), "retrieval is empty")
        for strategy in self.retrieval:
            need(strategy in RETRIEVALS, f"retrieval {strategy!r} is none of {', '.join(RETRIEVALS)}")
        need(bool(self.kinds), "kinds is empty")
        for kind in self.kinds:
            need(kind in KINDS, f"kind {kind!r} is none of {', '.join(KINDS)}")
        need(not self.reads_labels or self.category == "baseline", "only a baseline may read labels")
        need(
            self.citation is None or isinstance(self.citation, Citation | str),
            f"citation must be a Citation or text, it is {type(self.citation).__name__}",
        )

    @property
    def cited(self) -> str:
        """The citation as one line; empty if there is none."""
        return self.citation.line() if isinstance(self.citation, Citation) else (self.citation or "").strip()


@dataclass(frozen=True)
class Context:
    """What a run hands to `Method.fit`; the only source of randomness.

    Attributes
    ----------
    seed : int
    bits : int or None
        Code length asked of a hashing method.
    dim : int or None
        Dimension of the common space asked of a real-valued method; None: the method's own choice.
    device : str
        ``"cpu"`` or ``"cuda"``; never ``"auto"``.
    time_budget : float or None
        Wall seconds after which the run is stopped from outside; None: no limit.
    n_classes : int
        Number of label columns of the dataset (0 where it has none).
    progress : callable
        ``progress(done, total, note)``; cheap to call every epoch.
    logger : logging.Logger
    memo : dict
        What `shared` keeps.
    used : list
        Keys of what this run had of it.
    """

    seed: int = 0
    bits: int | None = None
    dim: int | None = None
    device: str = "cpu"
    time_budget: float | None = None
    n_classes: int = 0
    progress: Callable[[int, int, str], None] = field(default=lambda done, total, note: None)
    logger: logging.Logger = field(default_factory=lambda: logging.getLogger(LOGGER))
    memo: dict[Hashable, Shared] = field(default_factory=dict, repr=False)
    used: list[Hashable] = field(default_factory=list, repr=False)

    def shared(self, key: Hashable, make: Callable[[], T]) -> T:
        """``make()``, or what it gave when runs that differ from this one only in their code length asked before.

        For work that does not depend on the bits: kernels, anchors, Gram matrices, whitened features. The value must
        follow from the training items, the seed and the method's parameters, and must not be changed afterwards.
        `key` names it within the method. A run's fit time counts the seconds of `make`, whoever called it first.
        """
        if key not in self.memo:
            self.memo[key] = self._made(key, make)
        kept = self.memo[key]
        for part in kept.parts:
            if self.memo[part].maker != self.bits and part not in self.used:
                self.memo[part].heard.repeat(self.logger)
        self.used.extend(kept.parts)
        return cast(T, kept.value)

    def _made(self, key: Hashable, make: Callable[[], Any]) -> Shared:
        before, used, heard = set(self.memo), len(self.used), Heard()
        start = time.perf_counter()
        with heard.listening(self.logger):
            value = make()
        seconds = time.perf_counter() - start - sum(self.memo[k].seconds for k in self.memo.keys() - before)
        return Shared(value, seconds, self.bits, tuple(dict.fromkeys((*self.used[used:], key))), heard)

    @property
    def borrowed_seconds(self) -> float:
        """Wall seconds of the shared work that this run used and another one had done."""
        return sum(self.memo[key].seconds for key in set(self.used) if self.memo[key].maker != self.bits)

    def rng(self, *parts: object) -> np.random.Generator:
        """A numpy generator for this seed and purpose; different `parts` give independent streams."""
        import numpy as np

        return np.random.default_rng(derive_seed(self.seed, *parts))

    def seed_for(self, *parts: object) -> int:
        """An integer seed for this run's seed and purpose (for ``torch.Generator().manual_seed``)."""
        return derive_seed(self.seed, *parts)


class Method:
    """Base of all methods. Subclasses set `info` and write `fit` and `encode`.

    ``__init__`` takes keyword parameters with defaults and stores them unchanged under their own names; learned
    state ends in an underscore. Optional members: `encode_train`, `partial_fit`, `translate`, `score`, `declines`,
    `encode_labels`, `PRESETS`.
    """

    info: ClassVar[MethodInfo]
    PRESETS: ClassVar[Mapping[str, Mapping[str, Any]]] = {}
    """Named parameter sets: ``"quick"`` for small data, ``"paper"`` or a dataset's name for published settings."""
    EXPECTED_FAILURES: ClassVar[Mapping[str, str]] = {}
    """Conformance checks that the method does not pass (``cmrbench check --list``), each with the reason."""

    def fit(self, train: Mapping[str, Items], val: Mapping[str, Items] | None, context: Context) -> Self:
        """Learn from the training items.

        Parameters
        ----------
        train : mapping of modality to Items
            Without labels for unsupervised methods.
        val : mapping of modality to Items, or None
            For choosing epochs or parameters; None for methods that declare ``selects=False``.
        context : Context

        Returns
        -------
        self
        """
        raise NotImplementedError

    def encode(self, modality: str, features: np.ndarray) -> np.ndarray:
        """Map features (n, d) of one modality to representations, item by item.

        Returns
        -------
        ndarray
            ``(n, k)`` float32 for real-valued methods, ``(n, bits)`` int8 in {-1, +1} for hashing methods.
        """
        raise NotImplementedError

    def encode_train(self, modality: str) -> np.ndarray | None:
        """Codes that `fit` learned for the training items themselves, in the order of `train`; None: there are none."""
        return None

    def code_length(self, modality: str, bits: int) -> int:
        """Bits of a modality's codes where `bits` were asked for; a method may give modalities unequal lengths."""
        return bits

    def translate(self, codes: np.ndarray, modality: str, target: str) -> np.ndarray:
        """Queries' representations as they are compared with a gallery of another modality; by default unchanged.

        For methods with a code space for each modality: `codes` (n, k) of `modality` come from `encode`, the result
        (n, k of `target`) lies in the space of `target`.
        """
        return codes

    def encode_labels(self, modality: str, labels: np.ndarray) -> np.ndarray:
        """Representations made from true labels; called instead of `encode` if ``info.reads_labels``."""
        raise NotImplementedError

    def retrieval_options(self, strategy: str) -> Mapping[str, Any]:
        """Settings of a retrieval strategy that are this method's own (``{"k": 50}`` for ``2sknn``)."""
        return {}

    def declines(self, dataset: Dataset) -> str | None:
        """A reason why this method cannot be run on the dataset, or None."""
        return None

    # partial_fit(self, train, context) -> self: optional, for online methods. Learns from one more chunk of training
    # items; the codes of earlier chunks stay as they are. `fit` is then a loop over chunks of its own training items.

    # score(self, query, gallery, query_modality, gallery_modality) -> (n_query, n_gallery), larger is nearer:
    # optional similarity of its own, used by the retrieval strategy "score" in blocks of queries.

    @classmethod
    def parameters(cls) -> dict[str, Any]:
        """The constructor's keyword parameters with their defaults."""
        signature = inspect.signature(cls)
        return {name: p.default for name, p in signature.parameters.items()}

    def check_fitted(self, attribute: str) -> None:
        """Raise an error that names the method if `fit` has not set `attribute`."""
        if not hasattr(self, attribute):
            raise MethodError(f"{self.info.name} is not fitted: call fit before encode")

    def check_features(self, modality: str, features: np.ndarray, dims: Mapping[str, int]) -> None:
        """Raise an error if the modality is unknown or the feature width is not the one seen in `fit`."""
        if modality not in dims:
            raise MethodError(f"{self.info.name} was fitted on {', '.join(dims)}, not on {modality!r}")
        if features.ndim != 2 or features.shape[1] != dims[modality]:
            raise MethodError(
                f"{self.info.name} was fitted on {dims[modality]} {modality} features, "
                f"got an array of shape {features.shape}"
            )


def paired_rows(train: Mapping[str, Items], method: str) -> None:
    """Raise an error unless row i of every modality is the same instance."""
    first, *others = train.values()
    for items in others:
        if len(items) != len(first) or (items.instances != first.instances).any():
            raise MethodError(
                f"{method} learns from pairs: {first.modality} ({len(first)} items) and {items.modality} "
                f"({len(items)} items) must hold the same instances in the same order"
            )
