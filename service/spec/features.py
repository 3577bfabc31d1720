"""What a client may say about how raw columns become numbers."""

from typing import Annotated, Literal

from pydantic import Field

from service.spec.base import ObjectName, Spec


class NumberFeature(Spec):
    """Use a column as a number."""

    type: Literal["number"] = "number"
    scale: Literal["standardize", "min_max", "none"] = "standardize"
    """`standardize`: mean 0 and deviation 1; `min_max`: from 0 to 1; `none`: as it is. Measured on the training rows."""
    missing: Literal["mean", "median"] | float = "mean"
    """What a missing value counts as: the `mean` or `median` of the training rows, or a number."""


class CategoryFeature(Spec):
    """Use a column as one of several values, each with a place of its own; unseen values have one too."""

    type: Literal["category"] = "category"
    encoding: Literal["one_hot", "index"] = "one_hot"
    """`one_hot`: one 0-or-1 number per value; `index`: the number of the value, for an Embedding layer."""


class DatetimeFeature(Spec):
    """Use a column of dates or of texts such as `2026-01-31T18:00:00Z` by its parts; a time without zone is UTC."""

    type: Literal["datetime"] = "datetime"
    parts: Annotated[list[Literal["days", "hour_of_day", "day_of_week", "day_of_year"]], Field(min_length=1)] | None = None
    """`days` since the first training row, standardized; the others as sine and cosine. Left out: those that vary."""


class TextFeature(Spec):
    """Use a column by its lower-case words, the most frequent ones of the training rows."""

    type: Literal["text"] = "text"
    encoding: Literal["multi_hot", "tokens"] = "multi_hot"
    """`multi_hot`: one 0-or-1 number per word; `tokens`: the numbers of the words in order, for an Embedding layer."""
    max_words: Annotated[int, Field(ge=1, le=10_000)] = 1000
    """How many different words are known."""
    length: Annotated[int, Field(ge=1, le=10_000)] = 100
    """How many words of a text count with `tokens`."""


class ExcludedFeature(Spec):
    """Leave a column out, e.g. an id."""

    type: Literal["exclude"] = "exclude"


ColumnFeature = Annotated[
    NumberFeature | CategoryFeature | DatetimeFeature | TextFeature | ExcludedFeature, Field(discriminator="type")
]


class ArrayFeature(Spec):
    """How the numbers of an array become the model's input."""

    scale: Literal["none", "standardize", "min_max"] = "none"
    """`none`: as they are, as Keras takes them; `standardize`: mean 0 and deviation 1 for each place of the last axis, such as
    each colour of an image; `min_max`: the least number becomes 0 and the greatest 1. Measured on the training rows."""


ColumnName = Annotated[str, Field(max_length=1024)]
ColumnNames = Annotated[list[ColumnName], Field(min_length=1, max_length=10_000)]
TargetSpec = ColumnName | ColumnNames | Annotated[dict[ObjectName, ColumnName | ColumnNames], Field(min_length=1, max_length=64)]
"""What to predict: a column or array, several columns side by side, or either by the name of the output."""


class FeaturesSpec(Spec):
    """How columns become the model's input. What is not named is chosen automatically; the run shows what was chosen."""

    columns: Annotated[dict[str, ColumnFeature], Field(max_length=10_000)] = {}
    """Settings by column name."""
    arrays: Annotated[dict[str, ArrayFeature], Field(max_length=1000)] = {}
    """Settings by the name of an array."""
    inputs: Annotated[dict[ObjectName, ColumnName | ColumnNames], Field(max_length=64)] = {}
    """For a model with several inputs: the columns, or the array, that go into each, by its name. Left out, an input takes the
    column or array of its own name, and the last one all that is left."""
