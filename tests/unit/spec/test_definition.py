"""What a definition may hold, how it is spelled, and how refusals read."""

from typing import Any

import pytest
from pydantic import TypeAdapter, ValidationError

from service.spec.compile import CompileSpec, metric_names
from service.spec.definition import Definition
from service.spec.layers import LAYERS, Layer
from service.spec.layers.recurrent import LSTM
from service.spec.layers.wrappers import Bidirectional
from service.spec.losses import LOSSES
from service.spec.optimizers import SGD


def definition(*layers: Any) -> Definition:
    return Definition.model_validate({"layers": list(layers)})


def mistakes(*layers: Any) -> list[dict[str, Any]]:
    with pytest.raises(ValidationError) as refused:
        definition(*layers)
    return refused.value.errors()


@pytest.mark.parametrize(
    "spelling",
    [
        "MaxPooling2D",
        "MaxPool2D",
        "max_pooling2d",
        {"type": "MaxPooling2D"},
        {"type": "MaxPool2D"},
        {"class_name": "MaxPooling2D", "config": {}},
        {"class_name": "MaxPool2D", "config": {}, "module": "keras.layers", "registered_name": None},
    ],
)
def test_every_spelling_is_stored_in_one_form(spelling):
    assert definition(spelling).as_document() == {"layers": [{"type": "MaxPooling2D"}]}


def test_an_unknown_layer_is_named_with_what_was_meant():
    [mistake] = mistakes({"type": "Flatten"}, {"type": "Dence", "units": 3})
    assert mistake["type"] == "union_tag_invalid"
    assert mistake["loc"] == ("layers", 1)
    assert mistake["ctx"]["tag"] == "Dence"
    assert "'Dense'" in mistake["ctx"]["expected_tags"]


@pytest.mark.parametrize(
    ("layer", "kind"), [({"units": 3}, "union_tag_not_found"), (3, "model_attributes_type"), ("Dence", "unknown_name")]
)
def test_what_is_no_layer_is_refused(layer, kind):
    assert [mistake["type"] for mistake in mistakes(layer)] == [kind]


@pytest.mark.parametrize(
    ("layer", "place"),
    [
        ({"type": "Dense", "units": 10**9}, "units"),
        ({"type": "RepeatVector", "n": 10**9}, "n"),
        ({"type": "Reshape", "target_shape": [0, 4]}, "target_shape"),
        ({"type": "Reshape", "target_shape": [-1, -1]}, "target_shape"),
        ({"type": "Permute", "dims": [1, 1]}, "dims"),
        ({"type": "Permute", "dims": [1, 3]}, "dims"),
        ({"type": "GroupNormalization", "groups": 0}, "groups"),
        ({"type": "UpSampling2D", "size": 100_000}, "size"),
        ({"type": "ZeroPadding2D", "padding": 10**6}, "padding"),
        ({"type": "Resizing", "height": 10**6, "width": 8}, "height"),
        ({"type": "Embedding", "input_dim": 10**12, "output_dim": 8}, "input_dim"),
        ({"type": "MultiHeadAttention", "num_heads": 10**6, "key_dim": 8}, "num_heads"),
        ({"type": "Dense", "units": 3, "kernel_regularizer": {"type": "L2", "l2": -1.0}}, "kernel_regularizer"),
        ({"type": "Dense", "units": 3, "units_": 4}, "units_"),
        ({"type": "Dense", "units": "3"}, "units"),
        ({"type": "LSTM", "units": 3, "stateful": True}, "stateful"),
        ({"type": "RandomGaussianBlur", "kernel_size": 4}, "kernel_size"),
        ({"type": "EinsumDense", "equation": "a" * 1000, "output_shape": 3}, "equation"),
    ],
    ids=lambda value: value if isinstance(value, str) else value["type"],
)
def test_sizes_and_fields_are_bounded(layer, place):
    assert {mistake["loc"][:3] for mistake in mistakes(layer)} == {("layers", 0, place)}


def test_an_unknown_activation_is_answered_with_what_was_meant():
    [mistake] = mistakes({"type": "Dense", "units": 3, "activation": "rellu"})
    assert mistake["loc"] == ("layers", 0, "activation")
    assert mistake["msg"] == "Unknown activation 'rellu'. Did you mean 'relu'?"


def test_a_mistake_in_the_form_of_keras_is_found_where_it_stands():
    layer = {
        "class_name": "TimeDistributed",
        "config": {"layer": {"class_name": "Dense", "config": {"unit": 3, "activation": "x"}}},
    }
    found = {mistake["loc"]: mistake["type"] for mistake in mistakes(layer)}
    place = ("layers", 0, "config", "layer", "config")
    assert found == {(*place, "units"): "missing", (*place, "unit"): "extra_forbidden", (*place, "activation"): "unknown_name"}


@pytest.mark.parametrize("name", ["Lambda", "TFSMLayer", "TorchModuleWrapper", "StringLookup", "TextVectorization", "Hashing"])
def test_code_files_and_vocabularies_are_no_layers(name):
    assert name not in LAYERS.members


@pytest.mark.parametrize("name", [name for name, cls in LAYERS.members.items() if cls.takes[0] > 1])
def test_a_joining_layer_has_no_place_in_a_row(name):
    required = {"Dot": {"axes": 1}, "MultiHeadAttention": {"num_heads": 2, "key_dim": 3}}
    required["GroupQueryAttention"] = {"head_dim": 3, "num_query_heads": 4, "num_key_value_heads": 2}
    [mistake] = mistakes({"type": name} | required.get(name, {}))
    assert mistake["loc"] == ("layers", 0)
    assert mistake["msg"].startswith(f"{name} joins several inputs")


def test_layers_are_wrapped_in_each_other():
    [layer] = definition(
        {"type": "TimeDistributed", "layer": {"type": "Bidirectional", "layer": {"type": "LSTM", "units": 3}}}
    ).layers
    assert isinstance(layer.layer, Bidirectional)
    assert layer.layer.layer == LSTM(units=3)


@pytest.mark.parametrize(
    ("layer", "reason"),
    [
        ({"type": "TimeDistributed", "layer": "Add"}, "joins several inputs"),
        ({"type": "Bidirectional", "layer": {"type": "Dense", "units": 3}}, "reads no sequence"),
        ({"type": "SpectralNormalization", "layer": "Flatten"}, "has no kernel"),
        (
            {"type": "Bidirectional", "layer": {"type": "LSTM", "units": 3}, "backward_layer": {"type": "LSTM", "units": 3}},
            "the other 'go_backwards'",
        ),
    ],
)
def test_a_wrapper_refuses_what_it_cannot_hold(layer, reason):
    assert reason in mistakes(layer)[0]["msg"]


def test_wrappers_end_somewhere():
    layer: Any = "Flatten"
    for _ in range(30):
        layer = {"type": "TimeDistributed", "layer": layer}
    assert mistakes(layer)[0]["type"] == "wrapped_too_deeply"


def test_a_class_is_described_once_though_layers_hold_layers():
    schema = TypeAdapter(list[Layer]).json_schema()
    assert schema["$defs"]["TimeDistributed"]["properties"]["layer"]["$ref"] == "#/$defs/Layer"
    assert len(schema["$defs"]["Layer"]["anyOf"][1]["oneOf"]) == len(LAYERS.members)
    assert list(schema["$defs"]["Dense"]["properties"])[:2] == ["type", "units"]


def test_gradients_are_clipped_in_one_way():
    with pytest.raises(ValidationError, match="'clipnorm' and 'clipvalue' are given"):
        SGD(clipnorm=1.0, clipvalue=1.0)


def test_losses_say_what_they_want_of_a_target():
    encodings = {name: cls.target_encoding for name, cls in LOSSES.members.items()}
    assert encodings["Hinge"] == encodings["BinaryFocalCrossentropy"] == "binary"
    assert encodings["CategoricalHinge"] == encodings["KLDivergence"] == "one_hot"
    assert encodings["CategoricalGeneralizedCrossEntropy"] == "index"
    assert all(cls.is_classification is (encodings[name] != "number") for name, cls in LOSSES.members.items())


def test_metrics_of_one_name_are_numbered():
    spec = CompileSpec.model_validate({"optimizer": "adam", "loss": "mse", "metrics": ["R2Score", "AUC", "AUC", "LogCoshError"]})
    assert metric_names(spec, ["output"]) == ["r2_score", "auc", "auc_1", "logcosh"]
