"""Whatever a fit is made of, one that was killed and taken up again ends with the same numbers, bit for bit."""

import pytest

from service.training import order
from tests.unit.training.trials import AVERAGING, EPOCHS, STEP_BY_STEP, STEPS, assert_exact

pytestmark = STEP_BY_STEP

WARMED_UP = {
    "type": "CosineDecay",
    "initial_learning_rate": 0.1,
    "decay_steps": 3 * STEPS,
    "warmup_steps": 5,
    "warmup_target": 0.2,
}
RANDOM_LAYERS = [
    {"type": "GaussianNoise", "stddev": 0.5},
    {"type": "Dense", "units": 6, "activation": "relu"},
    {"type": "GaussianDropout", "rate": 0.3},
    {"type": "BatchNormalization", "momentum": 0.9},
    {"type": "Dropout", "rate": 0.5, "seed": 3},
    {"type": "Dense", "units": 1},
]
AUGMENTATION = [
    {"type": "RandomFlip"},
    {"type": "RandomRotation", "factor": 0.2},
    {"type": "RandomTranslation", "height_factor": 0.2, "width_factor": 0.3},
    {"type": "RandomZoom", "height_factor": 0.2, "seed": 3},
    {"type": "RandomContrast", "factor": 0.5},
    {"type": "Conv2D", "filters": 2, "kernel_size": 3},
    {"type": "BatchNormalization"},
    {"type": "Flatten"},
    {"type": "Dense", "units": 1},
]
SEQUENCE = [{"type": "LSTM", "units": 3, "dropout": 0.3, "recurrent_dropout": 0.3}, {"type": "Dense", "units": 1}]
KINDS = {
    "random layers": {"layers": RANDOM_LAYERS},
    "random images": {"layers": AUGMENTATION, "shape": (6, 6, 1), "size": 100.0},
    "a recurrent layer": {"layers": SEQUENCE, "shape": (3, 1)},
    "AdamW with averages": {"optimizer": AVERAGING},
    "averages put in place now and then": {"optimizer": AVERAGING | {"ema_overwrite_frequency": 5}},
    "momentum": {"optimizer": {"type": "SGD", "learning_rate": 0.01, "momentum": 0.9, "nesterov": True}},
    "a schedule of steps": {"optimizer": {"type": "SGD", "learning_rate": WARMED_UP}},
    "a validation now and then": {"fit": {"validation_freq": 2}},
    "no shuffling": {"fit": {"shuffle": False}},
    "weights of rows": {"is_weighted": True},
    "bfloat16": {"fit": {"dtype_policy": "mixed_bfloat16"}, "optimizer": AVERAGING},
}
PLACES = [(1, 5), (EPOCHS - 1, 0)]


@pytest.mark.parametrize("name", KINDS)
def test_a_killed_fit_goes_on_as_if_nothing_had_happened(name, tmp_path):
    assert_exact(tmp_path, PLACES, **KINDS[name])


@pytest.mark.parametrize("steps", [5, 11])
def test_epochs_that_are_no_whole_passes_go_on_in_the_midst_of_a_pass(steps, tmp_path):
    """8 steps make a pass."""
    assert_exact(tmp_path, [(0, 3), (2, 0)], fit={"steps_per_epoch": steps})


def test_the_scale_of_a_half_precision_loss_goes_on(tmp_path):
    """The data is so large that the first gradients overflow, by which the scale falls from 2**15."""
    kind = {"fit": {"dtype_policy": "mixed_float16"}, "optimizer": AVERAGING, "size": 100.0}
    optimizer = assert_exact(tmp_path, [(0, 3), (2, 0)], **kind).model.optimizer
    assert optimizer.dynamic_scale.numpy() < 2**15
    assert 0 < int(optimizer.iterations) < EPOCHS * STEPS, "some steps were left out"


def test_windows_of_rows_go_on(monkeypatch, tmp_path):
    """43 rows of 16 bytes are 15 chunks of 3 rows; 4 of them are a window, which 2 steps take."""
    for name, value in (("MEMORY_BYTES", 0), ("CHUNK_BYTES", 48), ("WINDOW_CHUNKS", 4)):
        monkeypatch.setattr(order, name, value)
    assert_exact(tmp_path, [(0, 1), (2, 5)], fit={"steps_per_epoch": 9})
