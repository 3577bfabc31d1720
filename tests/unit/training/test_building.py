import keras
import numpy as np
import pytest

from service.errors import InvalidInput
from service.spec.compile import CompileSpec
from service.spec.definition import Definition
from service.training.building import as_keras, build_model, count_parameters


def definition(*layers: dict, input_shape: list | None = None) -> Definition:
    return Definition.model_validate({"layers": list(layers), **({"input_shape": input_shape} if input_shape else {})})


def test_parameters_are_counted_without_allocating_them():
    huge = definition({"type": "Dense", "units": 1_000_000}, {"type": "Dense", "units": 1_000_000})
    assert count_parameters(huge, [(10,)]) == 11_000_000 + 1_000_001_000_000


def test_counting_leaves_nothing_behind_that_is_allocated_later():
    count_parameters(definition({"type": "Dense", "units": 1_000_000}, {"type": "Dense", "units": 1_000_000}), [(10,)])
    with keras.StatelessScope():
        pass  # on leaving, Keras would initialise what the count had made


def test_too_many_parameters_are_refused():
    with pytest.raises(InvalidInput, match="11 parameters; the limit is 10"):
        build_model(definition({"type": "Dense", "units": 1}), [(10,)], max_parameters=10, seed=0)


def test_an_input_shape_that_is_not_the_datas_names_both():
    with pytest.raises(InvalidInput, match=r"shape \(4,\). Received input_shape=\(3,\)"):
        build_model(definition({"type": "Dense", "units": 1}, input_shape=[3]), [(4,)], 100, seed=0)


def test_a_free_axis_takes_any_length():
    model = build_model(definition({"type": "LSTM", "units": 2}, input_shape=[None, 3]), [(7, 3)], 1000, seed=0)
    assert model.input_shape == (None, None, 3)


def test_the_seed_alone_decides_the_first_weights():
    spec = definition({"type": "Dense", "units": 3}, {"type": "Dropout", "rate": 0.5}, {"type": "Dense", "units": 2})
    first = build_model(spec, [(4,)], 100, seed=1).get_weights()
    keras.Sequential([keras.Input((2,)), keras.layers.Dense(9)])
    again = build_model(spec, [(4,)], 100, seed=1).get_weights()
    assert all((a == b).all() for a, b in zip(first, again, strict=True))
    assert any((a != b).any() for a, b in zip(first, build_model(spec, [(4,)], 100, seed=2).get_weights(), strict=True))


def test_nested_objects_and_the_string_accuracy_reach_keras():
    spec = CompileSpec.model_validate({"optimizer": {"type": "SGD", "learning_rate": 0.5}, "loss": "mse", "metrics": ["acc"]})
    assert np.isclose(float(as_keras(spec.optimizer).learning_rate), 0.5)
    assert [as_keras(metric) for metric in spec.metrics] == ["accuracy"]
    layer = definition({"type": "Dense", "units": 1, "kernel_regularizer": {"type": "L2", "l2": 0.25}}).layers[0]
    assert isinstance(as_keras(layer).kernel_regularizer, keras.regularizers.L2)
