"""Regularizers as data: penalties that keep weights or outputs small. Source: https://keras.io/api/layers/regularizers."""

from typing import Annotated, ClassVar, Literal

from pydantic import Field

from service.spec.base import KerasObject
from service.spec.family import Family

Penalty = Annotated[float, Field(ge=0, le=1e6)]


class RegularizerBase(KerasObject):
    namespace: ClassVar[str] = "keras.regularizers"


class L1(RegularizerBase):
    """Adds the sum of the absolute weights to the loss. Use it where most inputs should not matter: it drives their weights to
    0."""

    type: Literal["L1"] = "L1"
    l1: Penalty = 0.01
    """Factor of the penalty."""


class L2(RegularizerBase):
    """Adds the sum of the squared weights to the loss, which keeps weights small. Use it where `val_loss` rises while `loss`
    falls."""

    type: Literal["L2"] = "L2"
    l2: Penalty = 0.01
    """Factor of the penalty."""


class L1L2(RegularizerBase):
    """Adds the penalties of L1 and L2 to the loss. Use it where few inputs matter, and those that do resemble each other."""

    type: Literal["L1L2"] = "L1L2"
    aliases: ClassVar[tuple[str, ...]] = ("l1_l2",)
    l1: Penalty = 0.0
    """Factor of the absolute penalty."""
    l2: Penalty = 0.0
    """Factor of the squared penalty."""


class OrthogonalRegularizer(RegularizerBase):
    """Adds to the loss how far rows or columns of the weights are from standing at right angles. Use it in Dense and Embedding,
    whose weights are flat."""

    type: Literal["OrthogonalRegularizer"] = "OrthogonalRegularizer"
    factor: Penalty = 0.01
    """Factor of the penalty."""
    mode: Literal["rows", "columns"] = "rows"
    """What shall stand at right angles: one row of weights per input, or one column per output."""


REGULARIZERS = Family("Regularizer", RegularizerBase, "A penalty that is added to the loss.")
Regularizer = Annotated[RegularizerBase, REGULARIZERS]
