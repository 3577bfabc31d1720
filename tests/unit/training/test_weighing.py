"""How much rows and classes count."""

import keras
import numpy as np
import pytest
from sklearn.utils.class_weight import compute_class_weight

from service.errors import InvalidInput
from service.spec.compile import CompileSpec
from service.spec.definition import Definition
from service.spec.features import FeaturesSpec
from service.spec.fit import FitSpec
from service.training import reading
from service.training.building import build_model, compile_model
from service.training.examples import Wanted
from service.training.fitting import Fit, compile_for_fit
from service.training.snapshots import Budget
from service.training.wishes import Wishes
from tests.planning import encode_one
from tests.unit.training.tables import BINARY, CATEGORICAL, FEATURES, SPARSE, SQUARED, TABLE, encoded, refusal, wanted


@pytest.fixture(autouse=True)
def small_blocks(monkeypatch) -> None:
    monkeypatch.setattr(reading, "BLOCK_ROWS", 3)


# Weights of classes


@pytest.mark.parametrize(
    ("labels", "class_weight"),
    [
        (["no", "yes"], {"no": 0.5, "yes": 4.0}),
        ([3, 7], {"3": 0.5, "7": 4.0}),
        ([0.5, 1.5], {"0.5": 0.5, "1.5": 4.0}),
        ([False, True], {"false": 0.5, "true": 4.0}),
    ],
)
@pytest.mark.parametrize("loss", [BINARY, SPARSE, CATEGORICAL])
def test_the_weight_of_a_class_is_given_by_its_label(labels, class_weight, loss, tmp_path):
    columns = {"x": list(range(10)), "y": [labels[0], labels[0], labels[1], labels[0], labels[1]] * 2}
    examples = encoded(tmp_path, wanted("y", loss, class_weight=class_weight, validation_split=0.5), **columns)
    assert examples.train.sample_weight.tolist() == [0.5, 0.5, 4.0, 0.5, 4.0]
    assert examples.train.sample_weight.dtype == np.float32
    assert examples.validation.sample_weight is None
    first, second = class_weight
    assert examples.about.chosen["y"].endswith(f"; weights {first}: 0.5, {second}: 4")


def test_a_class_that_is_not_named_weighs_one(tmp_path):
    examples = encoded(tmp_path, wanted("sick", SPARSE, class_weight={"yes": 3}))
    assert examples.train.sample_weight.tolist() == [1.0, 3.0, 1.0, 1.0] * 5


def test_balanced_weights_let_all_classes_count_alike(tmp_path):
    """8 training rows: 6 of a and 2 of b, so 8 / (2 * 6) and 8 / (2 * 2)."""
    labels = ["a", "a", "b", "a", "a", "b", "a", "a", "b", "b"]
    examples = encoded(tmp_path, wanted("y", BINARY, class_weight="balanced", validation_split=0.2), x=list(range(10)), y=labels)
    assert examples.train.sample_weight.tolist() == [np.float32(2 / 3) if label == "a" else 2.0 for label in labels[:8]]
    assert examples.about.chosen["y"].endswith("; weights a: 0.6667, b: 2")


@pytest.mark.parametrize("loss", [SPARSE, CATEGORICAL])
def test_balanced_weights_are_those_of_scikit_learn(loss, tmp_path):
    labels = np.random.default_rng(0).choice(["a", "b", "c"], 50, p=[0.7, 0.2, 0.1])
    examples = encoded(tmp_path, wanted("y", loss, class_weight="balanced"), x=list(range(50)), y=labels.tolist())
    expected = dict(zip("abc", compute_class_weight("balanced", classes=np.array(["a", "b", "c"]), y=labels), strict=True))
    assert examples.train.sample_weight.tolist() == [np.float32(expected[label]) for label in labels]


@pytest.mark.parametrize(
    ("target", "loss", "class_weight", "words"),
    [
        ("sick", SPARSE, {"perhaps": 2}, "has no class 'perhaps'.*some of: maybe, no, yes"),
        ("member", BINARY, {"True": 2}, "has no class 'True'.*some of: false, true"),
        ("rank", SQUARED, "balanced", "needs a target with classes.*Use sample_weight"),
    ],
)
def test_class_weights_that_fit_no_class_are_refused(target, loss, class_weight, words, tmp_path):
    columns = TABLE | {"member": [True, False] * 10}
    with pytest.raises(InvalidInput, match=words) as caught:
        encoded(tmp_path, wanted(target, loss, class_weight=class_weight), **columns)
    assert caught.value.problems[0].pointer == "/fit/class_weight"


LAYERS = {"layers": [{"type": "Dense", "units": 4, "activation": "tanh"}, {"type": "Dense", "units": 3, "activation": "softmax"}]}


@pytest.mark.parametrize("loss", [SPARSE, CATEGORICAL])
def test_class_weights_give_the_weights_that_keras_gives(loss, tmp_path):
    random = np.random.default_rng(0)
    x, y = random.normal(size=(50, 3)).astype(np.float32), random.integers(0, 3, 50)
    class_weight = {"0": 0.25, "2": 7.5}
    spec = FitSpec(epochs=3, batch_size=7, shuffle=False, class_weight=class_weight)
    compile_spec = CompileSpec.model_validate({"optimizer": "adam", "loss": loss, "metrics": ["accuracy"]})
    examples = encoded(tmp_path, Wanted(FeaturesSpec(), "y", ["input"], {"output": compile_spec.loss}, spec, 5), x=x, y=y)
    ours = new_model()
    compile_for_fit(ours, compile_spec, examples.train, spec)
    Fit(ours, examples, spec, 5, lambda frame: None, Wishes(), lambda *_: None, Budget(60, 0), tmp_path).run(None)
    keras_alone = new_model()
    compile_model(keras_alone, compile_spec, 1)
    truth = np.eye(3, dtype=np.float32)[y] if loss == CATEGORICAL else y
    keras_alone.fit(x, truth, epochs=3, batch_size=7, shuffle=False, class_weight={0: 0.25, 2: 7.5}, verbose=0)
    assert all((a == b).all() for a, b in zip(ours.get_weights(), keras_alone.get_weights(), strict=True))


def new_model() -> keras.Model:
    return build_model(Definition.model_validate(LAYERS), [(3,)], 1000, seed=5)


# Weights of rows


def test_a_column_of_weights_is_no_feature(tmp_path):
    examples = encoded(tmp_path, wanted("sick", SPARSE, FEATURES, sample_weight="weight", validation_split=0.3))
    assert examples.train.sample_weight.tolist() == (TABLE["weight"])[:14]
    assert examples.validation.sample_weight.tolist() == (TABLE["weight"])[14:]
    assert examples.about.chosen["weight"] == "weight of the row"
    assert examples.about.warnings == []
    assert "weight" not in examples.about.raw[0]
    rows, _ = encode_one(examples.plan, examples.about.raw)
    assert (rows == examples.train.inputs[0][:2]).all()


@pytest.mark.parametrize("shape", [(20,), (20, 1)])
@pytest.mark.parametrize("dtype", [np.float64, np.int32, bool])
def test_an_array_can_weigh_the_rows(shape, dtype, tmp_path):
    weights = (np.arange(20) % 3).astype(dtype).reshape(shape)
    examples = encoded(tmp_path, wanted("y", BINARY, sample_weight="w"), x=np.arange(20.0), w=weights, y=np.arange(20) % 2)
    assert (examples.train.sample_weight == weights.reshape(20)).all()
    assert examples.train.sample_weight.shape == (20,)
    assert examples.about.chosen["w"] == "weight of the row"


@pytest.mark.parametrize(
    ("weights", "row"),
    [
        ([1.0] * 18 + [-0.5, 1.0], 18),
        ([1.0] * 7 + [None] * 13, 7),
        ([True] * 7 + [None] * 13, 7),
        ([2**60] * 9 + [None] * 11, 9),
        (["heavy"] * 20, 0),
        ([1.0, 1e300] * 10, 1),
    ],
)
def test_weights_that_are_none_are_refused_with_their_row(weights, row, tmp_path):
    error = refusal(tmp_path, wanted("sick", SPARSE, FEATURES, sample_weight="weight"), **(TABLE | {"weight": weights}))
    assert f"Column 'weight' cannot weigh the rows: row {row} has no number from 0 on" in error.message
    assert error.problems[0].pointer == "/fit/sample_weight"


def test_an_array_of_several_weights_per_row_is_refused(tmp_path):
    columns = {"x": np.arange(6.0), "w": np.ones((6, 2)), "y": np.arange(6) % 2}
    assert "row 0 has no number" in refusal(tmp_path, wanted("y", BINARY, sample_weight="w"), **columns).message


@pytest.mark.parametrize(("name", "words"), [("sick", "is the target"), ("nobody", "has no column 'nobody'")])
def test_weights_by_the_target_or_by_nothing_are_refused(name, words, tmp_path):
    error = refusal(tmp_path, wanted("sick", SPARSE, FEATURES, sample_weight=name))
    assert words in error.message
    assert error.problems[0].pointer == "/fit/sample_weight"


def test_a_validation_dataset_needs_the_weights_too(tmp_path):
    other = {name: values for name, values in TABLE.items() if name != "weight"}
    assert "has no column 'weight'" in refusal(tmp_path, wanted("sick", SPARSE, FEATURES, sample_weight="weight"), other).message
