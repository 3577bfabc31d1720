"""One life of the process that runs Keras: its pipe and its deadlines."""

import math
import time
from collections.abc import Sequence

from service.infra.child import Child, inherited_environment
from service.infra.scratch import Scratch
from service.spec.frames import read_frame, write_frame
from service.spec.sidecar_frames import (
    Answer,
    Array,
    Predicted,
    Request,
    SidecarReady,
    answer_decoder,
    read_tensors,
    write_tensors,
)

ENVIRONMENT = {"CUDA_VISIBLE_DEVICES": "-1", "TF_CPP_MIN_LOG_LEVEL": "2"}
"""Predictions leave the GPUs to the trainers."""
START_SECONDS = 120.0


class SidecarLost(Exception):
    """The process has ended, or was killed since it had not answered in time; the message says which."""


class SidecarProcess:
    """A child to speak with from one thread."""

    def __init__(self, arguments: Sequence[str], scratch: Scratch) -> None:
        self._child = Child("sidecar", arguments, inherited_environment() | ENVIRONMENT, scratch)
        self.handles: set[int] = set()
        """Models that it has loaded."""
        self._answers_until = math.inf
        self._is_late = False

    @property
    def pid(self) -> int:
        """Its process id."""
        return self._child.pid

    @property
    def last_lines(self) -> list[str]:
        """What it printed last."""
        return self._child.last_lines

    def is_alive(self) -> bool:
        """Whether it runs."""
        return self._child.is_alive()

    def await_ready(self) -> None:
        """Wait until TensorFlow is loaded. Raises SidecarLost."""
        answer, _ = self._converse(None, START_SECONDS)
        if not isinstance(answer, SidecarReady):
            raise SidecarLost("The process that runs Keras does not start as it should.")

    def ask(self, request: Request, seconds: float, tensors: Sequence[Array] = ()) -> tuple[Answer, list[Array]]:
        """The frame that it answers with, and the tensors behind it. Raises SidecarLost."""
        return self._converse(request, seconds, tensors)

    def end_if_late(self) -> float:
        """Seconds that it has left for the present answer. Ends it where there are none, from another thread than that."""
        left = self._answers_until - time.monotonic()
        if left <= 0:
            self._is_late = True
            self._child.kill()
        return max(0, left)

    def kill(self) -> None:
        """End it from another thread than the one that speaks with it, to which it is lost then."""
        self._child.kill()

    def close(self) -> None:
        """End it at once."""
        self._child.close()

    def _converse(self, request: Request | None, seconds: float, tensors: Sequence[Array] = ()) -> tuple[Answer, list[Array]]:
        self._answers_until = time.monotonic() + seconds
        try:
            if request is not None:
                write_frame(self._child.input, request)
                write_tensors(self._child.input, tensors)
            return self._read()
        except (OSError, EOFError, ValueError):  # it is gone, or speaks nonsense
            if self._is_late:
                raise SidecarLost(f"Keras gave no answer within {seconds:g} seconds, and its process was ended.") from None
            raise SidecarLost("The process that runs Keras has died.") from None
        finally:
            self._answers_until = math.inf

    def _read(self) -> tuple[Answer, list[Array]]:
        answer = read_frame(self._child.output, answer_decoder)
        if answer is None:
            raise EOFError
        return answer, read_tensors(self._child.output, answer.tensors) if isinstance(answer, Predicted) else []
