"""A fit that was interrupted anywhere ends with the same numbers, bit for bit, as one that was not."""

import math
import random
import tempfile
from dataclasses import dataclass, field
from pathlib import Path

import keras
import numpy as np
import pytest

from service.spec.callbacks import CallbackBase
from service.spec.compile import CompileSpec
from service.spec.definition import Definition
from service.spec.fit import FitSpec
from service.spec.frames import EpochEnded, Frame, Progress
from service.training import fitting, snapshots
from service.training.building import build_model
from service.training.environment import environment
from service.training.examples import Examples
from service.training.fitting import Fit, Fitted, compile_for_fit
from service.training.snapshots import Budget, Origin, State, UnreadableSnapshot
from service.training.wishes import SuspendAsked, Wishes
from tests.unit.training.conftest import make_examples

NOISY = [
    {"type": "Dense", "units": 6, "activation": "relu", "kernel_regularizer": {"type": "L2", "l2": 0.01}},
    {"type": "BatchNormalization"},
    {"type": "Dropout", "rate": 0.5},
    {"type": "Dense", "units": 1},
]
SEQUENCE = [{"type": "LSTM", "units": 3, "dropout": 0.3, "recurrent_dropout": 0.3}, {"type": "Dense", "units": 1}]
AVERAGING = {"type": "AdamW", "learning_rate": 0.01, "use_ema": True, "ema_momentum": 0.9}
OPTIMIZERS = {
    "Adam": {"type": "Adam"},
    "AdamW with averages": AVERAGING,
    "AdamW with averages put in place": AVERAGING | {"ema_overwrite_frequency": 5},
    "SGD with momentum": {"type": "SGD", "learning_rate": 0.01, "momentum": 0.9},
}
ROWS, TRAIN_ROWS, BATCH_SIZE, EPOCHS = 50, 43, 6, 4
STEPS = 8
"""The last batch has one row."""
FIT = FitSpec(epochs=EPOCHS, batch_size=BATCH_SIZE, validation_split=0.14)
SEED = 5


def data(loss, shape: tuple[int, ...]) -> Examples:
    noise = np.random.default_rng(0)
    x, y = noise.normal(size=(ROWS, *shape)).astype(np.float32), noise.normal(size=(ROWS, 1)).astype(np.float32)
    return make_examples(x, y, TRAIN_ROWS, loss)


@dataclass
class Trial:
    """One fit in a fresh model; it is suspended after ``leave_after`` executions, counted over all epochs."""

    optimizer: dict
    leave_after: int | None = None
    layers: list = field(default_factory=lambda: NOISY)
    shape: tuple[int, ...] = (3,)
    callbacks: list[CallbackBase] = field(default_factory=list)
    folder: Path | None = None
    frames: list[Frame] = field(default_factory=list)
    saved: list[State] = field(default_factory=list)
    model: keras.Model | None = None
    fitted: Fitted | None = None
    _asked: int = 0

    def run(self, state: State | None = None) -> "Trial":
        spec = CompileSpec.model_validate({"optimizer": self.optimizer, "loss": "mse", "metrics": ["mae"]})
        self.model = build_model(Definition.model_validate({"layers": self.layers}), self.shape, 1000, SEED)
        examples, fit_spec = data(spec.loss, self.shape), FIT.model_copy(update={"callbacks": self.callbacks})
        compile_for_fit(self.model, spec, examples.train, fit_spec)
        keras.utils.set_random_seed(SEED + 1 if state is None else 999)  # the global seed must not matter any more
        logs = Path(tempfile.mkdtemp(dir=self.folder)) if self.folder else Path()
        fit = Fit(self.model, examples, fit_spec, SEED, self.frames.append, self._wishes(), self._save, Budget(60, 0), logs)
        if state is not None:
            fit.check(state)
        try:
            self.fitted = fit.run(state)
        except SuspendAsked:
            self.fitted = None
        return self

    def _save(self, state: State, began_at: float) -> None:
        self.saved.append(state)

    def _wishes(self) -> Wishes:
        def is_leaving() -> bool:
            self._asked += 1
            return self.leave_after is not None and self._asked > self.leave_after

        return Wishes(suspend=is_leaving)

    @property
    def epochs(self) -> list[dict]:
        return [frame.metrics for frame in self.frames if isinstance(frame, EpochEnded)]

    def state(self) -> list[np.ndarray]:
        return snapshots.values_of(snapshots.variables_of(self.model))


def origin() -> Origin:
    return Origin("run_1", 1, SEED, environment())


def passed_through_a_file(state: State, folder: Path) -> State:
    path = folder / "snapshot.npz"
    snapshots.write(path, state, origin())
    return snapshots.read(path)[0]


def same(arrays: list[np.ndarray], others: list[np.ndarray]) -> bool:
    return all(a.dtype == b.dtype and a.tobytes() == b.tobytes() for a, b in zip(arrays, others, strict=True))


@pytest.fixture(autouse=True)
def one_step_at_a_time(monkeypatch):
    """A snapshot may come after every step."""
    monkeypatch.setattr(fitting, "steps_per_execution", lambda *_: 1)


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_a_suspended_fit_goes_on_as_if_nothing_had_happened(name, tmp_path):
    whole = Trial(OPTIMIZERS[name]).run()
    positions = set()
    for leave_after in (4, STEPS - 1, 2 * STEPS + 3, EPOCHS * STEPS - 1):
        first = Trial(OPTIMIZERS[name], leave_after).run()
        assert first.fitted is None, "it was suspended"
        state = passed_through_a_file(first.saved[-1], tmp_path)
        positions.add((state.epoch, state.step))
        second = Trial(OPTIMIZERS[name]).run(state)
        assert first.epochs + second.epochs == whole.epochs, (state.epoch, state.step)
        assert [epoch.metrics for epoch in second.fitted.epochs] == whole.epochs
        assert same(second.state(), whole.state()), (state.epoch, state.step)
    assert (EPOCHS, 0) in positions
    assert any(step for _, step in positions)


def test_a_fit_may_be_suspended_many_times(tmp_path):
    whole, state, epochs = Trial(OPTIMIZERS["Adam"]).run(), None, []
    for _ in range(20):
        part = Trial(OPTIMIZERS["Adam"], leave_after=4).run(state)
        epochs += part.epochs
        if part.fitted is not None:
            break
        state = passed_through_a_file(part.saved[-1], tmp_path)
    assert epochs == whole.epochs
    assert same(part.state(), whole.state())


def test_the_random_numbers_of_a_recurrent_layer_go_on(tmp_path):
    kind = {"layers": SEQUENCE, "shape": (3, 1)}
    whole = Trial(OPTIMIZERS["Adam"], **kind).run()
    first = Trial(OPTIMIZERS["Adam"], leave_after=STEPS + 2, **kind).run()
    second = Trial(OPTIMIZERS["Adam"], **kind).run(passed_through_a_file(first.saved[-1], tmp_path))
    assert first.epochs + second.epochs == whole.epochs
    assert same(second.state(), whole.state())


def test_the_best_epoch_and_its_weights_survive_an_interruption(tmp_path):
    """The best epoch is the second one, so that an attempt that begins in the third cannot find it again."""
    hasty = {"type": "Adam", "learning_rate": 0.05}
    whole = Trial(hasty, leave_after=EPOCHS * STEPS - 1).run().saved[-1]
    losses = [epoch.metrics["val_loss"] for epoch in whole.progressed.history]
    assert losses.index(min(losses)) == 1
    first = Trial(hasty, leave_after=2 * STEPS + 3).run().saved[-1]
    assert (first.epoch, first.step) == (2, 4)
    asked_before = first.epoch * STEPS + first.step
    rest = Trial(hasty, leave_after=EPOCHS * STEPS - asked_before - 1)
    last = rest.run(passed_through_a_file(first, tmp_path)).saved[-1]
    assert (last.epoch, last.step) == (whole.epoch, whole.step) == (EPOCHS, 0)
    assert last.callbacks[-1].values == whole.callbacks[-1].values
    assert whole.callbacks[-1].values["best"] == min(losses)
    assert same(last.callbacks[-1].arrays, whole.callbacks[-1].arrays)
    assert same(last.variables, whole.variables)


@pytest.mark.parametrize("at_once", [2, 3, 4, STEPS])
def test_several_steps_at_once_are_never_cut(at_once, monkeypatch, tmp_path):
    monkeypatch.setattr(fitting, "steps_per_execution", lambda *_: at_once)
    whole = Trial(OPTIMIZERS["Adam"]).run()
    first = Trial(OPTIMIZERS["Adam"], leave_after=math.ceil(STEPS / at_once)).run()
    state = passed_through_a_file(first.saved[-1], tmp_path)
    assert (state.epoch, state.step) == ((1, at_once) if at_once < STEPS else (2, 0))
    second = Trial(OPTIMIZERS["Adam"]).run(state)
    assert first.epochs + second.epochs == whole.epochs
    assert same(second.state(), whole.state())


def test_steps_are_counted_on_after_an_interruption(monkeypatch, tmp_path):
    monkeypatch.setattr("service.training.callbacks.PROGRESS_SECONDS", 0)
    first = Trial(OPTIMIZERS["Adam"], leave_after=STEPS + 3).run()
    state = first.saved[-1]
    second = Trial(OPTIMIZERS["Adam"]).run(state)
    progress = [(frame.epoch, frame.step) for frame in second.frames if isinstance(frame, Progress)]
    assert progress[0] == (state.epoch + 1, state.step + 1)
    assert progress[-1] == (EPOCHS, STEPS)


def damaged(content: bytes) -> list[bytes]:
    """What kills, disks and mistakes may make of a file."""
    chance = random.Random(1)
    changed = [bytearray(content) for _ in range(400)]
    for copy in changed:
        copy[chance.randrange(len(copy))] = chance.randrange(256)
    middle = len(content) // 2
    array = b"\x93NUMPY\x01\x00" + np.lib.format.magic(1, 0)
    return [b"", b"PK", array, content[:middle], content[:middle] + bytes(500) + content[middle + 500 :], *map(bytes, changed)]


def test_a_damaged_snapshot_is_refused_or_gives_the_same_state(tmp_path):
    path = tmp_path / "snapshot.npz"
    state = Trial(OPTIMIZERS["Adam"], leave_after=3).run().saved[-1]
    snapshots.write(path, state, origin())
    refused = 0
    for content in damaged(path.read_bytes()):
        path.write_bytes(content)
        try:
            read = snapshots.read(path)[0]
        except UnreadableSnapshot:
            refused += 1
        else:
            assert (read.epoch, read.step, read.progressed) == (state.epoch, state.step, state.progressed)
            assert same(read.variables, state.variables)
            assert same(read.metrics, state.metrics)
            assert [kept.values for kept in read.callbacks] == [kept.values for kept in state.callbacks]
    assert refused > 300


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
