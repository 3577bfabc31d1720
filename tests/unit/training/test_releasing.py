"""What a job has taken is free for the next one."""

import gc
import weakref

from service.training.loop import release
from tests.unit.training.trials import QUIET, SHORT, Trial

pytestmark = QUIET


def test_nothing_of_a_fit_stays_in_memory():
    weights = weights_of_a_fit()
    gc.collect()
    assert weights() is not None, "TensorFlow keeps them by itself, or this test is no longer needed"
    release()
    assert weights() is None


def weights_of_a_fit() -> weakref.ref:
    kernel = Trial(fit=SHORT).run().model.layers[0].kernel
    return weakref.ref(kernel.value.handle)
