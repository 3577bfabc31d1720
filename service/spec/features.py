"""What a client may say about how raw columns become numbers."""

from typing import Annotated, Literal

from pydantic import Field

from service.spec.base import Spec


class NumberFeature(Spec):
    """Use a column as a number; missing values become the mean of the training rows."""

    type: Literal["number"] = "number"
    scale: Literal["standardize", "min_max", "none"] = "standardize"
    """`standardize`: mean 0 and deviation 1; `min_max`: from 0 to 1; `none`: as it is. Measured on the training rows."""


class CategoryFeature(Spec):
    """Use a column as one of several values, each with a place of its own; unseen values have one too."""

    type: Literal["category"] = "category"
    encoding: Literal["one_hot", "index"] = "one_hot"
    """`one_hot`: one 0-or-1 number per value; `index`: the number of the value, for an Embedding layer."""


class ExcludedFeature(Spec):
    """Leave a column out, e.g. an id."""

    type: Literal["exclude"] = "exclude"


ColumnFeature = Annotated[NumberFeature | CategoryFeature | ExcludedFeature, Field(discriminator="type")]


class FeaturesSpec(Spec):
    """How columns become the model's input. What is not named is chosen automatically; the run shows what was chosen."""

    columns: Annotated[dict[str, ColumnFeature], Field(max_length=10_000)] = {}
    """Settings by column name."""
