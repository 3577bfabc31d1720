"""The numbers that people look at after a fit, beside those of a baseline that has learnt nothing from the features.

Plain JSON data, bounded whatever the data. Knows no models, files, runs or Keras. ``spec.evaluation`` describes the report.
"""

import math
from collections.abc import Callable, Iterator
from typing import Any

import msgspec
import numpy as np
from sklearn.metrics import (
    accuracy_score,
    mean_absolute_error,
    median_absolute_error,
    r2_score,
    root_mean_squared_error,
)

from service.features.answers import is_class_output
from service.features.plan import Target
from service.infra.npy import release_pages
from service.training.scores import BLOCK_CELLS, KERAS_EPSILON, class_scores

Array = np.ndarray[Any, Any]

MAX_LISTED_OUTPUTS = 20
MAX_BASELINE_OUTPUTS = 4096
QUANTILES = ("0.05", "0.25", "0.5", "0.75", "0.95")


class StoredBaseline(msgspec.Struct, frozen=True, kw_only=True, tag_field="type"):
    """Base of what is stored beside a model to compare its scores with."""

    def as_document(self) -> dict[str, Any]:
        """Plain JSON data."""
        document: dict[str, Any] = msgspec.to_builtins(self)
        return document


class ClassBaseline(StoredBaseline, frozen=True, kw_only=True, tag="classes"):
    """How often each class occurs among the training rows, in the order of the target's classes; adds up to 1."""

    frequencies: list[float]


class NumberBaseline(StoredBaseline, frozen=True, kw_only=True, tag="numbers"):
    """The middle of the training rows, per output in the target's unit; empty where there are too many outputs to keep."""

    mean: list[float]
    median: list[float]


Baseline = ClassBaseline | NumberBaseline


def read_baseline(document: dict[str, Any]) -> Baseline:
    """The baseline of a stored document. Raises msgspec.ValidationError on one that is no baseline."""
    baseline: Baseline = msgspec.convert(document, Baseline)
    return baseline


def baseline_of(target: Target, training_truth: Array) -> Baseline:
    """What can be known without features, from the encoded target ``(rows, …)`` of at least one training row, all finite.

    Reads mapped files block by block. The median is that of every n-th row where there are more than ``BLOCK_CELLS`` numbers.
    """
    if target.classes is not None:
        return ClassBaseline(frequencies=(_class_counts(target, training_truth) / len(training_truth)).tolist())
    width = math.prod(training_truth.shape[1:])
    if width > MAX_BASELINE_OUTPUTS:
        return NumberBaseline(mean=[], median=[])
    total = np.zeros(width)
    for block in _row_blocks(training_truth):
        total += _flat(block).sum(axis=0, dtype=np.float64)
    stride = math.ceil(len(training_truth) * width / BLOCK_CELLS)
    median = np.median(_flat(training_truth[::stride]).astype(np.float64), axis=0)
    return NumberBaseline(mean=(total / len(training_truth)).tolist(), median=median.tolist())


def evaluate(target: Target, outputs: Array, truth: Array, baseline: Baseline) -> dict[str, Any]:
    """A ``spec.evaluation.Evaluation`` document: how well a model's raw ``outputs`` meet the encoded ``truth``.

    Both are ``(rows, …)``. Outputs that have not the shape of class outputs are compared as numbers, as answers give them.
    Rows in which a number is not finite are left out. A one-hot row counts as the class of its largest number.
    """
    notes: list[str] = []
    outputs, truth = _finite_rows(outputs, truth, notes)
    if target.classes is not None and is_class_output(target, outputs):
        return {**_evaluate_classes(target, outputs, _places(target, truth), baseline, notes), "notes": notes}
    return {**_evaluate_numbers(_flat(outputs), _flat(truth), baseline, notes), "notes": notes}


def _finite_rows(outputs: Array, truth: Array, notes: list[str]) -> tuple[Array, Array]:
    is_finite = np.isfinite(_flat(outputs)).all(axis=1) & np.isfinite(_flat(truth)).all(axis=1)
    if not len(truth):
        notes.append("There are no rows to compare.")
    if is_finite.all():
        return outputs, truth
    notes.append(f"Rows left out, as the model's output or the truth is not finite: {(~is_finite).sum()} of {len(truth)}.")
    return outputs[is_finite], truth[is_finite]


# Classes


def _evaluate_classes(target: Target, outputs: Array, truth: Array, baseline: Baseline, notes: list[str]) -> dict[str, Any]:
    report: dict[str, Any] = {"task": "classification", "rows": len(truth)}
    if not len(truth):
        return report | _NO_CLASS_SCORES
    return report | class_scores(target, outputs, truth, notes) | {"baseline": _class_baseline(target, truth, baseline, notes)}


def _class_baseline(target: Target, truth: Array, baseline: Baseline, notes: list[str]) -> dict[str, Any] | None:
    classes = target.classes or []
    if not isinstance(baseline, ClassBaseline) or len(baseline.frequencies) != len(classes):
        notes.append("There is no baseline: the training rows had other classes.")
        return None
    majority = int(np.argmax(baseline.frequencies))
    places, counts = np.unique(truth, return_counts=True)
    frequencies = np.maximum(baseline.frequencies, KERAS_EPSILON)
    losses = -np.log(frequencies / frequencies.sum())[places]  # the same for all rows of a class: no (rows, classes) needed
    return {
        "name": "majority class",
        "label": classes[majority],
        "accuracy": float(accuracy_score(places, np.full_like(places, majority), sample_weight=counts)),
        "log_loss": float(np.average(losses, weights=counts)),
    }


def _class_counts(target: Target, truth: Array) -> Array:
    counts = np.zeros(len(target.classes or []), dtype=np.int64)
    for block in _row_blocks(truth):
        counts += np.bincount(_places(target, block), minlength=len(counts))
    return counts


def _places(target: Target, truth: Array) -> Array:
    """The place ``(rows,)`` of each row's class."""
    places = truth.argmax(axis=1) if target.encoding == "one_hot" else truth.reshape(-1)
    return places.astype(np.int64)


_NO_CLASS_SCORES: dict[str, Any] = {
    **dict.fromkeys(("accuracy", "log_loss", "confusion_matrix", "macro_f1", "expected_calibration_error", "baseline")),
    **{name: [] for name in ("classes", "per_class", "roc", "precision_recall", "calibration")},
}


# Numbers


def _evaluate_numbers(outputs: Array, truth: Array, baseline: Baseline, notes: list[str]) -> dict[str, Any]:
    report: dict[str, Any] = {"task": "regression", "rows": len(truth), "outputs": outputs.shape[1]}
    if outputs.shape != truth.shape:
        notes.append(f"The model answers {outputs.shape[1]} numbers per row and the truth has {truth.shape[1]}: no comparison.")
    if outputs.shape != truth.shape or not truth.size:
        return report | _NO_NUMBER_SCORES
    scores = _by_outputs(lambda truth, outputs: _errors(truth, outputs) | _spread(truth, outputs), truth, outputs)
    return report | {
        **_summary(scores),
        "per_output": _per_output(scores, notes),
        "baseline": _number_baseline(truth, baseline, notes),
    }


_NO_NUMBER_SCORES: dict[str, Any] = {
    **dict.fromkeys(("mae", "rmse", "r2", "median_absolute_error", "max_error", "residual_quantiles", "baseline")),
    "per_output": [],
}


def _summary(scores: dict[str, Array]) -> dict[str, Any]:
    """Means over the outputs; the largest of ``max_error``."""
    return {
        "mae": float(scores["mae"].mean()),
        "rmse": float(scores["rmse"].mean()),
        "r2": _mean_r2(scores["r2"]),
        "median_absolute_error": float(scores["median_absolute_error"].mean()),
        "max_error": float(scores["max_error"].max()),
        "residual_quantiles": {quantile: float(scores[quantile].mean()) for quantile in QUANTILES},
    }


def _per_output(scores: dict[str, Array], notes: list[str]) -> list[dict[str, Any]]:
    count = len(scores["mae"])
    if count == 1:
        return []
    if count > MAX_LISTED_OUTPUTS:
        notes.append(f"Only the first {MAX_LISTED_OUTPUTS} of the {count} outputs are listed.")
    places = range(min(count, MAX_LISTED_OUTPUTS))
    return [_summary({name: values[place : place + 1] for name, values in scores.items()}) for place in places]


def _number_baseline(truth: Array, baseline: Baseline, notes: list[str]) -> dict[str, Any] | None:
    if not isinstance(baseline, NumberBaseline) or len(baseline.mean) != truth.shape[1]:
        notes.append("There is no baseline: no mean of the training rows is known for these outputs.")
        return None
    mean, median = (np.broadcast_to(values, truth.shape) for values in (baseline.mean, baseline.median))
    errors = _by_outputs(_errors, truth, mean)
    return {
        "name": "mean of the training rows",
        "mae": float(errors["mae"].mean()),
        "rmse": float(errors["rmse"].mean()),
        "r2": _mean_r2(errors["r2"]),
        "mae_of_median": float(_by_outputs(_absolute_errors, truth, median)["mae"].mean()),
    }


def _mean_r2(values: Array) -> float | None:
    """Mean over the outputs that have an R²."""
    defined = values[~np.isnan(values)]
    return float(defined.mean()) if len(defined) else None


Scores = Callable[[Array, Array], dict[str, Array]]


def _by_outputs(scores: Scores, truth: Array, predicted: Array) -> dict[str, Array]:
    """Each score ``(outputs,)``, computed in float64 for a bounded part of the outputs at a time."""
    width = max(1, BLOCK_CELLS // len(truth))
    parts = [slice(start, start + width) for start in range(0, truth.shape[1], width)]
    found = [scores(truth[:, part].astype(np.float64), predicted[:, part].astype(np.float64)) for part in parts]
    return {name: np.concatenate([part[name] for part in found]) for name in found[0]}


def _absolute_errors(truth: Array, predicted: Array) -> dict[str, Array]:
    return {"mae": mean_absolute_error(truth, predicted, multioutput="raw_values")}


def _errors(truth: Array, predicted: Array) -> dict[str, Array]:
    return _absolute_errors(truth, predicted) | {
        "rmse": root_mean_squared_error(truth, predicted, multioutput="raw_values"),
        "r2": _r2(truth, predicted),
    }


def _r2(truth: Array, predicted: Array) -> Array:
    """NaN where the truth is the same in all rows: there is nothing to explain."""
    is_constant = np.ptp(truth, axis=0) == 0
    if is_constant.all():
        return np.full(truth.shape[1], np.nan)
    return np.where(is_constant, np.nan, r2_score(truth, predicted, multioutput="raw_values"))


def _spread(truth: Array, predicted: Array) -> dict[str, Array]:
    residuals = truth - predicted
    quantiles = np.quantile(residuals, [float(quantile) for quantile in QUANTILES], axis=0)
    return {
        "median_absolute_error": median_absolute_error(truth, predicted, multioutput="raw_values"),
        "max_error": np.abs(residuals).max(axis=0),  # scikit-learn's takes a single output
        **dict(zip(QUANTILES, quantiles, strict=True)),
    }


# Shapes


def _flat(rows: Array) -> Array:
    """``(rows, numbers of a row)``."""
    return rows.reshape(len(rows), math.prod(rows.shape[1:]))


def _row_blocks(rows: Array) -> Iterator[Array]:
    block_rows = max(1, BLOCK_CELLS // max(1, math.prod(rows.shape[1:])))
    for start in range(0, len(rows), block_rows):
        yield rows[start : start + block_rows]
        release_pages([rows])
