"""What the worker asks of the trainer: jobs in their order, and stops that may come at any time."""

import os
import queue
import sys
import threading
import traceback
from collections.abc import Iterator
from typing import BinaryIO

from service.spec.frames import EvaluateJob, FitJob, Job, PredictJob, Stop, Suspend, command_decoder, read_frame
from service.training.wishes import Wishes


class Commands:
    """Reads the pipe in a thread of its own; the process ends as soon as the other side is gone."""

    def __init__(self, stream: BinaryIO) -> None:
        self._stream = stream
        self._jobs: queue.SimpleQueue[Job] = queue.SimpleQueue()
        self._stop: Stop | None = None
        self._suspend: Suspend | None = None
        threading.Thread(target=self._read, name="commands", daemon=True).start()

    def jobs(self) -> Iterator[Job]:
        """Every job, for ever; waits for the next one."""
        while True:
            yield self._jobs.get()

    def wishes(self, job: Job) -> Wishes:
        """What is asked of this attempt of this run."""

        def is_meant(command: Stop | Suspend) -> bool:
            return (command.run_id, command.attempt) == (job.run_id, job.attempt)

        return Wishes(
            stop=lambda: stop.keep if (stop := self._stop) is not None and is_meant(stop) else None,
            suspend=lambda: (suspend := self._suspend) is not None and is_meant(suspend),
        )

    def _read(self) -> None:
        try:
            while (command := read_frame(self._stream, command_decoder)) is not None:
                match command:
                    case Stop():
                        self._stop = command
                    case Suspend():
                        self._suspend = command
                    case FitJob() | EvaluateJob() | PredictJob():
                        self._jobs.put(command)
        except Exception:  # nothing that this pipe says can be trusted any more
            traceback.print_exc(file=sys.stderr)
            os._exit(1)
        os._exit(0)  # a normal exit would wait for the fit
