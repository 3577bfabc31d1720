import numpy as np
import pytest

from service.errors import InvalidInput
from service.features.fitting import fit_array_plan, fit_table_plan
from service.features.plan import CategoryColumn, ExcludedColumn, NumberColumn, read_plan
from service.spec.compile import (
    BinaryCrossentropy,
    CategoricalCrossentropy,
    LossBase,
    MeanSquaredError,
    SparseCategoricalCrossentropy,
)
from service.spec.features import CategoryFeature, ExcludedFeature, FeaturesSpec, NumberFeature

AUTO = FeaturesSpec()


def texts(*values: str | None) -> np.ndarray:
    return np.array(values, dtype=object)


def plan_of(column: np.ndarray, features: FeaturesSpec = AUTO, train_rows: int | None = None):
    """The planned column 'x' beside a number that can always be used."""
    columns = {"x": column, "other": np.arange(len(column)), "y": np.arange(len(column)) % 2}
    fitted = fit_table_plan(columns, features, "y", BinaryCrossentropy(), np.arange(len(column)) < (train_rows or len(column)))
    return fitted.plan.input.columns[0], fitted


def target_of(values: np.ndarray, loss: LossBase):
    columns = {"x": np.arange(len(values)), "y": values}
    return fit_table_plan(columns, AUTO, "y", loss, np.ones(len(values), bool)).plan.target


def test_numbers_are_standardized_by_the_training_rows_alone():
    column, _ = plan_of(np.array([1.0, 3.0, 1000.0]), train_rows=2)
    assert column == NumberColumn(column="x", missing=2.0, offset=2.0, divisor=1.0)


def test_missing_numbers_are_left_out_of_the_measures():
    column, _ = plan_of(np.array([1.0, np.nan, 3.0]))
    assert (column.missing, column.offset, column.divisor) == (2.0, 2.0, 1.0)


def test_a_number_without_variance_has_divisor_zero():
    column, _ = plan_of(np.array([0.1] * 3))
    assert column.divisor == 0.0


def test_booleans_stay_zero_and_one():
    column, fitted = plan_of(np.array([True, False, True]))
    assert (column.offset, column.divisor, column.is_boolean) == (0.0, 1.0, True)
    assert fitted.chosen["x"] == "0 or 1"


def test_text_with_few_values_is_one_hot():
    column, fitted = plan_of(texts("b", "a", None, "b"))
    assert column == CategoryColumn(column="x", vocabulary=["a", "b"], encoding="one_hot")
    assert fitted.warnings == []


def test_text_with_many_values_is_left_out_with_a_warning():
    column, fitted = plan_of(texts(*(f"word {i}" for i in range(51))))
    assert isinstance(column, ExcludedColumn)
    assert "'x' is left out" in fitted.warnings[0]


def test_date_columns_are_left_out_with_a_warning():
    planned, fitted = plan_of(np.array(["2026-01-01"] * 2, "M8[D]"))
    assert isinstance(planned, ExcludedColumn)
    assert len(fitted.warnings) == 1


@pytest.mark.parametrize("column", [texts(None, None), np.array([np.nan, np.nan])])
@pytest.mark.parametrize("feature", [None, NumberFeature(), CategoryFeature()])
def test_a_column_without_values_is_refused_with_the_way_to_leave_it_out(column, feature):
    features = FeaturesSpec(columns={"x": feature} if feature else {})
    with pytest.raises(InvalidInput, match="'x' has no values in the training rows") as caught:
        plan_of(column, features)
    (problem,) = caught.value.problems
    assert problem.pointer == "/features/columns/x"
    assert '"features": {"columns": {"x": {"type": "exclude"}}}' in problem.fix


def test_a_column_with_values_in_the_validation_rows_alone_is_refused():
    with pytest.raises(InvalidInput, match="no values in the training rows"):
        plan_of(np.array([np.nan, np.nan, 1.0]), train_rows=2)


def test_every_column_without_values_is_named():
    columns = {"a": texts(None, None), "b": np.array([np.nan, np.nan]), "c": np.arange(2), "y": np.arange(2)}
    with pytest.raises(InvalidInput, match="Neither have 1 others") as caught:
        fit_table_plan(columns, AUTO, "y", BinaryCrossentropy(), np.ones(2, bool))
    assert [problem.pointer for problem in caught.value.problems] == ["/features/columns/a", "/features/columns/b"]


def test_a_column_without_values_can_be_left_out_as_the_message_says():
    planned, fitted = plan_of(texts(None, None), FeaturesSpec(columns={"x": ExcludedFeature()}))
    assert isinstance(planned, ExcludedColumn)
    assert fitted.warnings == []


def test_integers_beyond_float64_beside_missing_values_are_numbers_and_exact_categories():
    column = np.array([2**53 + 1, None, 2**53], dtype=object)
    assert isinstance(plan_of(column)[0], NumberColumn)
    planned, _ = plan_of(column, FeaturesSpec(columns={"x": CategoryFeature()}))
    assert planned.vocabulary == [2**53, 2**53 + 1]


@pytest.mark.parametrize("chosen", [[True, True, False, False], [False, True, False, True]])
def test_only_the_training_rows_are_measured_wherever_they_are(chosen):
    values = np.array([1.0, 2.0, 30.0, 400.0])
    columns = {"x": values, "y": np.arange(4) % 2}
    fitted = fit_table_plan(columns, AUTO, "y", BinaryCrossentropy(), np.array(chosen))
    assert fitted.plan.input.columns[0].offset == values[chosen].mean()


def test_a_column_can_be_left_out_without_a_warning():
    planned, fitted = plan_of(np.arange(3), FeaturesSpec(columns={"x": ExcludedFeature()}))
    assert isinstance(planned, ExcludedColumn)
    assert fitted.warnings == []


def test_numbers_can_be_categories():
    column, _ = plan_of(np.array([3.0, np.nan, 1.0]), FeaturesSpec(columns={"x": CategoryFeature(encoding="index")}))
    assert column == CategoryColumn(column="x", vocabulary=[1, 3], encoding="index")


def test_numbers_can_be_scaled_from_zero_to_one():
    column, _ = plan_of(np.array([2, 6]), FeaturesSpec(columns={"x": NumberFeature(scale="min_max")}))
    assert (column.offset, column.divisor) == (2.0, 4.0)


@pytest.mark.parametrize(
    ("features", "words"),
    [
        (FeaturesSpec(columns={"x": NumberFeature()}), "cannot be used as a number"),
        (FeaturesSpec(columns={"nobody": NumberFeature()}), "name no usable column"),
        (FeaturesSpec(columns={"y": NumberFeature()}), "name no usable column"),
    ],
)
def test_settings_that_do_not_fit_the_data_are_refused(features, words):
    with pytest.raises(InvalidInput, match=words):
        plan_of(texts("a", "b"), features)


def test_a_plan_survives_being_stored():
    _, fitted = plan_of(texts("a", "b"))
    assert read_plan(fitted.plan.as_document()) == fitted.plan


@pytest.mark.parametrize(
    ("values", "loss", "classes"),
    [
        (np.array([1, 0, 1]), BinaryCrossentropy(), [0, 1]),
        (np.array([1.0, 0.0]), BinaryCrossentropy(), [0, 1]),
        (np.array([True, False]), BinaryCrossentropy(), [False, True]),
        (texts("yes", "no"), BinaryCrossentropy(), ["no", "yes"]),
        (texts("b", "c", "a"), SparseCategoricalCrossentropy(), ["a", "b", "c"]),
        (np.array([5, 7, 9]), CategoricalCrossentropy(), [5, 7, 9]),
        (np.array([1.5, 2.5]), MeanSquaredError(), None),
    ],
)
def test_the_loss_decides_what_the_target_becomes(values, loss, classes):
    target = target_of(values, loss)
    assert (target.encoding, target.classes) == (loss.target_encoding, classes)


def test_logits_are_remembered():
    assert target_of(np.array([0, 1]), BinaryCrossentropy(from_logits=True)).from_logits


@pytest.mark.parametrize(
    ("values", "loss", "words"),
    [
        (np.array([0, 1, 2]), BinaryCrossentropy(), "3 classes"),
        (np.array([1, 1]), BinaryCrossentropy(), "the same in every row"),
        (np.array([1.0, np.nan]), BinaryCrossentropy(), "1 of its 2 rows have no value"),
        (texts("a", None, None), SparseCategoricalCrossentropy(), "2 of its 3 rows"),
        (texts("a", "b"), MeanSquaredError(), "wants numbers"),
        (np.array([2.0, 2.0]), MeanSquaredError(), "the same in every row"),
        (np.array([1.0, np.inf]), SparseCategoricalCrossentropy(), "infinite"),
        (np.array([[0, 1], [1, 0]]), SparseCategoricalCrossentropy(), "For one-hot rows use CategoricalCrossentropy"),
        (np.array([[0, 1], [1, 0]]), BinaryCrossentropy(), "one class per row"),
    ],
)
def test_a_target_that_does_not_fit_the_loss_is_refused(values, loss, words):
    with pytest.raises(InvalidInput, match=words) as caught:
        target_of(values, loss)
    assert caught.value.problems[0].pointer == "/target"


@pytest.mark.parametrize(("target", "words"), [(None, "has no target"), ("Y", "Did you mean 'y'")])
def test_a_missing_or_unknown_target_is_refused(target, words):
    with pytest.raises(InvalidInput, match=words):
        fit_table_plan({"x": np.arange(2), "y": np.arange(2)}, AUTO, target, BinaryCrossentropy(), np.ones(2, bool))


def test_a_table_without_usable_columns_is_refused():
    with pytest.raises(InvalidInput, match="No column is left"):
        fit_table_plan(
            {"x": np.array(["2026-01-01"] * 2, "M8[D]"), "y": np.arange(2)}, AUTO, "y", BinaryCrossentropy(), np.ones(2, bool)
        )


def test_arrays_are_taken_as_they_are():
    arrays = {"x": np.zeros((4, 2, 3), np.int32), "y": np.arange(4) % 2}
    plan = fit_array_plan(arrays, AUTO, "y", BinaryCrossentropy(), np.ones(4, bool)).plan
    assert (plan.input.shape, plan.input.dtype) == ([2, 3], "float32")


def test_a_second_input_array_is_refused():
    arrays = {"a": np.zeros((4, 2)), "b": np.zeros((4, 2)), "y": np.arange(4) % 2}
    with pytest.raises(InvalidInput, match="2 arrays beside the target"):
        fit_array_plan(arrays, AUTO, "y", BinaryCrossentropy(), np.ones(4, bool))
