"""Split schemes as the catalogue states them: where a dataset's train, val, query and gallery items come from."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, model_validator

Count = Annotated[int, Field(ge=1)]
Share = Annotated[float, Field(gt=0, lt=1)]
Size = Count | Share
"""A whole number: so many instances. A fraction between 0 and 1: that share of all instances."""

End = Annotated[str, StringConstraints(pattern=r"^(first|last) ([1-9][0-9]{0,8}|0\.[0-9]{1,6})$")]
"""``"first 10000"``, ``"last 2000"``, ``"last 0.1"``: so many, or that share, from one end of the file."""


class _Scheme(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)

    def __str__(self) -> str:
        """What differs from the defaults, and the seed: ``"draw: query 2000, train 10000, per_class, seed 0"``."""
        fields = type(self).model_fields
        said = {k: v for k, v in self.model_dump().items() if k == "seed" or v != fields[k].default}
        told = ", ".join(k if v is True else f"{k} {v}" for k, v in said.items())
        return f"{getattr(self, 'kind', '')}: {told or 'as it says'}"


class SourceScheme(_Scheme):
    """The source's own split; validation items may be cut from its train or query items where it has none.

    Attributes
    ----------
    val : int or float or None
        How many instances, or which share of them, become ``val``. A source that has ``val`` items keeps its own.
    val_from : str
        ``"train"``, or ``"query"`` for sources whose test items are validation and query in one.
    val_rule : str
        ``"hash"``: within every class in the order of the SHA-256 of the instance id, see
        `cmrbench.data.splits.validation.validation_rows`. ``"first"``, ``"last"``: from that end of the file.
    """

    kind: Literal["source"] = "source"
    val: Size | None = None
    val_from: Literal["train", "query"] = "train"
    val_rule: Literal["hash", "first", "last"] = "hash"

    @model_validator(mode="after")
    def _consistent(self) -> SourceScheme:
        if self.val is None and (self.val_from, self.val_rule) != ("train", "hash"):
            raise ValueError("val_from and val_rule say how 'val' is cut, but there is no 'val'")
        return self


class DrawScheme(_Scheme):
    """Instances in the order of the SHA-256 of ``"seed:instance"``: query first, then train, val, gallery.

    Attributes
    ----------
    query, train, val, gallery : int, float, ``"rest"`` or None
        How many instances, which share of all of them, or all that the others leave. At most one is ``"rest"``;
        None: the split does not exist. What nothing takes is left out.
    val_from : str
        ``"train"``: val is taken out of the drawn training items, so that `train` counts both, as papers do.
        ``"rest"``: val is drawn after train from what is left.
    per_class : bool
        Each class gives its share; the class of an instance is its first label.
    each : bool
        Sizes are counts a class instead of totals.
    each_by : str
        With `each`: the class of an instance is its ``"first"`` label, or an instance counts for the first class that
        still needs it of ``"any"`` of its labels, class by class (DJSRH, DSAH and JDSH draw in this way).
    first_class : int
        With `each`: the first class gives so many times the counts (DJSRH: 2).
    top_up : int or None
        With `each`: train is filled up to this total from what is left, and a class may give less than its count.
    seed : int
    """

    kind: Literal["draw"] = "draw"
    query: Size
    train: Size | Literal["rest"]
    val: Size | None = None
    gallery: Size | Literal["rest"] | None = None
    val_from: Literal["train", "rest"] = "train"
    per_class: bool = False
    each: bool = False
    each_by: Literal["first", "any"] = "first"
    first_class: int = Field(1, ge=1)
    top_up: Count | None = None
    seed: int = Field(0, ge=0)

    @model_validator(mode="after")
    def _consistent(self) -> DrawScheme:
        if self.train == "rest" and self.gallery == "rest":
            raise ValueError("train and gallery are both 'rest'; give one of them a size, or leave gallery out")
        if not self.each and (self.each_by, self.first_class, self.top_up) != ("first", 1, None):
            raise ValueError("each_by, first_class and top_up need 'each: true'")
        if self.each and any(isinstance(s, float) for s in (self.query, self.train, self.val, self.gallery)):
            raise ValueError("'each: true' needs whole numbers of instances a class, not shares")
        if self.top_up is not None and self.train == "rest":
            raise ValueError("top_up fills train up, but train is 'rest'")
        return self


class OrderScheme(_Scheme):
    """Instances from one end of the file, in its order: query first, then train, then val, then gallery.

    Attributes
    ----------
    query, train, val, gallery : str or None
        ``"first N"``, ``"last N"`` (N a count or a share of all) of what is left; ``"rest"``: all that the others
        leave. None: the split does not exist.
    val_from : str
        As for `DrawScheme`.
    """

    kind: Literal["order"] = "order"
    query: End
    train: End | Literal["rest"]
    val: End | None = None
    gallery: End | Literal["rest"] | None = None
    val_from: Literal["train", "rest"] = "train"

    @model_validator(mode="after")
    def _consistent(self) -> OrderScheme:
        if self.train == "rest" and self.gallery == "rest":
            raise ValueError("train and gallery are both 'rest'; give one of them a size, or leave gallery out")
        return self


class IdsScheme(_Scheme):
    """Frozen lists of ids.

    Attributes
    ----------
    file : str
        The folder that holds them, relative to the YAML file: ``train.txt`` with an instance id a line, or
        ``train.image.txt`` with an item id a line, and so on for the other splits and modalities.
    """

    kind: Literal["ids"] = "ids"
    file: Annotated[
        str, StringConstraints(pattern=r"^[A-Za-z0-9_][A-Za-z0-9_.-]*(/[A-Za-z0-9_][A-Za-z0-9_.-]*)*$", max_length=200)
    ]


Scheme = Annotated[SourceScheme | DrawScheme | OrderScheme | IdsScheme, Field(discriminator="kind")]
