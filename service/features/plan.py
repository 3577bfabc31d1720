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
    """One tensor made of an array: ``shape`` is that of one row, ``dtype`` a numpy name.

    Numbers become ``(value - offset) / divisor`` where these are given: one for all, or one for each place of the last axis.
    A divisor of 0 stands for numbers that are always the same, and become 0.
    """

    name: str
    array: str
    shape: list[int]
    dtype: str
    offset: list[float] = []
    divisor: list[float] = []


class Target(msgspec.Struct, frozen=True, kw_only=True):
    """How the truth becomes numbers for the loss, and how an output's answers become words again.

    ``binary`` 0.0 or 1.0, ``index`` the class's place, ``one_hot`` a row with a single 1, ``number`` the value itself.
    """

    output: str
    """The output of the model that predicts it."""
    columns: list[str]
    """The array or column, or the columns side by side."""
    encoding: Literal["number", "binary", "index", "one_hot"]
    classes: list[Label] | None = None
    """The classes in their order; None where answers are numbers."""
    from_logits: bool = False
    """Whether outputs still need the sigmoid (binary, labels) or softmax (index, one_hot) to be probabilities."""
    labels: list[Label] | None = None
    """The labels of rows of zeros and ones, of which any number may be true; None where the target is none such."""

    @property
    def name(self) -> str:
        """What it is called in messages."""
        return ", ".join(self.columns)


class FeaturePlan(msgspec.Struct, frozen=True, kw_only=True):
    """The whole plan of a model: all inputs are made of the columns of a table, or all of arrays."""

    inputs: list[TableInput | ArrayInput]
    targets: list[Target]
    unused: list[ExcludedColumn] = []
    """Columns that no input takes."""

    @property
    def table_inputs(self) -> list[TableInput]:
        """The inputs that are made of columns; none where the model takes arrays."""
        return [entry for entry in self.inputs if isinstance(entry, TableInput)]

    @property
    def array_inputs(self) -> list[ArrayInput]:
        """The inputs that are made of arrays; none where the model takes a table."""
        return [entry for entry in self.inputs if isinstance(entry, ArrayInput)]

    @property
    def output_names(self) -> list[str]:
        """The names of the model's outputs, in the order of the targets."""
        return [target.output for target in self.targets]

    @property
    def known_columns(self) -> set[str]:
        """Every column that the data had: those of the inputs, those left out, and the targets."""
        planned = {column.column for table in self.table_inputs for column in table.columns}
        return planned | {column.column for column in self.unused} | {name for target in self.targets for name in target.columns}

    @property
    def is_of_table(self) -> bool:
        """Whether rows are objects of columns."""
        return bool(self.table_inputs)

    def as_document(self) -> dict[str, Any]:
        """Plain JSON data."""
        document: dict[str, Any] = msgspec.to_builtins(self)
        return document


def read_plan(document: dict[str, Any]) -> FeaturePlan:
    """The plan of a stored document. Raises msgspec.ValidationError on one that is no plan."""
    return msgspec.convert(document, FeaturePlan)
