"""What goes over the wire for datasets."""

from datetime import datetime
from typing import Annotated, Any, Literal

from pydantic import ConfigDict, FailFast, Field

from service.spec.base import Spec

Cell = bool | int | float | str | None
Row = Annotated[dict[str, Cell], FailFast()]
"""Rows are checked up to the first mistake: those of a long list of wrong ones would fill the memory."""
FileFormat = Literal["csv", "json", "parquet", "npy", "npz", "images"]
"""What an uploaded file may be."""


class DatasetFromRows(Spec):
    """A table as JSON: one object per row."""

    name: Annotated[str, Field(min_length=1, max_length=255)]
    """A name for people; it need not be unique."""
    target: Annotated[str, Field(max_length=1024)] | None = None
    """Column that models shall predict; a run may choose another."""
    rows: Annotated[list[Row], Field(min_length=1), FailFast()]
    """One object per row: column name to value. A missing key or `null` is a missing value."""


class DatasetFromArrays(Spec):
    """Arrays as JSON, as `fit(x, y)` takes them."""

    name: Annotated[str, Field(min_length=1, max_length=255)]
    """A name for people; it need not be unique."""
    x: Annotated[list[Any], Field(min_length=1)]
    """The inputs: nested lists of numbers, one entry per example."""
    y: Annotated[list[Any], Field(min_length=1)] | None = None
    """The targets: one entry per example; texts are names of classes."""


class DatasetFromNamedArrays(Spec):
    """Any number of named arrays as JSON."""

    name: Annotated[str, Field(min_length=1, max_length=255)]
    """A name for people; it need not be unique."""
    target: Annotated[str, Field(max_length=1024)] | None = None
    """Array that models shall predict; `y` if there is one, and a run may choose another."""
    arrays: Annotated[dict[str, Annotated[list[Any], Field(min_length=1)]], Field(min_length=1, max_length=100)]
    """Nested lists of numbers by name, one entry per example."""


class ColumnRead(Spec):
    """One column of a table."""

    name: str
    """Name of the column."""
    type: Literal["number", "integer", "boolean", "category", "text", "datetime"]
    """What the values are."""
    nulls: int
    """Number of missing values."""
    distinct: int
    """Number of different values."""
    distinct_is_estimate: bool = False
    """Whether that number is an estimate (to about 1 %, for a column of very many values), and not counted."""
    min: float | str | None = None
    """Smallest value."""
    max: float | str | None = None
    """Largest value."""
    mean: float | None = None
    """Mean of the values (numbers only)."""
    std: float | None = None
    """Standard deviation of the values (numbers only)."""
    order: Literal["rising", "falling"] | None = None
    """Whether the rows are sorted by this column; `null` where they are not."""
    most_frequent: list[tuple[Cell, int]] = []
    """The most frequent values, each with its count."""
    warning: str | None = None
    """What should be looked at, e.g. a number column that is text because of one cell."""


class ArrayRead(Spec):
    """One array."""

    name: str
    """Name of the array."""
    shape: list[int]
    """Its shape; the first number is the number of examples."""
    dtype: str
    """Its numpy type. Numbers are kept in 32 bits where they fit."""
    min: float | None = None
    """Smallest number."""
    max: float | None = None
    """Largest number."""
    mean: float | None = None
    """Mean of all numbers."""
    std: float | None = None
    """Standard deviation of all numbers."""
    classes: list[str] | None = None
    """The texts that the numbers 0, 1, 2 … stand for: names of folders, or the texts that were sent."""


class DatasetRead(Spec):
    """Data that runs can be fitted on."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "id": "ds_01a20b40037677bf83159b06b0d2da20",
                    "name": "flowers",
                    "kind": "table",
                    "target": "species",
                    "rows": 6,
                    "size_bytes": 1879,
                    "columns": [
                        {
                            "name": "petal_length",
                            "type": "number",
                            "nulls": 0,
                            "distinct": 5,
                            "min": 1.3,
                            "max": 6.0,
                            "mean": 3.52,
                            "std": 2.17,
                            "most_frequent": [],
                        },
                        {
                            "name": "species",
                            "type": "category",
                            "nulls": 0,
                            "distinct": 2,
                            "most_frequent": [["setosa", 3], ["virginica", 3]],
                        },
                    ],
                    "arrays": [],
                    "created_at": "2026-11-24T02:02:40.530205Z",
                }
            ]
        }
    )

    id: str
    """Id of the dataset."""
    name: str
    """Name for people."""
    kind: Literal["table", "arrays"]
    """`table`: typed columns; `arrays`: named tensors."""
    target: str | None
    """Column or array that models predict unless a run says otherwise."""
    rows: int
    """Number of rows or examples."""
    size_bytes: int
    """Size of the stored files in bytes."""
    columns: list[ColumnRead]
    """The columns of a table."""
    arrays: list[ArrayRead]
    """The arrays."""
    created_at: datetime
    """When it was uploaded."""


class DatasetPage(Spec):
    """One page of datasets."""

    items: list[DatasetRead]
    """The datasets of this page."""
    next_page_token: str | None
    """Token of the next page; `null` on the last one."""


class RowsPage(Spec):
    """Some rows of a dataset."""

    items: list[dict[str, Any]]
    """One object per row: column or array name to value (nested lists for an array, a class by its name).

    A page has fewer rows than asked for when they are large. Of an array with more than 1,000,000 numbers per row only
    the shape is shown."""
    next_page_token: str | None
    """Token of the next page; `null` on the last one."""
