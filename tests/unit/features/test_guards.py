import numpy as np
import pytest

from service.features.plan import CategoryColumn, ExcludedColumn, NumberColumn
from service.spec.compile import BinaryCrossentropy, MeanSquaredError
from service.spec.features import CategoryFeature, FeaturesSpec, NumberFeature
from tests.planning import plan_table, table_of

ROWS = 40
RANDOM = np.random.default_rng(3)
SICK = RANDOM.permutation(np.arange(ROWS) % 2)
WEIGHT = RANDOM.normal(80, 9, ROWS)


def fitted(column: np.ndarray, name: str = "x", features: FeaturesSpec | None = None, is_regression: bool = False, other=WEIGHT):
    """The planned column beside a measurement, and the warnings."""
    columns = {name: column, "weight": other, "y": WEIGHT * 2 if is_regression else SICK}
    loss = MeanSquaredError() if is_regression else BinaryCrossentropy()
    result = plan_table(columns, features or FeaturesSpec(), "y", loss, np.ones(len(column), bool))
    return table_of(result.plan).columns[0], result.warnings


def texts(values) -> np.ndarray:
    return np.array(list(values), dtype=object)


@pytest.mark.parametrize(
    ("name", "column", "reason"),
    [
        ("row", np.arange(1000, 1000 + ROWS), "a different integer in every row"),
        ("row", np.arange(ROWS)[::-1], "a different integer in every row"),
        ("PassengerId", RANDOM.permutation(ROWS * 99)[:ROWS], "a different integer in every row"),
        ("x", texts(f"customer-{i}" for i in range(ROWS)), "a different word in nearly every row"),
        ("x", SICK, "the same as the target"),
        ("x", 7 - SICK * 4.5, "the same as the target"),
        ("x", texts("ill" if sick else "well" for sick in SICK), "the same as the target"),
        ("x", SICK == 0, "the same as the target"),
    ],
)
def test_ids_and_the_target_in_disguise_are_left_out_with_the_way_to_use_them(name, column, reason):
    planned, (warning,) = fitted(column, name)
    assert isinstance(planned, ExcludedColumn)
    assert reason in warning
    assert f'"features": {{"columns": {{"{name}": {{"type": "' in warning


@pytest.mark.parametrize(
    ("name", "column"),
    [
        ("x", np.sort(RANDOM.normal(size=ROWS))),
        ("id", np.arange(ROWS) + 0.5),
        ("x", np.arange(ROWS) ** 2),
        ("x", RANDOM.permutation(ROWS)),
        ("humid", RANDOM.permutation(ROWS)),
        ("x", np.append(SICK[:-1], 1 - SICK[-1])),
        ("x", texts(RANDOM.choice(["Rome", "Ulm"], ROWS).tolist())),
        ("x", texts(f"good day {i}" for i in range(ROWS))),
    ],
)
def test_what_may_be_a_measurement_is_used(name, column):
    planned, warnings = fitted(column, name)
    assert not isinstance(planned, ExcludedColumn)
    assert warnings == []


def test_a_number_equal_to_a_measured_target_is_left_out_and_a_multiple_is_not():
    assert isinstance(fitted(WEIGHT * 2, is_regression=True)[0], ExcludedColumn)
    assert isinstance(fitted(WEIGHT * 4, is_regression=True)[0], NumberColumn)


@pytest.mark.parametrize(
    ("feature", "kind"), [(NumberFeature(scale="min_max"), NumberColumn), (CategoryFeature(), CategoryColumn)]
)
def test_a_setting_wins(feature, kind):
    planned, warnings = fitted(np.arange(ROWS), features=FeaturesSpec(columns={"x": feature}))
    assert isinstance(planned, kind)
    assert warnings == []


def test_a_suspicious_column_is_used_where_there_is_no_other():
    planned, warnings = fitted(np.arange(ROWS), other=np.arange(ROWS))
    assert isinstance(planned, NumberColumn)
    assert "is used because there is no other" in warnings[0]
    assert len(warnings) == 2


def test_missing_values_do_not_hide_the_target():
    column = np.where(np.arange(ROWS) % 5 == 0, np.nan, SICK * 3.0)
    assert isinstance(fitted(column)[0], ExcludedColumn)


def test_few_rows_are_not_judged():
    columns = {"x": np.arange(6), "other": np.arange(6) % 3, "y": np.arange(6) % 2}
    assert plan_table(columns, FeaturesSpec(), "y", BinaryCrossentropy(), np.ones(6, bool)).warnings == []
