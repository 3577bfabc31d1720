"""Turns a model's output into answers: labels with probabilities, or numbers. Knows no engine and no wire protocol."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from service.features.plan import FeaturePlan, Label, Target

Array = np.ndarray[Any, Any]

LIKELY = 0.5
"""From this probability on a label is named."""
MAX_CLASS_COLUMNS = 256
"""Classes that get a column of probabilities each; more of them share one of lists."""


class AnswerColumn(NamedTuple):
    """One part of the answers to many rows."""

    name: str
    values: Array
    """Numbers ``(rows, …)``; with ``labels`` the place of each row's label ``(rows,)``, or which are true ``(rows, labels)``."""
    labels: list[Label] | None = None


def to_answers(plan: FeaturePlan, outputs: Sequence[Array]) -> list[dict[str, Any]]:
    """One answer per row, ready for JSON; ``outputs`` are in the order of the plan's targets.

    Classes answer ``{"label": c, "probabilities": {"c": p, …}}``, labels ``{"labels": [those from 0.5 on], "probabilities":
    …}``, and numbers ``{"value": x}``: a list where a row has several, or an object where they are columns. The answers of
    several outputs are ``{"outputs": {name: answer, …}}``.
    """
    if len(outputs) == 1:
        return _answers_of(plan.targets[0] if plan.targets else None, outputs[0])
    names = [target.output for target in plan.targets]
    answers = [_answers_of(target, output) for target, output in zip(plan.targets, outputs, strict=True)]
    return [{"outputs": dict(zip(names, row, strict=True))} for row in zip(*answers, strict=True)]


def to_columns(plan: FeaturePlan, outputs: Sequence[Array]) -> list[AnswerColumn]:
    """The same answers side by side, for a file.

    Classes are ``label`` and ``probability_<class>``, labels ``labels`` and ``probability_<label>``, with more than
    ``MAX_CLASS_COLUMNS`` of them ``probabilities`` in their order; numbers are ``value``, or ``value_<column>`` where they are
    columns. With several outputs the name of each comes first: ``<output>_label``.
    """
    if len(outputs) == 1:
        return _columns_of(plan.targets[0] if plan.targets else None, outputs[0])
    return [
        column._replace(name=f"{target.output}_{column.name}")
        for target, output in zip(plan.targets, outputs, strict=True)
        for column in _columns_of(target, output)
    ]


def _answers_of(target: Target | None, output: Array) -> list[dict[str, Any]]:
    if target is not None and target.labels is not None and _is_label_output(target.labels, output):
        return _several_labels(target.labels, label_probabilities(target, output.astype(np.float64)))
    if target is None or target.classes is None or not is_class_output(target, output):
        values: list[Any] = _one_value_per_row(output).tolist()
        if target is not None and _is_of_columns(target, output):
            values = [dict(zip(target.columns, row, strict=True)) for row in values]
        return [{"value": value} for value in values]
    probabilities = class_probabilities(target, output.astype(np.float64))
    return _labelled(target.classes, probabilities)


def _columns_of(target: Target | None, output: Array) -> list[AnswerColumn]:
    if target is not None and target.labels is not None and _is_label_output(target.labels, output):
        probabilities = label_probabilities(target, output.astype(np.float64))
        is_true = AnswerColumn("labels", probabilities >= LIKELY, target.labels)
        return [is_true, *_probability_columns(target.labels, probabilities)]
    if target is not None and target.classes is not None and is_class_output(target, output):
        probabilities = class_probabilities(target, output.astype(np.float64))
        likeliest = AnswerColumn("label", probabilities.argmax(axis=1), target.classes)
        return [likeliest, *_probability_columns(target.classes, probabilities)]
    if target is not None and _is_of_columns(target, output):
        return [AnswerColumn(f"value_{name}", output[:, place]) for place, name in enumerate(target.columns)]
    return [AnswerColumn("value", _one_value_per_row(output))]


def _probability_columns(labels: list[Label], probabilities: Array) -> list[AnswerColumn]:
    if len(labels) > MAX_CLASS_COLUMNS:
        return [AnswerColumn("probabilities", probabilities)]
    return [AnswerColumn(f"probability_{label_text(label)}", probabilities[:, place]) for place, label in enumerate(labels)]


def _is_label_output(labels: list[Label], output: Array) -> bool:
    return bool(output.shape[1:] == (len(labels),))


def _is_of_columns(target: Target, output: Array) -> bool:
    """Whether each number of a row stands for a column of its own."""
    return len(target.columns) > 1 and bool(output.shape[1:] == (len(target.columns),))


def is_class_output(target: Target, output: Array) -> bool:
    """Whether ``output`` has the shape of answers about the target's classes: (rows, 1) for ``binary``, else (rows, classes)."""
    width = 1 if target.encoding == "binary" else len(target.classes or [])
    return output.ndim == 2 and output.shape[1] == width


def _one_value_per_row(output: Array) -> Array:
    is_single = output.ndim > 1 and output[:1].size == 1
    return output.reshape(len(output)) if is_single else output


def class_probabilities(target: Target, output: Array) -> Array:
    """Probabilities ``(rows, classes)`` of a class output; those of a model without sigmoid or softmax are what it says."""
    if target.encoding == "binary":
        truth = _sigmoid(output[:, 0]) if target.from_logits else output[:, 0]
        return np.stack([1.0 - truth, truth], axis=1)
    return _softmax(output) if target.from_logits else output


def label_probabilities(target: Target, output: Array) -> Array:
    """The probability ``(rows, labels)`` of each label by itself."""
    return _sigmoid(output) if target.from_logits else output


def _several_labels(labels: list[Label], probabilities: Array) -> list[dict[str, Any]]:
    names = [label_text(label) for label in labels]
    return [
        {
            "labels": [label for label, probability in zip(labels, row, strict=True) if probability >= LIKELY],
            "probabilities": dict(zip(names, row, strict=True)),
        }
        for row in probabilities.tolist()
    ]


def _labelled(classes: list[Label], probabilities: Array) -> list[dict[str, Any]]:
    names = [label_text(label) for label in classes]
    places = probabilities.argmax(axis=1).tolist()
    rows = probabilities.tolist()
    return [
        {"label": classes[place], "probabilities": dict(zip(names, row, strict=True))}
        for place, row in zip(places, rows, strict=True)
    ]


def label_text(label: Label) -> str:
    """A class as a key of a JSON object: booleans as JSON writes them."""
    return str(label).lower() if isinstance(label, bool) else str(label)


def _sigmoid(logits: Array) -> Array:
    return np.exp(-np.logaddexp(0.0, -logits))  # does not overflow, whatever the sign


def _softmax(logits: Array) -> Array:
    powers = np.exp(logits - logits.max(axis=1, keepdims=True))
    probabilities: Array = powers / powers.sum(axis=1, keepdims=True)
    return probabilities
