"""A job that begins where another run has ended, with its whole state or with its weights alone."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest

from service.errors import InvalidInput
from service.spec.frames import DatasetFiles, EpochEnded, Finished, Frame, Planned, Resumed, SnapshotTaken, Start, Suspended
from service.training import snapshots
from service.training.job import fit
from service.training.wishes import Wishes
from tests.unit.training.conftest import make_job, store_arrays
from tests.unit.training.trials import QUIET, STEP_BY_STEP, assert_same_state, same

# Keras saves with calls at which NumPy 2 warns.
pytestmark = [QUIET, STEP_BY_STEP, pytest.mark.filterwarnings("ignore:In the future `np.object` will be defined:FutureWarning")]

LAYERS = [
    {"type": "Dense", "units": 5, "activation": "relu", "name": "hidden"},
    {"type": "BatchNormalization"},
    {"type": "Dropout", "rate": 0.5},
    {"type": "Dense", "units": 1, "name": "last"},
]
AVERAGING = {"type": "AdamW", "learning_rate": 0.02, "use_ema": True, "ema_momentum": 0.9}
STOPPING = {"type": "EarlyStopping", "patience": 5, "restore_best_weights": True}
REDUCING = {"type": "ReduceLROnPlateau", "patience": 1, "factor": 0.5}
ROWS, STEPS = 60, 7


@pytest.fixture(scope="module")
def numbers(tmp_path_factory) -> DatasetFiles:
    noise = np.random.default_rng(0)
    x, y = noise.normal(size=(ROWS, 3)).astype(np.float32), noise.normal(size=(ROWS, 1)).astype(np.float32)
    return store_arrays(tmp_path_factory.mktemp("numbers"), x=x, y=y)


@dataclass
class Attempt:
    """One attempt of a job in a folder, which is suspended after so many reported frames of a kind, if at all."""

    folder: Path
    dataset: DatasetFiles
    leave_after_epoch: int | None = None
    frames: list[Frame] = field(default_factory=list)

    def run(
        self, epochs: int, layers: Any = LAYERS, optimizer: Any = AVERAGING, run_id: str = "run_a", **fields: Any
    ) -> "Attempt":
        fit_spec = {"epochs": epochs, "batch_size": 7, "validation_split": 0.2, "callbacks": [STOPPING, REDUCING]}
        job = make_job(
            self.folder,
            self.dataset,
            run_id=run_id,
            definition={"layers": layers},
            compile={"optimizer": optimizer, "loss": {"type": "MeanSquaredError"}, "metrics": ["mae"]},
            fit=fit_spec | fields.pop("fit", {}),
            target="y",
            publish=False,
            **fields,
        )
        ended = fit(job, self.frames.append, Wishes(suspend=self._is_leaving))
        assert isinstance(ended, Finished if self.leave_after_epoch is None else Suspended)
        return self

    def _is_leaving(self) -> bool:
        return self.leave_after_epoch is not None and self.leave_after_epoch in self.epochs

    def of(self, kind: type) -> list[Any]:
        return [frame for frame in self.frames if isinstance(frame, kind)]

    @property
    def epochs(self) -> list[int]:
        return [frame.epoch for frame in self.of(EpochEnded)]

    @property
    def metrics(self) -> list[dict]:
        return [frame.metrics for frame in self.of(EpochEnded)]

    def start(self, take: str = "state") -> Start:
        return Start(run_id="run_a", take=take, model=str(self.folder / "model.keras"), state=str(self.folder / "state.npz"))

    def state(self) -> snapshots.State:
        return snapshots.read(self.folder / "state.npz")[0]

    def model(self) -> keras.Model:
        return keras.saving.load_model(self.folder / "model.keras")


def assert_same_result(one: Attempt, other: Attempt) -> None:
    """The saved weights and optimizer, and the state that a third one could go on from."""
    model, model_of_other = one.model(), other.model()
    assert same(model.get_weights(), model_of_other.get_weights())
    assert same(snapshots.values_of(model.optimizer.variables), snapshots.values_of(model_of_other.optimizer.variables))
    assert_same_state(one.state(), other.state())


@pytest.fixture(scope="module")
def three(numbers, tmp_path_factory) -> Attempt:
    return Attempt(tmp_path_factory.mktemp("three"), numbers).run(3)


@pytest.fixture(scope="module")
def six(numbers, tmp_path_factory) -> Attempt:
    """What six epochs at once give; no callback ends them, and the learning rate is reduced."""
    whole = Attempt(tmp_path_factory.mktemp("six"), numbers).run(6)
    assert whole.epochs == [1, 2, 3, 4, 5, 6]
    assert len({metrics["learning_rate"] for metrics in whole.metrics}) > 1
    return whole


def test_more_epochs_give_what_all_of_them_at_once_would_have_given(numbers, three, six, tmp_path):
    more = Attempt(tmp_path, numbers).run(6, run_id="run_b", start=three.start())
    assert more.epochs == [4, 5, 6]
    assert three.metrics + more.metrics == six.metrics
    assert_same_result(more, six)


def test_the_first_attempt_says_where_it_goes_on(numbers, three, tmp_path):
    """Once, between the plan and the first epoch; what counts as done is none of its own."""
    more = Attempt(tmp_path, numbers).run(4, run_id="run_b", start=three.start())
    assert more.of(Resumed) == [Resumed(from_epoch=3, from_step=0)]
    kinds = [type(frame) for frame in more.frames]
    assert kinds.index(Planned) < kinds.index(Resumed) < kinds.index(EpochEnded)
    assert more.of(Planned)[0].epochs == 4


def test_a_run_may_be_continued_again_and_again(numbers, three, six, tmp_path):
    four = Attempt(tmp_path / "four", numbers).run(4, run_id="run_b", start=three.start())
    more = Attempt(tmp_path / "six", numbers).run(6, run_id="run_c", start=four.start())
    assert three.metrics + four.metrics + more.metrics == six.metrics
    assert_same_result(more, six)


def test_a_run_that_was_interrupted_is_continued_as_if_it_had_not_been(numbers, six, tmp_path):
    first = Attempt(tmp_path / "first", numbers, leave_after_epoch=1).run(3)
    resume = [first.of(SnapshotTaken)[-1].path]
    second = Attempt(tmp_path / "second", numbers).run(3, attempt=2, resume=resume)
    more = Attempt(tmp_path / "more", numbers).run(6, run_id="run_b", start=second.start())
    assert more.of(Resumed) == [Resumed(from_epoch=3, from_step=0)]
    assert first.metrics + second.metrics + more.metrics == six.metrics
    assert_same_result(more, six)


def test_a_continuation_that_is_interrupted_goes_on_from_its_own_snapshot(numbers, three, six, tmp_path):
    first = Attempt(tmp_path / "first", numbers, leave_after_epoch=4).run(6, run_id="run_b", start=three.start())
    taken = first.of(SnapshotTaken)[-1]
    second = Attempt(tmp_path / "second", numbers)
    second.run(6, run_id="run_b", attempt=2, resume=[taken.path], start=three.start())
    assert second.of(Resumed) == [Resumed(from_epoch=taken.epoch, from_step=taken.step)]
    assert (taken.epoch, taken.step) == (4, 0)
    assert three.metrics + first.metrics + second.metrics == six.metrics
    assert_same_result(second, six)


def test_a_continuation_without_a_snapshot_begins_again_where_the_other_run_has_ended(numbers, three, six, tmp_path):
    again = Attempt(tmp_path, numbers).run(6, run_id="run_b", attempt=2, start=three.start())
    assert again.of(Resumed) == [Resumed(from_epoch=3, from_step=0)]
    assert_same_result(again, six)


def test_another_batch_size_goes_on_and_says_that_it_is_not_exact(numbers, three, tmp_path):
    kind = {"run_id": "run_b", "start": three.start(), "fit": {"batch_size": 10}}
    first = Attempt(tmp_path / "first", numbers, leave_after_epoch=4).run(6, **kind)
    (resumed,) = first.of(Resumed)
    assert resumed.inexact_reason == "It goes on where run 'run_a' has ended, but with another batch_size."
    taken = first.of(SnapshotTaken)[-1]
    second = Attempt(tmp_path / "second", numbers).run(6, **kind, attempt=2, resume=[taken.path])
    assert second.of(Resumed) == [Resumed(from_epoch=4, from_step=0, inexact_reason=resumed.inexact_reason)]
    assert second.epochs == [5, 6]
    assert int(second.model().optimizer.iterations) == 3 * STEPS + 3 * 5


def test_a_run_that_a_callback_has_ended_goes_on_all_the_same(numbers, tmp_path):
    """Otherwise its patience, which is at its end, would end the other one too."""
    hasty = {"callbacks": [STOPPING | {"patience": 1, "min_delta": 10}]}
    first = Attempt(tmp_path / "first", numbers).run(9, fit=hasty)
    assert first.epochs == [1, 2]
    more = Attempt(tmp_path / "more", numbers).run(9, run_id="run_b", start=first.start(), fit=hasty)
    assert more.epochs == [3, 4]
    (resumed,) = more.of(Resumed)
    assert resumed.inexact_reason == "It goes on where a callback has ended run 'run_a'."


def refusal(attempt: Attempt, epochs: int, **fields: Any) -> tuple[str, Any]:
    """The message and the problem with which a job is refused."""
    with pytest.raises(InvalidInput) as refused:
        attempt.run(epochs, run_id="run_b", **fields)
    (problem,) = refused.value.problems
    return str(refused.value), problem


WIDER = [{**LAYERS[0], "units": 6}, *LAYERS[1:]]


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"layers": WIDER}, "has shape (3, 6) here and (3, 5) there"),
        ({"layers": [*LAYERS, {"type": "Dropout", "rate": 0.1}]}, "variables instead of"),
        ({"optimizer": {"type": "SGD"}}, "variables instead of"),
    ],
)
def test_a_state_of_other_layers_or_of_another_optimizer_is_refused_with_the_mend(numbers, three, tmp_path, change, words):
    message, problem = refusal(Attempt(tmp_path, numbers), 6, start=three.start(), **change)
    assert message.startswith("Run 'run_a' cannot be continued: ")
    assert words in message
    assert problem.pointer == "/continue_from"
    assert "same layers and optimizer" in problem.fix
    assert '"take": "weights"' in problem.fix


@pytest.mark.parametrize("epochs", [2, 3])
def test_a_continuation_with_nothing_left_to_do_is_refused(numbers, three, tmp_path, epochs):
    message, problem = refusal(Attempt(tmp_path, numbers), epochs, start=three.start())
    assert message == f"Run 'run_a' has ended with epoch 3, which leaves nothing to do up to epoch {epochs}."
    assert (problem.pointer, problem.received, problem.expected) == ("/fit/epochs", str(epochs), "more than 3")


def test_a_run_that_has_left_no_state_cannot_be_continued(numbers, three, tmp_path):
    start = Start(run_id="run_a", take="state", model=three.start().model, state=None)
    message, _ = refusal(Attempt(tmp_path, numbers), 6, start=start)
    assert message == "Run 'run_a' cannot be continued: It has left no state to go on from."


def test_a_damaged_state_is_refused_without_the_path(numbers, three, tmp_path):
    state = tmp_path / "state.npz"
    state.write_bytes((three.folder / "state.npz").read_bytes()[:1000])
    start = Start(run_id="run_a", take="state", model=three.start().model, state=str(state))
    message, _ = refusal(Attempt(tmp_path / "run", numbers), 6, start=start)
    assert "cannot be read" in message
    assert str(tmp_path) not in message


def test_weights_alone_are_fitted_on_with_a_fresh_optimizer_from_the_first_epoch(numbers, three, tmp_path):
    """A tiny learning rate leaves the weights where they begin; those of BatchNormalization follow the batches."""
    still = AVERAGING | {"learning_rate": 1e-12, "weight_decay": 0.0}
    taken = Attempt(tmp_path, numbers).run(2, run_id="run_b", start=three.start("weights"), optimizer=still)
    assert taken.epochs == [1, 2]
    assert taken.of(Resumed) == []
    model, before = taken.model(), three.model()
    for weight, other in zip(model.trainable_weights, before.trainable_weights, strict=True):
        np.testing.assert_allclose(weight.numpy(), other.numpy(), atol=1e-6)
    assert int(model.optimizer.iterations) == 2 * STEPS


def test_weights_of_other_shapes_are_refused_with_the_name_of_the_layer(numbers, three, tmp_path):
    message, problem = refusal(Attempt(tmp_path, numbers), 2, start=three.start("weights"), layers=WIDER)
    assert message == "The weights of run 'run_a' do not fit this model: layer 'hidden' has other shapes."
    assert problem.pointer == "/continue_from"
    assert problem.fix


def test_a_run_from_weights_that_is_interrupted_goes_on_from_its_own_snapshot(numbers, three, tmp_path):
    kind = {"run_id": "run_b", "start": three.start("weights")}
    whole = Attempt(tmp_path / "whole", numbers).run(3, **kind)
    first = Attempt(tmp_path / "first", numbers, leave_after_epoch=1).run(3, **kind)
    second = Attempt(tmp_path / "second", numbers)
    second.run(3, **kind, attempt=2, resume=[first.of(SnapshotTaken)[-1].path])
    assert first.metrics + second.metrics == whole.metrics
    assert_same_result(second, whole)
