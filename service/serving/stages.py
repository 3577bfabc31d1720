"""How long each part of a prediction took."""

from dataclasses import dataclass


@dataclass(slots=True)
class Stages:
    """Seconds of the stages of one request; 0 where one was not reached."""

    decode: float = 0.0
    """From bytes to values."""
    encode: float = 0.0
    """From values to the tensors that the model takes."""
    queue: float = 0.0
    """Waiting for a thread, or for a batch."""
    compute: float = 0.0
    """In the engine; of a batch, the whole batch's time."""
    write: float = 0.0
    """From the engine's outputs to bytes."""
    rows: int = 0
    """Rows of the request."""
    batch_rows: int = 0
    """Rows that the engine saw at once: those of the request, or those of a batch of several."""
