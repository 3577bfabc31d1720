"""A sidecar without TensorFlow: it speaks the same frames. A "model" is a file with a number, by which it multiplies.

The first number of the first tensor may ask for something else: one of the constants below.
"""

import os
import signal
import sys
import time
from pathlib import Path

import numpy as np

from service.infra.parent import die_with_parent
from service.spec.frames import read_frame, write_frame
from service.spec.sidecar_frames import (
    Answer,
    Array,
    LoadModel,
    ModelLoaded,
    ModelUnloaded,
    Predict,
    Predicted,
    Refused,
    Request,
    SidecarReady,
    heads_of,
    read_tensors,
    request_decoder,
    write_tensors,
)

DIE, HANG, REFUSE, USE_TOO_MUCH, COUNT_MODELS, PRINT, TALK_NONSENSE = -1.0, -2.0, -3.0, -4.0, -5.0, -6.0, -7.0

models: dict[int, float] = {}


def main() -> None:
    """Serve until standard input closes."""
    die_with_parent(os.getppid(), signal.SIGKILL)
    write_frame(sys.stdout.buffer, SidecarReady())
    while (request := read_frame(sys.stdin.buffer, request_decoder)) is not None:
        tensors = read_tensors(sys.stdin.buffer, request.tensors) if isinstance(request, Predict) else []
        answer, outputs = answer_to(request, tensors)
        write_frame(sys.stdout.buffer, answer)
        write_tensors(sys.stdout.buffer, outputs)


def answer_to(request: Request, tensors: list[Array]) -> tuple[Answer, list[Array]]:
    """The answer and the tensors behind it."""
    if isinstance(request, Predict):
        return predict(models[request.handle], tensors)
    if isinstance(request, LoadModel):
        try:
            models[request.handle] = float(Path(request.path).read_text())
        except ValueError as error:
            return Refused(is_out_of_memory=False, message=str(error)), []
        return ModelLoaded(), []
    del models[request.handle]
    return ModelUnloaded(), []


def predict(factor: float, tensors: list[Array]) -> tuple[Answer, list[Array]]:
    """All tensors times the factor, unless they ask for something else."""
    outputs = [(tensor * factor).astype(np.float32) for tensor in tensors]
    wish = float(tensors[0].reshape(-1)[0])
    if wish in (REFUSE, USE_TOO_MUCH):
        return Refused(is_out_of_memory=wish == USE_TOO_MUCH, message="as was wished"), []
    if wish == COUNT_MODELS:
        outputs = [np.float32([[len(models)]])]
    misbehave(wish)
    return Predicted(tensors=heads_of(outputs)), outputs


def misbehave(wish: float) -> None:
    """Die, hang, print or talk nonsense, where that is the wish."""
    if wish == DIE:
        os.kill(os.getpid(), signal.SIGKILL)
    elif wish == HANG:
        time.sleep(600)
    elif wish == PRINT:
        print("a line\n" * 15_000, file=sys.stderr)  # noqa: T201  # more than a pipe holds
    elif wish == TALK_NONSENSE:
        sys.stdout.buffer.write(b"\xff" * 64)


def kill(pid: int) -> None:
    """Kill a child with SIGKILL; return once it is dead, and leave its exit code to its parent."""
    os.kill(pid, signal.SIGKILL)
    os.waitid(os.P_PID, pid, os.WEXITED | os.WNOWAIT)


if __name__ == "__main__":
    main()
