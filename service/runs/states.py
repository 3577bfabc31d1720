"""The life of a run: its states, the transitions between them, and why an attempt ends."""

from typing import Literal

from service.spec.frames import FailureType

State = Literal["queued", "running", "succeeded", "failed", "cancelled"]
TerminalState = Literal["succeeded", "failed", "cancelled"]
Kind = Literal["fit", "evaluate", "predict"]
Device = Literal["cpu", "gpu", "any"]

STATES: tuple[State, ...] = ("queued", "running", "succeeded", "failed", "cancelled")
TERMINAL: frozenset[State] = frozenset({"succeeded", "failed", "cancelled"})
ALLOWED: dict[State, frozenset[State]] = {
    "queued": frozenset({"running", "cancelled"}),
    "running": frozenset({"queued", "succeeded", "failed", "cancelled"}),
    "succeeded": frozenset(),
    "failed": frozenset(),
    "cancelled": frozenset(),
}
"""To which states a run may go from each state."""

Cause = FailureType | Literal["completed", "cancelled", "worker_shutdown"]
"""Why an attempt has ended."""

RETRIED_FAILURES: frozenset[FailureType] = frozenset({"lost_worker", "killed_by_signal", "no_progress", "disk_full"})
"""Failures of the surroundings, after which another attempt makes sense. All others end the run."""
