"""Turns a model's output into answers: labels with probabilities, or numbers. Knows no engine and no wire protocol."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from service.features.plan import FeaturePlan, Label, Target

Array = np.ndarray[Any, Any]

LIKELY = 0.5
"""From this probability on a label is named."""


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


def _answers_of(target: Target | None, output: Array) -> list[dict[str, Any]]:
    if target is not None and target.labels is not None and output.shape[1:] == (len(target.labels),):
        return _several_labels(target.labels, label_probabilities(target, output.astype(np.float64)))
    if target is None or target.classes is None or not is_class_output(target, output):
        values = _one_value_per_row(output)
        if target is not None and output.shape[1:] == (len(target.columns),) and len(target.columns) > 1:
            values = [dict(zip(target.columns, row, strict=True)) for row in values]
        return [{"value": value} for value in values]
    probabilities = class_probabilities(target, output.astype(np.float64))
    return _labelled(target.classes, probabilities)


def is_class_output(target: Target, output: Array) -> bool:
    """Whether ``output`` has the shape of answers about the target's classes: (rows, 1) for ``binary``, else (rows, classes)."""
    width = 1 if target.encoding == "binary" else len(target.classes or [])
    return output.ndim == 2 and output.shape[1] == width


def _one_value_per_row(output: Array) -> list[Any]:
    is_single = output.ndim > 1 and output[:1].size == 1
    values: list[Any] = (output.reshape(len(output)) if is_single else output).tolist()
    return values


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
