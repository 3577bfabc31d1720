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
        x, y.astype(np.int32) if compile_spec.loss.target_encoding == "index" else y.astype(np.float32), ROWS, compile_spec.loss
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


# What new last layers answer


def wrapped(*layers: dict[str, Any]) -> dict[str, Any]:
    return {"type": "Sequential", "name": "inside", "layers": list(layers)}


def memory(kind: str, **fields: Any) -> dict[str, Any]:
    return {"type": kind, "units": 1, "name": "last"} | fields


GRAPH = {
    "type": "Functional", "name": "graph",
    "inputs": [{"name": "numbers", "shape": [4]}],
    "layers": [
        {"type": "Dense", "units": 1, "activation": "sigmoid", "name": "gate", "inbound": ["numbers"]},
        {"type": "Dense", "units": 1, "activation": "tanh", "name": "change", "inbound": ["numbers"]},
        {"type": "Multiply", "name": "both", "inbound": ["gate", "change"]},
    ],
    "outputs": ["both"],
}  # fmt: skip
STEPS, IMAGES = np.zeros((ROWS, 5, 4), np.float32), np.zeros((ROWS, 4, 4, 3), np.float32)


@pytest.mark.parametrize(
    ("layers", "x", "pointer", "words"),
    [
        ([memory("SimpleRNN")], STEPS, "layers/0", "ends with tanh"),
        ([memory("GRU")], STEPS, "layers/0", "ends with tanh"),
        ([memory("LSTM", activation="relu")], STEPS, "layers/0", "ends with relu"),
        ([{"type": "RNN", "cell": {"type": "GRUCell", "units": 1}, "name": "last"}], STEPS, "layers/0", "ends with tanh"),
        (
            [{"type": "Bidirectional", "layer": {"type": "GRU", "units": 1}, "merge_mode": "ave", "name": "last"}],
            STEPS, "layers/0", "'last' ends with tanh",
        ),
        (
            [{"type": "TimeDistributed", "layer": dense(1, name="inner")}, {"type": "GlobalAveragePooling1D"}],
            STEPS, "layers/0/layer", "'inner' ends with linear",
        ),
        ([{"type": "EinsumDense", "equation": "ab,bc->ac", "output_shape": 1, "name": "last"}], None, "layers/0", "linear"),
        (
            [{"type": "Conv2D", "filters": 1, "kernel_size": 1, "name": "last"}, {"type": "GlobalAveragePooling2D"}],
            IMAGES, "layers/0", "'last' ends with linear",
        ),
        (
            [{"type": "SeparableConv2D", "filters": 1, "kernel_size": 4, "name": "last"}, {"type": "Flatten"}],
            IMAGES, "layers/0", "'last' ends with linear",
        ),
        ([{"type": "SpectralNormalization", "layer": dense(1, "relu")}], None, "layers/0/layer", "ends with relu"),
        ([dense(1), {"type": "ELU", "name": "end"}], None, "layers/1", "'end' ends with elu"),
        ([dense(1), {"type": "PReLU", "name": "end"}], None, "layers/1", "'end' ends with prelu"),
        ([dense(1), {"type": "LayerNormalization", "name": "end"}], None, "layers/1", "'end' ends with linear"),
        ([dense(1), {"type": "Identity"}, {"type": "Reshape", "target_shape": [1]}], None, "layers/0", "'last' ends with linear"),
        ([dense(1), {"type": "Rescaling", "scale": 2.0}], None, "layers/0", "'last' ends with linear"),
        ([dense(1, "sigmoid"), {"type": "Rescaling", "scale": 2.0, "name": "twice"}], None, "layers/1", "sigmoid and Rescaling"),
        ([wrapped(dense(4, "relu", name="first"), dense(1))], None, "layers/0/layers/1", "'last' ends with linear"),
        ([wrapped({"type": "Dense", "units": 1})], None, "layers/0/layers/0", "'inside' ends with linear"),
        ([GRAPH], None, "layers/0/layers/2", "'both' ends with Multiply of sigmoid and tanh"),
    ],
)  # fmt: skip
def test_what_a_last_layer_answers_is_known_whatever_it_is_made_of(layers, x, pointer, words):
    with pytest.raises(InvalidInput, match=f"Loss BinaryCrossentropy wants probabilities, but.*{words}") as caught:
        check(layers, BINARY, x=x)
    assert caught.value.problems[0].pointer == f"/definition/{pointer}"


@pytest.mark.parametrize(
    ("layers", "x"),
    [
        ([memory("SimpleRNN", activation="sigmoid")], STEPS),
        ([memory("GRU", recurrent_activation="tanh")], STEPS),
        ([{"type": "TimeDistributed", "layer": dense(1, "sigmoid")}, {"type": "GlobalMaxPooling1D"}], STEPS),
        ([{"type": "Conv2D", "filters": 1, "kernel_size": 4, "activation": "sigmoid"}, {"type": "Flatten"}], IMAGES),
        ([wrapped(dense(4, name="first"), dense(1, "sigmoid"))], None),
        ([dense(1, "sigmoid"), {"type": "Activation", "activation": "linear"}], None),
        ([dense(1, "sigmoid"), {"type": "Rescaling", "scale": 0.98, "offset": 0.01}], None),
        ([dense(1), {"type": "Normalization", "mean": 0.0, "variance": 1.0}], None),
    ],
)
def test_a_last_layer_of_probabilities_or_one_that_is_not_known_is_let_through(layers, x):
    check(layers, BINARY, x=x)


def test_a_softmax_of_a_single_unit_is_found_in_a_nested_model_and_an_axis_of_several_is_not_taken_for_one():
    with pytest.raises(InvalidInput, match="'last' is a softmax of a single unit"):
        check([wrapped(dense(1, "softmax"))], BINARY)
    check(
        [dense(1), {"type": "Softmax", "axis": 1}, {"type": "Flatten"}],
        SQUARED,
        np.linspace(0, 1, ROWS)[:, None].repeat(5, 1),
        x=STEPS,
    )


@pytest.mark.parametrize(
    ("layers", "low", "high", "words"),
    [
        ([dense(1), {"type": "ELU", "alpha": 0.5, "name": "end"}], -0.6, 9, "'end' ends with elu, which answers only from -0.5"),
        ([dense(1, "selu")], -2, 9, "from -1.7581 to inf"),
        ([dense(1, "silu")], -0.3, 9, "ends with silu"),
        ([dense(1, "sigmoid"), {"type": "Rescaling", "scale": 10.0, "offset": -5.0}], -6, 5, "answers only from -5 to 5"),
        ([dense(4, "relu", name="first"), {"type": "UnitNormalization"}, dense(1, "softsign")], -2, 2, "from -1 to 1"),
    ],
)
def test_numbers_beyond_the_bounds_of_newer_last_layers_are_refused(layers, low, high, words):
    with pytest.raises(InvalidInput, match=words):
        check(layers, SQUARED, np.linspace(low, high, ROWS)[:, None])


@pytest.mark.parametrize(
    "layers",
    [
        [dense(1), {"type": "ELU"}],
        [dense(1), {"type": "PReLU"}],
        [dense(1, "sigmoid"), {"type": "Rescaling", "scale": 12.0, "offset": -6.0}],
        [dense(1, "hard_shrink")],
        [{"type": "BatchNormalization"}, dense(1)],
    ],
)
def test_numbers_within_the_bounds_of_newer_last_layers_are_let_through(layers):
    check(layers, SQUARED, np.linspace(-0.9, 6, ROWS)[:, None])


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


# Layers that work in training only


CROP = {"type": "RandomCrop", "height": 2, "width": 2, "name": "crop"}


def test_an_embedding_behind_bins_or_several_inputs_side_by_side_is_let_through():
    bins = {"type": "Discretization", "bin_boundaries": [0.0, 0.5], "name": "bins"}
    check([bins, EMBEDDING | {"input_dim": 3}, *AFTER], SQUARED, NUMBERS)
    with pytest.raises(InvalidInput, match=r"Layer 'bins' has 0 to 2"):
        check([bins, EMBEDDING | {"input_dim": 2}, *AFTER], SQUARED, NUMBERS)


def test_a_crop_is_refused_where_predictions_of_whole_images_fail():
    """Keras builds and fits such a model, and its first prediction fails."""
    with pytest.raises(InvalidInput, match=r"'crop' leaves images as they are in predictions.*GlobalAveragePooling2D") as caught:
        check([CROP, {"type": "Flatten"}, dense(1)], SQUARED, NUMBERS, x=IMAGES)
    assert caught.value.problems[0].pointer == "/definition/layers/0"
    check([CROP, {"type": "GlobalAveragePooling2D"}, dense(1)], SQUARED, NUMBERS, x=IMAGES)
    check([CROP | {"height": 4, "width": 4}, {"type": "Flatten"}, dense(1)], SQUARED, NUMBERS, x=IMAGES)


def test_an_equalization_is_refused_since_predictions_would_see_other_images():
    equalized = [
        {"type": "Rescaling", "scale": 1.0},
        {"type": "Pipeline", "layers": ["Equalization"]},
        {"type": "Flatten"},
        dense(1),
    ]
    with pytest.raises(InvalidInput, match=r"'Equalization' leaves images as they are.*Use AutoContrast") as caught:
        check(equalized, SQUARED, NUMBERS, x=IMAGES)
    assert caught.value.problems[0].pointer == "/definition/layers/1/layers/0"
