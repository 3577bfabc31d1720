import numpy as np
import pytest

from service.errors import InvalidInput
from service.features.plan import CategoryColumn, DatetimeColumn, ExcludedColumn, NumberColumn, read_plan
from service.spec.compile import (
    BinaryCrossentropy,
    CategoricalCrossentropy,
    LossBase,
    MeanSquaredError,
    SparseCategoricalCrossentropy,
)
from service.spec.features import (
    CategoryFeature,
    DatetimeFeature,
    ExcludedFeature,
    FeaturesSpec,
    NumberFeature,
    TextFeature,
)
from tests.planning import plan_arrays, plan_table, table_of

AUTO = FeaturesSpec()


def texts(*values: str | None) -> np.ndarray:
    return np.array(values, dtype=object)


def plan_of(column: np.ndarray, features: FeaturesSpec = AUTO, train_rows: int | None = None):
    """The planned column 'x' beside a number that can always be used."""
    columns = {"x": column, "other": np.arange(len(column)) % 7, "y": np.arange(len(column)) % 2}
    fitted = plan_table(columns, features, "y", BinaryCrossentropy(), np.arange(len(column)) < (train_rows or len(column)))
    return table_of(fitted.plan).columns[0], fitted


def target_of(values: np.ndarray, loss: LossBase):
    columns = {"x": np.arange(len(values)), "y": values}
    return plan_table(columns, AUTO, "y", loss, np.ones(len(values), bool)).plan.targets[0]


def test_numbers_are_standardized_by_the_training_rows_alone():
    column, _ = plan_of(np.array([1.0, 3.0, 1000.0]), train_rows=2)
    assert column == NumberColumn(column="x", missing=2.0, offset=2.0, divisor=1.0, low=1.0, high=3.0)


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


def test_text_with_many_values_becomes_its_words():
    column, fitted = plan_of(texts(*(f"Word {i}" for i in range(51)), "word 7"))
    assert (column.encoding, column.width, column.vocabulary[:2]) == ("multi_hot", 53, ["word", "7"])
    assert fitted.chosen["x"] == "which of 52 words are in it"
    assert fitted.warnings == []


def test_at_most_a_thousand_words_are_known_and_the_setting_decides_otherwise():
    column = texts(*(f"all {i} {i + 5000}" for i in range(2000)))
    assert len(plan_of(column)[0].vocabulary) == 1000
    planned, _ = plan_of(column, FeaturesSpec(columns={"x": TextFeature(max_words=2)}))
    assert planned.vocabulary == ["all", "0"]


def test_texts_without_words_are_left_out_with_a_warning():
    planned, fitted = plan_of(texts(*("!" * i for i in range(60))), train_rows=55)
    assert isinstance(planned, ExcludedColumn)
    assert fitted.warnings == ["Column 'x' is left out: its texts have no words."]


def test_tokens_stand_alone_in_an_input():
    column, tokens = texts("a b", "b", "c", "a"), TextFeature(encoding="tokens", length=3)
    with pytest.raises(InvalidInput, match="cannot share one input") as caught:
        plan_of(column, FeaturesSpec(columns={"x": tokens}))
    assert caught.value.problems[0].pointer == "/features/columns/x/encoding"
    planned, fitted = plan_of(column, FeaturesSpec(columns={"x": tokens, "other": ExcludedFeature()}))
    assert (planned.width, planned.vocabulary) == (3, ["a", "b", "c"])
    assert "input_dim 5" in fitted.chosen["x"]


def test_dates_become_the_parts_that_vary():
    column, fitted = plan_of(np.array(["2026-01-01", "2026-01-03"], "M8[D]"))
    assert column == DatetimeColumn(
        column="x", parts=["days", "day_of_week", "day_of_year"], first_day=20454, mean_days=1.0, deviation_days=1.0
    )
    assert "day of week (on a circle)" in fitted.chosen["x"]
    assert fitted.warnings == []


def test_texts_that_are_dates_are_dates():
    column, _ = plan_of(texts("2026-01-01T10:00:00+01:00", None, "2026-01-01T21:00Z"))
    assert column.parts == ["hour_of_day"]


def test_the_setting_names_the_parts_of_a_date():
    planned, _ = plan_of(texts("2026-01-01", "2026-01-01"), FeaturesSpec(columns={"x": DatetimeFeature(parts=["day_of_week"])}))
    assert (planned.parts, planned.width) == (["day_of_week"], 2)


def test_dates_that_do_not_vary_are_left_out_with_a_warning():
    planned, fitted = plan_of(np.array(["2026-01-01", "2026-01-01", "NaT"], "M8[us]"))
    assert isinstance(planned, ExcludedColumn)
    assert fitted.warnings == ["Column 'x' is left out: its dates are all the same, to the minute."]


def test_a_number_may_stand_for_missing_values():
    column = np.array([1.0, np.nan, 2.0, 9.0])
    median, fitted = plan_of(column, FeaturesSpec(columns={"x": NumberFeature(missing="median")}))
    assert (median.missing, fitted.chosen["x"].partition("; ")[2]) == (2.0, "missing counts as the median, 2")
    assert plan_of(column, FeaturesSpec(columns={"x": NumberFeature(missing=-1)}))[0].missing == -1.0


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
        plan_table(columns, AUTO, "y", BinaryCrossentropy(), np.ones(2, bool))
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
    fitted = plan_table(columns, AUTO, "y", BinaryCrossentropy(), np.array(chosen))
    assert table_of(fitted.plan).columns[0].offset == values[chosen].mean()


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
        (
            FeaturesSpec(columns={"x": NumberFeature()}),
            "as a number: the column holds no numbers. Received text, expected numbers",
        ),
        (FeaturesSpec(columns={"x": DatetimeFeature()}), "as a date: a text is no date. Received 'a', expected ISO 8601"),
        (FeaturesSpec(columns={"other": TextFeature()}), "as text: the column holds no text. Received number"),
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
        (np.array([[0, 2], [1, 0]]), BinaryCrossentropy(), "Or give it rows of zeros and ones"),
    ],
)
def test_a_target_that_does_not_fit_the_loss_is_refused(values, loss, words):
    with pytest.raises(InvalidInput, match=words) as caught:
        target_of(values, loss)
    assert caught.value.problems[0].pointer == "/target"


def test_rows_of_zeros_and_ones_are_labels_for_binary_crossentropy():
    arrays = {"x": np.zeros((2, 3)), "y": np.array([[0, 1, 1], [1, 0, 0]])}
    fitted = plan_arrays(arrays, AUTO, "y", BinaryCrossentropy(from_logits=True), np.ones(2, bool))
    target = fitted.plan.targets[0]
    assert (target.encoding, target.classes, target.labels, target.from_logits) == ("number", None, [0, 1, 2], True)
    assert fitted.chosen["y"] == "target: 3 labels, each true or not"


def test_several_numbers_can_be_predicted_at_once():
    arrays = {"x": np.zeros((2, 3)), "y": np.array([[0.5, 2], [1, 0]])}
    target = plan_arrays(arrays, AUTO, "y", MeanSquaredError(), np.ones(2, bool)).plan.targets[0]
    assert (target.encoding, target.labels) == ("number", None)


@pytest.mark.parametrize(("target", "words"), [(None, "has no target"), ("Y", "Did you mean 'y'")])
def test_a_missing_or_unknown_target_is_refused(target, words):
    with pytest.raises(InvalidInput, match=words):
        plan_table({"x": np.arange(2), "y": np.arange(2)}, AUTO, target, BinaryCrossentropy(), np.ones(2, bool))


def test_a_table_without_usable_columns_is_refused():
    with pytest.raises(InvalidInput, match="No column is left"):
        plan_table(
            {"x": np.array(["2026-01-01"] * 2, "M8[D]"), "y": np.arange(2)}, AUTO, "y", BinaryCrossentropy(), np.ones(2, bool)
        )


def test_arrays_are_taken_as_they_are():
    arrays = {"x": np.zeros((4, 2, 3), np.int32), "y": np.arange(4) % 2}
    plan = plan_arrays(arrays, AUTO, "y", BinaryCrossentropy(), np.ones(4, bool)).plan
    assert (plan.array_inputs[0].shape, plan.array_inputs[0].dtype) == ([2, 3], "float32")


def test_a_second_input_array_is_refused():
    arrays = {"a": np.zeros((4, 2)), "b": np.zeros((4, 2)), "y": np.arange(4) % 2}
    with pytest.raises(InvalidInput, match="2 arrays beside the target"):
        plan_arrays(arrays, AUTO, "y", BinaryCrossentropy(), np.ones(4, bool))
