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
    low: float | None = None
    """The least value of the training rows; None in plans that do not know it."""
    high: float | None = None
    """The greatest value of the training rows; None in plans that do not know it."""

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


DatetimePart = Literal["days", "hour_of_day", "day_of_week", "day_of_year"]
DATETIME_PARTS: tuple[DatetimePart, ...] = ("days", "hour_of_day", "day_of_week", "day_of_year")


class DatetimeColumn(msgspec.Struct, frozen=True, kw_only=True, tag_field="type", tag="datetime"):
    """Moments in UTC as numbers, side by side: the day, standardized, and sine and cosine of each cycle.

    A missing moment is 0 everywhere: the mean day, and the centre of every circle.
    """

    column: str
    parts: list[DatetimePart]
    first_day: int
    """The first day of the training rows, in days since 1970-01-01; days are counted from here."""
    mean_days: float
    deviation_days: float
    """0 where all training rows are of one day; every day becomes 0 then."""

    @property
    def width(self) -> int:
        return sum(1 if part == "days" else 2 for part in self.parts)


class TextColumn(msgspec.Struct, frozen=True, kw_only=True, tag_field="type", tag="text"):
    """Lower-case words.

    ``multi_hot``: a 0 or 1 for every word of ``vocabulary``, behind one for words that are not in it; a missing text is
    all zeros. ``tokens``: the places of the first ``length`` words, counted from 2; 1 is an unknown word, 0 no word.
    """

    column: str
    vocabulary: list[str]
    encoding: Literal["multi_hot", "tokens"]
    length: int = 0
    """Places of a row with ``tokens``."""

    @property
    def width(self) -> int:
        return self.length if self.encoding == "tokens" else len(self.vocabulary) + 1


class ExcludedColumn(msgspec.Struct, frozen=True, kw_only=True, tag_field="type", tag="excluded"):
    """A column that the model does not see; a predict request may leave it out."""

    column: str
    reason: str

    @property
    def width(self) -> int:
        return 0


UsedColumn = NumberColumn | CategoryColumn | DatetimeColumn | TextColumn
PlannedColumn = UsedColumn | ExcludedColumn


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
    """Whether outputs still need the sigmoid (binary, labels) or softmax (index, one_hot) to be probabilities."""
    labels: list[Label] | None = None
    """The labels of rows of zeros and ones, of which any number may be true; None where the target is none such."""


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
