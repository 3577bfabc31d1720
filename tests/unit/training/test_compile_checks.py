"""A loss or metric that says nothing about its target is refused; what an expert may mean is not."""

from typing import Any

import numpy as np
import pytest

from service.errors import InvalidInput
from service.spec.compile import CompileSpec
from tests.unit.training.checking import (
    BINARY,
    CATEGORICAL,
    NUMBERS,
    ONE_HOT,
    PLACES,
    ROWS,
    SPARSE,
    SQUARED,
    check,
    check_whole,
    dense,
    logits,
)
from tests.unit.training.conftest import make_examples

# Losses


ROWS_OF = {"low": np.linspace(-1, 1, ROWS)[:, None], "bits": (PLACES % 2)[:, None], "counts": PLACES[:, None] + 1.0}


@pytest.mark.parametrize(
    ("layer", "loss", "y", "words"),
    [
        (
            dense(1),
            "MeanSquaredLogarithmicError",
            ROWS_OF["low"],
            "it counts negative numbers as 0. Target 'y' has others, from -1",
        ),
        (dense(1), "MeanAbsolutePercentageError", ROWS_OF["bits"], "endlessly many percent.*Use MeanAbsoluteError"),
        (dense(1, "exponential"), "Poisson", ROWS_OF["low"], "answers only from 0 to inf"),
        (dense(1, "sigmoid"), "Dice", 255 * ROWS_OF["bits"], "goes from 0 to 255"),
        (
            {"type": "Normalization", "mean": 0.0, "variance": 1.0},
            "Tversky",
            255 * np.eye(ROWS, 4),
            "numbers from 0 to 1.*divide it",
        ),
        (dense(1), "CosineSimilarity", ROWS_OF["low"], "a single number in each. Use MeanSquaredError"),
        (dense(3, "softmax"), CATEGORICAL, np.ones((ROWS, 3)), "rows of shares that add up to 1.*use BinaryCrossentropy"),
        (dense(3, "softmax"), "KLDivergence", 2 * ONE_HOT - 1, "rows of shares that add up to 1"),
        (dense(3), "CategoricalHinge", 0.5 * ONE_HOT, "rows with a single 1 or -1 and 1"),
        (dense(3, "softmax"), {"type": CATEGORICAL, "axis": 0}, ONE_HOT, "axis=0, but the classes lie along the last"),
        (dense(3, "softmax"), {"type": SPARSE, "axis": 0}, PLACES[:, None], "Leave axis out"),
        (dense(3, "softmax"), {"type": "CategoricalFocalCrossentropy", "alpha": [0.2, 0.3]}, ONE_HOT, "2 numbers in alpha"),
    ],
)
def test_a_loss_that_says_nothing_about_the_target_is_refused(layer, loss, y, words):
    with pytest.raises(InvalidInput, match=words) as caught:
        check([layer], loss, y)
    assert caught.value.problems[0].pointer in ("/compile/loss", "/definition/layers/0")
    assert caught.value.problems[0].fix


@pytest.mark.parametrize(
    ("layer", "loss", "words"),
    [
        (dense(1, "sigmoid"), "Hinge", "its scores have one sign only, so it always answers the same class"),
        (dense(1, "relu"), "SquaredHinge", "one sign only"),
        (dense(1, "softplus"), logits("BinaryFocalCrossentropy"), "its logits have one sign only"),
        (dense(1, "sigmoid"), logits("BinaryFocalCrossentropy"), "no logits"),
        (dense(1), "BinaryFocalCrossentropy", "Give it the activation sigmoid, or set from_logits"),
        (dense(3), "CategoricalFocalCrossentropy", "Give it the activation softmax, or set from_logits"),
        (dense(3, "sigmoid"), "CategoricalFocalCrossentropy", "add up to 1"),
        (dense(3), "CategoricalGeneralizedCrossEntropy", "Give it the activation softmax.$"),
        (dense(3), "KLDivergence", "Give it the activation softmax.$"),
        (dense(3, "sigmoid"), "KLDivergence", "add up to 1"),
        (dense(1), "Poisson", "takes the logarithm of the answers.*exponential or softplus"),
        (dense(1, "gelu"), "Poisson", "takes the logarithm of the answers"),
        (dense(1), "Dice", "wants answers from 0 to 1"),
        (dense(1, "relu"), "Tversky", "Give it the activation sigmoid"),
    ],
)
def test_an_output_that_is_not_what_a_loss_takes_it_for_is_refused(layer, loss, words):
    with pytest.raises(InvalidInput, match=words) as caught:
        check([layer], loss, target_for(loss))
    assert caught.value.problems[0].pointer == "/definition/layers/0"


@pytest.mark.parametrize(
    ("layer", "loss"),
    [
        (dense(1, "tanh"), "Hinge"),
        (dense(1), "SquaredHinge"),
        (dense(3, "softmax"), "CategoricalHinge"),
        (dense(3), "CategoricalHinge"),
        (dense(1), logits("BinaryFocalCrossentropy")),
        (dense(3), logits("CategoricalFocalCrossentropy")),
        (dense(3, "softmax"), "CategoricalGeneralizedCrossEntropy"),
        (dense(3, "softmax"), "KLDivergence"),
        (dense(1, "relu"), "Poisson"),
        (dense(1, "sigmoid"), "Dice"),
        (dense(1), "MeanSquaredLogarithmicError"),
        (dense(1), "LogCosh"),
    ],
)
def test_an_output_that_is_what_a_loss_takes_it_for_is_let_through(layer, loss):
    check([layer], loss, target_for(loss))


def target_for(loss: Any) -> np.ndarray:
    """A target that the loss is for."""
    encoding = CompileSpec.model_validate({"optimizer": "sgd", "loss": loss}).loss.target_encoding
    return {"index": PLACES[:, None], "one_hot": ONE_HOT}.get(encoding, (PLACES[:, None] % 2))


def test_targets_of_validation_rows_are_looked_at_too():
    compile_spec = CompileSpec.model_validate({"optimizer": "sgd", "loss": "mape"})
    y = np.linspace(1, 2, ROWS, dtype=np.float32)[:, None]
    y[-1] = 0
    x = np.zeros((ROWS, 4), np.float32)
    with pytest.raises(InvalidInput, match="endlessly many percent"):
        check_whole([dense(1)], compile_spec, make_examples(x, y, ROWS - 2, compile_spec.loss))


def test_directions_may_be_of_any_length_but_not_of_another_sign():
    y = np.linspace(-5, 5, ROWS * 2).reshape(ROWS, 2)
    check([dense(2, "tanh")], "CosineSimilarity", y)
    with pytest.raises(InvalidInput, match="ends with relu"):
        check([dense(2, "relu")], "CosineSimilarity", y)


def test_shares_that_add_up_to_less_or_are_soft_are_let_through():
    soft = np.full((ROWS, 3), 1 / 3)
    soft[0] = 0
    check([dense(3, "softmax")], CATEGORICAL, soft)


def test_answers_that_add_up_to_1_are_refused_where_several_labels_may_be_true():
    with pytest.raises(InvalidInput, match="several labels of a row may be true, or none"):
        check([dense(3, "softmax")], BINARY, LABELS)
    check([dense(3, "softmax")], BINARY, ONE_HOT)


# Several labels

LABELS = np.array([[row % 2, row % 3 == 0, 1] for row in range(ROWS)], dtype=np.float32)


@pytest.mark.parametrize(
    ("layer", "loss", "words"),
    [
        (dense(3), BINARY, "sigmoid"),
        (dense(3, "relu"), BINARY, "sigmoid"),
        (dense(3, "sigmoid"), logits(BINARY), "from_logits"),
        (dense(3, "relu"), logits(BINARY), "one sign"),
    ],
)
def test_labels_want_a_probability_each(layer, loss, words):
    with pytest.raises(InvalidInput, match=words):
        check([layer], loss, LABELS)


def test_labels_with_probabilities_or_logits_are_fitted():
    check([dense(3, "sigmoid")], BINARY, LABELS)
    check([dense(3)], logits(BINARY), LABELS)


# Metrics


OUTPUTS = {BINARY: dense(1, "sigmoid"), SPARSE: dense(3, "softmax"), CATEGORICAL: dense(3, "softmax"), SQUARED: dense(1)}


@pytest.mark.parametrize(
    ("loss", "metric", "mend"),
    [
        (BINARY, "CategoricalAccuracy", "Use BinaryAccuracy"),
        (BINARY, "SparseCategoricalAccuracy", "Use BinaryAccuracy"),
        (SPARSE, "BinaryAccuracy", "Use SparseCategoricalAccuracy"),
        (SPARSE, "CategoricalAccuracy", "Use SparseCategoricalAccuracy"),
        (SPARSE, "AUC", "Use SparseCategoricalAccuracy"),
        (SPARSE, "Precision", "Use SparseCategoricalAccuracy"),
        (SPARSE, "Recall", "Use SparseCategoricalAccuracy"),
        (SPARSE, "MeanSquaredError", "Use SparseCategoricalAccuracy"),
        (SPARSE, "RootMeanSquaredError", "Use SparseCategoricalAccuracy"),
        (CATEGORICAL, "SparseCategoricalAccuracy", "Use CategoricalAccuracy"),
        (SQUARED, "accuracy", "Use MeanAbsoluteError"),
        (SQUARED, "BinaryAccuracy", "Use MeanAbsoluteError"),
        (SQUARED, "CategoricalAccuracy", "Use MeanAbsoluteError"),
        (SQUARED, "SparseCategoricalAccuracy", "Use MeanAbsoluteError"),
        (SQUARED, "AUC", "Use MeanAbsoluteError"),
        (SQUARED, "Precision", "Use MeanAbsoluteError"),
    ],
)
def test_a_metric_that_says_nothing_about_the_target_is_refused(loss, metric, mend):
    with pytest.raises(InvalidInput, match=f"Metric {metric} says nothing about target 'y'.*{mend}") as caught:
        check(
            [OUTPUTS[loss]],
            loss,
            NUMBERS if loss == SQUARED else None,
            ["MeanSquaredError", metric] if loss == SQUARED else [metric],
        )
    assert caught.value.problems[0].pointer == f"/compile/metrics/{int(loss == SQUARED)}"


@pytest.mark.parametrize(
    ("loss", "metrics"),
    [
        (BINARY, ["accuracy", "BinaryAccuracy", "AUC", "Precision", "Recall", "MeanSquaredError"]),
        (SPARSE, ["accuracy", "SparseCategoricalAccuracy"]),
        (CATEGORICAL, ["accuracy", "CategoricalAccuracy", "BinaryAccuracy", "AUC", "Precision", "Recall", "MeanSquaredError"]),
        (SQUARED, ["MeanSquaredError", "MeanAbsoluteError", "RootMeanSquaredError"]),
    ],
)
def test_a_metric_that_says_something_is_let_through(loss, metrics):
    check([OUTPUTS[loss]], loss, NUMBERS if loss == SQUARED else None, metrics)


def test_zeros_and_ones_as_numbers_have_an_accuracy():
    """The squared error of a sigmoid, which a learner may try."""
    y = (PLACES % 2)[:, None]
    check([dense(1, "sigmoid")], SQUARED, y, ["accuracy", "AUC", "Precision"])
    check([dense(3, "softmax")], SQUARED, ONE_HOT, ["accuracy", "CategoricalAccuracy"])
    with pytest.raises(InvalidInput, match="CategoricalAccuracy says nothing"):
        check([dense(1, "sigmoid")], SQUARED, y, ["CategoricalAccuracy"])


@pytest.mark.parametrize(
    ("loss", "metric", "words"),
    [
        (
            logits(BINARY),
            "accuracy",
            "counts an output from 0.5 on as yes, but the outputs are logits.*BinaryAccuracy with threshold 0",
        ),
        (logits(BINARY), "BinaryAccuracy", "BinaryAccuracy with threshold 0"),
        (logits(BINARY), "Precision", "Set its thresholds to 0"),
        (logits(BINARY), "AUC", "Set from_logits to true in AUC"),
        (BINARY, {"type": "AUC", "from_logits": True}, "Set from_logits to false in AUC"),
        (logits(CATEGORICAL), "Recall", "Set its thresholds to 0"),
    ],
)
def test_a_metric_with_thresholds_of_probabilities_is_refused_for_logits_and_the_other_way_round(loss, metric, words):
    is_several = loss == logits(CATEGORICAL)
    layer = OUTPUTS[BINARY] if loss == BINARY else dense(3 if is_several else 1)
    with pytest.raises(InvalidInput, match=words) as caught:
        check([layer], loss, metrics=[metric])
    assert caught.value.problems[0].pointer == "/compile/metrics/0"


@pytest.mark.parametrize(
    ("loss", "units", "metrics"),
    [
        (
            BINARY,
            1,
            [
                {"type": "BinaryAccuracy", "threshold": 0},
                {"type": "AUC", "from_logits": True},
                {"type": "Recall", "thresholds": 0},
            ],
        ),
        (SPARSE, 3, ["accuracy", "SparseCategoricalAccuracy"]),
        (CATEGORICAL, 3, ["accuracy", "CategoricalAccuracy", {"type": "AUC", "from_logits": True}]),
    ],
)
def test_metrics_that_are_told_of_logits_are_let_through(loss, units, metrics):
    check([dense(units)], logits(loss), metrics=metrics)
