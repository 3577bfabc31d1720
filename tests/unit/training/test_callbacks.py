"""The callbacks do what Keras's own do in a plain ``fit``, and nothing that is told is told twice."""

import math
from collections import Counter
from dataclasses import replace
from pathlib import Path

import keras
import numpy as np
import pytest
import tensorflow as tf

from service.spec.compile import CompileSpec
from service.spec.definition import Definition
from service.spec.frames import EpochEnded, Progress
from service.training import callbacks, fitting
from service.training.building import build_model, compile_model
from service.training.callbacks import ReportEpoch, finite_metrics
from service.training.failures import NotFinite
from service.training.fitting import Fitted
from service.training.order import Order
from service.training.wishes import Wishes
from tests.unit.training.trials import (
    BATCH_SIZE,
    HASTY,
    HASTY_AVERAGING,
    NOISY,
    QUIET,
    SEED,
    STEPS,
    TRAIN_ROWS,
    Always,
    Trial,
    passed_through_a_file,
    same,
)

pytestmark = QUIET

EPOCHS = 8


def by_keras(optimizer: dict, keras_callbacks: list, **arguments) -> tuple[list[dict], list[np.ndarray]]:
    """What a plain ``fit`` of Keras gives, with the rows in our order: the metrics of every epoch, and the last weights."""
    spec = CompileSpec.model_validate({"optimizer": optimizer, "loss": "mse", "metrics": ["mae"]})
    examples = Trial().prepare().examples
    model = build_model(Definition.model_validate({"layers": NOISY}), [(3,)], 1000, SEED)
    compile_model(model, spec, 1)
    metrics: list[dict] = []
    collect = keras.callbacks.LambdaCallback(on_epoch_end=lambda epoch, logs: metrics.append(dict(logs)))

    def batches():
        for number in range(EPOCHS + 1):
            rows = Order(TRAIN_ROWS, SEED, shuffle=True).permutation(number)
            for start in range(0, TRAIN_ROWS, BATCH_SIZE):
                yield tuple(array[rows[start : start + BATCH_SIZE]] for array in examples.train.arrays)

    model.fit(
        batches(), epochs=EPOCHS, steps_per_epoch=STEPS, validation_data=examples.validation.arrays,
        validation_batch_size=BATCH_SIZE, callbacks=[*keras_callbacks, collect], shuffle=False, verbose=0, **arguments,
    )  # fmt: skip
    return metrics, model.get_weights()


def by_us(optimizer: dict, specs: list[dict], **arguments) -> Trial:
    return Trial(optimizer=optimizer, fit={"epochs": EPOCHS, "callbacks": specs, **arguments}).run()


STOPPING = {"monitor": "val_loss", "patience": 2, "restore_best_weights": True}
REDUCING = {"monitor": "val_mean_absolute_error", "mode": "min", "patience": 1, "factor": 0.5, "min_delta": 0.001, "cooldown": 1}
TABLE = {"type": "table", "epochs": [0, 3], "learning_rates": [0.05, 0.001]}
CASES = {
    "EarlyStopping": (STOPPING, {}, keras.callbacks.EarlyStopping),
    "EarlyStopping without the best weights": (STOPPING | {"restore_best_weights": False}, {}, keras.callbacks.EarlyStopping),
    "EarlyStopping with a baseline": (
        STOPPING | {"baseline": 0.5, "start_from_epoch": 1, "min_delta": 0.01}, {}, keras.callbacks.EarlyStopping
    ),
    "EarlyStopping between validations": (STOPPING | {"patience": 1}, {"validation_freq": 2}, keras.callbacks.EarlyStopping),
    "EarlyStopping of the training loss": (STOPPING | {"monitor": "loss", "min_delta": 0.2}, {}, keras.callbacks.EarlyStopping),
    "ReduceLROnPlateau": (REDUCING, {}, keras.callbacks.ReduceLROnPlateau),
    "ReduceLROnPlateau between validations": (REDUCING, {"validation_freq": 2}, keras.callbacks.ReduceLROnPlateau),
}  # fmt: skip


@pytest.mark.filterwarnings("ignore:.*which is not available")
@pytest.mark.parametrize("optimizer", [HASTY, HASTY_AVERAGING], ids=["", "with averages"])
@pytest.mark.parametrize("name", CASES)
def test_a_callback_does_what_keras_does(name, optimizer):
    """The same epochs with the same metrics, the learning rate among them, and the same weights at the end."""
    settings, arguments, kind = CASES[name]
    metrics, weights = by_keras(optimizer, [kind(**settings)], **arguments)
    ours = by_us(optimizer, [{"type": kind.__name__, **settings}], **arguments)
    assert ours.epochs == metrics
    assert same(ours.model.get_weights(), weights)
    assert len(metrics) < EPOCHS or "learning_rate" in metrics[-1]


def test_a_schedule_of_epochs_does_what_keras_does():
    def schedule(epoch: int) -> float:
        return 0.05 if epoch < 3 else 0.001

    metrics, weights = by_keras(HASTY, [keras.callbacks.LearningRateScheduler(schedule)])
    ours = by_us(HASTY, [{"type": "LearningRateScheduler", "schedule": TABLE}])
    assert ours.epochs == metrics
    assert same(ours.model.get_weights(), weights)


@pytest.mark.parametrize("optimizer", [HASTY, HASTY_AVERAGING], ids=["", "with averages"])
def test_a_checkpoint_keeps_what_keras_saves(optimizer, tmp_path):
    """With averaged weights, too, Keras saves those of the epoch and not their averages."""
    path = tmp_path / "best.keras"
    _, weights = by_keras(optimizer, [keras.callbacks.ModelCheckpoint(path, save_best_only=True)])
    ours = by_us(optimizer, [{"type": "ModelCheckpoint"}])
    assert same(ours.fitted.best.best_weights, keras.saving.load_model(path).get_weights())
    assert same(ours.model.get_weights(), weights)


def test_a_checkpoint_never_takes_an_epoch_that_was_not_measured():
    """Keras would save the model after each of them."""
    ours = by_us(HASTY, [{"type": "ModelCheckpoint"}], validation_freq=2)
    losses = [epoch.get("val_loss", math.inf) for epoch in ours.epochs]
    assert ours.fitted.best.best_epoch == losses.index(min(losses))


def test_nobody_is_warned_between_validations(recwarn):
    """Keras warns in every epoch that has no validation, once for each callback."""
    watching = ["EarlyStopping", "ReduceLROnPlateau", "ModelCheckpoint"]
    by_us(HASTY, [{"type": name} for name in watching], validation_freq=4)
    assert [warning for warning in recwarn if "available" in str(warning.message)] == []


def scalars(folder: Path) -> Counter:
    """How often each scalar was written, as (folder, tag, step, value)."""
    found: Counter = Counter()
    for path in folder.rglob("events.*"):
        for record in tf.data.TFRecordDataset(str(path)):
            event = tf.compat.v1.Event.FromString(record.numpy())
            for value in event.summary.value:
                found[path.parent.name, value.tag, event.step, float(tf.make_ndarray(value.tensor))] += 1
    return found


@pytest.mark.parametrize("place", [(2, 3), (3, 0), (4, 0)])
def test_logs_hold_every_epoch_once_however_often_the_fit_was_taken_up(place, tmp_path, monkeypatch):
    """Scalars of earlier attempts are written again, with the learning rates that held then."""
    monkeypatch.setattr(fitting, "steps_per_execution", lambda *_: 1)
    falling = {
        "type": "Adam",
        "learning_rate": {"type": "ExponentialDecay", "initial_learning_rate": 0.1, "decay_steps": 9, "decay_rate": 0.5},
    }
    kind = {"optimizer": falling, "fit": {"callbacks": ["TensorBoard"], "validation_freq": 2}, "folder": tmp_path}
    whole = Trial(**kind, budget=Always(0, 0)).run()
    resumed = Trial(**kind).run(passed_through_a_file(whole.at(*place), tmp_path))
    written = scalars(whole.logs)
    assert {(folder, tag) for folder, tag, _, _ in written} == {
        *(("train", f"epoch_{name}") for name in ("loss", "mean_absolute_error", "learning_rate")),
        *(("validation", f"epoch_{name}") for name in ("loss", "mean_absolute_error")),
        *(("validation", f"evaluation_{name}_vs_iterations") for name in ("loss", "mean_absolute_error")),
    }
    assert {step for folder, tag, step, _ in written if tag == "epoch_learning_rate"} == {0, 1, 2, 3}
    assert len({value for _, tag, _, value in written if tag == "epoch_learning_rate"}) == 4
    assert set(written.values()) == {1}
    assert scalars(resumed.logs) == written


def test_histograms_of_weights_are_written_when_they_are_wanted(tmp_path):
    logs = Trial(fit={"epochs": 2, "callbacks": [{"type": "TensorBoard", "histogram_freq": 1}]}, folder=tmp_path).run().logs
    records = [record for path in logs.rglob("events.*") for record in tf.data.TFRecordDataset(str(path))]
    events = [tf.compat.v1.Event.FromString(record.numpy()) for record in records]
    tags = Counter(value.tag for event in events for value in event.summary.value if value.tag.endswith("/histogram"))
    assert set(tags.values()) == {2}
    assert len(tags) == 8, "two layers with a kernel and a bias, and the four of BatchNormalization"


def test_every_epoch_is_told_once_and_steps_rise(monkeypatch):
    monkeypatch.setattr(callbacks, "PROGRESS_SECONDS", 0)
    frames = Trial().run().frames
    assert [frame.epoch for frame in frames if isinstance(frame, EpochEnded)] == [1, 2, 3, 4]
    steps = [(frame.epoch, frame.step) for frame in frames if isinstance(frame, Progress)]
    assert steps == sorted(set(steps))
    assert steps[-1] == (4, STEPS)


@pytest.mark.parametrize("name", ["loss", "val_loss"])
@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_a_loss_that_is_no_number_ends_the_fit(name, value):
    with pytest.raises(NotFinite, match=name):
        ReportEpoch(lambda frame: None, [], 0.0).on_epoch_end(2, {"accuracy": 1.0, name: value})


def test_a_metric_that_is_no_number_is_left_out():
    assert finite_metrics(1, {"loss": 1.0, "auc": math.nan}) == {"loss": 1.0}


def test_a_metric_of_each_class_becomes_one_number_for_each():
    logs = {"loss": 1.0, "f1_score": np.array([0.5, 1.0, math.nan]), "one": np.array([2.0])}
    assert finite_metrics(1, logs) == {"loss": 1.0, "f1_score_0": 0.5, "f1_score_1": 1.0, "one": 2.0}


def stopped(keep: str, after: int, monkeypatch) -> tuple[Trial, Fitted]:
    """A fit with averages that is stopped after so many batches, of training or validation; -1: before the first."""
    monkeypatch.setattr(fitting, "steps_per_execution", lambda *_: 1)
    trial = Trial(optimizer=HASTY_AVERAGING)
    asked = iter([None] * (1 + after))
    fit = replace(trial.prepare(), wishes=Wishes(stop=lambda: next(asked, keep)))
    return trial, fit.run(None)


@pytest.mark.parametrize("keep", ["last", "best"])
def test_a_stop_puts_the_averages_in_place_of_the_last_weights_alone(keep, monkeypatch):
    """As Keras does at the end of a fit, where the best weights that ``EarlyStopping`` restores are no averages either."""
    trial, fitted = stopped(keep, 2 * (STEPS + 2) + 3, monkeypatch)
    assert (fitted.stopped, fitted.note, len(fitted.epochs)) == (keep, None, 2)
    averages = [average.numpy() for average in trial.model.optimizer._model_variables_moving_average]
    is_averaged = same([weight.numpy() for weight in trial.model.trainable_weights], averages)
    assert is_averaged == (keep == "last")


def test_a_stop_before_the_best_epoch_keeps_the_averages_of_the_last_weights(monkeypatch):
    trial, fitted = stopped("best", 3, monkeypatch)
    assert "No epoch had ended" in fitted.note
    averages = [average.numpy() for average in trial.model.optimizer._model_variables_moving_average]
    assert same([weight.numpy() for weight in trial.model.trainable_weights], averages)


def test_a_stop_before_the_first_step_leaves_the_weights_alone(monkeypatch):
    """Their averages are still zeros."""
    trial, _ = stopped("last", -1, monkeypatch)
    assert int(trial.model.optimizer.iterations) == 0
    assert trial.model.trainable_weights[0].numpy().any()
