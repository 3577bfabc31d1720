"""What Keras fits without a word, or fails at with a cryptic one, is refused before; what an expert may mean is not."""

from typing import Any

import numpy as np
import pytest

from service.errors import InvalidInput
from service.features.encoding import encode_columns, encode_target
from service.spec.compile import CompileSpec
from service.spec.definition import Definition
from service.spec.features import FeaturesSpec
from service.training.building import as_model, check_outputs
from service.training.checks import check_examples
from service.training.examples import About, Examples, Part
from tests.planning import plan_table, table_of
from tests.unit.training.conftest import make_examples

BINARY, SPARSE, CATEGORICAL = "BinaryCrossentropy", "SparseCategoricalCrossentropy", "CategoricalCrossentropy"
SQUARED = "MeanSquaredError"
ROWS = 12
PLACES = np.arange(ROWS) % 3
ONE_HOT = np.eye(3, dtype=np.float32)[PLACES]
TARGETS = {BINARY: PLACES[:, None] % 2, SPARSE: PLACES[:, None], CATEGORICAL: ONE_HOT}


def dense(units: int, activation: str | None = None, **fields: Any) -> dict[str, Any]:
    return {"type": "Dense", "units": units, "activation": activation, "name": "last"} | fields


def check(
    layers: list[dict[str, Any]],
    loss: Any,
    y: np.ndarray | None = None,
    metrics: Any = (),
    x: np.ndarray | None = None,
    sample_weight: np.ndarray | None = None,
) -> None:
    """All that is checked between building and fitting."""
    compile_spec = CompileSpec.model_validate({"optimizer": "sgd", "loss": loss, "metrics": list(metrics)})
    x = np.random.default_rng(0).random((ROWS, 4), dtype=np.float32) if x is None else x
    y = TARGETS[compile_spec.loss.type] if y is None else y
    examples = make_examples(
        x, y.astype(np.int32) if compile_spec.loss.type == SPARSE else y.astype(np.float32), ROWS, compile_spec.loss
    )
    part = Part(examples.train.inputs, examples.train.targets, sample_weight)
    check_whole(layers, compile_spec, Examples(part, None, examples.about))


def check_whole(layers: list[dict[str, Any]], compile_spec: CompileSpec, examples: Examples) -> None:
    definition = Definition.model_validate({"layers": layers})
    model = as_model(definition, examples.train.input_shapes)
    check_outputs(model, examples.targets, [truth.shape[1:] for truth in examples.train.targets])
    check_examples(definition, compile_spec, model, examples)


def logits(loss: str) -> dict[str, Any]:
    return {"type": loss, "from_logits": True}


# Outputs and losses


@pytest.mark.parametrize(
    ("layers", "loss", "words"),
    [
        ([dense(1, "softmax")], BINARY, "'last' is a softmax of a single unit, which always answers 1. Use sigmoid"),
        ([dense(1, "softmax")], SQUARED, "'last' is a softmax of a single unit"),
        ([dense(1, "sigmoid")], logits(BINARY), "from_logits=true, but layer 'last' ends with sigmoid"),
        ([dense(3, "softmax")], logits(SPARSE), "from_logits=true, but layer 'last' ends with softmax"),
        ([dense(3, "softmax")], logits(CATEGORICAL), "from_logits=true, but layer 'last' ends with softmax"),
        ([dense(1)], BINARY, "wants probabilities, but layer 'last' ends with linear. Give it the activation sigmoid"),
        ([dense(1, "relu")], BINARY, "ends with relu. Give it the activation sigmoid, or set from_logits"),
        ([dense(1, "tanh")], BINARY, "ends with tanh"),
        ([dense(3)], SPARSE, "ends with linear. Give it the activation softmax"),
        ([dense(3, "relu")], CATEGORICAL, "ends with relu. Give it the activation softmax"),
        ([dense(3, "log_softmax")], SPARSE, "ends with log_softmax"),
        ([dense(3, "sigmoid")], SPARSE, "add up to 1, but layer 'last' ends with sigmoid"),
        ([dense(3, "sigmoid")], CATEGORICAL, "add up to 1, but layer 'last' ends with sigmoid"),
        ([dense(1, "relu")], logits(BINARY), "one sign only, so it always answers the same class"),
        ([dense(1, "log_sigmoid")], logits(BINARY), "one sign only"),
        ([dense(3), {"type": "ReLU", "name": "end"}], SPARSE, "layer 'end' ends with relu"),
        ([dense(3), {"type": "BatchNormalization", "name": "end"}], SPARSE, "layer 'end' ends with linear"),
        ([dense(3), {"type": "Dropout", "rate": 0.5}], SPARSE, "layer 'last' ends with linear"),
        ([dense(3), {"type": "Softmax", "axis": 0, "name": "end"}], SPARSE, "'end' has axis=0.*over the rows of a batch"),
        ([dense(3), {"type": "Softmax", "axis": -2, "name": "end"}], SPARSE, "'end' has axis=-2"),
    ],
)
def test_an_output_that_the_loss_misreads_is_refused_at_its_layer(layers, loss, words):
    y = np.linspace(0, 1, ROWS)[:, None] if loss == SQUARED else None
    with pytest.raises(InvalidInput, match=words) as caught:
        check(layers, loss, y)
    named = [place for place, layer in enumerate(layers) if f"'{layer.get('name')}'" in caught.value.message]
    assert caught.value.problems[0].pointer == f"/definition/layers/{named[0]}"
    assert caught.value.problems[0].fix


@pytest.mark.parametrize(
    ("layers", "loss"),
    [
        ([dense(1, "sigmoid")], BINARY),
        ([dense(1, "hard_sigmoid")], BINARY),
        ([dense(3, "softmax")], SPARSE),
        ([dense(3, "sparsemax")], CATEGORICAL),
        ([dense(3), {"type": "Softmax"}], CATEGORICAL),
        ([dense(3), {"type": "Softmax", "axis": 1}], CATEGORICAL),
        ([dense(3), {"type": "Activation", "activation": "softmax"}], SPARSE),
        ([dense(3, "softmax"), {"type": "Flatten"}], SPARSE),
        ([dense(1)], logits(BINARY)),
        ([dense(1, "tanh")], logits(BINARY)),
        ([dense(3)], logits(SPARSE)),
        ([dense(3, "relu")], logits(SPARSE)),
        ([dense(3, "log_softmax")], logits(CATEGORICAL)),
    ],
)
def test_an_output_that_the_loss_reads_as_meant_is_let_through(layers, loss):
    check(layers, loss)


@pytest.mark.parametrize(
    ("layers", "low", "high", "words"),
    [
        ([dense(1, "sigmoid")], 0, 1.5, "goes from 0 to 1.5, but layer 'last' ends with sigmoid, which answers only from 0 to 1"),
        ([dense(1, "sigmoid")], -0.1, 1, "goes from -0.1 to 1"),
        ([dense(1, "tanh")], -1, 1.01, "ends with tanh"),
        ([dense(1, "relu")], -0.5, 9, "ends with relu, which answers only from 0 to inf"),
        ([dense(1, "relu6")], 0, 9, "answers only from 0 to 6"),
        ([dense(1, "softplus")], -5, 9, "ends with softplus"),
        ([dense(1, "exponential")], -5, 9, "ends with exponential"),
        ([dense(1), {"type": "ReLU", "max_value": 2.0}], 0, 3, "ends with relu, which answers only from 0 to 2"),
        ([dense(1, "log_sigmoid")], -5, 1, "answers only from -inf to 0"),
    ],
)
def test_numbers_that_the_last_activation_cannot_reach_are_refused(layers, low, high, words):
    with pytest.raises(InvalidInput, match=words) as caught:
        check(layers, SQUARED, np.linspace(low, high, ROWS)[:, None])
    assert caught.value.problems[0].fix == "Leave the last activation out, or scale the target."


@pytest.mark.parametrize(
    ("layers", "low", "high"),
    [
        ([dense(1, "sigmoid")], 0, 1),
        ([dense(1, "tanh")], -1, 1),
        ([dense(1, "relu")], 0, 1e6),
        ([dense(1, "exponential")], 0.1, 1e6),
        ([dense(1, "linear")], -1e6, 1e6),
        ([dense(1, "leaky_relu")], -1, 1),
        ([dense(1, "tanh"), {"type": "BatchNormalization"}], -5, 5),
        ([dense(1), {"type": "ReLU", "negative_slope": 0.1}], -5, 5),
        ([dense(1, "sigmoid"), {"type": "LeakyReLU"}], -5, 5),
    ],
)
def test_numbers_that_the_last_activation_reaches_are_let_through(layers, low, high):
    check(layers, SQUARED, np.linspace(low, high, ROWS)[:, None])


# Shapes


@pytest.mark.parametrize(
    ("layers", "loss", "shape", "words"),
    [
        ([dense(3, "softmax")], BINARY, (4,), "'last', gives shape .3,. per row.*Let the last layer have 1 unit."),
        ([dense(1, "sigmoid")], SPARSE, (4,), "target 'y' has 3 classes. Let the last layer have 3 units."),
        ([dense(2, "softmax")], CATEGORICAL, (4,), "has 3 classes"),
        ([dense(2)], SQUARED, (4,), "Let the last layer have 1 unit."),
        ([dense(3, "softmax")], SPARSE, (5, 4), "3 units, with a Flatten before layer 'last'"),
        ([dense(1)], SQUARED, (5, 4), "1 unit, with a Flatten before layer 'last'"),
        (
            [{"type": "LSTM", "units": 4, "return_sequences": True, "name": "memory"}, dense(1)],
            SQUARED, (5, 4), "leave return_sequences out of layer 'memory'",
        ),
        ([{"type": "Conv2D", "filters": 3, "kernel_size": 2}], SPARSE, (5, 5, 1), "add a Flatten and then a Dense layer"),
    ],
)  # fmt: skip
def test_a_last_layer_of_another_shape_is_refused_with_the_mend(layers, loss, shape, words):
    y = np.linspace(0, 1, ROWS)[:, None] if loss == SQUARED else None
    with pytest.raises(InvalidInput, match=words) as caught:
        check(layers, loss, y, x=np.zeros((ROWS, *shape), np.float32))
    assert caught.value.problems[0].pointer == f"/definition/layers/{len(layers) - 1}"


# Embeddings


EMBEDDING = {"type": "Embedding", "input_dim": 10, "output_dim": 2, "name": "words"}
AFTER = [{"type": "Flatten"}, dense(1)]
NUMBERS = np.linspace(-1, 1, ROWS)[:, None]


def indices(*values: float) -> np.ndarray:
    return np.resize(np.array(values, np.float32), (ROWS, 4))


@pytest.mark.parametrize(
    ("x", "words", "fix"),
    [
        (
            indices(0, 10, 3),
            "'words' has input_dim=10, so it takes indices from 0 to 9. The data has 0 to 10",
            "Set input_dim to 11.",
        ),
        (indices(-1, 3), "The data has -1 to 3", "Use indices from 0 on."),
        (indices(0, 1.7), "takes whole numbers, and the data has others", "Use whole numbers from 0 on."),
    ],
)
def test_indices_that_an_embedding_cannot_look_up_are_refused(x, words, fix):
    with pytest.raises(InvalidInput, match=words) as caught:
        check([EMBEDDING, *AFTER], SQUARED, NUMBERS, x=x)
    assert caught.value.problems[0].pointer == "/definition/layers/0"
    assert caught.value.problems[0].fix == fix


def test_indices_are_looked_for_in_the_validation_rows_too():
    compile_spec = CompileSpec.model_validate({"optimizer": "sgd", "loss": SQUARED})
    x = indices(0, 9)
    x[-1] = 10
    with pytest.raises(InvalidInput, match="The data has 0 to 10"):
        check_whole([EMBEDDING, *AFTER], compile_spec, make_examples(x, NUMBERS.astype(np.float32), ROWS - 2, compile_spec.loss))


def test_indices_of_a_standardized_column_are_refused_with_how_to_encode_them():
    compile_spec = CompileSpec.model_validate({"optimizer": "sgd", "loss": SQUARED})
    columns = {"x": np.arange(ROWS), "y": np.linspace(-1, 1, ROWS)}
    fitted = plan_table(columns, FeaturesSpec(), "y", compile_spec.loss, np.ones(ROWS, bool))
    x, y = encode_columns(table_of(fitted.plan), columns), encode_target(fitted.plan.targets[0], columns["y"])
    examples = Examples(Part((x,), (y,)), None, About(plan=fitted.plan, chosen={}, warnings=[], raw=[]))
    with pytest.raises(InvalidInput, match='"type": "category", "encoding": "index"'):
        check_whole([EMBEDDING, *AFTER], compile_spec, examples)


def test_an_embedding_after_a_layer_that_answers_any_number_is_refused():
    with pytest.raises(InvalidInput, match="'words' takes whole numbers, but it comes after 'first'"):
        check([dense(4, name="first"), EMBEDDING, *AFTER], SQUARED, NUMBERS)


def test_an_embedding_of_indices_is_let_through():
    check([EMBEDDING, *AFTER], SQUARED, NUMBERS, x=indices(0, 9))
    check([{"type": "Flatten"}, EMBEDDING, *AFTER], SQUARED, NUMBERS, x=indices(0, 9))


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


# Weights


def test_rows_that_all_weigh_nothing_are_refused():
    with pytest.raises(InvalidInput, match="Every training row has weight 0"):
        check([dense(1)], SQUARED, NUMBERS, sample_weight=np.zeros(ROWS, np.float32))
    check([dense(1)], SQUARED, NUMBERS, sample_weight=np.eye(1, ROWS, dtype=np.float32)[0])


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
