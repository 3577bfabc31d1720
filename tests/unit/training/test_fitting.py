import numpy as np
import pytest

from service.features.fitting import fit_array_plan
from service.spec.compile import CompileSpec
from service.spec.definition import Definition
from service.spec.features import FeaturesSpec
from service.spec.fit import FitSpec
from service.spec.frames import EpochEnded
from service.training import fitting
from service.training.building import build_model
from service.training.data import Examples
from service.training.fitting import Fit, compile_for_fit, steps_per_execution
from service.training.snapshots import Budget
from service.training.wishes import Wishes

COMPILE = CompileSpec.model_validate({"optimizer": "adam", "loss": "mse", "metrics": ["mae"]})
LAYERS = [
    {"type": "Dense", "units": 4, "activation": "relu"},
    {"type": "BatchNormalization"},
    {"type": "Dropout", "rate": 0.5},
    {"type": "Dense", "units": 1},
]


def noise() -> Examples:
    random = np.random.default_rng(0)
    x, y = random.normal(size=(50, 3)).astype(np.float32), random.normal(size=(50, 1)).astype(np.float32)
    plan, chosen, warnings = fit_array_plan({"x": x, "y": y}, FeaturesSpec(), "y", COMPILE.loss, 40)
    return Examples(x, y, 40, plan, chosen, warnings, [])


def fit_with(steps_at_once: int, monkeypatch) -> tuple[list, list]:
    monkeypatch.setattr(fitting, "SHORT_FIT_STEPS", 0)
    monkeypatch.setattr(fitting, "steps_per_execution", lambda steps, seconds: steps_at_once)
    model = build_model(Definition.model_validate({"layers": LAYERS}), (3,), 1000, seed=5)
    reports: list = []
    examples, fit = noise(), FitSpec(epochs=2, batch_size=7, validation_split=0.2)
    compile_for_fit(model, COMPILE, examples.train_rows, fit)
    Fit(model, examples, fit, 5, reports.append, Wishes(), lambda state, began_at: None, Budget(60, 0)).run(None)
    return [frame.metrics for frame in reports if isinstance(frame, EpochEnded)], model.get_weights()


def test_results_do_not_depend_on_the_steps_per_execution(monkeypatch):
    one_by_one, weights = fit_with(1, monkeypatch)
    for steps_at_once in (3, 6):
        metrics, other_weights = fit_with(steps_at_once, monkeypatch)
        assert metrics == one_by_one
        assert all((a == b).all() for a, b in zip(weights, other_weights, strict=True))


@pytest.mark.parametrize(
    ("steps", "seconds", "expected"),
    [(12, 1e-4, 12), (12, 0.02, 4), (12, 5.0, 1), (157, 1e-3, 1), (1000, 1e-4, 250)],
)
def test_an_execution_is_a_divisor_of_the_epoch_and_short(steps, seconds, expected):
    assert steps_per_execution(steps, seconds) == expected
