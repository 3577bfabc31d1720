"""Takes jobs from the pipe, one after the other, and answers with frames. Lives until the pipe is closed."""

import os
import queue
import sys
import threading
import traceback
from typing import BinaryIO

import tensorflow as tf

from service.errors import InvalidInput
from service.spec.frames import Failed, Finished, FitJob, Frame, Keep, Stop, command_decoder, read_frame, write_frame
from service.training.callbacks import NotFinite
from service.training.job import run_job

MAX_MESSAGE = 2000
HINTS = {
    "keras_error": "Keras refused the model or the data: check that the layers fit each other, the data and the loss.",
    "not_finite": "The steps were too large: use a smaller learning_rate, scaled inputs, or clipnorm.",
    "bad_data": "Change the request or the dataset as the message says, then start a new run.",
    "out_of_memory": "Use a smaller batch_size or a smaller model.",
}


class TrainerServer:
    """One job at a time; a second thread reads the pipe, so that a stop is heard during a fit."""

    def __init__(self, commands: BinaryIO, reports: BinaryIO) -> None:
        self._commands = commands
        self._reports = reports
        self._write_lock = threading.Lock()
        self._jobs: queue.SimpleQueue[FitJob] = queue.SimpleQueue()
        self._stops: dict[tuple[str, int], Keep] = {}

    def report(self, frame: Frame) -> None:
        """Send a frame to the worker; without a worker there is nothing left to do."""
        try:
            with self._write_lock:
                write_frame(self._reports, frame)
        except BrokenPipeError:
            os._exit(0)

    def serve(self) -> None:
        """Work for ever; the reading thread ends the process when the pipe is closed."""
        threading.Thread(target=self._read_commands, name="reader", daemon=True).start()
        while True:
            job = self._jobs.get()
            self.report(self._answer(job))
            self._stops.pop((job.run_id, job.attempt), None)

    def _read_commands(self) -> None:
        while (command := read_frame(self._commands, command_decoder)) is not None:
            if isinstance(command, Stop):
                self._stops[command.run_id, command.attempt] = command.keep
            else:
                self._jobs.put(command)
        os._exit(0)

    def _answer(self, job: FitJob) -> Finished | Failed:
        try:
            return run_job(job, self.report, lambda: self._stops.get((job.run_id, job.attempt)))
        except InvalidInput as error:
            return _failed("bad_data", error.message)
        except NotFinite as error:
            return _failed("not_finite", str(error))
        except (MemoryError, tf.errors.ResourceExhaustedError):
            return _failed("out_of_memory", "The fit needs more memory than there is.")
        except Exception as error:  # Keras and TensorFlow raise all sorts, and the trainer must live on
            traceback.print_exc(file=sys.stderr)
            return _failed("keras_error", _first_paragraph(error))


def _failed(kind: str, message: str) -> Failed:
    return Failed(type=kind, message=message[:MAX_MESSAGE], hint=HINTS[kind])  # type: ignore[arg-type]


def _first_paragraph(error: Exception) -> str:
    """What an exception says, without the stack of TensorFlow that may follow and without paths of this machine."""
    text = str(error).split("\n\nStack trace", 1)[0].split("Detected at node", 1)[0].strip()
    lines = [line for line in text.splitlines() if "/" not in line or "File" not in line]
    return f"{type(error).__name__}: {' '.join(lines)}".strip()
