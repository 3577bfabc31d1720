"""Layers that read sequences step by step. Source: https://keras.io/api/layers/recurrent_layers."""

from typing import Annotated, ClassVar, Literal

from pydantic import Field

from service.spec.activations import Activation
from service.spec.base import KerasObject, ObjectName
from service.spec.constraints import Constraint
from service.spec.family import Family
from service.spec.initializers import Initializer, Seed
from service.spec.layers.fields import (
    ChannelsLast,
    LayerBase,
    Padding,
    Pair,
    Rate,
    Single,
    Triple,
    Width,
)
from service.spec.regularizers import Regularizer

MemorySize = Annotated[int, Field(ge=1, le=16_384)]


class Recurrence(KerasObject):
    """What memories have in common: weights for the input, weights for the memory itself, and biases."""

    activation: Activation | None = "tanh"
    """Function applied to the memory."""
    use_bias: bool = True
    """Whether a learned constant is added to each sum."""
    kernel_initializer: Initializer | None = None
    """How the input weights start; GlorotUniform if left out."""
    recurrent_initializer: Initializer | None = None
    """How the memory's weights start; Orthogonal if left out."""
    bias_initializer: Initializer | None = None
    """How the biases start; Zeros if left out."""
    kernel_regularizer: Regularizer | None = None
    """Penalty on the input weights."""
    recurrent_regularizer: Regularizer | None = None
    """Penalty on the memory's weights."""
    bias_regularizer: Regularizer | None = None
    """Penalty on the biases."""
    kernel_constraint: Constraint | None = None
    """What the input weights are forced to be after every step."""
    recurrent_constraint: Constraint | None = None
    """What the memory's weights are forced to be after every step."""
    bias_constraint: Constraint | None = None
    """What the biases are forced to be after every step."""
    dropout: Rate = 0.0
    """Part of the inputs to set to 0 in training."""
    recurrent_dropout: Rate = 0.0
    """Part of the memory to set to 0 in training."""
    seed: Seed | None = None
    """Fixes the random numbers of this layer alone."""


class GatedRecurrence(Recurrence):
    recurrent_activation: Activation | None = "sigmoid"
    """Function of the gates that decide what to keep."""


class LongRecurrence(GatedRecurrence):
    unit_forget_bias: bool = True
    """Whether the forget gate's bias starts at 1, so that a new model remembers."""


class ResettingRecurrence(GatedRecurrence):
    reset_after: bool = True
    """Whether the memory is forgotten after it was multiplied by its weights, instead of before."""


class SequenceLayer(LayerBase):
    """What layers that read sequences have in common."""

    joins: ClassVar[Literal["list", "arguments", "initial_state"]] = "initial_state"

    return_sequences: bool = False
    """Whether to answer after every step, instead of once at the end."""
    go_backwards: bool = False
    """Whether to read the sequence from its end."""
    return_state: bool = False
    """Whether its memory at the end is a further output, or two of an LSTM: for models with `inputs`, where another layer may
    begin with it."""
    stateful: Literal[False] = False
    """Always false: every batch begins with an empty memory."""

    @property
    def states(self) -> int:
        """Number of arrays that the memory consists of."""
        return 1

    @property
    def input_counts(self) -> tuple[int, int]:
        """A sequence alone, or the memory to begin with, too."""
        return 1, 1 + self.states

    @property
    def output_count(self) -> int:
        """The answer, and the memory where that is asked for."""
        return 1 + self.states if self.return_state else 1


class RecurrentLayer(SequenceLayer, Recurrence):
    units: MemorySize
    """Size of the memory, which is also the number of outputs."""
    activity_regularizer: Regularizer | None = None
    """Penalty on the layer's output."""
    unroll: Literal[False] = False
    """Always false: the steps are a loop, which long sequences need."""


class SimpleRNN(RecurrentLayer):
    """Reads a sequence step by step with a simple memory. Use it for short sequences and to learn how memories work: only the
    last few steps count much."""

    type: Literal["SimpleRNN"] = "SimpleRNN"


class LSTM(RecurrentLayer, LongRecurrence):
    """Reads a sequence step by step and remembers what matters (long short-term memory). Use it for time series and texts of up
    to some hundred steps."""

    type: Literal["LSTM"] = "LSTM"
    use_cudnn: Literal["auto"] | bool = "auto"
    """Whether to use NVIDIA's own program on a GPU; `auto` does where it can."""

    @property
    def states(self) -> int:
        """What it answers, and what it remembers."""
        return 2


class GRU(RecurrentLayer, ResettingRecurrence):
    """Like LSTM with fewer weights (gated recurrent unit). Use it for time series and texts where LSTM is too slow, or data is
    scarce."""

    type: Literal["GRU"] = "GRU"
    use_cudnn: Literal["auto"] | bool = "auto"
    """Whether to use NVIDIA's own program on a GPU; `auto` does where it can."""


class ConvolutionalRecurrence(SequenceLayer, LongRecurrence):
    filters: Width
    """Number of patterns, which is also the number of output channels."""
    activity_regularizer: Regularizer | None = None
    """Penalty on the layer's output."""
    padding: Padding = "valid"
    """`valid` keeps inside each frame, `same` pads it so that the size stays."""
    data_format: ChannelsLast | None = None
    """Where the channels stand: behind all other axes, always."""

    @property
    def states(self) -> int:
        """What it answers, and what it remembers."""
        return 2


class ConvLSTM1D(ConvolutionalRecurrence):
    """An LSTM whose steps are rows of numbers, read by filters. Use it for readings along a line over time."""

    type: Literal["ConvLSTM1D"] = "ConvLSTM1D"
    kernel_size: Single
    """Length of a filter."""
    strides: Single = 1
    """Step of the filter."""
    dilation_rate: Single = 1
    """Spacing between the places that a filter looks at."""


class ConvLSTM2D(ConvolutionalRecurrence):
    """An LSTM whose steps are images, read by filters. Use it for films and weather maps."""

    type: Literal["ConvLSTM2D"] = "ConvLSTM2D"
    kernel_size: Pair
    """Height and width of a filter in pixels; one number stands for both."""
    strides: Pair = 1
    """Step of the filter in pixels."""
    dilation_rate: Pair = 1
    """Spacing between the pixels that a filter looks at."""


class ConvLSTM3D(ConvolutionalRecurrence):
    """An LSTM whose steps are volumes, read by filters. Use it for scans over time."""

    type: Literal["ConvLSTM3D"] = "ConvLSTM3D"
    kernel_size: Triple
    """Sizes of a filter along the three axes; one number stands for all."""
    strides: Triple = 1
    """Step of the filter."""
    dilation_rate: Triple = 1
    """Spacing between the points that a filter looks at."""


class CellBase(KerasObject):
    namespace: ClassVar[str] = "keras.layers"

    name: ObjectName | None = None
    """Name of the cell; Keras makes one up if you leave it out."""
    trainable: bool = True
    """Whether `fit` may change the weights of this cell."""

    @property
    def states(self) -> int:
        """Number of arrays that the memory consists of."""
        return 1


CELLS = Family("Cell", CellBase, "The memory of an RNN layer: what it does at each step of a sequence.")
Cell = Annotated[CellBase, CELLS]


class SimpleRNNCell(CellBase, Recurrence):
    """One step of a SimpleRNN. Use it in an RNN or StackedRNNCells; alone, SimpleRNN does the same."""

    type: Literal["SimpleRNNCell"] = "SimpleRNNCell"
    units: MemorySize
    """Size of the memory, which is also the number of outputs."""


class LSTMCell(CellBase, LongRecurrence):
    """One step of an LSTM. Use it in an RNN or StackedRNNCells; alone, LSTM does the same and is faster."""

    type: Literal["LSTMCell"] = "LSTMCell"
    units: MemorySize
    """Size of the memory, which is also the number of outputs."""

    @property
    def states(self) -> int:
        """What it answers, and what it remembers."""
        return 2


class GRUCell(CellBase, ResettingRecurrence):
    """One step of a GRU. Use it in an RNN or StackedRNNCells; alone, GRU does the same and is faster."""

    type: Literal["GRUCell"] = "GRUCell"
    units: MemorySize
    """Size of the memory, which is also the number of outputs."""


class StackedRNNCells(CellBase):
    """Several memories on top of each other that work as one. Use it in an RNN for deep memories."""

    type: Literal["StackedRNNCells"] = "StackedRNNCells"
    cells: Annotated[list[Cell], Field(min_length=1, max_length=32)]
    """The memories, each fed by the one before it."""

    @property
    def states(self) -> int:
        """The arrays of all of them."""
        return sum(cell.states for cell in self.cells)


class RNN(SequenceLayer):
    """Reads a sequence step by step with a memory of your choice, or several on top of each other. Use it where LSTM, GRU and
    SimpleRNN do not do."""

    type: Literal["RNN"] = "RNN"
    cell: Cell | Annotated[list[Cell], Field(min_length=1, max_length=32)]
    """The memory; a list stacks several."""
    unroll: Literal[False] = False
    """Always false: the steps are a loop, which long sequences need."""
    zero_output_for_mask: bool = False
    """Whether steps that are skipped answer 0, instead of the answer before them."""

    @property
    def states(self) -> int:
        """The arrays of all cells."""
        return sum(cell.states for cell in (self.cell if isinstance(self.cell, list) else [self.cell]))
