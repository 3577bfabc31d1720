import json

import numpy as np
import pytest

from service.features.answers import to_answers
from service.features.plan import FeaturePlan, TableInput, Target


def answer(output: list, **target) -> list:
    plan = FeaturePlan(inputs=[TableInput(name="input", columns=[])], targets=[Target(output="output", columns=["y"], **target)])
    answers = to_answers(plan, [np.array(output, dtype=np.float32)])
    json.dumps(answers)  # ready for JSON
    return answers


def test_one_sigmoid_answers_the_likelier_class():
    likely, unlikely = answer([[0.75], [0.25]], encoding="binary", classes=["no", "yes"])
    assert likely == {"label": "yes", "probabilities": {"no": 0.25, "yes": 0.75}}
    assert unlikely["label"] == "no"


def test_logits_become_probabilities_without_overflow():
    low, middle, high = answer([[-1e4], [0.0], [1e4]], encoding="binary", classes=[0, 1], from_logits=True)
    assert [row["probabilities"]["1"] for row in (low, middle, high)] == [0.0, 0.5, 1.0]


def test_a_softmax_answers_the_likeliest_class():
    (row,) = answer([[0.25, 0.5, 0.25]], encoding="index", classes=["a", "b", "c"])
    assert row == {"label": "b", "probabilities": {"a": 0.25, "b": 0.5, "c": 0.25}}


def test_logits_of_several_classes_add_up_to_one():
    (row,) = answer([[1e4, 0.0]], encoding="one_hot", classes=[5, 7], from_logits=True)
    assert row == {"label": 5, "probabilities": {"5": 1.0, "7": 0.0}}


def test_boolean_classes_are_written_as_json_writes_them():
    (row,) = answer([[1.0]], encoding="binary", classes=[False, True])
    assert row == {"label": True, "probabilities": {"false": 0.0, "true": 1.0}}


@pytest.mark.parametrize(("output", "value"), [([[2.5]], 2.5), ([[1.0, 2.0]], [1.0, 2.0])])
def test_numbers_are_values(output, value):
    assert answer(output, encoding="number") == [{"value": value}]


@pytest.mark.parametrize(("output", "from_logits"), [([[0.5, 0.25, 1.0]], False), ([[0.0, -np.log(3), 1e4]], True)])
def test_labels_answer_the_probability_of_each(output, from_logits):
    (row,) = answer(output, encoding="number", labels=[0, 1, 2], from_logits=from_logits)
    assert row["labels"] == [0, 2]
    assert row["probabilities"] == pytest.approx({"0": 0.5, "1": 0.25, "2": 1.0})
