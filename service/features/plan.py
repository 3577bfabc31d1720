"""The feature plan: plain JSON that says how each raw column becomes numbers. It is fitted once and stored on the version."""

from typing import Any, Literal

import msgspec

Label = bool | int | float | str


class NumberColumn(msgspec.Struct, frozen=True, kw_only=True, tag_field="type", tag="number"):
    """``(value - offset) / divisor``; a missing value counts as ``missing`` first. Booleans count as 0 and 1.

    A column without variance has ``divisor`` 0 and always becomes 0.
    """

    column: str
    missing: float
    offset: float
    divisor: float
    is_boolean: bool = False
    """Whether the data held true and false; only then may a row hold them (beside 0 and 1)."""

    @property
    def width(self) -> int:
        return 1


class CategoryColumn(msgspec.Struct, frozen=True, kw_only=True, tag_field="type", tag="category"):
    """A place for every value in ``vocabulary``; place 0 is for missing and unseen values."""

    column: str
    vocabulary: list[Label]
    encoding: Literal["one_hot", "index"]

    @property
    def width(self) -> int:
        return len(self.vocabulary) + 1 if self.encoding == "one_hot" else 1


class ExcludedColumn(msgspec.Struct, frozen=True, kw_only=True, tag_field="type", tag="excluded"):
    """A column that the model does not see; a predict request may leave it out."""

    column: str
    reason: str

    @property
    def width(self) -> int:
        return 0


PlannedColumn = NumberColumn | CategoryColumn | ExcludedColumn


class TableInput(msgspec.Struct, frozen=True, kw_only=True, tag_field="kind", tag="table"):
    """One tensor ``(rows, width)`` of float32 made of columns, side by side in this order."""

    name: str
    columns: list[PlannedColumn]

    @property
    def width(self) -> int:
        return sum(column.width for column in self.columns)


class ArrayInput(msgspec.Struct, frozen=True, kw_only=True, tag_field="kind", tag="array"):
    """One tensor that is taken as it comes: ``shape`` is that of one row, ``dtype`` a numpy name."""

    name: str
    shape: list[int]
    dtype: str


class Target(msgspec.Struct, frozen=True, kw_only=True):
    """How the truth becomes numbers for the loss, and how outputs become answers again.

    ``binary`` 0.0 or 1.0, ``index`` the class's place, ``one_hot`` a row with a single 1, ``number`` the value itself.
    """

    name: str
    encoding: Literal["number", "binary", "index", "one_hot"]
    classes: list[Label] | None = None
    """The classes in their order; None where answers are numbers."""
    from_logits: bool = False
    """Whether outputs still need the sigmoid (binary) or softmax (index, one_hot) to be probabilities."""


class FeaturePlan(msgspec.Struct, frozen=True, kw_only=True):
    """The whole plan of a model with one input."""

    input: TableInput | ArrayInput
    target: Target | None

    def as_document(self) -> dict[str, Any]:
        """Plain JSON data."""
        document: dict[str, Any] = msgspec.to_builtins(self)
        return document


def read_plan(document: dict[str, Any]) -> FeaturePlan:
    """The plan of a stored document. Raises msgspec.ValidationError on one that is no plan."""
    return msgspec.convert(document, FeaturePlan)
