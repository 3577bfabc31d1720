"""What ``model.fit`` takes, as data."""

from typing import Annotated

from pydantic import Field

from service.spec.base import Spec


class FitSpec(Spec):
    """The arguments of `model.fit`."""

    epochs: Annotated[int, Field(ge=1, le=1_000_000)] = 1
    """How many times to go through all training rows."""
    batch_size: Annotated[int, Field(ge=1, le=1_000_000)] = 32
    """Rows per step: the weights change once per batch."""
    validation_split: Annotated[float, Field(ge=0, lt=1)] = 0.0
    """Part of the rows, taken from the end before shuffling, that is kept out of training and measured after each epoch."""
    shuffle: bool = True
    """Whether to go through the rows in a new order every epoch."""
