"""What works but is most likely not meant."""

from typing import Any

import pytest

from service.errors import Problem
from service.spec.advice import advise, advise_on_classes, advise_on_inputs
from service.spec.compile import CompileSpec
from service.spec.definition import Definition
from service.spec.summary import estimate, first_rows


def dense(units: int, activation: str | None = None) -> dict[str, Any]:
    return {"type": "Dense", "units": units} | ({"activation": activation} if activation else {})


def definition(layers: list[dict[str, Any]], inputs: int = 8) -> Definition:
    return Definition.model_validate({"layers": layers, "input_shape": [inputs]})


def advice(layers: list[dict[str, Any]], loss: Any = None, inputs: int = 8) -> list[Problem]:
    spec = definition(layers, inputs)
    table, _ = estimate(spec, first_rows(spec, None))
    return advise(spec, CompileSpec.model_validate({"optimizer": "adam", "loss": loss}) if loss else None, table)


LOGITS = {"type": "BinaryCrossentropy", "from_logits": True}
SPARSE_LOGITS = {"type": "SparseCategoricalCrossentropy", "from_logits": True}


@pytest.mark.parametrize(
    ("layers", "loss", "pointer", "message"),
    [
        ([dense(1, "softmax")], None, "/definition/layers/0", "always answers 1"),
        ([dense(5, "relu"), dense(1), {"type": "Softmax"}], None, "/definition/layers/2", "always answers 1"),
        ([dense(3, "sigmoid")], "SparseCategoricalCrossentropy", "/definition/layers/0", "add up to 1"),
        ([dense(3, "softmax")], SPARSE_LOGITS, "/compile/loss", "from_logits=true"),
        ([dense(1, "sigmoid")], LOGITS, "/compile/loss", "from_logits=true"),
        ([dense(1)], "BinaryCrossentropy", "/definition/layers/0", "wants probabilities"),
        ([dense(3, "relu")], "CategoricalCrossentropy", "/definition/layers/0", "wants probabilities"),
        ([dense(2, "softmax")], "BinaryCrossentropy", "/compile/loss", "yes or no"),
        ([dense(3, "softmax")], "mse", "/definition/layers/0", "for numbers"),
        ([dense(1, "sigmoid")], "CategoricalCrossentropy", "/definition/layers/0", "one unit per class"),
        ([dense(5), dense(1, "sigmoid")], None, "/definition/layers/0", "one would do the same"),
        ([dense(5), {"type": "Dropout", "rate": 0.1}, dense(1)], None, "/definition/layers/0", "one would do the same"),
        ([dense(3), {"type": "Dropout", "rate": 0.1}], "KLDivergence", "/definition/layers/0", "wants probabilities"),
        ([{"type": "Sequential", "layers": [dense(1)]}], "bce", "/definition/layers/0/layers/0", "wants probabilities"),
        ([dense(1, "sigmoid")], "Hinge", "/definition/layers/0", "scores of both signs"),
        ([dense(1)], "Poisson", "/definition/layers/0", "never negative"),
        ([dense(1)], "Dice", "/definition/layers/0", "answers from 0 to 1"),
        ([dense(1_000_000, "relu"), dense(1)], None, "/definition/layers/0", "of the model's"),
        ([dense(5, "relu"), {"type": "Normalization"}, dense(1)], None, "/definition/layers/1", "which the fit then changes"),
    ],
)  # fmt: skip
def test_it_is_pointed_out(layers: list[dict[str, Any]], loss: Any, pointer: str, message: str) -> None:
    found = [problem for problem in advice(layers, loss, inputs=16) if message in problem.message]

    assert [problem.pointer for problem in found] == [pointer]
    assert found[0].fix


@pytest.mark.parametrize(
    ("layers", "loss"),
    [
        ([dense(25, "sigmoid"), dense(15, "sigmoid"), dense(1, "sigmoid")], "BinaryCrossentropy"),
        ([dense(25, "relu"), dense(3, "softmax")], "SparseCategoricalCrossentropy"),
        ([dense(25, "relu"), dense(3)], SPARSE_LOGITS),
        ([dense(25, "relu"), dense(1)], "mse"),
        ([dense(25, "relu"), dense(1)], LOGITS),
        ([dense(25), {"type": "ReLU"}, dense(1)], "mse"),
        ([dense(25), {"type": "BatchNormalization"}, {"type": "Activation", "activation": "tanh"}, dense(1)], "mae"),
        ([dense(1)], "Huber"),
        ([{"type": "Rescaling", "scale": 2.0}, {"type": "Normalization"}, dense(1)], "mse"),
        ([dense(1, "tanh")], "Hinge"),
        ([dense(1, "exponential")], "Poisson"),
        ([dense(3, "softmax")], "Dice"),
        ([dense(3, "softmax"), {"type": "Identity"}], "CategoricalGeneralizedCrossEntropy"),
        ([dense(4, "relu"), dense(5, "sigmoid")], "BinaryCrossentropy"),
    ],
)
def test_a_sound_model_gets_no_advice(layers: list[dict[str, Any]], loss: Any) -> None:
    assert advice(layers, loss) == []


@pytest.mark.parametrize(
    ("layers", "loss", "classes", "pointer"),
    [
        ([dense(4, "softmax")], "SparseCategoricalCrossentropy", 3, "/definition/layers/0"),
        ([dense(1, "sigmoid")], "BinaryCrossentropy", 3, "/compile/loss"),
        ([dense(3, "softmax")], "SparseCategoricalCrossentropy", 3, None),
        ([dense(1, "sigmoid")], "BinaryCrossentropy", 2, None),
        ([dense(1)], "mse", 40, None),
    ],
)
def test_units_are_counted_against_classes(layers: list[dict[str, Any]], loss: str, classes: int, pointer: str | None) -> None:
    spec = definition(layers)
    table, _ = estimate(spec, first_rows(spec, None))
    compile_spec = CompileSpec.model_validate({"optimizer": "adam", "loss": loss})

    found = advise_on_classes(spec, compile_spec, table, {"output": ("species", classes)})

    assert [problem.pointer for problem in found] == ([pointer] if pointer else [])


def test_large_inputs_want_scaling_unless_the_model_does_it() -> None:
    assert "255" in advise_on_inputs(definition([dense(1)]), {0: 255.0})[0].message
    assert advise_on_inputs(definition([dense(1)]), {0: 1.0}) == []
    assert advise_on_inputs(definition([{"type": "BatchNormalization"}, dense(1)]), {0: 255.0}) == []


@pytest.mark.parametrize("layer", [{"type": "RandomCrop", "height": 2, "width": 2}, {"type": "Equalization"}])
def test_a_layer_that_leaves_images_alone_where_the_model_is_used_is_pointed_out(layer: dict[str, Any]) -> None:
    for layers, pointer in (
        ([layer], "/definition/layers/0"),
        ([{"type": "Pipeline", "layers": [layer]}], "/definition/layers/0/layers/0"),
    ):
        spec = Definition.model_validate({"layers": layers, "input_shape": [4, 4, 3]})
        (problem,) = advise(spec, None, ())
        assert problem.pointer == pointer
        assert "leaves them as they are in predictions" in problem.message
        assert problem.fix
