"""Indices that no Embedding looks up, weights of nothing, and layers for training alone are refused before a fit."""

import numpy as np
import pytest

from service.errors import InvalidInput
from service.features.encoding import encode_columns, encode_target
from service.spec.compile import CompileSpec
from service.spec.features import FeaturesSpec
from service.training.examples import About, Examples, Part
from tests.planning import plan_table, table_of
from tests.unit.training.checking import IMAGES, NUMBERS, ROWS, SQUARED, check, check_whole, dense
from tests.unit.training.conftest import make_examples

# Embeddings


EMBEDDING = {"type": "Embedding", "input_dim": 10, "output_dim": 2, "name": "words"}
AFTER = [{"type": "Flatten"}, dense(1)]


def indices(*values: float) -> np.ndarray:
    return np.resize(np.array(values, np.float32), (ROWS, 4))


@pytest.mark.parametrize(
    ("x", "words", "fix"),
    [
        (
            indices(0, 10, 3),
            "'words' has input_dim=10, so it takes indices from 0 to 9. The data has 0 to 10",
            "Set input_dim to 11.",
        ),
        (indices(-1, 3), "The data has -1 to 3", "Use indices from 0 on."),
        (indices(0, 1.7), "takes whole numbers, and the data has others", "Use whole numbers from 0 on."),
    ],
)
def test_indices_that_an_embedding_cannot_look_up_are_refused(x, words, fix):
    with pytest.raises(InvalidInput, match=words) as caught:
        check([EMBEDDING, *AFTER], SQUARED, NUMBERS, x=x)
    assert caught.value.problems[0].pointer == "/definition/layers/0"
    assert caught.value.problems[0].fix == fix


def test_indices_are_looked_for_in_the_validation_rows_too():
    compile_spec = CompileSpec.model_validate({"optimizer": "sgd", "loss": SQUARED})
    x = indices(0, 9)
    x[-1] = 10
    with pytest.raises(InvalidInput, match="The data has 0 to 10"):
        check_whole([EMBEDDING, *AFTER], compile_spec, make_examples(x, NUMBERS.astype(np.float32), ROWS - 2, compile_spec.loss))


def test_indices_of_a_standardized_column_are_refused_with_how_to_encode_them():
    compile_spec = CompileSpec.model_validate({"optimizer": "sgd", "loss": SQUARED})
    columns = {"x": np.arange(ROWS), "y": np.linspace(-1, 1, ROWS)}
    fitted = plan_table(columns, FeaturesSpec(), "y", compile_spec.loss, np.ones(ROWS, bool))
    x, y = encode_columns(table_of(fitted.plan), columns), encode_target(fitted.plan.targets[0], columns["y"])
    examples = Examples(Part((x,), (y,)), None, About(plan=fitted.plan, chosen={}, warnings=[], raw=[]))
    with pytest.raises(InvalidInput, match='"type": "category", "encoding": "index"'):
        check_whole([EMBEDDING, *AFTER], compile_spec, examples)


def test_an_embedding_after_a_layer_that_answers_any_number_is_refused():
    with pytest.raises(InvalidInput, match="'words' takes whole numbers, but it comes after 'first'"):
        check([dense(4, name="first"), EMBEDDING, *AFTER], SQUARED, NUMBERS)


def test_an_embedding_of_indices_is_let_through():
    check([EMBEDDING, *AFTER], SQUARED, NUMBERS, x=indices(0, 9))
    check([{"type": "Flatten"}, EMBEDDING, *AFTER], SQUARED, NUMBERS, x=indices(0, 9))


# Weights


def test_rows_that_all_weigh_nothing_are_refused():
    with pytest.raises(InvalidInput, match="Every training row has weight 0"):
        check([dense(1)], SQUARED, NUMBERS, sample_weight=np.zeros(ROWS, np.float32))
    check([dense(1)], SQUARED, NUMBERS, sample_weight=np.eye(1, ROWS, dtype=np.float32)[0])


# Layers that work in training only


CROP = {"type": "RandomCrop", "height": 2, "width": 2, "name": "crop"}


def test_an_embedding_behind_bins_or_several_inputs_side_by_side_is_let_through():
    bins = {"type": "Discretization", "bin_boundaries": [0.0, 0.5], "name": "bins"}
    check([bins, EMBEDDING | {"input_dim": 3}, *AFTER], SQUARED, NUMBERS)
    with pytest.raises(InvalidInput, match=r"Layer 'bins' has 0 to 2"):
        check([bins, EMBEDDING | {"input_dim": 2}, *AFTER], SQUARED, NUMBERS)


def test_a_crop_is_refused_where_predictions_of_whole_images_fail():
    """Keras builds and fits such a model, and its first prediction fails."""
    with pytest.raises(InvalidInput, match=r"'crop' leaves images as they are in predictions.*GlobalAveragePooling2D") as caught:
        check([CROP, {"type": "Flatten"}, dense(1)], SQUARED, NUMBERS, x=IMAGES)
    assert caught.value.problems[0].pointer == "/definition/layers/0"
    check([CROP, {"type": "GlobalAveragePooling2D"}, dense(1)], SQUARED, NUMBERS, x=IMAGES)
    check([CROP | {"height": 4, "width": 4}, {"type": "Flatten"}, dense(1)], SQUARED, NUMBERS, x=IMAGES)


def test_an_equalization_is_refused_since_predictions_would_see_other_images():
    equalized = [
        {"type": "Rescaling", "scale": 1.0},
        {"type": "Pipeline", "layers": ["Equalization"]},
        {"type": "Flatten"},
        dense(1),
    ]
    with pytest.raises(InvalidInput, match=r"'Equalization' leaves images as they are.*Use AutoContrast") as caught:
        check(equalized, SQUARED, NUMBERS, x=IMAGES)
    assert caught.value.problems[0].pointer == "/definition/layers/1/layers/0"
