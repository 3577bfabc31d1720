"""Which snapshot a job goes on from, and what it says of it."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest

from service.spec.frames import DatasetFiles, FitJob, Frame, LogLine, Resumed, SnapshotTaken, Start
from service.training import environment, snapshots
from service.training.resuming import JobSnapshots, changes, request_of
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


def continued(folder: Path, end: State, origin: Origin, **fields: Any) -> tuple[State | None, list[Frame]]:
    """A job of ten epochs that goes on from the end of another run."""
    frames: list[Frame] = []
    start = Start(run_id="run_a", take="state", model="", state=stored(folder, "state.npz", end, origin))
    job = make_job(folder / "run", NOTHING, seed=SEED, start=start, fit={"epochs": 10}, **fields)
    return JobSnapshots(job, frames.append).find(accept), frames


def test_a_run_that_continues_another_one_in_another_environment_says_so(tmp_path):
    request = request_of(make_job(tmp_path / "run", NOTHING, seed=SEED, fit={"epochs": 3}))
    before = environment.environment() | {"keras": "1.0"}
    found, frames = continued(tmp_path, state(step=0), origin(environment=before, request=request))
    assert frames == [Resumed(from_epoch=3, from_step=0, inexact_reason="It went on with another Keras.")]
    assert found.progressed == Progressed()


def test_a_run_that_continues_an_inexact_one_is_inexact_for_the_same_reason(tmp_path):
    request = request_of(make_job(tmp_path / "run", NOTHING, seed=SEED, fit={"epochs": 3}))
    _, frames = continued(tmp_path, state(step=0), origin(request=request, inexact_reason="It went on with another NumPy."))
    assert frames == [Resumed(from_epoch=3, from_step=0, inexact_reason="It went on with another NumPy.")]


FILES = DatasetFiles(kind="arrays", files={}, sha256={"x": "abc"})
CHANGES: list[tuple[dict[str, Any], list[str]]] = [
    ({"run_id": "run_b", "attempt": 2, "publish": False, "directory": "elsewhere"}, []),
    ({"fit": {"epochs": 9, "initial_epoch": 3}}, []),
    ({"fit": {"batch_size": 32, "shuffle": True}}, []),
    ({"fit": {"batch_size": 33, "shuffle": False}}, ["batch_size", "shuffle"]),
    ({"fit": {"callbacks": ["EarlyStopping"]}}, ["callbacks"]),
    ({"fit": {"dtype_policy": "mixed_bfloat16"}}, ["dtype_policy"]),
    ({"seed": SEED + 1, "target": "other"}, ["target", "seed"]),
    ({"definition": {"layers": []}, "compile": {}, "features": {"columns": {}}}, ["definition", "compile", "features"]),
    ({"dataset": FILES}, ["dataset"]),
    ({"validation_dataset": FILES}, ["validation dataset"]),
    ({"test_dataset": FILES}, []),
]


@pytest.mark.parametrize(("fields", "names"), CHANGES)
def test_only_what_decides_about_the_numbers_counts_as_a_change(tmp_path, fields, names):
    job: FitJob = make_job(tmp_path, NOTHING, seed=SEED)
    assert changes(request_of(job), request_of(msgspec.structs.replace(job, **fields))) == names


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
