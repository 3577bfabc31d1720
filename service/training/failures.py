"""Turns what can go wrong in a job into a failure that its owner understands."""

import re

import tensorflow as tf

from service.errors import InvalidInput
from service.infra.disk import is_full_disk
from service.spec.frames import Failed, FailureType

MAX_MESSAGE_CHARACTERS = 500
NOISE = re.compile(
    r"^\s*$|^Graph execution error|^Detected at node|^\s*File \"|^\s*<stack|\[\[\{\{node|^Original stack|^Stack trace"
)
HOST_PATH = re.compile(r"(?<![\w.])(?:/[\w.\-+]+){2,}")
INTERNALS = re.compile(r"\s*\[Op:\w+\].*")


class NotFinite(Exception):
    """The loss became NaN or infinite; ``epoch`` counts from 1."""

    def __init__(self, epoch: int, metric: str, value: float) -> None:
        super().__init__(f"{metric} became {value} in epoch {epoch}.")
        self.epoch = epoch


def describe_failure(error: BaseException) -> Failed:
    """The frame for an exception: no stack trace and no path of this machine."""
    if isinstance(error, InvalidInput):
        return _failed("bad_data", error.message, _fix_of(error) or "Mend the dataset or the model and start a new run.")
    if isinstance(error, NotFinite):
        hint = "Try a smaller learning_rate, and inputs scaled to about -1 to 1; also check that the targets fit the loss."
        return _failed("not_finite", f"Training broke down: {error}", hint)
    if is_full_disk(error):
        hint = "The worker's operator must make room. The run goes on by itself, up to the limit of attempts."
        return _failed("disk_full", "The disk of the worker is full, so what the fit has made could not be written.", hint)
    if isinstance(error, MemoryError | tf.errors.ResourceExhaustedError):
        hint = "Use a smaller batch_size, fewer or smaller layers, or a worker with more memory."
        return _failed("out_of_memory", "The fit needed more memory than there is.", hint)
    return _failed("keras_error", shorten(error), _hint_for(error))


def shorten(error: BaseException) -> str:
    """What an exception says, in a few lines without source positions and paths."""
    lines = [line.strip() for line in str(error).splitlines() if not NOISE.search(line)]
    text = INTERNALS.sub("", HOST_PATH.sub("(path)", " ".join(lines))).strip() or type(error).__name__
    return text if len(text) <= MAX_MESSAGE_CHARACTERS else f"{text[: MAX_MESSAGE_CHARACTERS - 1]}…"


def _failed(kind: FailureType, message: str, hint: str) -> Failed:
    return Failed(type=kind, message=message, hint=hint)


def _fix_of(error: InvalidInput) -> str | None:
    return next((problem.fix for problem in error.problems if problem.fix), None)


def _hint_for(error: BaseException) -> str:
    text = str(error).lower()
    if "negative" in text and "size" in text:
        return "A filter or pooling window is larger than what is left of the image: use smaller ones, or padding 'same'."
    if "expected min_ndim" in text or "expected ndim" in text:
        return "This layer wants data of another shape: check the order of the layers and the input shape."
    if isinstance(error, RecursionError):
        return "The model has too many layers in a row."
    if "indices" in text and "not in" in text:
        return "An Embedding met an index that is not below its input_dim: raise input_dim."
    return "Keras refused the model or the data: compare the message with the layers, the loss and the data's shape."
