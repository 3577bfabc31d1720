"""Layers that look up what matters in a sequence. Source: https://keras.io/api/layers/attention_layers."""

from typing import Annotated, Any, ClassVar, Literal

from pydantic import Field

from service.spec.constraints import Constraint
from service.spec.initializers import Initializer, Seed
from service.spec.layers.fields import LayerBase, ManyAxes, Rate, Units, Width
from service.spec.regularizers import Regularizer

Heads = Annotated[int, Field(ge=1, le=1024)]
HeadSize = Annotated[int, Field(ge=1, le=16_384)]


class AttentionLayer(LayerBase):
    """What layers have in common that compare a query with every step of a sequence."""

    takes: ClassVar[tuple[int, int]] = (2, 3)
    no_arguments: ClassVar[frozenset[str]] = LayerBase.no_arguments | {"use_causal_mask"}

    dropout: Rate = 0.0
    """Part of the looked-up steps to leave out in training."""
    use_causal_mask: bool = False
    """Whether each step looks only at the steps up to itself, as for a text that is written word by word; in Keras an argument
    of the call."""

    @property
    def call_arguments(self) -> dict[str, Any]:
        """What a call is given beside its inputs."""
        return {"use_causal_mask": True} if self.use_causal_mask else {}


class Attention(AttentionLayer):
    """Mixes the steps of a sequence by how much each is like the query: query times key (Luong's way). Use it to look something
    up without own weights."""

    type: Literal["Attention"] = "Attention"
    use_scale: bool = False
    """Whether to multiply the likeness by a learned factor."""
    score_mode: Literal["dot", "concat"] = "dot"
    """How likeness is measured: `dot` by a product, `concat` by the tanh of a sum."""
    seed: Seed | None = None
    """Fixes the random numbers of this layer alone."""


class AdditiveAttention(AttentionLayer):
    """Mixes the steps of a sequence by how much each is like the query: tanh of query plus key (Bahdanau's way). Use it beside
    recurrent layers."""

    type: Literal["AdditiveAttention"] = "AdditiveAttention"
    use_scale: bool = True
    """Whether to multiply the likeness by learned factors."""


class ProjectedAttention(AttentionLayer):
    """What layers have in common that learn what to compare, several times side by side."""

    joins: ClassVar[Literal["list", "arguments", "initial_state"]] = "arguments"

    use_bias: bool = True
    """Whether learned constants are added."""
    sliding_window: Annotated[int, Field(ge=1, le=1_000_000)] | None = None
    """How near a step must be to be looked at: fewer steps away than this; all of them if left out."""
    flash_attention: Literal[False] | None = None
    """Left out or false: the fast program for GPUs is used where Keras can."""
    kernel_initializer: Initializer | None = None
    """How the weights start; GlorotUniform if left out."""
    bias_initializer: Initializer | None = None
    """How the biases start; Zeros if left out."""
    kernel_regularizer: Regularizer | None = None
    """Penalty on the weights."""
    bias_regularizer: Regularizer | None = None
    """Penalty on the biases."""
    activity_regularizer: Regularizer | None = None
    """Penalty on the layer's output."""
    kernel_constraint: Constraint | None = None
    """What the weights are forced to be after every step."""
    bias_constraint: Constraint | None = None
    """What the biases are forced to be after every step."""
    use_gate: bool = False
    """Whether a learned gate decides how much of each answer passes."""
    seed: Seed | None = None
    """Fixes the random numbers of this layer alone."""


class MultiHeadAttention(ProjectedAttention):
    """Looks up what matters in a sequence in several ways at once. Use it for texts and other sequences: it is the heart of a
    transformer."""

    type: Literal["MultiHeadAttention"] = "MultiHeadAttention"
    num_heads: Heads
    """Number of ways to look."""
    key_dim: HeadSize
    """Length of what is compared in each way."""
    value_dim: HeadSize | None = None
    """Length of what is answered in each way; as `key_dim` if left out."""
    output_shape: Units | Annotated[list[Width], Field(min_length=1, max_length=8)] | None = None
    """Length of the answer for each step; that of the query if left out."""
    attention_axes: ManyAxes | None = None
    """Axes to look along; all between the batch and the features if left out."""


class GroupQueryAttention(ProjectedAttention):
    """Like MultiHeadAttention, but several ways to look share what they look at. Use it where that one takes too many weights."""

    type: Literal["GroupQueryAttention"] = "GroupQueryAttention"
    aliases = ("GroupedQueryAttention",)
    head_dim: HeadSize
    """Length of what is compared in each way."""
    num_query_heads: Heads
    """Number of ways to look."""
    num_key_value_heads: Heads
    """Number of things to look at; `num_query_heads` must be a multiple of it."""
