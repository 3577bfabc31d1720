"""The report of an evaluation: the numbers that people look at after a fit. ``training.evaluation`` computes it."""

from typing import Annotated, Literal

from pydantic import ConfigDict, Field

from service.spec.base import Spec

Label = bool | int | float | str


class ClassScoresRead(Spec):
    """How well one class is told from the others."""

    label: Label
    """The class."""
    precision: float | None
    """Share of right answers among the rows that were answered with this class; `null` if there were none."""
    recall: float | None
    """Share of right answers among the rows that are of this class; `null` if there are none."""
    f1: float | None
    """Harmonic mean of precision and recall: high only where both are."""
    support: int
    """Number of rows that are of this class."""


class RocCurveRead(Spec):
    """Hits against false alarms of one class, as the threshold for answering with it falls."""

    label: Label
    """The class that is told from the others."""
    auc: float | None
    """Area under the curve: how often a row of the class is rated above a row of another, 0.5 for guessing."""
    false_positive_rate: list[float]
    """Share of the other classes' rows that are rated at or above the threshold."""
    true_positive_rate: list[float]
    """Share of the class's rows that are rated at or above the threshold."""
    thresholds: list[float | None]
    """Probability from which a row counts as this class; `null` for the first point, at which no row does."""


class PrecisionRecallCurveRead(Spec):
    """Precision against recall of one class, as the threshold for answering with it rises."""

    label: Label
    """The class that is told from the others."""
    average_precision: float | None
    """Mean precision along the curve, the area under it; the class's share of the rows for guessing."""
    precision: list[float]
    """Share of the rows at or above the threshold that are of the class."""
    recall: list[float]
    """Share of the class's rows that are at or above the threshold."""
    thresholds: list[float | None]
    """Probability from which a row counts as this class; `null` for the last point, at which no row does."""


class CalibrationCurveRead(Spec):
    """Whether probabilities can be believed: rows with probability 0.8 should be of the class 8 times in 10."""

    label: Label
    """The class that the probabilities are about."""
    predicted: list[float]
    """Mean probability of the rows of each tenth of the range from 0 to 1 that has rows."""
    observed: list[float]
    """Share of these rows that are of the class."""
    count: list[int]
    """Number of these rows."""


class ClassBaselineRead(Spec):
    """What always giving the same answer would score."""

    name: Literal["majority class"]
    """The answer: the most frequent class of the training rows."""
    label: Label
    """That class."""
    accuracy: float
    """Share of the rows that are of that class."""
    log_loss: float
    """Log loss of always answering how frequent each class was in training."""


class ClassificationRead(Spec):
    """How well a model tells classes apart."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "task": "classification",
                    "rows": 4,
                    "classes": ["no", "yes"],
                    "accuracy": 0.75,
                    "log_loss": 0.504,
                    "confusion_matrix": [[1, 1], [0, 2]],
                    "per_class": [
                        {"label": "no", "precision": 1.0, "recall": 0.5, "f1": 0.667, "support": 2},
                        {"label": "yes", "precision": 0.667, "recall": 1.0, "f1": 0.8, "support": 2},
                    ],
                    "macro_f1": 0.733,
                    "roc": [
                        {
                            "label": "yes",
                            "auc": 0.75,
                            "false_positive_rate": [0.0, 0.0, 0.5, 0.5, 1.0],
                            "true_positive_rate": [0.0, 0.5, 0.5, 1.0, 1.0],
                            "thresholds": [None, 0.86, 0.72, 0.65, 0.15],
                        }
                    ],
                    "precision_recall": [
                        {
                            "label": "yes",
                            "average_precision": 0.833,
                            "precision": [0.5, 0.667, 0.5, 1.0, 1.0],
                            "recall": [1.0, 1.0, 0.5, 0.5, 0.0],
                            "thresholds": [0.15, 0.65, 0.72, 0.86, None],
                        }
                    ],
                    "calibration": [
                        {
                            "label": "yes",
                            "predicted": [0.15, 0.65, 0.72, 0.86],
                            "observed": [0.0, 1.0, 0.0, 1.0],
                            "count": [1, 1, 1, 1],
                        }
                    ],
                    "expected_calibration_error": 0.34,
                    "baseline": {"name": "majority class", "label": "no", "accuracy": 0.5, "log_loss": 0.693},
                    "notes": [],
                }
            ]
        }
    )

    task: Literal["classification"]
    """What the model does: it answers with a class."""
    rows: int
    """Number of rows that were compared."""
    classes: list[Label]
    """The classes in the order of the tables; the 1000 most frequent ones where there are more."""
    accuracy: float | None
    """Share of the rows that were answered with their class."""
    log_loss: float | None
    """Mean surprise of the model at the truth (cross-entropy): 0 is perfect, being sure and wrong costs most."""
    confusion_matrix: list[list[int]] | None
    """Rows that are of one class (line) and were answered with another (column); `null` for more than 100 classes."""
    per_class: list[ClassScoresRead]
    """How well each class is told from the others."""
    macro_f1: float | None
    """Mean of the classes' F1, in which a rare class counts as much as a frequent one."""
    roc: list[RocCurveRead]
    """ROC curves of at most 200 points: of the second class of two, or of each of several, the 20 most frequent at most."""
    precision_recall: list[PrecisionRecallCurveRead]
    """Precision-recall curves of the same classes."""
    calibration: list[CalibrationCurveRead]
    """How far the probabilities of the same classes can be believed."""
    expected_calibration_error: float | None
    """Mean distance between probability and outcome: of the second class of two, or of the likeliest of several."""
    baseline: ClassBaselineRead | None
    """What a model has to beat."""
    notes: list[str]
    """What was left out, and why."""


class NumberScoresRead(Spec):
    """How near the answers are to the truth; in the unit of the target, but for R²."""

    mae: float | None
    """Mean absolute error: how far answers are off on average."""
    rmse: float | None
    """Root of the mean squared error, in which large errors count more."""
    r2: float | None
    """R²: the share of the truth's variance that is explained; `null` where the truth does not vary."""
    median_absolute_error: float | None
    """Half of the answers are nearer to the truth than this."""
    max_error: float | None
    """How far the worst answer is off."""
    residual_quantiles: dict[str, float] | None
    """Truth minus answer: the value that this share of the rows stays below, e.g. the median under `0.5`."""


class NumberBaselineRead(Spec):
    """What always answering the same number would score."""

    name: Literal["mean of the training rows"]
    """The answer."""
    mae: float
    """Its mean absolute error."""
    rmse: float
    """Its root mean squared error."""
    r2: float | None
    """Its R²: about 0, below where these rows differ from the training rows."""
    mae_of_median: float
    """Mean absolute error of always answering the training rows' median, which is hard to beat where they are skewed."""


class RegressionRead(NumberScoresRead):
    """How near a model's numbers are to the truth; of several outputs the mean, and the largest `max_error`."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "task": "regression",
                    "rows": 4,
                    "outputs": 1,
                    "mae": 1.0,
                    "rmse": 1.225,
                    "r2": 0.7,
                    "median_absolute_error": 1.0,
                    "max_error": 2.0,
                    "residual_quantiles": {"0.05": -0.85, "0.25": -0.25, "0.5": 0.5, "0.75": 1.25, "0.95": 1.85},
                    "per_output": [],
                    "baseline": {
                        "name": "mean of the training rows",
                        "mae": 2.0,
                        "rmse": 2.236,
                        "r2": 0.0,
                        "mae_of_median": 2.0,
                    },
                    "notes": [],
                }
            ]
        }
    )

    task: Literal["regression"]
    """What the model does: it answers with numbers."""
    rows: int
    """Number of rows that were compared."""
    outputs: int
    """Numbers that the model answers per row."""
    per_output: list[NumberScoresRead]
    """The scores of each of several outputs, the first 20 at most."""
    baseline: NumberBaselineRead | None
    """What a model has to beat."""
    notes: list[str]
    """What was left out, and why."""


Evaluation = Annotated[ClassificationRead | RegressionRead, Field(discriminator="task")]
"""The report of an evaluation."""
