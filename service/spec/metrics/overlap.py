"""Metrics of masks: how far true and answered classes cover the same places. Source: https://keras.io/api/metrics."""

from typing import Annotated, Literal

from pydantic import Field

from service.spec.metrics.fields import Axis, ClassCount, ClassNumbers, MetricBase
from service.spec.schedules import Fraction


class OverlapMetric(MetricBase):
    """What metrics have in common that measure how far true and answered classes cover the same places."""


class BinaryIoU(OverlapMetric):
    """Overlap of true and answered masks of 0 and 1: what both cover by what either covers. Use it for masks of one thing in an
    image."""

    type: Literal["BinaryIoU"] = "BinaryIoU"
    target_class_ids: Annotated[list[Literal[0, 1]], Field(min_length=1, max_length=2)] = [0, 1]
    """Whether to measure 0, 1 or the mean of both."""
    threshold: Fraction = 0.5
    """Output from which an answer counts as 1."""


class ClassOverlapMetric(OverlapMetric):
    num_classes: ClassCount
    """Number of classes."""
    ignore_class: Annotated[int, Field(ge=-1, le=10_000)] | None = None
    """Index of a class that does not count, such as unlabelled places."""
    sparse_y_pred: bool = True
    """Whether the output is a class's index, instead of one number for each class."""
    axis: Axis = -1
    """Axis that holds the classes."""


class IoU(ClassOverlapMetric):
    """Overlap of true and answered places of chosen classes: what both cover by what either covers. Use it for masks of several
    things."""

    type: Literal["IoU"] = "IoU"
    target_class_ids: ClassNumbers
    """Indices of the classes to measure; the mean of them is answered."""
    sparse_y_true: bool = True
    """Whether the target is a class's index, instead of a one-hot row."""


class MeanIoU(ClassOverlapMetric):
    """Mean overlap of true and answered places over all classes. Use it to judge masks of several things by one number."""

    type: Literal["MeanIoU"] = "MeanIoU"
    sparse_y_true: bool = True
    """Whether the target is a class's index, instead of a one-hot row."""


class OneHotIoU(ClassOverlapMetric):
    """Overlap of true and answered places of chosen classes, for one-hot targets. Use it for masks of several things."""

    type: Literal["OneHotIoU"] = "OneHotIoU"
    target_class_ids: ClassNumbers
    """Indices of the classes to measure; the mean of them is answered."""
    sparse_y_pred: bool = False
    """Whether the output is a class's index, instead of one number for each class."""


class OneHotMeanIoU(ClassOverlapMetric):
    """Mean overlap of true and answered places over all classes, for one-hot targets. Use it to judge masks of several things by
    one number."""

    type: Literal["OneHotMeanIoU"] = "OneHotMeanIoU"
    sparse_y_pred: bool = False
    """Whether the output is a class's index, instead of one number for each class."""
