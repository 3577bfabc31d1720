"""What our part in Keras's loop costs."""

import statistics
import time

import pytest
from keras.src.callbacks.callback_list import CallbackList

from service.training.job import fit
from service.training.wishes import Wishes
from tests.unit.training.conftest import make_job

STEP_SECONDS = 0.01
SHARE = 0.005

# Keras saves with calls at which NumPy 2 warns.
pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation doesn't accept a copy keyword:DeprecationWarning")


def test_a_batch_costs_us_next_to_nothing(digits, tmp_path, monkeypatch):
    """Of a step of 10 ms; with the exchange of logs that Keras makes for any callback."""
    seconds = []
    keras_hook = CallbackList.on_train_batch_end

    def timed(callbacks, batch, logs=None):
        began = time.perf_counter()
        keras_hook(callbacks, batch, logs)
        seconds.append(time.perf_counter() - began)

    monkeypatch.setattr(CallbackList, "on_train_batch_end", timed)
    job = make_job(tmp_path, digits, fit={"epochs": 60}, publish=False)
    fit(job, lambda frame: None, Wishes())
    assert len(seconds) == 720
    assert statistics.median(seconds) < SHARE * STEP_SECONDS
