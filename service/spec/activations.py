"""Activation functions by name: how a neuron turns its weighted sum into its output. Source: https://keras.io/api/activations."""

from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field
from pydantic_core import PydanticCustomError
from typing_extensions import TypeAliasType

from service.spec.base import suggest

ActivationName = Literal[
    "celu", "elu", "exponential", "gelu", "glu", "hard_shrink", "hard_sigmoid", "hard_silu", "hard_swish", "hard_tanh",
    "leaky_relu", "linear", "log_sigmoid", "log_softmax", "mish", "relu", "relu6", "selu", "sigmoid", "silu", "soft_shrink",
    "softmax", "softplus", "softsign", "sparse_plus", "sparse_sigmoid", "sparsemax", "squareplus", "swish", "tanh",
    "tanh_shrink",
]  # fmt: skip

ACTIVATIONS: dict[str, str] = {
    "linear": "Leaves the sum as it is; for the last layer where the answer may be any number.",
    "relu": "Turns negative numbers into 0; the usual choice between layers.",
    "sigmoid": "Squeezes any number between 0 and 1; for the last layer of a yes-or-no answer.",
    "softmax": "Makes probabilities that add up to 1; for the last layer where one class of several is right.",
    "tanh": "Squeezes any number between -1 and 1; for memories, and for answers that lie there.",
    "leaky_relu": "Like relu, but lets a fifth of each negative number through; where neurons with relu answer 0 for ever.",
    "elu": "Like relu, but negative numbers bend smoothly towards -1; between layers without normalization.",
    "celu": "The same as elu: they differ only in settings, which a name has not; for definitions that name it.",
    "selu": "Like elu, scaled so that deep stacks keep mean 0 and deviation 1; for Dense layers that start with LecunNormal.",
    "gelu": "Like relu with a smooth corner that dips below 0; the usual choice in transformers.",
    "silu": "A number times its sigmoid, like gelu and cheaper; usual in networks for images.",
    "swish": "Another name for silu; for definitions that use it.",
    "mish": "Like silu, a little smoother; between layers of deep networks for images.",
    "relu6": "Like relu, but nothing above 6; for small devices that calculate with few digits.",
    "softplus": "A smooth relu that is always above 0; for answers that must be positive.",
    "squareplus": "Like softplus and cheaper, built from a root; for answers that must be positive.",
    "sparse_plus": "Like softplus, but exactly 0 below -1; between layers where many answers shall be 0.",
    "exponential": "e to the power of the sum; for the last layer of counts, with the loss Poisson.",
    "softsign": "Like tanh, but slower towards -1 and 1; where tanh stops learning because it has reached its ends.",
    "hard_tanh": "tanh from straight lines: cuts off below -1 and above 1; for small devices.",
    "hard_sigmoid": "sigmoid from straight lines, 0 below -3 and 1 above 3; for small devices.",
    "sparse_sigmoid": "sigmoid from straight lines, 0 below -1 and 1 above 1; for gates that shall open or close fully.",
    "hard_silu": "silu from straight lines; for small devices.",
    "hard_swish": "Another name for hard_silu; for definitions that use it.",
    "log_sigmoid": "The logarithm of sigmoid, never above 0; where answers shall be logarithms of probabilities.",
    "log_softmax": "The logarithm of softmax, never above 0; where answers shall be logarithms of probabilities of classes.",
    "sparsemax": "Like softmax, but gives unlikely classes exactly 0; where a few of many classes may be right.",
    "glu": "Halves the features: one half decides how much of the other passes; for gates in networks of sequences.",
    "soft_shrink": "Brings numbers nearer to 0 by a half, and small ones to 0; for taking noise away.",
    "hard_shrink": "Turns numbers between -0.5 and 0.5 into 0 and leaves the others; for taking noise away.",
    "tanh_shrink": "What tanh takes away: almost 0 for small numbers; for letting only large ones through.",
}
"""What each function does and when to use it, in a sentence, the usual ones first."""


YES_OR_NO = ("sigmoid", "hard_sigmoid", "sparse_sigmoid")
"""Functions that make a probability of each sum by itself."""
ONE_OF_SEVERAL = ("softmax", "sparsemax")
"""Functions that make probabilities which add up to 1."""


def _known(value: Any) -> Any:
    if isinstance(value, str) and value not in ACTIVATIONS:
        message = "Unknown activation '{name}'. {suggestion}"
        context = {"name": value[:80], "suggestion": suggest(value[:80], list(ACTIVATIONS))}
        raise PydanticCustomError("unknown_name", message, context)
    return value


EXPLANATION = "The name of an activation function: how a neuron turns its weighted sum into its output.\n\n" + "\n".join(
    f"- `{name}`: {text}" for name, text in ACTIVATIONS.items()
)
Activation = TypeAliasType("Activation", Annotated[ActivationName, BeforeValidator(_known), Field(description=EXPLANATION)])
"""A type of its own name, so that the JSON schema explains the functions once and refers to it."""
