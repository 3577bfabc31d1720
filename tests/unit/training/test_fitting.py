import keras
import numpy as np
import pytest

from service.spec.compile import CompileSpec
from service.spec.definition import Definition
from service.spec.fit import FitSpec
from service.spec.frames import EpochEnded
from service.training import feeding, fitting, order
from service.training.building import build_model, compile_model
from service.training.examples import Examples
from service.training.fitting import Fit, compile_for_fit, steps_per_execution
from service.training.snapshots import Budget
from service.training.wishes import Wishes
from tests.unit.training.conftest import make_examples

COMPILE = CompileSpec.model_validate({"optimizer": "adam", "loss": "mse", "metrics": ["mae"]})
LAYERS = [
    {"type": "Dense", "units": 4, "activation": "relu"},
    {"type": "BatchNormalization"},
    {"type": "Dropout", "rate": 0.5},
    {"type": "Dense", "units": 1},
]
SEED = 5


def noise() -> Examples:
    random = np.random.default_rng(0)
    x, y = random.normal(size=(50, 3)).astype(np.float32), random.normal(size=(50, 1)).astype(np.float32)
    return make_examples(x, y, 40, COMPILE.loss)


def new_model() -> keras.Model:
    return build_model(Definition.model_validate({"layers": LAYERS}), [(3,)], 1000, seed=SEED)


def fitted(tmp_path, **fields) -> tuple[list, list]:
    """The metrics of every epoch, and the weights at the end."""
    reports: list = []
    examples, spec, model = noise(), FitSpec(epochs=2, batch_size=7, **fields), new_model()
    compile_for_fit(model, COMPILE, examples.train, spec)
    budget = Budget(60, 0)
    Fit(model, examples, spec, SEED, reports.append, Wishes(), lambda state, began_at: None, budget, tmp_path).run(None)
    return [frame.metrics for frame in reports if isinstance(frame, EpochEnded)], model.get_weights()


def same(one: tuple[list, list], other: tuple[list, list]) -> bool:
    return one[0] == other[0] and all((a == b).all() for a, b in zip(one[1], other[1], strict=True))


@pytest.mark.parametrize("at_once", [2, 3, 4, 6])
def test_results_do_not_depend_on_the_steps_per_execution(at_once, monkeypatch, tmp_path):
    monkeypatch.setattr(fitting, "steps_per_execution", lambda *_: 1)
    one_by_one = fitted(tmp_path)
    monkeypatch.setattr(fitting, "steps_per_execution", lambda *_: at_once)
    assert same(fitted(tmp_path), one_by_one)


def test_results_do_not_depend_on_prefetching(monkeypatch, tmp_path):
    without = fitted(tmp_path)
    monkeypatch.setattr(feeding, "PREFETCHED_BYTES", 0)
    assert same(fitted(tmp_path), without)


@pytest.mark.parametrize("at_once", [1, 4])
def test_results_do_not_depend_on_how_windows_are_cut_into_executions(at_once, monkeypatch, tmp_path):
    for name, value in (("MEMORY_BYTES", 0), ("CHUNK_BYTES", 48), ("WINDOW_CHUNKS", 3)):
        monkeypatch.setattr(order, name, value)
    monkeypatch.setattr(fitting, "steps_per_execution", lambda *_: 6)
    whole_epochs = fitted(tmp_path)
    monkeypatch.setattr(fitting, "steps_per_execution", lambda *_: at_once)
    assert same(fitted(tmp_path), whole_epochs)


def plain_fit(orders, **arguments) -> tuple[list, list]:
    """What ``model.fit`` of Keras alone gives, with the rows of each epoch in the given order."""
    examples, model = noise(), new_model()
    compile_model(model, COMPILE, 1)
    validation = (examples.validation.inputs[0], examples.validation.targets[0])

    def batches():
        for rows in orders:
            for start in range(0, len(rows), 7):
                chosen = rows[start : start + 7]
                yield examples.train.inputs[0][chosen], examples.train.targets[0][chosen]

    history = model.fit(
        batches(), epochs=2, validation_data=validation, validation_batch_size=7, verbose=0, shuffle=False, **arguments
    ).history
    return [dict(zip(history, values, strict=True)) for values in zip(*history.values(), strict=True)], model.get_weights()


def test_it_gives_what_keras_gives_with_the_rows_in_the_same_order(tmp_path):
    orders = [np.random.default_rng([SEED, epoch]).permutation(40) for epoch in range(3)]
    assert same(fitted(tmp_path), plain_fit(orders, steps_per_epoch=6))


def test_an_epoch_of_fewer_steps_goes_on_where_the_last_one_has_ended(tmp_path):
    orders = [np.random.default_rng([SEED, number]).permutation(40) for number in range(3)]
    assert same(fitted(tmp_path, steps_per_epoch=4), plain_fit(orders, steps_per_epoch=4))


def test_rows_keep_their_order_without_shuffle(tmp_path):
    assert same(fitted(tmp_path, shuffle=False), plain_fit([np.arange(40)] * 3, steps_per_epoch=6))


@pytest.mark.parametrize(
    ("steps", "seconds", "step_bytes", "expected"),
    [(12, 1e-4, 1, 12), (12, 0.02, 1, 4), (12, 5.0, 1, 1), (157, 1e-3, 1, 79), (1000, 1e-4, 1, 250), (12, 1e-4, 2**23, 2)],
)
def test_an_execution_is_short_and_small(steps, seconds, step_bytes, expected):
    assert steps_per_execution(steps, seconds, step_bytes) == expected
