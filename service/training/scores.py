"""How well class probabilities meet the truth: tables, curves and calibration. Knows no baselines, models or files."""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from sklearn.calibration import calibration_curve
from sklearn.metrics import (
    accuracy_score,
    auc,
    average_precision_score,
    confusion_matrix,
    log_loss,
    precision_recall_curve,
    precision_recall_fscore_support,
    roc_curve,
)

from service.features.answers import class_probabilities
from service.features.plan import Label, Target

Array = np.ndarray[Any, Any]

KERAS_EPSILON = 1e-7
"""What Keras's losses raise a probability of 0 to (``keras.config.epsilon``)."""
BLOCK_CELLS = 4 * 1024 * 1024
"""Probabilities that are held at a time."""
MAX_CURVE_CELLS = 2_000_000
"""Rows times curves that are sorted; beyond that every n-th row is taken."""
MAX_CURVE_POINTS = 200
MAX_CURVES = 20
MAX_MATRIX_CLASSES = 100
MAX_LISTED_CLASSES = 1000
CALIBRATION_BINS = 10
SUM_TOLERANCE = 1e-3


def class_scores(target: Target, outputs: Array, truth: Array, notes: list[str]) -> dict[str, Any]:
    """The scores of a class output, one row at least; what is left out is added to ``notes``.

    ``outputs`` is finite and as the model gives it; ``truth`` is ``(rows,)``, the place of each row's class.
    """
    labels = target.classes or []
    answers = _read_answers(target, outputs, truth)
    if not answers.are_probabilities:
        notes.append(
            "The model's outputs are not all probabilities: some are outside 0 to 1, or a row does not add up to 1. "
            "Log loss and calibration take the nearest probabilities."
        )
    return {
        "log_loss": answers.log_loss,
        **_tables(labels, truth, answers.predicted, notes),
        **_curves(target, outputs, truth, notes),
    }


def _probability_blocks(target: Target, outputs: Array) -> Iterator[tuple[slice, Array]]:
    """Which rows, and their probabilities in float64, a bounded number at a time."""
    block_rows = max(1, BLOCK_CELLS // len(target.classes or [0]))
    for start in range(0, len(outputs), block_rows):
        part = slice(start, start + block_rows)
        yield part, class_probabilities(target, outputs[part].astype(np.float64))


def _most_frequent(counts: Array, most: int) -> Array:
    """Places of the ``most`` largest counts, in their own order; of equal ones the first."""
    return np.sort(np.argsort(-counts, kind="stable")[:most])


# Over all rows


@dataclass(frozen=True)
class _Answers:
    predicted: Array
    """Place of the likeliest class of each row, as answers name it."""
    log_loss: float
    are_probabilities: bool


def _read_answers(target: Target, outputs: Array, truth: Array) -> _Answers:
    predicted = np.empty(len(truth), dtype=np.int64)
    loss, are_probabilities = 0.0, True
    for part, probabilities in _probability_blocks(target, outputs):
        predicted[part] = probabilities.argmax(axis=1)
        are_probabilities = are_probabilities and _are_probabilities(probabilities)
        places = np.arange(probabilities.shape[1])
        loss += float(log_loss(truth[part], _as_keras_reads(target, probabilities), labels=places, normalize=False))
    return _Answers(predicted, loss / len(truth), are_probabilities)


def _are_probabilities(values: Array) -> bool:
    is_within = values.min() >= 0 and values.max() <= 1
    return bool(is_within and np.abs(values.sum(axis=1) - 1).max() <= SUM_TOLERANCE)


def _as_keras_reads(target: Target, probabilities: Array) -> Array:
    """Rows that add up to 1, as Keras's loss sees them: none is 0 where the model itself has the sigmoid or softmax.

    Of logits scikit-learn takes no probability for less than 2.2e-16, so that a row costs 36 at most.
    """
    if target.from_logits:
        return probabilities
    raised = np.clip(probabilities, KERAS_EPSILON, 1.0 if target.encoding == "binary" else None)
    rows: Array = raised / raised.sum(axis=1, keepdims=True)
    return rows


def _tables(labels: list[Label], truth: Array, predicted: Array, notes: list[str]) -> dict[str, Any]:
    """What follows from how often each class was taken for which; ``truth`` and ``predicted`` are ``(rows,)``."""
    pairs, counts = np.unique(truth * len(labels) + predicted, return_counts=True)
    of_pairs = {"y_true": pairs // len(labels), "y_pred": pairs % len(labels), "sample_weight": counts}
    per_class, macro_f1 = _per_class(labels, of_pairs)
    support = np.bincount(truth, minlength=len(labels))
    listed = _most_frequent(support, MAX_LISTED_CLASSES)
    _note_classes(support, notes)
    return {
        "classes": [labels[place] for place in listed],
        "accuracy": float(accuracy_score(**of_pairs)),
        "confusion_matrix": _confusion_matrix(len(labels), of_pairs),
        "per_class": [per_class[place] for place in listed],
        "macro_f1": macro_f1,
    }


def _per_class(labels: list[Label], of_pairs: dict[str, Array]) -> tuple[list[dict[str, Any]], float]:
    places = np.arange(len(labels))
    columns = precision_recall_fscore_support(**of_pairs, labels=places, zero_division=np.nan)
    rows = [
        {
            "label": label,
            "precision": _finite(precision),
            "recall": _finite(recall),
            "f1": _finite(f1),
            "support": int(support),
        }
        for label, precision, recall, f1, support in zip(labels, *columns, strict=True)
    ]
    return rows, float(np.nanmean(columns[2]))


def _confusion_matrix(classes: int, of_pairs: dict[str, Array]) -> list[list[int]] | None:
    if classes > MAX_MATRIX_CLASSES:
        return None
    matrix: list[list[int]] = confusion_matrix(**of_pairs, labels=np.arange(classes)).astype(int).tolist()
    return matrix


def _note_classes(support: Array, notes: list[str]) -> None:
    classes, missing = len(support), int((support == 0).sum())
    if missing:
        notes.append(f"Classes without a row here: {missing} of {classes}. What needs their rows is null.")
    if classes > MAX_MATRIX_CLASSES:
        notes.append(f"The confusion matrix is left out: there are {classes} classes, and it has room for {MAX_MATRIX_CLASSES}.")
    if classes > MAX_LISTED_CLASSES:
        notes.append(f"Only the {MAX_LISTED_CLASSES} most frequent of the {classes} classes are listed.")


# Over the rows that curves are drawn from


def _curves(target: Target, outputs: Array, truth: Array, notes: list[str]) -> dict[str, Any]:
    places = _curve_places(target, truth, notes)
    stride = math.ceil(len(truth) * len(places) / MAX_CURVE_CELLS)
    if stride > 1:
        notes.append(f"Curves, their areas and calibration are computed from one row in every {stride}.")
    outputs, truth = outputs[::stride], truth[::stride]
    of_places, of_winners, is_right = _curve_columns(target, outputs, truth, places)
    labels = [(target.classes or [])[place] for place in places]
    columns = [(label, truth == place, column) for label, place, column in zip(labels, places, of_places, strict=True)]
    calibration: list[dict[str, Any]] = [
        {"label": label, **_calibration(is_class, scores)} for label, is_class, scores in columns
    ]
    top = calibration[0] if target.encoding == "binary" else _calibration(is_right, of_winners)
    return {
        "roc": [{"label": label, **_roc(is_class, scores)} for label, is_class, scores in columns],
        "precision_recall": [{"label": label, **_precision_recall(is_class, scores)} for label, is_class, scores in columns],
        "calibration": calibration,
        "expected_calibration_error": _calibration_error(top),
    }


def _curve_places(target: Target, truth: Array, notes: list[str]) -> list[int]:
    """The second class of two; of several each against the rest."""
    if target.encoding == "binary":
        return [1]
    classes = len(target.classes or [])
    if classes > MAX_CURVES:
        notes.append(f"Curves are drawn for the {MAX_CURVES} most frequent of the {classes} classes.")
    places: list[int] = _most_frequent(np.bincount(truth, minlength=classes), MAX_CURVES).tolist()
    return places


def _curve_columns(target: Target, outputs: Array, truth: Array, places: list[int]) -> tuple[Array, Array, Array]:
    """Probabilities ``(places, rows)``; those of the likeliest classes ``(rows,)``, and whether these are right."""
    of_places = np.empty((len(places), len(truth)))
    of_winners, is_right = np.empty(len(truth)), np.empty(len(truth), dtype=bool)
    for part, probabilities in _probability_blocks(target, outputs):
        of_places[:, part] = probabilities[:, places].T
        of_winners[part] = probabilities.max(axis=1)
        is_right[part] = probabilities.argmax(axis=1) == truth[part]
    return of_places, of_winners, is_right


def _roc(is_class: Array, scores: Array) -> dict[str, Any]:
    if is_class.all() or not is_class.any():
        return {"auc": None, "false_positive_rate": [], "true_positive_rate": [], "thresholds": []}
    false_positives, true_positives, thresholds = roc_curve(is_class, scores, drop_intermediate=True)
    kept = _thinned(len(thresholds))
    return {
        "auc": float(auc(false_positives, true_positives)),
        "false_positive_rate": false_positives[kept].tolist(),
        "true_positive_rate": true_positives[kept].tolist(),
        "thresholds": [_finite(threshold) for threshold in thresholds[kept]],
    }


def _precision_recall(is_class: Array, scores: Array) -> dict[str, Any]:
    if not is_class.any():
        return {"average_precision": None, "precision": [], "recall": [], "thresholds": []}
    precision, recall, thresholds = precision_recall_curve(is_class, scores, drop_intermediate=True)
    kept = _thinned(len(precision))
    return {
        "average_precision": float(average_precision_score(is_class, scores)),
        "precision": precision[kept].tolist(),
        "recall": recall[kept].tolist(),
        "thresholds": [_finite(threshold) for threshold in np.append(thresholds, np.inf)[kept]],
    }


def _calibration(is_class: Array, scores: Array) -> dict[str, Any]:
    """Per bin that has rows: the mean probability, the share of rows that are of the class, and the number of rows."""
    probabilities = np.clip(scores, 0.0, 1.0)
    observed, predicted = calibration_curve(is_class, probabilities, pos_label=True, n_bins=CALIBRATION_BINS)
    inner_edges = np.linspace(0.0, 1.0, CALIBRATION_BINS + 1)[1:-1]
    counts = np.bincount(np.searchsorted(inner_edges, probabilities))
    return {"predicted": predicted.tolist(), "observed": observed.tolist(), "count": counts[counts > 0].tolist()}


def _calibration_error(curve: dict[str, Any]) -> float:
    """Mean distance between promise and outcome, by rows (Guo et al. 2017, On Calibration of Modern Neural Networks)."""
    distances = np.abs(np.subtract(curve["predicted"], curve["observed"]))
    return float(np.average(distances, weights=curve["count"]))


def _thinned(points: int) -> Array:
    """Places of at most ``MAX_CURVE_POINTS`` points, spread evenly, with the first and the last."""
    return np.linspace(0, points - 1, min(points, MAX_CURVE_POINTS)).round().astype(int)


def _finite(value: float) -> float | None:
    """The number, or None where it is undefined or infinite."""
    return float(value) if math.isfinite(value) else None
