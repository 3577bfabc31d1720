import json

import numpy as np
import pytest

from service.features.answers import MAX_CLASS_COLUMNS, to_answers, to_columns
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


# As columns


def columns_of(output: list, **target) -> dict[str, list]:
    target = Target(output="output", **({"columns": ["y"], "encoding": "number"} | target))
    plan = FeaturePlan(inputs=[TableInput(name="input", columns=[])], targets=[target])
    return {column.name: column.values.tolist() for column in to_columns(plan, [np.array(output, dtype=np.float32)])}


def test_classes_are_a_label_and_a_probability_for_each():
    classes = {"encoding": "index", "classes": ["a", "b"], "from_logits": True}
    rows, columns = answer([[1.0, 2.0], [5.0, 0.5]], **classes), columns_of([[1.0, 2.0], [5.0, 0.5]], **classes)
    assert columns["label"] == [1, 0], "places of the labels"
    for name in "ab":
        assert columns[f"probability_{name}"] == [row["probabilities"][name] for row in rows]


def test_labels_are_which_are_true_and_a_probability_for_each():
    columns = columns_of([[0.5, 0.25], [0.0, 1.0]], labels=["red", "blue"])
    assert columns == {
        "labels": [[True, False], [False, True]],
        "probability_red": [0.5, 0.0],
        "probability_blue": [0.25, 1.0],
    }


def test_very_many_classes_share_one_column():
    classes = list(range(MAX_CLASS_COLUMNS + 1))
    columns = columns_of([np.eye(len(classes))[7]], encoding="index", classes=classes)
    assert list(columns) == ["label", "probabilities"]
    assert columns["label"] == [7]
    assert np.argmax(columns["probabilities"]) == 7


@pytest.mark.parametrize(
    ("output", "target", "columns"),
    [
        ([[2.5], [1.5]], {}, {"value": [2.5, 1.5]}),
        ([[1.0, 2.0]], {}, {"value": [[1.0, 2.0]]}),
        ([[[1.0, 2.0], [3.0, 4.0]]], {}, {"value": [[[1.0, 2.0], [3.0, 4.0]]]}),
        ([[1.0, 2.0]], {"columns": ["high", "low"]}, {"value_high": [1.0], "value_low": [2.0]}),
    ],
)
def test_numbers_are_values_or_lists_or_a_column_each(output, target, columns):
    assert columns_of(output, **target) == columns


def test_several_outputs_are_told_apart_by_their_names():
    targets = [
        Target(output="price", columns=["y"], encoding="number"),
        Target(output="dear", columns=["z"], encoding="binary", classes=[False, True]),
    ]
    plan = FeaturePlan(inputs=[TableInput(name="input", columns=[])], targets=targets)
    columns = to_columns(plan, [np.array([[3.0]], np.float32), np.array([[0.25]], np.float32)])
    assert [column.name for column in columns] == [
        "price_value",
        "dear_label",
        "dear_probability_false",
        "dear_probability_true",
    ]
