"""What the classes of metrics are made of. Source: https://keras.io/api/metrics."""

from typing import Annotated, ClassVar

from pydantic import Field

from service.spec.base import KerasObject, ObjectName, snake_case
from service.spec.family import Family
from service.spec.schedules import Fraction

Axis = Annotated[int, Field(ge=-8, le=8)]
ClassNumber = Annotated[int, Field(ge=0, le=10_000)]
ClassNumbers = Annotated[list[ClassNumber], Field(min_length=1, max_length=4096)]
ClassCount = Annotated[int, Field(ge=1, le=4096)]
ThresholdCount = Annotated[int, Field(ge=2, le=10_000)]
Thresholds = Fraction | Annotated[list[Fraction], Field(min_length=1, max_length=10_000)]
Rank = Annotated[int, Field(ge=1, le=10_000)]


class MetricBase(KerasObject):
    """What all metrics have in common."""

    namespace: ClassVar[str] = "keras.metrics"
    keras_name: ClassVar[str | None] = None
    """The name that Keras gives it, where that is not its class's."""
    has_direction: ClassVar[bool] = True
    """Whether Keras knows if small or large is good."""

    name: ObjectName | None = None
    """Name of the metric's column; Keras's own name if left out."""

    @property
    def column(self) -> str:
        """The name that it has in an epoch's row, unless another metric has it already."""
        return self.name or self.keras_name or snake_case(self.type)

    @property
    def mend_of_several(self) -> str | None:
        """How it becomes one number, where it is one for each class or threshold; None where it is one."""
        return None

    def is_several(self, units: int | None) -> bool:
        """Whether it is several numbers for an output with so many units; None where these are not known."""
        return self.mend_of_several is not None


class PerUnitMetric(MetricBase):
    """What metrics have in common that may give a number for each unit of the output."""

    def is_several(self, units: int | None) -> bool:
        """Those of a single unit give one."""
        return super().is_several(units) and units != 1


METRICS = Family("Metric", MetricBase, "A further number to report after every epoch.")
Metric = Annotated[MetricBase, METRICS]
