"""How Keras takes inputs and outputs: a single one as it is, several as a list. Knows no Keras."""

from collections.abc import Sequence
from typing import Any


def one_or_list(values: Sequence[Any]) -> Any:
    """What stands for a single input or output, or for several."""
    return values[0] if len(values) == 1 else list(values)


def as_list(value: Any) -> list[Any]:
    """The way back."""
    return list(value) if isinstance(value, list | tuple) else [value]
