"""What Keras would accept in silence although it cannot be meant."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from service.errors import InvalidInput, Problem
from service.features.plan import FeaturePlan


def check_output(output_shape: Sequence[int | None], y: np.ndarray[Any, Any], plan: FeaturePlan) -> None:
    """Raise InvalidInput where the last layer does not fit the target; ``output_shape`` begins with the batch axis."""
    target = plan.target
    assert target is not None, "a fit has a target"
    units = output_shape[-1]
    if target.encoding == "index" and target.classes is not None and (units or 0) < len(target.classes):
        raise _misfit(f"The target has {len(target.classes)} classes", output_shape, f"{len(target.classes)} units")
    if target.encoding != "index" and list(output_shape[1:]) != list(y.shape[1:]):
        raise _misfit(f"The target has shape {list(y.shape[1:])} per row", output_shape, f"an output of {list(y.shape[1:])}")


def _misfit(what: str, output_shape: Sequence[int | None], expected: str) -> InvalidInput:
    received = f"an output of {list(output_shape[1:])}"
    message = f"{what}, but the model has {received}. Expected {expected} in the last layer."
    return InvalidInput(message, [Problem("/definition/layers", message, received, expected)])
