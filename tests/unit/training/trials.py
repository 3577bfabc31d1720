"""Tiny fits that are interrupted and taken up again, and what tells whether two of them are the same."""

import gc
import tempfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf

from service.spec.compile import CompileSpec
from service.spec.definition import Definition
from service.spec.fit import FitSpec
from service.spec.frames import EpochEnded, Frame
from service.training import snapshots
from service.training.adapting import adapt
from service.training.building import build_model
from service.training.environment import environment
from service.training.examples import Examples, Part
from service.training.fitting import Fit, Fitted, compile_for_fit
from service.training.snapshots import Budget, Origin, State
from service.training.wishes import SuspendAsked, Wishes
from tests.unit.training.conftest import make_examples

NOISY = [
    {"type": "Dense", "units": 6, "activation": "relu", "kernel_regularizer": {"type": "L2", "l2": 0.01}},
    {"type": "BatchNormalization"},
    {"type": "Dropout", "rate": 0.5},
    {"type": "Dense", "units": 1},
]
ADAM = {"type": "Adam"}
SGD = {"type": "SGD"}
"""For what is no matter of the optimizer: TensorFlow is quickest with its graphs."""
AVERAGING = {"type": "AdamW", "learning_rate": 0.01, "use_ema": True, "ema_momentum": 0.9}
HASTY = {"type": "Adam", "learning_rate": 0.05}
"""The validation loss is the smallest after the second epoch."""
HASTY_AVERAGING = HASTY | {"use_ema": True, "ema_momentum": 0.9}
ROWS, TRAIN_ROWS, BATCH_SIZE, EPOCHS = 50, 43, 6, 4
STEPS = 8
"""The last batch has one row."""
SEED = 5
SHORT = {"epochs": 2, "batch_size": 12}
"""Of four steps each."""
KILLED_AT = [(0, 3)]
"""In the midst of the first short epoch, after an odd number of steps: gradients that are added up over two are half done."""

QUIET = pytest.mark.filterwarnings("ignore:__array__ implementation doesn't accept a copy keyword:DeprecationWarning")
"""Keras reads a learning rate, and saves, with calls at which NumPy 2 warns."""
STEP_BY_STEP = pytest.mark.usefixtures("one_step_at_a_time")
"""A snapshot may come after every step."""

tf.config.experimental.enable_op_determinism()  # as in a trainer
gc.freeze()  # likewise: otherwise half of a trial's time would go into looking through TensorFlow's own objects


class Always(Budget):
    """Lets a snapshot be taken after every execution."""

    def is_due(self, at_epoch_end: bool) -> bool:
        return True


@dataclass
class Trial:
    """One fit in a fresh model.

    It is suspended after ``leave_after`` executions, counted over all epochs, or saves its state after each of them.
    """

    optimizer: dict = field(default_factory=lambda: ADAM)
    leave_after: int | None = None
    layers: list = field(default_factory=lambda: NOISY)
    shape: tuple[int, ...] = (3,)
    fit: dict[str, Any] = field(default_factory=dict)
    """More arguments of ``FitSpec``."""
    is_weighted: bool = False
    size: float = 1.0
    """What the numbers of the data are multiplied by."""
    rows: tuple[np.ndarray, np.ndarray] | None = None
    """The data, ``ROWS`` of input and encoded target, instead of noise."""
    loss: str | dict = "mse"
    metrics: list = field(default_factory=lambda: ["mae"])
    budget: Budget = field(default_factory=lambda: Budget(60, 0))
    folder: Path | None = None
    """Where logs may be written."""
    frames: list[Frame] = field(default_factory=list)
    saved: list[State] = field(default_factory=list)
    model: keras.Model | None = None
    examples: Examples | None = None
    fitted: Fitted | None = None
    logs: Path = Path()
    _asked: int = 0

    def run(self, state: State | None = None) -> "Trial":
        whole = self.prepare()
        if state is None:
            adapt(self.model, Definition.model_validate({"layers": self.layers}), self.examples.train, TRAIN_ROWS, lambda: None)
        keras.utils.set_random_seed(SEED + 1 if state is None else 999)  # the global seed must not matter any more
        if state is not None:
            whole.check(state)
        try:
            self.fitted = whole.run(state)
        except SuspendAsked:
            self.fitted = None
        return self

    def prepare(self) -> Fit:
        spec = CompileSpec.model_validate({"optimizer": self.optimizer, "loss": self.loss, "metrics": self.metrics})
        fit_spec = FitSpec.model_validate({"epochs": EPOCHS, "batch_size": BATCH_SIZE, **self.fit})
        definition = Definition.model_validate({"layers": self.layers})
        self.model = build_model(definition, [self.shape], 10_000_000, SEED, fit_spec.dtype_policy)
        self.examples = self._data(spec)
        compile_for_fit(self.model, spec, self.examples.train, fit_spec)
        self.logs = Path(tempfile.mkdtemp(dir=self.folder)) if self.folder else Path()
        return Fit(
            self.model, self.examples, fit_spec, SEED, self.frames.append, self._wishes(), self._save, self.budget, self.logs
        )

    def _data(self, spec: CompileSpec) -> Examples:
        noise = np.random.default_rng(0)
        x, y = self.rows or ((self.size * noise.normal(size=(ROWS, *shape))).astype(np.float32) for shape in (self.shape, (1,)))
        examples = make_examples(x, y, TRAIN_ROWS, spec.loss)
        if not self.is_weighted:
            return examples
        weights = noise.uniform(0, 2, size=ROWS).astype(np.float32)
        validation = examples.validation
        train = Part(examples.train.inputs, examples.train.targets, weights[:TRAIN_ROWS])
        return Examples(train, Part(validation.inputs, validation.targets, weights[TRAIN_ROWS:]), examples.about)

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

    def at(self, epoch: int, step: int) -> State:
        """What was saved when so many epochs, and steps of the next one, were done."""
        (state,) = [state for state in self.saved if (state.epoch, state.step) == (epoch, step)]
        return state


def origin() -> Origin:
    return Origin("run_1", 1, SEED, environment())


def passed_through_a_file(state: State, folder: Path) -> State:
    path = folder / "snapshot.npz"
    snapshots.write(path, state, origin())
    return snapshots.read(path)[0]


def same(arrays: list[np.ndarray], others: list[np.ndarray]) -> bool:
    return all(a.dtype == b.dtype and a.tobytes() == b.tobytes() for a, b in zip(arrays, others, strict=True))


def assert_same_end(trial: Trial, whole: Trial) -> None:
    """Weights, optimizer, history, and what every callback knows: the best epoch and its weights among it."""
    assert [epoch.metrics for epoch in trial.fitted.epochs] == whole.epochs
    assert same(trial.state(), whole.state())
    assert_same_state(trial.fitted.state, whole.fitted.state)


def assert_same_state(state: State, other: State) -> None:
    assert (state.epoch, state.step, state.progressed.is_over) == (other.epoch, other.step, other.progressed.is_over)
    assert same(state.variables, other.variables)
    assert [kept.values for kept in state.callbacks] == [kept.values for kept in other.callbacks]
    assert all(same(kept.arrays, others.arrays) for kept, others in zip(state.callbacks, other.callbacks, strict=True))


def assert_exact(folder: Path, places: list[tuple[int, int]], **kind: Any) -> Trial:
    """A fit that is killed right after each of these places and taken up again ends as if undisturbed. Returns that one.

    A place is the number of epochs, and of steps of the next one, that are done.
    """
    whole = Trial(**kind, folder=folder, budget=Always(0, 0)).run()
    for place in places:
        state = passed_through_a_file(whole.at(*place), folder)
        resumed = Trial(**kind, folder=folder).run(state)
        assert whole.epochs[state.epoch :] == resumed.epochs, place
        assert_same_end(resumed, whole)
    return whole
