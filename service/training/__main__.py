"""Starts the trainer, ``python -m service.training FOLDER …``, which may write in these folders and in its temporary one.

It guards the pipe and the environment, then loads TensorFlow and serves jobs.
"""

import io
import os
import signal
import sys
import tempfile
from typing import Any, BinaryIO

from service.infra.confinement import confine
from service.infra.hiding import hide_pandas
from service.infra.parent import die_with_parent
from service.training.commands import Commands

THREADS_VARIABLE = "FITSERVE_TRAINER_THREADS"


def main() -> None:
    """Serve until standard input closes."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches the whole terminal group; the worker decides for us
    pipe = take_over_standard_output()
    die_with_parent(os.getppid(), signal.SIGKILL)
    confine([*sys.argv[1:], tempfile.gettempdir()], may_use_gpu=True)
    commands = Commands(os.fdopen(os.dup(0), "rb"))
    prepare_environment()
    from service.training.loop import serve  # loads TensorFlow, which reads the environment once

    serve(commands, pipe, threads=int(os.environ.get(THREADS_VARIABLE, "0")))


class Log(io.FileIO):
    """What is printed; a line that a full disk does not take is lost, and no job ends by that."""

    def write(self, line: Any) -> int:
        try:
            return super().write(line)
        except OSError:
            return len(line)


def take_over_standard_output() -> BinaryIO:
    """Keep the pipe for frames alone: whatever any library prints goes to standard error from now on."""
    pipe = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)
    log = Log(2, "w", closefd=False)
    sys.stdout = sys.stderr = io.TextIOWrapper(log, errors="backslashreplace", write_through=True)
    return pipe


def prepare_environment() -> None:
    """Fix what would otherwise come from the user's own Keras configuration, and keep onnxruntime from sending reports.

    pandas is hidden from Keras.
    """
    hide_pandas()
    os.environ["KERAS_BACKEND"] = "tensorflow"
    os.environ["ORT_DISABLE_TELEMETRY"] = "1"
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")


if __name__ == "__main__":
    main()
