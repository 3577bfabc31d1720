import numpy as np
import pytest

from service.errors import InvalidInput
from service.features.datetimes import as_moments, as_texts, parse_moment
from service.features.encoding import encode_columns
from service.features.plan import DATETIME_PARTS, DatetimeColumn, FeaturePlan, TableInput
from service.spec.compile import MeanSquaredError
from service.spec.features import DatetimeFeature, FeaturesSpec
from tests.planning import encode_one, plan_table

FIRST_DAY = 20454  # 2026-01-01, a Thursday


def plan_of(*parts) -> FeaturePlan:
    column = DatetimeColumn(column="at", parts=list(parts), first_day=FIRST_DAY, mean_days=1.0, deviation_days=2.0)
    return FeaturePlan(inputs=[TableInput(name="input", columns=[column])], targets=[])


def encoded(text: str | None, *parts) -> list[float]:
    return encode_one(plan_of(*parts), [{"at": text}])[0][0].tolist()


@pytest.mark.parametrize(
    ("text", "part", "expected"),
    [
        ("2026-01-06", "days", [2.0]),
        ("2025-12-31T23:59:59.9", "days", [-1.0]),
        ("2026-01-06T06:00:30Z", "hour_of_day", [1.0, 0.0]),
        ("2026-01-06T02:00:00+02:00", "hour_of_day", [0.0, 1.0]),
        ("2026-01-05", "day_of_week", [0.0, 1.0]),
        ("1969-12-29T23:00", "day_of_week", [0.0, 1.0]),
        ("2026-01-01", "day_of_year", [0.0, 1.0]),
        ("2024-07-02", "day_of_year", [0.0, -1.0]),
    ],
)
def test_a_date_becomes_its_parts(text, part, expected):
    assert encoded(text, part) == pytest.approx(expected, abs=1e-6)


def test_parts_stand_side_by_side():
    parts = [number for part in DATETIME_PARTS for number in encoded("2026-03-04T05:06Z", part)]
    assert encoded("2026-03-04T05:06Z", *DATETIME_PARTS) == parts


def test_a_missing_date_is_zero_everywhere():
    assert encoded(None, *DATETIME_PARTS) == [0.0] * 7


@pytest.mark.parametrize("value", ["soon", "2026-02-30", "", 20260101, 1.5, True, ["2026-01-01"], "0001-01-01T00:00+01:00"])
def test_what_is_no_date_is_refused_where_it_stands(value):
    with pytest.raises(InvalidInput) as caught:
        encode_one(plan_of("days"), [{"at": "2026-01-01"}, {"at": value}])
    (problem,) = caught.value.problems
    assert (problem.pointer, problem.message) == ("/rows/1/at", "This is no date.")
    assert problem.expected == "a text such as 2026-01-31 or 2026-01-31T18:00:00Z"


@pytest.mark.parametrize("unit", ["D", "s", "ms", "us", "ns"])
def test_dates_as_texts_are_the_same_moments_again(unit):
    moments = np.array(["2026-01-01", "1955-06-07T08:09:10.123456", "NaT"], f"M8[{unit}]")
    texts = as_texts(moments)
    assert texts[2] is None
    assert as_moments(texts).tobytes() == as_moments(moments).tobytes()


def test_a_text_that_is_no_date_counts_as_missing_among_columns():
    column = np.array(["2026-01-03", "soon", None], dtype=object)
    assert encode_columns(plan_of("days").table_inputs[0], {"at": column}).tolist() == [[0.5], [0.0], [0.0]]


def test_moments_are_utc():
    assert parse_moment("2026-01-01T01:00:00+02:00") == parse_moment("2025-12-31T23:00:00Z") == parse_moment("2025-12-31 23:00")


def test_a_setting_for_dates_of_one_day_makes_zeros():
    features = FeaturesSpec(columns={"at": DatetimeFeature(parts=["days"])})
    columns = {"at": np.array(["2026-01-01"] * 3, "M8[D]"), "y": np.arange(3)}
    plan = plan_table(columns, features, "y", MeanSquaredError(), np.ones(3, bool)).plan
    assert encode_one(plan, [{"at": "2027-01-01"}])[0].tolist() == [[0.0]]


def test_years_that_no_text_can_name_are_refused():
    columns = {"at": np.array(["12000-01-01", "2026-01-01"], "M8[s]"), "y": np.arange(2)}
    with pytest.raises(InvalidInput, match="outside of the calendar"):
        plan_table(columns, FeaturesSpec(), "y", MeanSquaredError(), np.ones(2, bool))
