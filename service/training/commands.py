"""What the worker asks of the trainer: jobs in their order, and stops that may come at any time."""

import os
import queue
import sys
import threading
import traceback
from collections.abc import Iterator
from typing import BinaryIO

from service.spec.frames import FitJob, Keep, Stop, command_decoder, read_frame


class Commands:
    """Reads the pipe in a thread of its own; the process ends as soon as the other side is gone."""

    def __init__(self, stream: BinaryIO) -> None:
        self._stream = stream
        self._jobs: queue.SimpleQueue[FitJob] = queue.SimpleQueue()
        self._stop: Stop | None = None
        threading.Thread(target=self._read, name="commands", daemon=True).start()

    def jobs(self) -> Iterator[FitJob]:
        """Every job, for ever; waits for the next one."""
        while True:
            yield self._jobs.get()

    def stop_asked(self, job: FitJob) -> Keep | None:
        """What to keep, once this attempt of this run has been asked to stop."""
        stop = self._stop
        is_meant = stop is not None and (stop.run_id, stop.attempt) == (job.run_id, job.attempt)
        return stop.keep if stop is not None and is_meant else None

    def _read(self) -> None:
        try:
            while (command := read_frame(self._stream, command_decoder)) is not None:
                if isinstance(command, Stop):
                    self._stop = command
                else:
                    self._jobs.put(command)
        except Exception:  # nothing that this pipe says can be trusted any more
            traceback.print_exc(file=sys.stderr)
            os._exit(1)
        os._exit(0)  # a normal exit would wait for the fit
