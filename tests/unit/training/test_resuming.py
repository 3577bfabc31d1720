"""Which snapshot a job goes on from, and what it says of it."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from service.spec.frames import DatasetFiles, Frame, LogLine, Resumed, SnapshotTaken
from service.training import environment, snapshots
from service.training.resuming import JobSnapshots
from service.training.snapshots import Origin, Progressed, State, UnreadableSnapshot
from tests.unit.training.conftest import make_job

SEED = 7
NOTHING = DatasetFiles(kind="arrays", files={})


def state(epoch: int = 3, step: int = 4) -> State:
    return State(epoch, step, Progressed(), [np.ones((2, 3), np.float32)], [])


def origin(**fields) -> Origin:
    return replace(Origin("run_1", 1, SEED, environment.environment()), **fields)


def accept(state: State) -> None:
    """A fit that goes on from anything."""


def stored(folder: Path, name: str, state: State, origin: Origin) -> str:
    snapshots.write(folder / name, state, origin)
    return str(folder / name)


def find(folder: Path, resume: list[str], attempt: int = 2, check=accept) -> tuple[State | None, list[Frame], JobSnapshots]:
    frames: list[Frame] = []
    job = make_job(folder / f"attempt {attempt}", NOTHING, seed=SEED, attempt=attempt, resume=resume)
    own = JobSnapshots(job, frames.append)
    return own.find(check), frames, own


def test_a_first_attempt_begins_without_a_word(tmp_path):
    assert find(tmp_path, [], attempt=1)[:2] == (None, [])


def test_a_second_attempt_without_a_snapshot_says_that_it_begins_anew(tmp_path):
    assert find(tmp_path, [])[:2] == (None, [Resumed(from_epoch=0, from_step=0)])


def test_the_first_snapshot_that_does_is_taken(tmp_path):
    other_seed = stored(tmp_path, "seed.npz", state(), origin(seed=SEED + 1))
    older, oldest = (stored(tmp_path, f"{epoch}.npz", state(epoch), origin()) for epoch in (2, 1))
    found, frames, _ = find(tmp_path, [str(tmp_path / "gone.npz"), other_seed, older, oldest])
    assert (found.epoch, found.step) == (2, 4)
    assert [type(frame) for frame in frames] == [LogLine, LogLine, Resumed]
    assert "cannot be read" in frames[0].message
    assert "another seed" in frames[1].message
    assert str(tmp_path) not in frames[0].message
    assert frames[-1] == Resumed(from_epoch=2, from_step=4)


def test_a_snapshot_that_the_fit_refuses_is_passed_over(tmp_path):
    def refuse(state: State) -> None:
        raise UnreadableSnapshot("A snapshot is of another model.")

    found, frames, _ = find(tmp_path, [stored(tmp_path, "a.npz", state(), origin())], check=refuse)
    assert found is None
    assert [type(frame) for frame in frames] == [LogLine, Resumed]


@pytest.mark.parametrize(
    ("name", "words"),
    [("threads", "number of threads"), ("keras", "Keras"), ("processor", "processor"), ("onednn", "oneDNN setting")],
)
def test_what_differs_is_said_in_plain_words(tmp_path, name, words):
    before = environment.environment() | {name: "something else"}
    _, frames, _ = find(tmp_path, [stored(tmp_path, "a.npz", state(), origin(environment=before))])
    assert frames == [Resumed(from_epoch=3, from_step=4, inexact_reason=f"It went on with another {words}.")]


def test_what_was_inexact_once_stays_so_in_later_attempts(tmp_path):
    before = environment.environment() | {"numpy": "1.0"}
    _, _, second = find(tmp_path, [stored(tmp_path, "a.npz", state(), origin(environment=before))])
    second.save(state(epoch=5), began_at=0.0)
    path = str(tmp_path / "attempt 2" / "snapshot-1.npz")
    _, frames, _ = find(tmp_path, [path], attempt=3)
    assert frames == [Resumed(from_epoch=5, from_step=4, inexact_reason="It went on with another NumPy.")]


def test_two_snapshots_of_the_same_state_are_two_files(tmp_path):
    """Files are addressed by their content, and the worker deletes one while it keeps the other."""
    contents = set()
    for attempt in (1, 2):
        _, frames, own = find(tmp_path, [], attempt)
        own.save(state(), began_at=0.0)
        own.save(state(step=5), began_at=0.0)
        contents |= {Path(frame.path).read_bytes() for frame in frames if isinstance(frame, SnapshotTaken)}
    assert len(contents) == 4


def test_the_number_of_threads_is_known_where_it_was_left_open():
    assert int(environment.environment()["threads"]) > 0
