"""What arithmetic says of a layer, against the real Keras."""

from typing import Any, cast

import keras
import pytest

from service.spec.layers import LAYERS, LayerBase
from service.spec.sizes import RULES, UNCHANGED, UNKNOWN, DoesNotFit, Row, Size, Weight, at_least, size_of

IMAGE, SERIES, VOLUME, FLAT = (11, 9, 4), (12, 6), (7, 8, 9, 2), (10,)
CASES: list[tuple[str, tuple[int | None, ...], dict[str, Any]]] = [
    ("Dense", FLAT, {"units": 3}),
    ("Dense", SERIES, {"units": 3, "use_bias": False}),
    ("Embedding", FLAT, {"input_dim": 50, "output_dim": 8}),
    ("Flatten", IMAGE, {}),
    ("RepeatVector", FLAT, {"n": 5}),
    ("Reshape", FLAT, {"target_shape": (5, 2)}),
    ("BatchNormalization", IMAGE, {}),
    ("BatchNormalization", FLAT, {"center": False}),
    ("LayerNormalization", SERIES, {"scale": False}),
    ("Normalization", SERIES, {}),
    ("Normalization", IMAGE, {"axis": [3, 1]}),
    ("Normalization", IMAGE, {"axis": None}),
    ("Normalization", FLAT, {"mean": 1.0, "variance": 2.0}),
    ("SimpleRNN", SERIES, {"units": 4}),
    ("GRU", SERIES, {"units": 4, "return_sequences": True}),
    ("GRU", SERIES, {"units": 4, "reset_after": False}),
    ("LSTM", SERIES, {"units": 4, "use_bias": False}),
    ("LSTM", (None, 6), {"units": 4, "return_sequences": True}),
    ("Conv1D", SERIES, {"filters": 5, "kernel_size": 3, "strides": 2}),
    ("Conv1D", SERIES, {"filters": 5, "kernel_size": 3, "padding": "causal"}),
    ("Conv2D", IMAGE, {"filters": 6, "kernel_size": (3, 5), "strides": (2, 1), "padding": "same"}),
    ("Conv2D", IMAGE, {"filters": 6, "kernel_size": 3, "dilation_rate": 2, "groups": 2}),
    ("Conv2D", (None, None, 3), {"filters": 6, "kernel_size": 3, "use_bias": False}),
    ("Conv3D", VOLUME, {"filters": 2, "kernel_size": 2}),
    ("BatchNormalization", IMAGE, {"axis": 3}),
    ("DepthwiseConv1D", SERIES, {"kernel_size": 3, "depth_multiplier": 2}),
    ("DepthwiseConv2D", IMAGE, {"kernel_size": (2, 3), "padding": "same", "use_bias": False}),
    ("SeparableConv1D", SERIES, {"filters": 5, "kernel_size": 3, "strides": 2}),
    ("SeparableConv2D", IMAGE, {"filters": 5, "kernel_size": 3, "depth_multiplier": 3, "use_bias": False}),
    ("ZeroPadding1D", SERIES, {"padding": [1, 2]}),
    ("ZeroPadding2D", IMAGE, {}),
    ("ZeroPadding2D", IMAGE, {"padding": [2, 3]}),
    ("ZeroPadding2D", IMAGE, {"padding": [[0, 1], [2, 0]]}),
    ("ZeroPadding3D", VOLUME, {}),
    ("Cropping1D", SERIES, {}),
    ("Cropping2D", IMAGE, {"cropping": 1}),
    ("Cropping2D", IMAGE, {"cropping": [[1, 0], [2, 3]]}),
    ("Cropping3D", VOLUME, {"cropping": [1, 2, 1]}),
    ("MaxPooling1D", SERIES, {"pool_size": 5}),
    ("MaxPooling2D", IMAGE, {"pool_size": 2, "strides": 1}),
    ("MaxPooling2D", IMAGE, {"pool_size": (3, 2), "padding": "same"}),
    ("MaxPooling3D", VOLUME, {}),
    ("AveragePooling1D", SERIES, {"pool_size": 2}),
    ("AveragePooling2D", IMAGE, {"pool_size": 2}),
    ("AveragePooling3D", VOLUME, {"pool_size": 2}),
    *((f"GlobalMaxPooling{axes}D", shape, {}) for axes, shape in enumerate((SERIES, IMAGE, VOLUME), 1)),
    *((f"GlobalAveragePooling{axes}D", shape, {}) for axes, shape in enumerate((SERIES, IMAGE, VOLUME), 1)),
    ("GlobalMaxPooling2D", IMAGE, {"keepdims": True}),
    ("UpSampling1D", SERIES, {"size": 100_000}),
    ("UpSampling2D", IMAGE, {"size": (3, 100_000)}),
    ("UpSampling3D", VOLUME, {}),
    ("Activation", FLAT, {"activation": "relu"}),
    ("ActivityRegularization", FLAT, {}),
    ("Rescaling", IMAGE, {"scale": 0.1}),
    ("GaussianNoise", FLAT, {"stddev": 0.1}),
    *((name, FLAT, {"rate": 0.5}) for name in ("Dropout", "AlphaDropout", "GaussianDropout")),
    *((f"SpatialDropout{axes}D", shape, {"rate": 0.5}) for axes, shape in enumerate((SERIES, IMAGE, VOLUME), 1)),
    *((name, SERIES, {}) for name in ("ELU", "Identity", "LeakyReLU", "Masking", "ReLU", "Softmax", "UnitNormalization")),
    *((name, IMAGE, {"factor": 0.1}) for name in ("RandomBrightness", "RandomContrast", "RandomRotation")),
    *((name, IMAGE, {"height_factor": 0.1, "width_factor": 0.1}) for name in ("RandomTranslation", "RandomZoom")),
    ("RandomFlip", IMAGE, {}),
]  # fmt: skip


def described(layer_type: str, arguments: dict[str, Any]) -> LayerBase:
    """The layer as the catalogue describes it, whatever the bounds of its arguments are."""
    layer_class = LAYERS.members[layer_type]
    return cast(LayerBase, layer_class.model_construct(**arguments))


@pytest.mark.parametrize(("layer_type", "shape", "arguments"), CASES, ids=lambda value: value if isinstance(value, str) else "")
def test_it_says_what_keras_says(layer_type: str, shape: tuple[int | None, ...], arguments: dict[str, Any]) -> None:
    layer = getattr(keras.layers, layer_type)(**arguments)
    with keras.StatelessScope(initialize_variables=False):
        output = layer(keras.Input(shape))
    keras.utils.clear_session()

    size = size_of(described(layer_type, arguments), Row(shape, is_whole=True))

    assert size.output == Row(tuple(output.shape[1:]), is_whole=True)
    assert size.weights == tuple(Weight(weight.name, tuple(weight.shape), weight.trainable) for weight in layer.weights)


def test_every_rule_is_compared_with_keras() -> None:
    assert {name for name, _, _ in CASES} == set(RULES) | UNCHANGED


def test_what_is_known_without_the_data_is_said() -> None:
    first = size_of(described("Dense", {"units": 25}), UNKNOWN)
    second = size_of(described("Dense", {"units": 15}), first.output)

    assert first.weights == (Weight("kernel", (None, 25)), Weight("bias", (25,)))
    assert second.weights == (Weight("kernel", (25, 15)), Weight("bias", (15,)))


@pytest.mark.parametrize(("layer_type", "shape", "arguments"), CASES, ids=lambda value: value if isinstance(value, str) else "")
def test_less_knowledge_never_counts_more(layer_type: str, shape: tuple[int | None, ...], arguments: dict[str, Any]) -> None:
    layer = described(layer_type, arguments)
    known = size_of(layer, Row(shape, is_whole=True))

    for row in (UNKNOWN, Row(shape[-1:])):
        guess = size_of(layer, row)
        assert _parameters(guess) <= _parameters(known)
        assert at_least(guess.output.dims) <= at_least(known.output.dims)


def _parameters(size: Size) -> int:
    return sum(at_least(weight.shape) for weight in size.weights or ())


@pytest.mark.parametrize(
    ("layer_type", "shape", "arguments", "message"),
    [
        ("Conv2D", (4, 4, 1), {"filters": 1, "kernel_size": 5}, "window of 5, which is larger than its input of 4"),
        ("Conv2D", (6, 6, 1), {"filters": 1, "kernel_size": 3, "dilation_rate": 3}, "window of 7"),
        ("MaxPooling2D", (4, 1, 1), {}, "window of 2"),
        ("Conv2D", (16,), {"filters": 1, "kernel_size": 3}, "3 axes, .height, width, channels."),
        ("LSTM", (16,), {"units": 1}, "2 axes, .steps, features."),
        ("RepeatVector", (4, 4), {"n": 2}, "1 axes, .features."),
    ],
)
def test_what_does_not_fit_is_refused(layer_type: str, shape: tuple[int, ...], arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(DoesNotFit, match=message):
        size_of(described(layer_type, arguments), Row(shape, is_whole=True))
