from typing import Any

import keras
import numpy as np
import pytest
from pydantic import TypeAdapter

from service.features.plan import Target
from service.spec.compile import CompileSpec
from service.spec.definition import Definition
from service.spec.evaluation import Evaluation
from service.spec.fit import FitSpec
from service.training import measuring
from service.training.building import build_model, compile_model
from service.training.examples import Part
from service.training.fitting import compile_for_fit
from service.training.measuring import Measuring, baselines_of, keras_metrics, predict
from service.training.wishes import StopAsked, Wishes

ROWS, BATCH = 50, 8
LAYERS = [
    {"type": "Dense", "units": 6, "activation": "relu"},
    {"type": "BatchNormalization"},
    {"type": "Dropout", "rate": 0.5},
    {"type": "Dense", "units": 3, "activation": "softmax"},
]
REGRESSION = [*LAYERS[:3], {"type": "Dense", "units": 1}]
CLASSES = {"optimizer": "adam", "loss": "SparseCategoricalCrossentropy", "metrics": ["accuracy"]}
NUMBERS = {"optimizer": "adam", "loss": "mse", "metrics": ["mae", "RootMeanSquaredError"]}
THREE = Target(output="output", columns=["y"], encoding="index", classes=["a", "b", "c"])
NUMBER = Target(output="output", columns=["y"], encoding="number")
CASES = [(LAYERS, CLASSES, THREE), (REGRESSION, NUMBERS, NUMBER)]


def model_of(layers: list[dict[str, Any]], seed: int = 3) -> keras.Model:
    return build_model(Definition.model_validate({"layers": layers}), [(4,)], 1000, seed=seed)


def part_of(target: Target, weighted: bool = False, rows: int = ROWS) -> Part:
    random = np.random.default_rng(1)
    y = random.integers(0, 3, (rows, 1)).astype(np.int32) if target.classes else random.normal(size=(rows, 1)).astype(np.float32)
    weights = random.random(rows).astype(np.float32) if weighted else None
    return Part((random.normal(size=(rows, 4)).astype(np.float32),), (y,), weights)


def compiled(layers: list[dict[str, Any]], settings: dict[str, Any], part: Part) -> keras.Model:
    model = model_of(layers)
    compile_for_fit(model, CompileSpec.model_validate(settings), part, FitSpec(batch_size=BATCH))
    return model


def measured(model: keras.Model, part: Part, target: Target, wishes: Wishes | None = None) -> dict[str, Any]:
    return Measuring(model, BATCH, [target], baselines_of([target], part.targets), wishes or Wishes()).measure(part)


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize(("layers", "settings", "target"), CASES)
def test_the_metrics_are_those_of_keras(layers, settings, target, weighted):
    part = part_of(target, weighted)
    metrics = keras_metrics(compiled(layers, settings, part), part, BATCH, Wishes())
    alone = model_of(layers)
    compile_model(alone, CompileSpec.model_validate(settings), 1)
    x, y, *weights = part.arrays
    assert metrics == alone.evaluate(x, y, BATCH, sample_weight=weights[0] if weights else None, return_dict=True, verbose=0)


@pytest.mark.parametrize("at_once", [1, 2, 7])
def test_the_metrics_do_not_depend_on_the_steps_per_execution(at_once):
    part = part_of(THREE)
    model = compiled(LAYERS, CLASSES, part)
    expected = keras_metrics(model, part, BATCH, Wishes())
    model.steps_per_execution = at_once
    assert keras_metrics(model, part, BATCH, Wishes()) == expected


@pytest.mark.parametrize(("layers", "settings", "target"), CASES)
def test_measuring_changes_no_model(layers, settings, target):
    part = part_of(target)
    model = compiled(layers, settings, part)
    before = [weight.copy() for weight in model.get_weights()]
    first = measured(model, part, target)
    assert measured(model, part, target) == first
    assert all((a == b).all() for a, b in zip(before, model.get_weights(), strict=True))


@pytest.mark.parametrize(("layers", "settings", "target"), CASES)
def test_the_scores_agree_with_the_metrics_and_stand_beside_a_baseline(layers, settings, target):
    part = part_of(target)
    document = measured(compiled(layers, settings, part), part, target)
    metrics = document.pop("metrics")
    TypeAdapter(Evaluation).validate_python(document)
    pairs = {"accuracy": "accuracy", "log_loss": "loss"} if target.classes else {"mae": "mean_absolute_error"}
    for score, metric in pairs.items():
        assert document[score] == pytest.approx(metrics.get(metric, metrics.get("mae")), rel=1e-5)
    assert document["rows"] == ROWS
    assert document["baseline"]["accuracy" if target.classes else "mae"] > 0


def test_scores_of_many_rows_are_of_the_first_ones_and_say_so(monkeypatch):
    part = part_of(NUMBER)
    model = compiled(REGRESSION, NUMBERS, part)
    whole = measured(model, part, NUMBER)
    monkeypatch.setattr(measuring, "MAX_SCORED_ROWS", 20)
    first = measured(model, part, NUMBER)
    of_first_rows = measured(model, Part((part.inputs[0][:20],), (part.targets[0][:20],)), NUMBER)
    assert first["rows"] == 20
    assert first["mae"] == of_first_rows["mae"]
    assert first["metrics"] == whole["metrics"]
    assert first["notes"] == ["The scores are of the first 20 of 50 rows."]
    assert whole["notes"] == []


def test_outputs_are_computed_a_block_at_a_time(monkeypatch):
    part = part_of(THREE)
    model = compiled(LAYERS, CLASSES, part)
    whole = predict(model, part.inputs, Wishes())[0]
    monkeypatch.setattr(measuring, "OUTPUT_ROWS", 7)
    assert whole.shape == (ROWS, 3)
    np.testing.assert_allclose(predict(model, part.inputs, Wishes())[0], whole, rtol=1e-6)


@pytest.mark.parametrize("looks", [0, 1, 3])
def test_a_stop_while_measuring_is_obeyed_at_the_next_batch(looks, monkeypatch):
    """50 rows are 7 batches of one execution each, and 7 blocks of outputs."""
    monkeypatch.setattr(measuring, "OUTPUT_ROWS", BATCH)
    part = part_of(THREE)
    model = compiled(LAYERS, CLASSES, part)
    model.steps_per_execution = 1
    for doing in (
        lambda wishes: keras_metrics(model, part, BATCH, wishes),
        lambda wishes: predict(model, part.inputs, wishes),
    ):
        seen: list[None] = []

        def stop(seen: list[None] = seen) -> str | None:
            seen.append(None)
            return "none" if len(seen) > looks else None

        with pytest.raises(StopAsked):
            doing(Wishes(stop=stop))
        assert len(seen) == looks + 1


@pytest.mark.parametrize("keep", ["last", "best"])
def test_a_stop_that_keeps_the_weights_keeps_their_scores(keep):
    part = part_of(THREE)
    model = compiled(LAYERS, CLASSES, part)
    assert measured(model, part, THREE, Wishes(stop=lambda: keep)) == measured(model, part, THREE)


def test_a_metric_that_is_no_number_is_null():
    part = part_of(NUMBER)
    model = compiled(REGRESSION, NUMBERS, part)
    model.set_weights([np.full_like(weight, 1e30) for weight in model.get_weights()])
    assert set(keras_metrics(model, part, BATCH, Wishes()).values()) == {None}
