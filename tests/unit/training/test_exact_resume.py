"""A fit that was interrupted anywhere ends with the same numbers, bit for bit, as one that was not."""

import math
import random
from dataclasses import replace

import numpy as np
import pytest

from service.spec.frames import Progress
from service.training import fitting, snapshots
from service.training.snapshots import Budget, Kept, State, UnreadableSnapshot
from tests.unit.training.trials import (
    AVERAGING,
    EPOCHS,
    NOISY,
    STEP_BY_STEP,
    STEPS,
    Always,
    Trial,
    assert_exact,
    assert_same_end,
    origin,
    passed_through_a_file,
    same,
)

pytestmark = STEP_BY_STEP


def test_a_suspended_fit_goes_on_as_if_nothing_had_happened(tmp_path):
    whole, places = Trial(AVERAGING).run(), []
    for leave_after in (STEPS - 1, 2 * STEPS + 3, EPOCHS * STEPS - 1):
        first = Trial(AVERAGING, leave_after).run()
        assert first.fitted is None, "it was suspended"
        state = passed_through_a_file(first.saved[-1], tmp_path)
        places.append((state.epoch, state.step))
        second = Trial(AVERAGING).run(state)
        assert first.epochs + second.epochs == whole.epochs, places[-1]
        assert_same_end(second, whole)
    assert places == [(1, 0), (2, 4), (EPOCHS, 0)]


def test_a_fit_may_be_suspended_many_times(tmp_path):
    whole, state, epochs = Trial().run(), None, []
    for _ in range(10):
        part = Trial(leave_after=7).run(state)
        epochs += part.epochs
        if part.fitted is not None:
            break
        state = passed_through_a_file(part.saved[-1], tmp_path)
    assert epochs == whole.epochs
    assert_same_end(part, whole)


def test_the_best_epoch_and_its_weights_survive_an_interruption(tmp_path):
    """The best epoch is the second one, so that an attempt that begins in the third cannot find it again."""
    whole = assert_exact(tmp_path, [(2, 4), (3, 0)], optimizer={"type": "Adam", "learning_rate": 0.05})
    losses = [epoch["val_loss"] for epoch in whole.epochs]
    assert losses.index(min(losses)) == 1
    assert whole.fitted.state.callbacks[-1].values["best"] == min(losses)


@pytest.mark.parametrize("at_once", [3, STEPS])
def test_several_steps_at_once_are_never_cut(at_once, monkeypatch, tmp_path):
    monkeypatch.setattr(fitting, "steps_per_execution", lambda *_: at_once)
    whole = Trial().run()
    first = Trial(leave_after=math.ceil(STEPS / at_once)).run()
    state = passed_through_a_file(first.saved[-1], tmp_path)
    assert (state.epoch, state.step) == ((1, at_once) if at_once < STEPS else (2, 0))
    second = Trial().run(state)
    assert first.epochs + second.epochs == whole.epochs
    assert_same_end(second, whole)


def test_steps_are_counted_on_after_an_interruption(monkeypatch):
    monkeypatch.setattr("service.training.callbacks.PROGRESS_SECONDS", 0)
    state = Trial(leave_after=STEPS + 3).run().saved[-1]
    second = Trial().run(state)
    progress = [(frame.epoch, frame.step) for frame in second.frames if isinstance(frame, Progress)]
    assert progress[0] == (state.epoch + 1, state.step + 1)
    assert progress[-1] == (EPOCHS, STEPS)


@pytest.mark.parametrize(
    ("layers", "words"),
    [
        ([{**NOISY[0], "units": 7}, *NOISY[1:]], "kernel' has shape (3, 7) here and (3, 6) there"),
        ([*NOISY, {"type": "Dropout", "rate": 0.1}], "it has 23 variables instead of 24"),
    ],
)
def test_the_snapshot_of_another_model_is_refused(layers, words):
    state = Trial(leave_after=3).run().saved[-1]
    with pytest.raises(UnreadableSnapshot) as refusal:
        Trial(layers=layers).run(state)
    assert words in str(refusal.value)


def test_a_snapshot_beyond_the_end_of_the_fit_is_refused():
    fit = Trial().prepare()
    state = Trial(leave_after=3).run().saved[-1]
    fit.check(state)
    for epoch, step in ((EPOCHS, 1), (EPOCHS + 1, 0), (0, STEPS)):
        with pytest.raises(UnreadableSnapshot, match="where this fit cannot begin"):
            fit.check(replace(state, epoch=epoch, step=step))


def damaged(content: bytes) -> list[bytes]:
    """What kills, disks and mistakes may make of a file."""
    chance = random.Random(1)
    changed = [bytearray(content) for _ in range(400)]
    for copy in changed:
        copy[chance.randrange(len(copy))] = chance.randrange(256)
    middle = len(content) // 2
    array = b"\x93NUMPY\x01\x00" + np.lib.format.magic(1, 0)
    return [b"", b"PK", array, content[:middle], content[:middle] + bytes(500) + content[middle + 500 :], *map(bytes, changed)]


def assert_same_content(state: State, other: State) -> None:
    assert (state.epoch, state.step, state.progressed) == (other.epoch, other.step, other.progressed)
    assert same(state.variables, other.variables)
    assert same(state.metrics, other.metrics)
    assert repr([kept.values for kept in state.callbacks]) == repr([kept.values for kept in other.callbacks])


def test_a_damaged_snapshot_is_refused_or_gives_the_same_state(tmp_path):
    path = tmp_path / "snapshot.npz"
    state = Trial(leave_after=3).run().saved[-1]
    snapshots.write(path, state, origin())
    refused = 0
    for content in damaged(path.read_bytes()):
        path.write_bytes(content)
        try:
            read = snapshots.read(path)[0]
        except UnreadableSnapshot:
            refused += 1
        else:
            assert_same_content(read, state)
    assert refused > 300


def test_what_is_no_number_stays_so_in_a_file(tmp_path):
    """A callback that watches such a metric goes on as it would have gone on without an interruption."""
    kept = Kept({"best": math.nan, "wait": 3, "stopped_epoch": 0, "none": None, "most": math.inf})
    state = replace(Trial(leave_after=3).run().saved[-1], callbacks=[kept])
    assert_same_content(passed_through_a_file(state, tmp_path), state)


def test_snapshots_take_a_fiftieth_of_the_time_at_most(monkeypatch):
    clock = 0.0
    monkeypatch.setattr(snapshots.time, "monotonic", lambda: clock)
    budget, spent = Budget(interval_seconds=30, size_bytes=10**9), 0.0
    for _ in range(10_000):
        clock += 1.0
        if budget.is_due(at_epoch_end=True):
            clock += 6.0
            spent += 6.0
            budget.note(6.0)
    assert spent > 0
    assert spent <= 0.02 * clock


def test_a_snapshot_may_come_after_every_step_of_an_epoch_but_the_last():
    saved = Trial(fit={"epochs": 2}, budget=Always(0, 0)).run().saved
    epochs = [[(epoch, step) for step in range(1, STEPS)] + [(epoch + 1, 0)] for epoch in range(2)]
    assert [(state.epoch, state.step) for state in saved] == [*epochs[0], *epochs[1]]


def test_snapshots_change_nothing():
    assert_same_end(Trial(budget=Always(0, 0)).run(), Trial().run())


@pytest.mark.parametrize("place", [(EPOCHS - 1, STEPS - 1), (EPOCHS, 0)])
def test_a_fit_that_is_killed_at_its_very_end_ends_as_if_nothing_had_happened(place, tmp_path):
    assert_exact(tmp_path, [place], optimizer=AVERAGING)
