"""The file ``artifacts.WEIGHTS``, which holds what a model has learnt: a trainer writes it, and whoever reads it needs no Keras.

It is a NumPy ``.npz`` without pickles: one entry per weight, named by ``entry_name``, and the entry ``DOCUMENT``, which is the
JSON of a list of ``LayerSummary`` in the model's order.
"""

import msgspec

WEIGHTS_MEDIA_TYPE = "application/vnd.numpy.npz"
DOCUMENT = "document"


class WeightSummary(msgspec.Struct, frozen=True, kw_only=True):
    """One weight but for its values. The statistics are null where it is empty or not finite throughout."""

    name: str
    """Unique in the layer, e.g. ``kernel``, or ``lstm_cell/kernel`` where a part of the layer owns it."""
    shape: list[int]
    dtype: str
    """As in Keras; NumPy has no bfloat16, so that such a weight is stored as float32, without a loss."""
    count: int
    min: float | None
    max: float | None
    mean: float | None
    std: float | None


class LayerSummary(msgspec.Struct, frozen=True, kw_only=True):
    """One layer, also where it has no weights."""

    name: str
    type: str
    """Name of the Keras class."""
    weights: list[WeightSummary]


def entry_name(layer: str, weight: str) -> str:
    """Where the values of a weight are, e.g. ``layer1/kernel``. Keras allows no slash in the name of a layer."""
    return f"{layer}/{weight}"
