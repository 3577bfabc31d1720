"""What ``model.fit`` takes, as data. Source: https://keras.io/api/models/model_training_apis."""

from typing import Annotated, Literal, Self

from pydantic import Field, StringConstraints, model_validator
from pydantic_core import PydanticCustomError

from service.spec.base import Spec
from service.spec.callbacks import Callback

Epochs = Annotated[int, Field(ge=1, le=1_000_000)]
ClassName = Annotated[str, StringConstraints(min_length=1, max_length=1024)]
ClassWeight = Annotated[float, Field(ge=0, le=1e9)]
DatasetId = Annotated[str, StringConstraints(max_length=80)]

PAIRS = (
    ("validation_split", "validation_dataset", "Both say what to validate with: choose one."),
    ("class_weight", "sample_weight", "Keras takes one of them only."),
)
"""Fields that exclude each other."""


class FitSpec(Spec):
    """The arguments of `model.fit`."""

    epochs: Epochs = 1
    """The epoch to end with: how many times to go through all training rows, unless `initial_epoch` says otherwise."""
    initial_epoch: Annotated[int, Field(ge=0, le=1_000_000)] = 0
    """Epochs that count as done already, so that the first one is numbered one more; as in Keras."""
    batch_size: Annotated[int, Field(ge=1, le=1_000_000)] = 32
    """Rows per step: the weights change once per batch."""
    steps_per_epoch: Annotated[int, Field(ge=1, le=100_000_000)] | None = None
    """Batches that make an epoch; the next one goes on where it ended. All the rows once if left out."""
    shuffle: bool = True
    """Whether to go through the rows in a new order every epoch."""
    validation_split: Annotated[float, Field(ge=0, lt=1)] = 0.0
    """Part of the rows that is kept out of training and measured after each epoch."""
    split: Literal["last", "random", "stratified"] = "last"
    """Which rows are kept out: the `last` ones before shuffling, as Keras does; a `random` part by the run's seed; or a
    `stratified` one, which has every class in the same proportion."""
    validation_dataset: DatasetId | None = None
    """Id of a dataset of the same columns to measure after each epoch, instead of a part of the training data."""
    validation_freq: Epochs | Annotated[list[Epochs], Field(min_length=1, max_length=10_000)] = 1
    """Validate every so many epochs, or after the listed ones."""
    class_weight: Annotated[dict[ClassName, ClassWeight], Field(min_length=1, max_length=10_000)] | Literal["balanced"] | None = (
        None
    )
    """How much the rows of each class count, by class; 1 where a class is not named. `balanced` lets all classes count alike."""
    sample_weight: Annotated[str, Field(max_length=1024)] | None = None
    """Column or array that says how much each row counts; it is no feature then."""
    callbacks: Annotated[list[Callback], Field(max_length=20)] = []
    """Keras's callbacks, by name or with their settings."""
    dtype_policy: Literal["float32", "mixed_bfloat16", "mixed_float16"] = "float32"
    """Keras's dtype policy: a mixed one computes in 16 bits and keeps the weights in 32, which is fast on GPUs."""

    @model_validator(mode="after")
    def _agrees_with_itself(self) -> Self:
        for one, other, reason in PAIRS:
            if getattr(self, one) and getattr(self, other):
                message = "'{one}' and '{other}' are both given. {reason}"
                raise PydanticCustomError("excluding_fields", message, {"one": one, "other": other, "reason": reason})
        if self.initial_epoch >= self.epochs:
            message = "'initial_epoch' is {initial_epoch}, which leaves nothing to do up to 'epochs', {epochs}."
            raise PydanticCustomError("no_epochs", message, {"initial_epoch": self.initial_epoch, "epochs": self.epochs})
        return self

    @property
    def has_validation(self) -> bool:
        """Whether any rows are kept out to validate with."""
        return bool(self.validation_split or self.validation_dataset)
