"""What callbacks know, and what they have done to the learning rate and the weights, survives an interruption bit for bit."""

import pytest

from tests.unit.training.trials import (
    HASTY,
    HASTY_AVERAGING,
    QUIET,
    STEP_BY_STEP,
    STEPS,
    Always,
    Trial,
    assert_exact,
    assert_same_end,
    assert_same_state,
    passed_through_a_file,
)

pytestmark = [QUIET, STEP_BY_STEP]

STOPPING = {"type": "EarlyStopping", "patience": 2, "restore_best_weights": True}
REDUCING = {"type": "ReduceLROnPlateau", "patience": 1, "factor": 0.5, "cooldown": 1}
CHECKPOINT = {"type": "ModelCheckpoint"}
TABLE = {"type": "table", "epochs": [0, 2, 3], "learning_rates": [0.01, 0.05, 0.001]}
COSINE = {"type": "cosine", "initial_learning_rate": 0.05, "epochs": 4}


def losses(trial: Trial) -> list[float]:
    return [epoch["val_loss"] for epoch in trial.epochs if "val_loss" in epoch]


@pytest.mark.parametrize("optimizer", [HASTY, HASTY_AVERAGING], ids=["", "with averages"])
def test_a_fit_that_a_callback_ends_is_ended_in_the_same_epoch_with_the_same_weights(optimizer, tmp_path):
    """Killed while it waits, in the very epoch in which it stops, right before its end and right after it."""
    places = [(2, 3), (3, 0), (3, 5), (4, 0)]
    whole = assert_exact(tmp_path, places, optimizer=optimizer, fit={"epochs": 12, "callbacks": [STOPPING]})
    assert len(whole.epochs) == 4 == losses(whole).index(min(losses(whole))) + 3
    assert whole.fitted.state.progressed.is_over


def test_a_fit_that_is_suspended_when_a_callback_ends_it_is_over_when_it_goes_on(tmp_path):
    kind = {"optimizer": HASTY, "fit": {"epochs": 12, "callbacks": [STOPPING]}}
    whole = Trial(**kind).run()
    first = Trial(**kind, leave_after=4 * STEPS - 1).run()
    assert first.fitted is None, "it was suspended"
    assert (first.saved[-1].epoch, first.saved[-1].step) == (4, 0)
    second = Trial(**kind).run(passed_through_a_file(first.saved[-1], tmp_path))
    assert second.epochs == []
    assert_same_end(second, whole)


def test_a_reduced_learning_rate_stays_reduced(tmp_path):
    places = [(1, 4), (3, 0), (4, 6)]
    whole = assert_exact(tmp_path, places, optimizer=HASTY, fit={"epochs": 6, "callbacks": [REDUCING]})
    assert len({epoch["learning_rate"] for epoch in whole.epochs}) >= 3


@pytest.mark.parametrize("schedule", [TABLE, COSINE], ids=["table", "cosine"])
def test_a_schedule_of_epochs_goes_on(schedule, tmp_path):
    callback = {"type": "LearningRateScheduler", "schedule": schedule}
    whole = assert_exact(tmp_path, [(1, 4), (2, 0), (2, 1)], fit={"callbacks": [callback]})
    assert len({epoch["learning_rate"] for epoch in whole.epochs}) >= 3


@pytest.mark.parametrize("optimizer", [HASTY, HASTY_AVERAGING], ids=["", "with averages"])
def test_the_checkpoint_of_an_earlier_attempt_is_kept(optimizer, tmp_path):
    """The best epoch is the second one, so that an attempt that begins in the third cannot find it again."""
    whole = assert_exact(tmp_path, [(2, 1), (3, 0), (4, 0)], optimizer=optimizer, fit={"callbacks": [CHECKPOINT]})
    assert losses(whole).index(min(losses(whole))) == 1
    assert whole.fitted.best.best_epoch == 1
    assert whole.fitted.best.best_weights


def test_all_of_it_at_once_goes_on(tmp_path):
    """An epoch is five eighths of a pass, rows have weights, and every second epoch is measured."""
    fit = {
        "epochs": 20,
        "steps_per_epoch": 5,
        "validation_freq": 2,
        "dtype_policy": "mixed_float16",
        "callbacks": [STOPPING | {"min_delta": 1000}, REDUCING | {"min_delta": 1000}, CHECKPOINT, {"type": "TensorBoard"}],
    }
    kind = {"optimizer": HASTY_AVERAGING, "is_weighted": True, "size": 100.0, "fit": fit}
    whole = assert_exact(tmp_path, [(1, 2), (4, 0), (5, 3)], **kind)
    assert whole.fitted.state.progressed.is_over
    assert "val_loss" not in whole.epochs[-2]
    assert len({epoch["learning_rate"] for epoch in whole.epochs}) > 1


def test_what_was_carried_over_is_carried_over_again(tmp_path):
    """Four attempts: the knowledge of the first one reaches the last one through two snapshots of others."""
    kind = {"optimizer": HASTY, "fit": {"epochs": 12, "callbacks": [STOPPING, REDUCING]}, "budget": Always(0, 0)}
    whole = Trial(**kind).run()
    state = whole.at(1, 2)
    for place in ((2, 1), (3, 0), (3, 3)):
        state = Trial(**kind).run(passed_through_a_file(state, tmp_path)).at(*place)
        assert_same_state(state, whole.at(*place))
    assert_same_end(Trial(**kind).run(state), whole)
