"""How large a layer's output and weights are, by arithmetic alone: nothing is allocated, and no Keras is needed.

Rules are found by the name of the Keras class. A layer without one passes on that nothing is known of its output.
Source of the formulas: https://keras.io/api/layers.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

from service.spec.base import KerasObject
from service.spec.graph import Step
from service.spec.layers.models import NestedModel


@dataclass(frozen=True)
class Row:
    """The shape of one row, without the batch axis; None is a free length."""

    dims: tuple[int | None, ...] = ()
    is_whole: bool = False
    """Whether there are no further axes in front of ``dims``; a Row of nothing that is not whole is not known at all."""

    @property
    def last(self) -> int | None:
        """Length of the last axis, where it is known."""
        return self.dims[-1] if self.dims else None

    def replace_last(self, length: int | None) -> "Row":
        """The same shape with another last axis."""
        return Row((*self.dims[:-1], length), self.is_whole)


UNKNOWN = Row()


@dataclass(frozen=True)
class Weight:
    """One array of weights; None in its shape is a length that only the data tells."""

    name: str
    shape: tuple[int | None, ...]
    is_trained: bool = True
    """Whether ``fit`` changes it."""


@dataclass(frozen=True)
class Size:
    """What comes out of a layer, and its weights; None where there is no rule for it."""

    output: Row
    weights: tuple[Weight, ...] | None = ()
    further: tuple[Row, ...] = ()
    """Further outputs."""
    inner: int = 0
    """Numbers that a row makes inside the layer, beside its outputs."""

    @property
    def outputs(self) -> tuple[Row, ...]:
        """All that comes out."""
        return self.output, *self.further

    @property
    def numbers(self) -> int:
        """Numbers that a row makes; a length that is not known counts as 1."""
        return self.inner + sum(at_least(row.dims) for row in self.outputs)


class DoesNotFit(Exception):
    """The layer cannot take this input."""

    def __init__(self, message: str, received: Row, expected: str, fix: str) -> None:
        super().__init__(message)
        self.message = message
        self.received = str(received.dims)
        self.expected = expected
        self.fix = fix


def size_of(layer: KerasObject, *rows: Row) -> Size:
    """The size of a layer that is fed rows of these shapes, one for each of its inputs. Raises DoesNotFit."""
    if layer.type in UNCHANGED:
        return Size(rows[0])
    if isinstance(layer, NestedModel):
        return _model(layer, rows)
    if layer.type in JOINING:
        return JOINING[layer.type](layer, rows)
    rule = RULES.get(layer.type)
    if rule is None or getattr(layer, "data_format", None) == "channels_first":
        return Size(UNKNOWN, None, (UNKNOWN,) * (getattr(layer, "output_count", 1) - 1))
    return rule(layer, rows[0])


def _model(model: Any, rows: Sequence[Row]) -> Size:
    """All weights of a model in place of a layer, each with the name of its layer."""
    weights: dict[int, tuple[Weight, ...] | None] = {}
    numbers = 0

    def compute(step: Step, inbound: list[Row]) -> tuple[Row, ...]:
        nonlocal numbers
        size = size_of(step.layer, *inbound)
        numbers += size.numbers
        weights.setdefault(step.place, size.weights if step.layer.trainable else frozen(size.weights))
        return size.outputs

    output, *further = model.graph.follow(_inner_inputs(model, rows), compute)
    found = weights.values()
    known = None if None in found else tuple(weight for entry in found for weight in entry or ())
    return Size(output, known, tuple(further), numbers - sum(at_least(row.dims) for row in (output, *further)))


def _inner_inputs(model: Any, rows: Sequence[Row]) -> list[Row]:
    shapes = [entry.shape for entry in model.inputs] if hasattr(model, "inputs") else [model.input_shape]
    for shape, row in zip(shapes, rows, strict=True):
        if shape is not None and row.is_whole and not agree(shape, row.dims):
            message = f"The model '{model.name or model.type}' takes rows of shape {shape}. Received rows of shape {row.dims}."
            raise DoesNotFit(message, row, str(shape), "Correct the shape, or what goes in.")
    return [row if shape is None else Row(tuple(shape), is_whole=True) for shape, row in zip(shapes, rows, strict=True)]


def frozen(weights: tuple[Weight, ...] | None) -> tuple[Weight, ...] | None:
    """The same weights, none of which is trained."""
    return None if weights is None else tuple(replace(weight, is_trained=False) for weight in weights)


def _merge(layer: Any, rows: Sequence[Row]) -> Size:
    """Number by number; an axis of 1 is repeated, as in NumPy."""
    if not all(row.is_whole for row in rows):
        return Size(UNKNOWN)
    if len({len(row.dims) for row in rows}) > 1:
        return Size(UNKNOWN)  # Keras adds axes, by rules of its own
    merged = []
    for lengths in zip(*(row.dims for row in rows), strict=True):
        known = {length for length in lengths if length not in (None, 1)}
        if len(known) > 1:
            raise _no_match(layer, rows, "the same shape for all", "Give the layers before it the same size.")
        merged.append(known.pop() if known else None if None in lengths else 1)
    return Size(Row(tuple(merged), is_whole=True))


def _concatenate(layer: Any, rows: Sequence[Row]) -> Size:
    if not all(row.is_whole for row in rows) or len({len(row.dims) for row in rows}) > 1:
        return Size(UNKNOWN)
    axes = len(rows[0].dims)
    axis = layer.axis - 1 if layer.axis > 0 else axes + layer.axis
    if not 0 <= axis < axes:
        return Size(UNKNOWN)
    joined: list[int | None] = []
    for place, lengths in enumerate(zip(*(row.dims for row in rows), strict=True)):
        known = {length for length in lengths if length is not None}
        if place == axis:
            joined.append(None if None in lengths else sum(length or 0 for length in lengths))
        elif len(known) > 1:
            raise _no_match(layer, rows, f"the same shape but for axis {layer.axis}", "Check the layers before it, or 'axis'.")
        else:
            joined.append(known.pop() if known else None)
    return Size(Row(tuple(joined), is_whole=True))


def _no_match(layer: Any, rows: Sequence[Row], expected: str, fix: str) -> DoesNotFit:
    shapes = " and ".join(str(row.dims) for row in rows[:4])
    message = f"{layer.type} cannot join rows of the shapes {shapes}."
    error = DoesNotFit(message, rows[0], expected, fix)
    error.received = shapes
    return error


def agree(wanted: Sequence[int | None], given: Sequence[int | None]) -> bool:
    """Whether rows of the shape ``given`` may come where ``wanted`` is asked for; None stands for any length."""
    return len(wanted) == len(given) and all(a in (None, b) for a, b in zip(wanted, given, strict=True))


def at_least(shape: Sequence[int | None]) -> int:
    """Number of values in an array of this shape; an unknown length counts as 1."""
    return math.prod(1 if length is None else length for length in shape)


def _dense(layer: Any, row: Row) -> Size:
    bias = [Weight("bias", (layer.units,))] if layer.use_bias else []
    return Size(row.replace_last(layer.units), (Weight("kernel", (row.last, layer.units)), *bias))


def _embedding(layer: Any, row: Row) -> Size:
    output = Row((*row.dims, layer.output_dim), row.is_whole)
    return Size(output, (Weight("embeddings", (layer.input_dim, layer.output_dim)),))


def _convolution(axes: int) -> Callable[[Any, Row], Size]:
    def rule(layer: Any, row: Row) -> Size:
        _expect_axes(layer, row, axes + 1)
        channels = None if row.last is None else row.last // layer.groups
        kernel = Weight("kernel", (*_per_axis(layer.kernel_size, axes), channels, layer.filters))
        bias = [Weight("bias", (layer.filters,))] if layer.use_bias else []
        steps = _windows(layer, row, layer.kernel_size, layer.strides, layer.dilation_rate)
        return Size(Row((*steps, layer.filters), row.is_whole), (kernel, *bias))

    return rule


def _depthwise(axes: int) -> Callable[[Any, Row], Size]:
    """Filters that look at one channel each; of a separable layer those that mix the channels come behind."""

    def rule(layer: Any, row: Row) -> Size:
        _expect_axes(layer, row, axes + 1)
        steps = _windows(layer, row, layer.kernel_size, layer.strides, layer.dilation_rate)
        made = None if row.last is None else row.last * layer.depth_multiplier
        side = _per_axis(layer.kernel_size, axes)
        is_separable = layer.type.startswith("Separable")
        channels = layer.filters if is_separable else made
        weights = [Weight("depthwise_kernel" if is_separable else "kernel", (*side, row.last, layer.depth_multiplier))]
        if is_separable:
            weights.append(Weight("pointwise_kernel", (*(1 for _ in side), made, layer.filters)))
        if layer.use_bias:
            weights.append(Weight("bias", (channels,)))
        return Size(Row((*steps, channels), row.is_whole), tuple(weights))

    return rule


def _margins(axes: int, name: str, sign: int) -> Callable[[Any, Row], Size]:
    """What is added to both ends of each axis but the last, or cut off."""

    def rule(layer: Any, row: Row) -> Size:
        _expect_axes(layer, row, axes + 1)
        if not row.is_whole:
            return Size(UNKNOWN)
        value = getattr(layer, name)
        ends = [value] * axes if isinstance(value, int) or axes == 1 else value
        sums = [sign * (2 * margin if isinstance(margin, int) else sum(margin)) for margin in ends]
        lengths = [None if length is None else length + more for length, more in zip(row.dims[:-1], sums, strict=True)]
        if any(length is not None and length < 1 for length in lengths):
            message = f"{layer.type} leaves nothing of its input of shape {row.dims}."
            raise DoesNotFit(message, row, "something left along each axis", f"Use a smaller {name}.")
        return Size(Row((*lengths, row.last), is_whole=True))

    return rule


def _pooling(axes: int) -> Callable[[Any, Row], Size]:
    def rule(layer: Any, row: Row) -> Size:
        _expect_axes(layer, row, axes + 1)
        steps = _windows(layer, row, layer.pool_size, layer.strides or layer.pool_size, 1)
        return Size(Row((*steps, row.last), row.is_whole))

    return rule


def _windows(layer: Any, row: Row, window: Any, strides: Any, dilation: Any) -> list[int | None]:
    """How often a window fits along each axis but the last; nothing where the axes are not known."""
    if not row.is_whole:
        return []
    lengths = row.dims[:-1]
    axes = len(lengths)
    found: list[int | None] = []
    for length, side, stride, spacing in zip(
        lengths, _per_axis(window, axes), _per_axis(strides, axes), _per_axis(dilation, axes), strict=True
    ):
        reach = spacing * (side - 1) + 1
        if length is None:
            found.append(None)
        elif layer.padding == "valid" and reach > length:
            message = f"{layer.type} has a window of {reach}, which is larger than its input of {length}."
            raise DoesNotFit(message, row, f"at least {reach} along each axis", "Use a smaller window, or padding 'same'.")
        else:
            found.append((length - reach) // stride + 1 if layer.padding == "valid" else -(-length // stride))
    return found


def _global_pooling(axes: int) -> Callable[[Any, Row], Size]:
    def rule(layer: Any, row: Row) -> Size:
        _expect_axes(layer, row, axes + 1)
        kept = tuple(1 for _ in row.dims[:-1]) if layer.keepdims else ()
        return Size(Row((*kept, row.last), row.is_whole))

    return rule


def _flatten(layer: Any, row: Row) -> Size:
    if not row.is_whole or None in row.dims:
        return Size(Row((None,), is_whole=True))
    return Size(Row((at_least(row.dims),), is_whole=True))


def _repeat(layer: Any, row: Row) -> Size:
    _expect_axes(layer, row, 1)
    return Size(Row((layer.n, row.last), is_whole=True))


def _upsampling(axes: int) -> Callable[[Any, Row], Size]:
    def rule(layer: Any, row: Row) -> Size:
        _expect_axes(layer, row, axes + 1)
        lengths = row.dims[:-1] if row.is_whole else ()
        factors = _per_axis(layer.size, axes)[: len(lengths)]
        steps = [None if length is None else length * factor for length, factor in zip(lengths, factors, strict=True)]
        return Size(Row((*steps, row.last), row.is_whole))

    return rule


def _reshape(layer: Any, row: Row) -> Size:
    rest = math.prod(length for length in layer.target_shape if length != -1)
    free = at_least(row.dims) // rest if row.is_whole and None not in row.dims else None
    return Size(Row(tuple(free if length == -1 else length for length in layer.target_shape), is_whole=True))


def _normalisation(*names: str) -> Callable[[Any, Row], Size]:
    """Layers with a few numbers per feature; an axis other than the last has no rule."""

    def rule(layer: Any, row: Row) -> Size:
        last = (-1, len(row.dims)) if row.is_whole else (-1,)
        axis = layer.axis[0] if isinstance(layer.axis, list) and len(layer.axis) == 1 else layer.axis
        if axis not in last or getattr(layer, "renorm", False):
            return Size(row, None)
        wanted = [name for name in names if {"gamma": layer.scale, "beta": layer.center}.get(name, True)]
        return Size(row, tuple(Weight(name, (row.last,), not name.startswith("moving_")) for name in wanted))

    return rule


def _measured(layer: Any, row: Row) -> Size:
    """A Normalization: what it measures it keeps as weights, what it is given it does not."""
    if not layer.is_adapted:
        return Size(row)
    wanted = layer.axis if isinstance(layer.axis, list) else [] if layer.axis is None else [layer.axis]
    shape: tuple[int | None, ...] = (row.last,)
    if wanted != [-1]:
        axes = len(row.dims) + 1
        kept = sorted(axis + axes if axis < 0 else axis for axis in wanted)
        if not row.is_whole or not all(0 < axis < axes for axis in kept):
            return Size(row, None)
        shape = tuple(row.dims[axis - 1] for axis in kept)
    weights = (Weight("mean", shape), Weight("variance", shape), Weight("count", ()))
    return Size(row, frozen(weights))


def _recurrent(gates: int) -> Callable[[Any, Row], Size]:
    def rule(layer: Any, row: Row) -> Size:
        _expect_axes(layer, row, 2)
        columns = gates * layer.units
        weights = [Weight("kernel", (row.last, columns)), Weight("recurrent_kernel", (layer.units, columns))]
        if layer.use_bias:
            weights.append(Weight("bias", (2, columns) if getattr(layer, "reset_after", False) else (columns,)))
        steps = row.dims[:1] if row.is_whole else (None,)
        answer = Row((*(steps if layer.return_sequences else ()), layer.units), is_whole=True)
        memory = Row((layer.units,), is_whole=True)
        return Size(answer, tuple(weights), (memory,) * (layer.output_count - 1))

    return rule


def _expect_axes(layer: KerasObject, row: Row, axes: int) -> None:
    if not row.is_whole or len(row.dims) == axes:
        return
    names = {1: "(features)", 2: "(steps, features)", 3: "(height, width, channels)", 4: "(depth, height, width, channels)"}
    message = f"{layer.type} takes rows with {axes} axes, {names[axes]}. Received rows of shape {row.dims}."
    fix = "Check the order of the layers and the input shape."
    if len(row.dims) > axes:
        fix = "Put a Flatten before it, or check the order of the layers and the input shape."
    raise DoesNotFit(message, row, f"{axes} axes", fix)


def _per_axis(value: Any, axes: int) -> tuple[int, ...]:
    """One number stands for all axes."""
    return tuple(value) if isinstance(value, list | tuple) else (value,) * axes


RULES: dict[str, Callable[[Any, Row], Size]] = {
    "Dense": _dense,
    "Embedding": _embedding,
    "Flatten": _flatten,
    "RepeatVector": _repeat,
    "Reshape": _reshape,
    "BatchNormalization": _normalisation("gamma", "beta", "moving_mean", "moving_variance"),
    "LayerNormalization": _normalisation("gamma", "beta"),
    "Normalization": _measured,
    "SimpleRNN": _recurrent(1),
    "GRU": _recurrent(3),
    "LSTM": _recurrent(4),
    **{f"Conv{axes}D": _convolution(axes) for axes in (1, 2, 3)},
    **{f"{kind}Conv{axes}D": _depthwise(axes) for axes in (1, 2) for kind in ("Depthwise", "Separable")},
    **{f"ZeroPadding{axes}D": _margins(axes, "padding", 1) for axes in (1, 2, 3)},
    **{f"Cropping{axes}D": _margins(axes, "cropping", -1) for axes in (1, 2, 3)},
    **{f"{kind}Pooling{axes}D": _pooling(axes) for axes in (1, 2, 3) for kind in ("Max", "Average")},
    **{f"Global{kind}Pooling{axes}D": _global_pooling(axes) for axes in (1, 2, 3) for kind in ("Max", "Average")},
    **{f"UpSampling{axes}D": _upsampling(axes) for axes in (1, 2, 3)},
}

JOINING: dict[str, Callable[[Any, Sequence[Row]], Size]] = {
    **dict.fromkeys(("Add", "Subtract", "Multiply", "Average", "Maximum", "Minimum"), _merge),
    "Concatenate": _concatenate,
}

UNCHANGED = frozenset({
    "Activation", "ActivityRegularization", "AlphaDropout", "Dropout", "ELU", "GaussianDropout", "GaussianNoise", "Identity",
    "LeakyReLU", "Masking", "RandomBrightness", "RandomContrast", "RandomFlip", "RandomRotation", "RandomTranslation",
    "RandomZoom", "ReLU", "Rescaling", "Softmax", "SpatialDropout1D", "SpatialDropout2D", "SpatialDropout3D",
    "UnitNormalization",
})  # fmt: skip
"""Layers without weights whose output has the shape of their input."""
