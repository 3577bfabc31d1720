"""Functional models as data: what hangs together, and what is wrong with what does not."""

import re
from typing import Any

import pytest
from pydantic import ValidationError

from service.spec.advice import advise
from service.spec.compile import CompileSpec, metric_names
from service.spec.definition import Definition
from service.spec.summary import estimate, first_rows
from tests.graphs import GRAPHS, A, B, dense, graph, joined


def mistakes(document: dict[str, Any]) -> list[dict[str, Any]]:
    with pytest.raises(ValidationError) as caught:
        Definition.model_validate(document)
    return caught.value.errors()


@pytest.mark.parametrize("name", GRAPHS)
def test_a_graph_is_stored_as_it_was_sent(name):
    definition = Definition.model_validate(GRAPHS[name])
    assert Definition.model_validate(definition.as_document()) == definition


def test_layers_may_stand_in_any_order():
    document = GRAPHS["a skip"]
    turned = Definition.model_validate(document | {"layers": document["layers"][::-1]})
    assert [step.layer.name for step in turned.graph.steps] == ["h", "g", "sum", "answer"]


@pytest.mark.parametrize(
    ("layers", "loc", "words"),
    [
        ([dense("h", ["g"]), dense("g", ["h"])], ("layers", 0, "inbound"), "round in a circle: "),
        ([dense("h", ["h"])], ("layers", 0, "inbound"), "round in a circle: h → h"),
        ([dense("h", ["aa"])], ("layers", 0, "inbound"), "no layer or input 'aa'. Did you mean 'a'"),
        ([dense("h", [])], ("layers", 0, "inbound"), "at least 1"),
        ([{"type": "Dense", "units": 1, "name": "h"}], ("layers", 0, "inbound"), r"takes 1 input\(s\), and call 0 gives it 0"),
        ([{"type": "Dense", "units": 1, "inbound": ["a"]}], ("layers", 0, "name"), "needs a name"),
        ([dense("h", ["a"]), dense("h", ["a"])], ("layers", 1, "name"), "named 'h' too"),
        ([dense("a", ["a"])], ("layers", 0, "name"), "named 'a' too"),
        ([dense("h", ["a", "a"])], ("layers", 0, "inbound"), "takes 1 input"),
        ([joined("Add", "h", "a")], ("layers", 0, "inbound"), "takes 2 to 64"),
        ([joined("Subtract", "h", "a", "a", "a")], ("layers", 0, "inbound"), "takes 2 input"),
        ([dense("g", ["a"]), dense("h", ["g:1"])], ("layers", 1, "inbound"), "asks for call 1"),
        ([dense("g", ["a"]), dense("h", ["g:0:1"])], ("layers", 1, "inbound"), "output 1 of 'g'"),
        ([dense("h", ["a"]), dense("g", ["h"])], ("layers", 1), "Layer 'g' leads to no output"),
        ([dense("h", ["a"]), dense("g", [["a"], ["h"]])], ("layers", 1), "Layer 'g' leads to no output"),
        ([dense("h", ["../x"])], ("layers", 0, "inbound"), "match pattern"),
        ([dense("<script>", ["a"]), dense("h", ["a"])], ("layers", 0, "name"), "match pattern"),
    ],
)
def test_what_does_not_hang_together_is_refused_at_its_place(layers, loc, words):
    found = [entry for entry in mistakes(graph([A], layers, "h")) if entry["loc"][:3] == loc]
    assert any(re.search(words, entry["msg"]) for entry in found), found


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"outputs": ["nobody"]}, "no layer or input 'nobody'"),
        ({"outputs": ["h", "h"]}, "named twice"),
        ({"outputs": ["a"]}, "Layer 'h' leads to no output"),
        ({"outputs": ["h", "a"]}, "'a' is an input"),
        ({"inputs": [A, B]}, "Nothing takes the input 'b'"),
        ({"outputs": None}, "both 'inputs' and 'outputs'"),
        ({"inputs": None}, "both 'inputs' and 'outputs'"),
        ({"inputs": []}, "at least 1"),
        ({"inputs": [A, A]}, "named 'a' too"),
        ({"input_shape": [3]}, "a 'shape' for each"),
        ({"inputs": [A | {"dtype": "string"}]}, "float32"),
    ],
)
def test_a_graph_has_inputs_and_outputs(change, words):
    document = {key: value for key, value in (graph([A], [dense("h", ["a"])], "h") | change).items() if value is not None}
    assert words in " ".join(entry["msg"] for entry in mistakes(document))


def test_layers_in_a_row_name_nothing():
    [mistake] = mistakes({"layers": [dense("h", ["a"])]})
    assert "'inbound' is for models with 'inputs'" in mistake["msg"]
    [mistake] = mistakes({"layers": [{"type": "LSTM", "units": 2, "return_state": True}]})
    assert "3 outputs" in mistake["msg"]


def chain(length: int) -> dict[str, Any]:
    layers = [dense(f"l{place}", [f"l{place - 1}" if place else "a"]) for place in range(length)]
    return graph([A], layers, layers[-1]["name"])


def test_a_thousand_layers_are_too_many_however_they_are_packed():
    assert "900" in mistakes(chain(1000))[0]["msg"]
    inner = {"type": "Sequential", "layers": [{"type": "Flatten"}] * 300}
    assert "At most 900" in mistakes({"layers": [inner] * 4})[0]["msg"]


def test_shared_models_inside_each_other_do_not_multiply_without_end():
    layer: dict[str, Any] = dense("z", [["p"]] * 60)
    for _ in range(5):
        total = joined("Add", "sum", "z", *(f"z:{call}" for call in range(1, 60)))
        inner = graph([{"name": "p", "shape": [4]}], [layer, total], "sum")
        layer = {"type": "Functional", "name": "z", "inbound": [["p"]] * 60, **inner}
    assert "those that are called several times counted as often" in mistakes({"layers": [layer]})[0]["msg"]


def test_models_are_nested_but_not_for_ever():
    layer: dict[str, Any] = {"type": "Dense", "units": 1}
    for _ in range(6):
        layer = {"type": "Sequential", "layers": [layer]}
    assert Definition.model_validate({"layers": [layer]})
    assert "At most 6" in mistakes({"layers": [{"type": "Sequential", "layers": [layer]}]})[0]["msg"]


def test_a_mistake_in_a_model_inside_is_found_at_its_place():
    inner = {"type": "Functional", "name": "m", "inbound": ["a"], **graph([A], [dense("h", ["zz"])], "h")}
    [mistake] = mistakes(graph([A], [inner], "m"))
    assert mistake["loc"] == ("layers", 0, "layers", 0, "inbound")


# Sizes


def table_of(document: dict[str, Any]) -> tuple[list[Any], list[Any]]:
    definition = Definition.model_validate(document)
    return estimate(definition, first_rows(definition, None))


def test_a_shared_layer_counts_its_weights_once_and_its_outputs_twice():
    table, problems = table_of(GRAPHS["a shared layer"])
    twin = next(row for row in table if row.name == "twin")
    assert (problems, twin.parameters, twin.numbers) == ([], 20, 8)


def test_a_model_inside_counts_all_its_weights_and_outputs():
    table, _ = table_of(GRAPHS["a nested graph"])
    inner = next(row for row in table if row.name == "inner")
    assert (inner.parameters, inner.numbers, inner.output.dims) == (20, 8, (4,))


def test_shapes_that_do_not_meet_are_found_by_arithmetic():
    for kind, words in (("Add", "cannot join"), ("Multiply", "cannot join")):
        _, [problem] = table_of(graph([A, B], [joined(kind, "sum", "a", "b")], "sum"))
        assert problem.pointer == "/definition/layers/0"
        assert words in problem.message
    picture = {"name": "p", "shape": [3, 4]}
    other = {"name": "q", "shape": [5, 4]}
    _, [problem] = table_of(graph([picture, other], [joined("Concatenate", "both", "p", "q")], "both"))
    assert "(3, 4) and (5, 4)" in problem.message
    table, problems = table_of(
        graph([picture, other], [{"type": "Concatenate", "axis": 1, "name": "both", "inbound": ["p", "q"]}], "both")
    )
    assert (problems, table[0].output.dims) == ([], (8, 4))


# Losses and metrics of several outputs


def compiled(**settings: Any) -> CompileSpec:
    return CompileSpec.model_validate({"optimizer": "sgd"} | settings)


def test_each_output_has_a_loss_and_metrics_of_its_own():
    spec = compiled(
        loss={"answer": "mse", "kind": {"type": "SparseCategoricalCrossentropy"}},
        metrics={"kind": ["accuracy", "accuracy"], "answer": "mae"},
        loss_weights={"kind": 0.5},
    )
    outputs = ["answer", "kind"]
    assert metric_names(spec, outputs) == [
        "answer_loss", "kind_loss", "answer_mean_absolute_error", "kind_accuracy", "kind_accuracy_1",
    ]  # fmt: skip
    assert spec.keras_arguments(outputs).loss_weights == {"answer": 1.0, "kind": 0.5}
    assert CompileSpec.model_validate(spec.as_document()) == spec


@pytest.mark.parametrize(
    ("settings", "pointer", "words"),
    [
        ({"loss": {"answer": "mse", "kin": "mse"}}, "/compile/loss/kin", "Did you mean 'kind'"),
        ({"loss": {"answer": "mse"}}, "/compile/loss", "Output 'kind' has no loss"),
        ({"loss": "mse", "metrics": ["mae"]}, "/compile/metrics", "several outputs"),
        ({"loss": "mse", "metrics": {"x": ["mae"]}}, "/compile/metrics/x", "no output 'x'"),
        ({"loss": "mse", "loss_weights": {"x": 1.0}}, "/compile/loss_weights/x", "no output 'x'"),
    ],
)
def test_losses_and_metrics_are_those_of_the_outputs(settings, pointer, words):
    found = compiled(**settings).output_problems(["answer", "kind"])
    assert any(problem.pointer == pointer and words in f"{problem.message} {problem.fix}" for problem in found), found


def test_each_output_gets_its_own_advice():
    definition = Definition.model_validate(GRAPHS["two outputs"])
    spec = compiled(loss={"answer": "SparseCategoricalCrossentropy", "kind": "mse"})
    found = advise(definition, spec, table_of(GRAPHS["two outputs"])[0])
    messages = [(problem.pointer, problem.message) for problem in found]
    mismatch = "Output 'answer' ends with linear, but SparseCategoricalCrossentropy wants probabilities."
    assert ("/definition/layers/1", mismatch) in messages
    assert any(pointer == "/definition/layers/2" and "Output 'kind' ends with softmax" in text for pointer, text in messages)


def test_a_layer_that_others_need_too_is_not_called_superfluous():
    linear = [dense("h", ["a"], activation=None), dense("g", ["h"])]
    row = Definition.model_validate(graph([A], linear, "g"))
    assert [problem.pointer for problem in advise(row, None, [])] == ["/definition/layers/0"]
    used_twice = Definition.model_validate(graph([A], [*linear, joined("Add", "sum", "h", "g")], "sum"))
    assert advise(used_twice, None, []) == []
