"""A trainer without TensorFlow: it speaks the same frames, and its "weights" tell whether it went on where it should.

After every epoch the weights are the SHA-256 of the weights before and the number of the epoch, so that an epoch left out,
done twice or done in another order shows at the end.
"""

import hashlib
import json
import os
import queue
import signal
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from service.infra.parent import die_with_parent
from service.spec.frames import (
    EpochEnded,
    Finished,
    FitJob,
    Frame,
    OutputFile,
    Parity,
    PhaseStarted,
    Planned,
    Progress,
    Publication,
    Ready,
    Resumed,
    SnapshotTaken,
    Stop,
    Suspend,
    Suspended,
    command_decoder,
    read_frame,
    write_frame,
)

STEPS = 4
STEP_SECONDS = 0.005
"""Times the batch size of the job."""


def first_weights(seed: int) -> str:
    """What a fit begins with."""
    return hashlib.sha256(str(seed).encode()).hexdigest()


def next_weights(weights: str, epoch: int) -> str:
    """What an epoch (counted from 1) makes of the weights."""
    return hashlib.sha256(f"{weights} {epoch}".encode()).hexdigest()


def final_weights(seed: int, epochs: int) -> str:
    """What an undisturbed fit ends with."""
    weights = first_weights(seed)
    for epoch in range(1, epochs + 1):
        weights = next_weights(weights, epoch)
    return weights


class LightFit:
    """One job."""

    def __init__(self, job: FitJob, report: Callable[[Frame], None], wish: Callable[[], Stop | Suspend | None]) -> None:
        self._job = job
        self._report = report
        self._wish = wish
        self._epochs = int(job.fit["epochs"])
        self._step_seconds = STEP_SECONDS * int(job.fit.get("batch_size", 1))
        self._done, self._weights = 0, first_weights(job.seed)

    def run(self) -> Frame:
        """Fit to the end; the last frame."""
        self._report(PhaseStarted(phase="building"))
        self._report(
            Planned(
                features={},
                warnings=[],
                epochs=self._epochs,
                steps=STEPS,
                train_rows=4,
                validation_rows=0,
                parameters=1,
                initial_epoch=0,
                chunk_rows=None,
                window_chunks=None,
                input_shapes=[[1]],
                threads=1,
                versions={},
            )
        )
        if self._job.attempt > 1 or self._job.resume:
            self._resume()
        self._report(PhaseStarted(phase="fitting"))
        while self._done < self._epochs:
            wish = self._fit_epoch()
            if isinstance(wish, Stop):
                return self._finish(wish)
            if isinstance(wish, Suspend):
                self._save()
                return Suspended()
        return self._finish(None)

    def _resume(self) -> None:
        if self._job.resume:
            state = json.loads(Path(self._job.resume[0]).read_text())
            self._done, self._weights = state["epoch"], state["weights"]
        self._report(Resumed(from_epoch=self._done, from_step=0))

    def _fit_epoch(self) -> Stop | Suspend | None:
        for step in range(1, STEPS + 1):
            time.sleep(self._step_seconds)
            self._report(Progress(epoch=self._done + 1, step=step, metrics={}))
            if (wish := self._wish()) is not None:
                return wish
        self._done += 1
        self._weights = next_weights(self._weights, self._done)
        self._report(EpochEnded(epoch=self._done, metrics={"loss": 1 / self._done}, seconds=STEPS * self._step_seconds))
        if self._done % 2 == 0:
            self._save()
        return None

    def _save(self) -> None:
        path = Path(self._job.directory, f"snapshot-{self._done}-{time.monotonic_ns()}")
        state = {"run": self._job.run_id, "attempt": self._job.attempt, "epoch": self._done, "weights": self._weights}
        path.write_text(json.dumps(state))
        self._report(SnapshotTaken(path=str(path), epoch=self._done, step=0, seconds=0.0))

    def _finish(self, stop: Stop | None) -> Finished:
        path = Path(self._job.directory, "weights")
        path.write_text(f"{self._job.seed} {self._done} {self._weights}")
        is_kept = stop is None or stop.keep != "none"
        return Finished(
            outcome="completed" if stop is None else "stopped",
            metrics={"loss": 1 / max(self._done, 1)},
            files=[OutputFile(name="weights", path=str(path), media_type="text/plain")],
            publication=publication() if is_kept and self._job.publish else None,
            publish_reason=None if is_kept else "Nothing was kept.",
        )


def publication() -> Publication:
    """A version that no engine can serve: these fits are not made for predictions."""
    parity = Parity(max_abs_difference=None, rows=0, agrees=False, reason="A light trainer has no graph.")
    return Publication(engine="keras", parity=parity, plan={}, inputs=[], outputs=[], example={"rows": []}, parameters=1)


def main() -> None:
    """Serve jobs until standard input closes."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    die_with_parent(os.getppid(), signal.SIGKILL)
    jobs: queue.SimpleQueue[FitJob] = queue.SimpleQueue()
    wishes: list[Any] = []

    def listen() -> None:
        while (command := read_frame(sys.stdin.buffer, command_decoder)) is not None:
            if isinstance(command, FitJob):
                jobs.put(command)
            else:
                wishes.append(command)
        os._exit(0)

    def report(frame: Frame) -> None:
        try:
            write_frame(sys.stdout.buffer, frame)
        except BrokenPipeError:
            os._exit(0)

    threading.Thread(target=listen, daemon=True).start()
    report(Ready(versions={"light": "1"}, devices=["cpu"]))
    while True:
        job = jobs.get()

        def wish(job: FitJob = job) -> Stop | Suspend | None:
            meant = [w for w in wishes if (w.run_id, w.attempt) == (job.run_id, job.attempt)]
            return meant[0] if meant else None

        report(LightFit(job, report, wish).run())


if __name__ == "__main__":
    main()
