"""A fit that was interrupted anywhere ends with the same numbers, bit for bit, as one that was not."""

from dataclasses import dataclass, field
from pathlib import Path

import keras
import numpy as np
import pytest

from service.features.fitting import fit_array_plan
from service.spec.compile import CompileSpec
from service.spec.definition import Definition
from service.spec.features import FeaturesSpec
from service.spec.fit import FitSpec
from service.spec.frames import EpochEnded, Frame, Progress
from service.training import fitting, snapshots
from service.training.building import build_model
from service.training.data import Examples
from service.training.environment import environment
from service.training.fitting import Fit, Fitted, compile_for_fit
from service.training.snapshots import Budget, State, UnreadableSnapshot
from service.training.wishes import SuspendAsked, Wishes

LAYERS = [
    {"type": "Dense", "units": 6, "activation": "relu", "kernel_regularizer": {"type": "L2", "l2": 0.01}},
    {"type": "BatchNormalization"},
    {"type": "Dropout", "rate": 0.5},
    {"type": "Dense", "units": 1},
]
AVERAGING = {"type": "AdamW", "learning_rate": 0.01, "use_ema": True, "ema_momentum": 0.9}
OPTIMIZERS = {
    "Adam": {"type": "Adam"},
    "AdamW with averages": AVERAGING,
    "AdamW with averages put in place": AVERAGING | {"ema_overwrite_frequency": 5},
    "SGD with momentum": {"type": "SGD", "learning_rate": 0.01, "momentum": 0.9},
}
ROWS, TRAIN_ROWS, BATCH_SIZE, EPOCHS = 50, 43, 7, 4
STEPS = 7
FIT = FitSpec(epochs=EPOCHS, batch_size=BATCH_SIZE, validation_split=0.14)
SEED = 5


def data(loss) -> Examples:
    random = np.random.default_rng(0)
    x, y = random.normal(size=(ROWS, 3)).astype(np.float32), random.normal(size=(ROWS, 1)).astype(np.float32)
    plan, chosen, warnings = fit_array_plan({"x": x, "y": y}, FeaturesSpec(), "y", loss, TRAIN_ROWS)
    return Examples(x, y, TRAIN_ROWS, plan, chosen, warnings, [])


@dataclass
class Trial:
    """One fit in a fresh model; it is suspended after ``leave_after`` executions, counted over all epochs."""

    optimizer: dict
    leave_after: int | None = None
    frames: list[Frame] = field(default_factory=list)
    saved: list[State] = field(default_factory=list)
    model: keras.Model | None = None
    fitted: Fitted | None = None
    _asked: int = 0

    def run(self, state: State | None = None) -> "Trial":
        spec = CompileSpec.model_validate({"optimizer": self.optimizer, "loss": "mse", "metrics": ["mae"]})
        self.model = build_model(Definition.model_validate({"layers": LAYERS}), (3,), 1000, SEED)
        compile_for_fit(self.model, spec, TRAIN_ROWS, FIT)
        keras.utils.set_random_seed(SEED + 1 if state is None else 999)  # the global seed must not matter any more
        fit = Fit(self.model, data(spec.loss), FIT, SEED, self.frames.append, self._wishes(), self.saved.append, Budget(60, 0))
        try:
            self.fitted = fit.run(state)
        except SuspendAsked:
            self.fitted = None
        return self

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


def passed_through_a_file(state: State, folder: Path) -> State:
    path = folder / "snapshot.npz"
    snapshots.write(path, state, "run_1", 1, environment())
    return snapshots.read(path)[0]


@pytest.fixture(autouse=True)
def one_step_at_a_time(monkeypatch):
    """A snapshot may come after every step."""
    monkeypatch.setattr(fitting, "SHORT_FIT_STEPS", 0)
    monkeypatch.setattr(fitting, "steps_per_execution", lambda steps, seconds: 1)


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
        assert all((a == b).all() for a, b in zip(second.state(), whole.state(), strict=True)), (state.epoch, state.step)
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
    assert all((a == b).all() for a, b in zip(part.state(), whole.state(), strict=True))


def test_the_best_weights_survive_an_interruption(tmp_path):
    first = Trial(OPTIMIZERS["Adam"], leave_after=2 * STEPS + 3).run()
    state = passed_through_a_file(first.saved[-1], tmp_path)
    assert state.progressed.lowest == min(metrics["val_loss"] for metrics in first.epochs)
    assert len(state.best) == len(first.model.get_weights())


def test_several_steps_at_once_are_never_cut(monkeypatch, tmp_path):
    monkeypatch.setattr(fitting, "steps_per_execution", lambda steps, seconds: STEPS)
    whole = Trial(OPTIMIZERS["Adam"]).run()
    first = Trial(OPTIMIZERS["Adam"], leave_after=2).run()
    state = passed_through_a_file(first.saved[-1], tmp_path)
    assert state.step == 0
    second = Trial(OPTIMIZERS["Adam"]).run(state)
    assert all((a == b).all() for a, b in zip(second.state(), whole.state(), strict=True))


def test_steps_are_counted_on_after_an_interruption(monkeypatch, tmp_path):
    monkeypatch.setattr("service.training.callbacks.PROGRESS_SECONDS", 0)
    first = Trial(OPTIMIZERS["Adam"], leave_after=STEPS + 3).run()
    state = first.saved[-1]
    second = Trial(OPTIMIZERS["Adam"]).run(state)
    progress = [(frame.epoch, frame.step) for frame in second.frames if isinstance(frame, Progress)]
    assert progress[0] == (state.epoch + 1, state.step + 1)
    assert progress[-1] == (EPOCHS, STEPS)


def test_a_damaged_snapshot_is_refused(tmp_path):
    path = tmp_path / "snapshot.npz"
    snapshots.write(path, Trial(OPTIMIZERS["Adam"], leave_after=3).run().saved[-1], "run_1", 1, environment())
    content = bytearray(path.read_bytes())
    middle = len(content) // 2
    content[middle : middle + 500] = bytes(500)
    path.write_bytes(content)
    with pytest.raises(UnreadableSnapshot):
        snapshots.read(path)
    path.write_bytes(content[: len(content) // 2])
    with pytest.raises(UnreadableSnapshot):
        snapshots.read(path)


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
