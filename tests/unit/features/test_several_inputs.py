"""Several inputs and outputs: which columns and arrays go where, and that trainer and predictor encode them alike."""

import json
from collections.abc import Mapping
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays_of

from service.errors import InvalidInput
from service.features.answers import to_answers
from service.features.arrays import encode_array
from service.features.encoding import encode_columns
from service.features.fitting import FittedPlan, fit_array_plan, fit_table_plan
from service.features.plan import FeaturePlan, read_plan
from service.features.requests import RequestEncoder
from service.features.roles import Roles, assign_roles
from service.spec.compile import CompileSpec
from service.spec.features import FeaturesSpec, TargetSpec
from service.training.encoder import Encoder

NAMES = ["age", "city", "words", "price", "sick"]
SQUARED, BINARY, CATEGORICAL = "MeanSquaredError", "BinaryCrossentropy", "CategoricalCrossentropy"


def roles(
    inputs: list[str], outputs: list[str], target: TargetSpec | None, wanted: Mapping[str, Any] | None = None, kind: Any = "table"
) -> Roles:
    return assign_roles(kind, NAMES, inputs, outputs, target, wanted or {})


def losses(**names: str) -> dict[str, Any]:
    compiled = CompileSpec.model_validate({"optimizer": "sgd", "loss": names})
    return compiled.losses(list(names))


# Which column goes where


def test_a_single_input_takes_all_that_is_no_target():
    assert roles(["input"], ["output"], "price") == Roles({"input": ["age", "city", "words", "sick"]}, {"output": ["price"]})


def test_an_input_takes_the_column_of_its_name_and_the_last_one_the_rest():
    found = roles(["words", "others"], ["price", "sick"], None)
    assert found == Roles({"words": ["words"], "others": ["age", "city"]}, {"price": ["price"], "sick": ["sick"]})


def test_the_client_may_say_what_goes_where_and_leave_columns_out():
    found = roles(["a", "b"], ["p"], ["price", "sick"], {"a": ["age", "city"], "b": "city"})
    assert found == Roles({"a": ["age", "city"], "b": ["city"]}, {"p": ["price", "sick"]})


def test_each_array_goes_into_one_input():
    named = roles(["age", "city"], ["output"], "price", kind="arrays")
    assert named.inputs == {"age": ["age"], "city": ["city"]}
    renamed = roles(["x", "city", "z"], ["output"], "price", {"x": "age", "z": ["words"]}, kind="arrays")
    assert renamed.inputs == {"x": ["age"], "city": ["city"], "z": ["words"]}


@pytest.mark.parametrize(
    ("arguments", "pointer", "words"),
    [
        ((["input"], ["output"], None), "/target", "no target"),
        ((["input"], ["output"], "prize"), "/target", "Did you mean 'price'"),
        ((["input"], ["output"], ["price", "price"]), "/target", "twice"),
        ((["input"], ["p", "q"], None), "/target", "each needs a target"),
        ((["input"], ["p", "q"], "price"), "/target", "each needs a target"),
        ((["input"], ["p", "q"], {"p": "price"}), "/target", "output 'q'"),
        ((["input"], ["p"], {"p": "price", "r": "age"}), "/target/r", "no such output"),
        ((["a", "b"], ["p"], "price"), "/features/inputs", "go into the inputs a, b"),
        ((["a", "b"], ["p"], "price", {"c": ["age"]}), "/features/inputs/c", "no such input"),
        ((["a", "b"], ["p"], "price", {"a": ["price"]}), "/features/inputs/a", "beside the targets"),
        ((["a", "b"], ["p"], "price", {"a": ["age", "city", "words", "sick"]}), "/features/inputs", "left for the input 'b'"),
        ((["x"], ["p"], "price", {}, "arrays"), "/dataset", "4 arrays beside the target"),
        ((["x", "y"], ["p"], "price", {}, "arrays"), "/features/inputs", "Nothing says which array goes into"),
        ((["x", "y"], ["p"], "price", {"x": ["age", "city"], "y": "words"}, "arrays"), "/features/inputs/x", "one array"),
        ((["x"], ["p"], ["price", "sick"], {"x": "age"}, "arrays"), "/target", "several arrays"),
    ],
)
def test_what_is_not_clear_is_refused_with_its_place(arguments, pointer, words):
    with pytest.raises(InvalidInput) as caught:
        roles(*arguments)
    problem = caught.value.problems[0]
    assert problem.pointer == pointer
    assert words in f"{caught.value.message} {problem.message} {problem.fix}"


# Encoding


def table(ages: list[Any], cities: list[Any]) -> dict[str, np.ndarray]:
    rows = len(ages)
    columns = {"age": np.array(ages, np.float64), "city": np.array(cities, object), "words": np.array(["a b"] * rows, object)}
    return columns | {"price": np.arange(rows) * 1.0, "sick": np.arange(rows) % 2}


def fitted(columns: Mapping[str, np.ndarray], training_rows: int, wanted: Mapping[str, Any]) -> FittedPlan:
    found = roles(list(wanted), ["p", "s"], {"p": "price", "s": "sick"}, wanted)
    features = FeaturesSpec.model_validate({"columns": {"city": {"type": "category"}, "words": {"type": "text"}}})
    rows = len(columns["age"])
    return fit_table_plan(columns, features, found, losses(p=SQUARED, s=BINARY), np.arange(rows) < training_rows)


@given(
    ages=st.lists(st.floats(-1e6, 1e6, allow_subnormal=False) | st.none(), min_size=2, max_size=8),
    cities=st.lists(st.sampled_from(["Rome", "Ulm", "Oslo"]) | st.none(), min_size=8, max_size=8),
    training=st.integers(2, 8),
)
def test_columns_of_several_inputs_are_the_same_bits_for_trainer_and_predictor(ages, cities, training):
    ages, cities = [1.5, 40.0, *ages], ["Rome", "Ulm", *cities[: len(ages)]]
    columns = table(ages, cities)
    plan = fitted(columns, training, {"a": ["age", "city"], "b": ["city", "words"]}).plan
    stored = read_plan(json.loads(json.dumps(plan.as_document())))
    rows = [{"age": age, "city": city, "words": "a b"} for age, city in zip(ages, cities, strict=True)]
    trained = [encode_columns(entry, columns).tobytes() for entry in plan.table_inputs]
    tensors, _ = RequestEncoder(stored).encode_rows(json.loads(json.dumps(rows)))
    assert [tensor.tobytes() for tensor in tensors] == trained
    as_lists, _ = RequestEncoder(stored).encode_rows([list(row.values()) for row in rows])
    assert [tensor.tobytes() for tensor in as_lists] == trained


def test_columns_of_numbers_alone_are_shared_out_without_a_detour():
    columns = {"a": np.arange(4.0), "b": np.arange(4.0) * 3, "c": np.arange(4.0) ** 2, "y": np.array([1.0, 2, 3, 5])}
    found = assign_roles("table", list(columns), ["left", "right"], ["o"], "y", {"left": ["c", "a"], "right": ["a", "b"]})
    plan = fit_table_plan(columns, FeaturesSpec(), found, losses(o=SQUARED), np.ones(4, bool)).plan
    rows = [[c, a, b] for a, b, c in zip(columns["a"].tolist(), columns["b"].tolist(), columns["c"].tolist(), strict=True)]
    tensors, _ = RequestEncoder(plan).encode_rows(rows)
    assert [tensor.tobytes() for tensor in tensors] == [encode_columns(entry, columns).tobytes() for entry in plan.table_inputs]
    with pytest.raises(InvalidInput) as caught:
        RequestEncoder(plan).encode_rows([[1.0, 1.0, 1e300]])
    assert caught.value.problems[0].pointer == "/rows/0/2"


@pytest.mark.parametrize("scale", ["none", "standardize", "min_max"])
@given(data=st.data())
def test_an_array_is_the_same_bits_for_trainer_and_predictor(scale, data):
    shape = data.draw(arrays_of.array_shapes(min_dims=1, max_dims=3, max_side=3))
    dtype = data.draw(st.sampled_from([np.uint8, np.int16, np.float32]))
    numbers = st.floats(-1e6, 1e6, width=32) if dtype == np.float32 else None
    values = data.draw(arrays_of.arrays(dtype, (4, *shape), elements=numbers))
    features = FeaturesSpec.model_validate({"arrays": {"x": {"scale": scale}}})
    stored_arrays = {"x": values, "y": np.arange(4.0)}
    found = assign_roles("arrays", list(stored_arrays), ["input"], ["o"], "y", {})
    plan = fit_array_plan(stored_arrays, features, found, losses(o=SQUARED), np.arange(4) < 3).plan
    stored = read_plan(json.loads(json.dumps(plan.as_document())))
    rows = json.loads(json.dumps(values.tolist()))
    if not np.isfinite(encode_array(plan.array_inputs[0], values)).all():  # against the training rows, a number is huge
        with pytest.raises(InvalidInput, match="not finite"):
            RequestEncoder(stored).encode_rows(rows)
        with pytest.raises(InvalidInput, match="no finite number"):
            encoded(plan, stored_arrays)
        return
    (tensor,), _ = RequestEncoder(stored).encode_rows(rows)
    trained = encoded(plan, stored_arrays)[0]
    assert tensor.tobytes() == trained.tobytes()
    if scale == "min_max":
        assert trained[:3].min() >= 0
        assert trained[:3].max() <= 1


def test_a_number_that_is_huge_against_the_training_rows_is_refused_by_trainer_and_predictor():
    raw = {"x": np.array([[1e-43], [0.0], [0.0], [1.0]], np.float32), "y": np.arange(4.0)}
    features = FeaturesSpec.model_validate({"arrays": {"x": {"scale": "standardize"}}})
    found = assign_roles("arrays", list(raw), ["input"], ["o"], "y", {})
    plan = fit_array_plan(raw, features, found, losses(o=SQUARED), np.arange(4) < 3).plan
    with pytest.raises(InvalidInput, match="Row 3 holds a number that is not finite"):
        RequestEncoder(plan).encode_rows(raw["x"].tolist())
    with pytest.raises(InvalidInput, match="no finite number in row 3"):
        encoded(plan, raw)


def encoded(plan: FeaturePlan, raw: Mapping[str, np.ndarray]) -> list[np.ndarray]:
    """What the trainer fits on."""
    return list(Encoder(plan, None)._arrays(raw, 0))


def test_an_array_is_standardized_by_its_training_rows_alone_for_each_place_of_the_last_axis():
    random = np.random.default_rng(0)
    x = random.normal(size=(5000, 3, 2)) * [1.0, 50.0] + [7.0, -3.0]
    x[4000:] += 1000
    raw = {"x": x, "y": np.arange(5000.0)}
    features = FeaturesSpec.model_validate({"arrays": {"x": {"scale": "standardize"}}})
    found = assign_roles("arrays", list(raw), ["input"], ["o"], "y", {})
    plan, chosen, _ = fit_array_plan(raw, features, found, losses(o=SQUARED), np.arange(5000) < 4000)
    (entry,) = plan.array_inputs
    training = x[:4000].reshape(-1, 2)
    assert entry.offset == pytest.approx(training.mean(axis=0))
    assert entry.divisor == pytest.approx(training.std(axis=0))
    assert chosen["x"] == "numbers, each place of the last axis standardized, shape (3, 2) per row"


def test_what_never_varies_becomes_zero():
    raw = {"x": np.full((4, 2), 7, np.uint8), "y": np.arange(4.0)}
    found = assign_roles("arrays", list(raw), ["input"], ["o"], "y", {})
    for scale in ("standardize", "min_max"):
        features = FeaturesSpec.model_validate({"arrays": {"x": {"scale": scale}}})
        plan = fit_array_plan(raw, features, found, losses(o=SQUARED), np.ones(4, bool)).plan
        assert not encoded(plan, raw)[0].any()


def test_settings_are_for_what_the_dataset_holds():
    raw = {"x": np.zeros((4, 2)), "y": np.arange(4.0)}
    found = assign_roles("arrays", list(raw), ["input"], ["o"], "y", {})
    for settings, pointer in (
        ({"columns": {"x": {"type": "number"}}}, "/features/columns/x"),
        ({"arrays": {"z": {}}}, "/features/arrays/z"),
        ({"arrays": {"y": {}}}, "/features/arrays/y"),
    ):
        with pytest.raises(InvalidInput) as caught:
            fit_array_plan(raw, FeaturesSpec.model_validate(settings), found, losses(o=SQUARED), np.ones(4, bool))
        assert caught.value.problems[0].pointer == pointer


def test_rows_of_several_arrays_are_objects_with_all_of_them():
    raw = {"a": np.zeros((4, 2)), "b": np.zeros((4, 1)), "y": np.arange(4.0)}
    found = assign_roles("arrays", list(raw), ["a", "b"], ["o"], "y", {})
    plan = fit_array_plan(raw, FeaturesSpec(), found, losses(o=SQUARED), np.ones(4, bool)).plan
    tensors, _ = RequestEncoder(plan).encode_rows([{"b": [5], "a": [1, 2]}])
    assert [tensor.tolist() for tensor in tensors] == [[[1.0, 2.0]], [[5.0]]]
    for row, pointer, words in (
        ([1, 2, 5], "/rows/0", "several inputs"),
        ({"a": [1, 2]}, "/rows/0", "no 'b'"),
        ({"a": [1, 2], "b": [5], "c": [1]}, "/rows/0", "no input 'c'"),
        ({"a": [1, 2], "b": [5, 6]}, "/rows/0/b", "wrong shape"),
        ({"a": [1, "x"], "b": [5]}, "/rows/0/a", "ragged"),
        ({"a": [1, 1e999], "b": [5]}, "/rows/0/a", "not finite"),
    ):
        with pytest.raises(InvalidInput) as caught:
            RequestEncoder(plan).encode_rows([row])
        problem = caught.value.problems[0]
        assert (problem.pointer, words in problem.message) == (pointer, True), problem


# Targets and answers


def test_several_columns_are_one_target_and_answer_by_their_names():
    columns = {"a": np.arange(6.0), "p": np.arange(6.0), "q": np.arange(6.0) ** 2, "r": np.arange(6) % 2, "s": np.arange(6) // 3}
    found = assign_roles("table", list(columns), ["input"], ["n", "l"], {"n": ["p", "q"], "l": ["r", "s"]}, {})
    plan, chosen, _ = fit_table_plan(columns, FeaturesSpec(), found, losses(n=SQUARED, l=BINARY), np.ones(6, bool))
    assert chosen["q"] == "target: the number itself; for output 'n'"
    assert chosen["s"] == "target: 2 labels, each true or not; for output 'l'"
    _, numbers, labels = encoded(plan, columns)
    assert numbers.tolist()[2] == [2.0, 4.0]
    assert labels.tolist()[3] == [1.0, 1.0]
    answers = to_answers(plan, [np.array([[2.0, 4.0]], np.float32), np.array([[0.25, 0.75]], np.float32)])
    assert answers == [
        {"outputs": {"n": {"value": {"p": 2.0, "q": 4.0}}, "l": {"labels": ["s"], "probabilities": {"r": 0.25, "s": 0.75}}}}
    ]


def test_one_hot_columns_are_the_classes_of_a_target():
    columns = {"a": np.arange(6.0), "red": np.eye(6, dtype=int)[0], "blue": 1 - np.eye(6, dtype=int)[0]}
    found = assign_roles("table", list(columns), ["input"], ["o"], ["red", "blue"], {})
    plan = fit_table_plan(columns, FeaturesSpec(), found, losses(o=CATEGORICAL), np.ones(6, bool)).plan
    assert plan.targets[0].classes == ["red", "blue"]
    (answer,) = to_answers(plan, [np.array([[0.75, 0.25]], np.float32)])
    assert answer == {"label": "red", "probabilities": {"red": 0.75, "blue": 0.25}}


def test_texts_are_no_part_of_a_target_of_several_columns():
    columns = {"a": np.arange(4.0), "p": np.arange(4.0), "t": np.array(list("abcd"), object)}
    found = assign_roles("table", list(columns), ["input"], ["o"], ["p", "t"], {})
    with pytest.raises(InvalidInput, match="'t' does not work: it shall be predicted together with others"):
        fit_table_plan(columns, FeaturesSpec(), found, losses(o=SQUARED), np.ones(4, bool))


def test_a_column_that_says_the_same_as_any_target_is_left_out():
    rows = 40
    random = np.random.default_rng(0)
    columns = {
        "a": random.normal(size=rows),
        "copy": np.arange(rows) % 2,
        "p": random.normal(size=rows),
        "s": np.arange(rows) % 2,
    }
    found = assign_roles("table", list(columns), ["input"], ["p", "s"], None, {})
    plan, _, warnings = fit_table_plan(columns, FeaturesSpec(), found, losses(p=SQUARED, s=BINARY), np.ones(rows, bool))
    assert [column.width for column in plan.table_inputs[0].columns] == [1, 0]
    assert "'copy' is left out: it says the same as the target" in warnings[0]
