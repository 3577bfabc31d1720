"""Every number of a report against one that was worked out by hand, or by the plain definition in Python."""

import json
import math
import statistics
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from pydantic import TypeAdapter

from service.features.plan import Target
from service.spec.evaluation import ClassificationRead, Evaluation, RegressionRead
from service.training import evaluation, scores
from service.training.evaluation import ClassBaseline, NumberBaseline, baseline_of, evaluate, read_baseline

SOME_CLASSES = {"binary": [False, True], "index": ["a", "b", "c"], "one_hot": [3, 5, 7]}
REPORT = TypeAdapter(Evaluation)

NUMBER = Target(output="output", columns=["y"], encoding="number")
YES_OR_NO = Target(output="output", columns=["y"], encoding="binary", classes=["no", "yes"])
THREE = Target(output="output", columns=["y"], encoding="index", classes=["a", "b", "c"])


def column(*values: float) -> np.ndarray:
    return np.array(values, dtype=np.float32)[:, None]


def places(*values: int) -> np.ndarray:
    return np.array(values, dtype=np.int32)[:, None]


def report_of(target: Target, outputs: Any, truth: Any, training_truth: Any = None) -> dict[str, Any]:
    """The report, which every reader of reports must understand; trained on the same rows if on no others."""
    outputs, truth = np.asarray(outputs, dtype=np.float32), np.asarray(truth)
    report = evaluate(target, outputs, truth, baseline_of(target, truth if training_truth is None else training_truth))
    REPORT.validate_python(report)
    json.dumps(report, allow_nan=False)
    return report


def rounded(value: Any) -> Any:
    """As the examples of the API page are written."""
    if isinstance(value, dict):
        return {name: rounded(part) for name, part in value.items()}
    if isinstance(value, list):
        return [rounded(part) for part in value]
    return round(value, 3) if isinstance(value, float) else value


def example_of(schema: Any) -> dict[str, Any]:
    return schema.model_config["json_schema_extra"]["examples"][0]


# Two classes


def test_the_report_on_two_classes_is_the_example_that_was_worked_out_by_hand():
    report = report_of(YES_OR_NO, column(0.15, 0.72, 0.65, 0.86), column(0, 0, 1, 1))
    assert rounded(report) == example_of(ClassificationRead)


def test_the_log_loss_is_the_mean_surprise_at_the_truth():
    report = report_of(YES_OR_NO, column(0.25, 0.5), column(0, 1))
    assert report["log_loss"] == pytest.approx(-(math.log(0.75) + math.log(0.5)) / 2)


def test_a_sure_and_wrong_answer_costs_what_it_costs_in_keras():
    assert report_of(YES_OR_NO, column(1, 1), column(0, 1))["log_loss"] == pytest.approx(-math.log(1e-7) / 2, rel=1e-6)


def test_logits_become_probabilities():
    logits = Target(output="output", columns=["y"], encoding="binary", classes=[False, True], from_logits=True)
    report = report_of(logits, column(-math.log(3), math.log(3), 0.5), column(0, 1, 0))
    assert report["classes"] == [False, True]
    assert report["roc"][0]["thresholds"] == pytest.approx([None, 0.75, 0.25])
    assert report["accuracy"] == pytest.approx(2 / 3)


def test_logits_that_are_sure_and_wrong_are_not_raised():
    logits = Target(output="output", columns=["y"], encoding="binary", classes=[0, 1], from_logits=True)
    assert report_of(logits, column(30, 30), column(0, 1))["log_loss"] == pytest.approx(30 / 2, rel=1e-5)


def test_one_half_counts_as_the_first_class_as_in_answers():
    assert report_of(YES_OR_NO, column(0.5, 0.75), column(0, 1))["accuracy"] == 1.0


def test_the_calibration_error_weighs_bins_by_their_rows():
    report = report_of(YES_OR_NO, column(0.25, 0.25, 0.25, 0.75), column(0, 0, 1, 1))
    (curve,) = report["calibration"]
    assert curve == {"label": "yes", "predicted": [0.25, 0.75], "observed": pytest.approx([1 / 3, 1]), "count": [3, 1]}
    assert report["expected_calibration_error"] == pytest.approx((3 * (1 / 3 - 0.25) + 1 * 0.25) / 4)


@given(st.lists(st.tuples(st.integers(0, 1), st.integers(0, 10)), min_size=2, max_size=30))
def test_areas_agree_with_their_definitions(rows):
    truth, tenths = zip(*rows, strict=True)
    report = report_of(YES_OR_NO, column(*(tenth / 10 for tenth in tenths)), column(*truth))
    for curve, name, area in (("roc", "auc", wins_of_pairs(rows)), ("precision_recall", "average_precision", steps_of(rows))):
        assert report[curve][0][name] == (None if area is None else pytest.approx(area))


def wins_of_pairs(rows: list[tuple[int, int]]) -> float | None:
    """How often a row of the class is rated above one of the other class; a tie is half a win."""
    pairs = [(yes, no) for is_yes, yes in rows if is_yes for is_no, no in rows if not is_no]
    return statistics.mean((yes > no) + (yes == no) / 2 for yes, no in pairs) if pairs else None


def steps_of(rows: list[tuple[int, int]]) -> float | None:
    """Precision at each threshold, weighted by the recall that it adds."""
    positives = sum(is_yes for is_yes, _ in rows)
    area, reached = 0.0, 0
    for threshold in sorted({score for _, score in rows}, reverse=True):
        above = [is_yes for is_yes, score in rows if score >= threshold]
        area += sum(above) / len(above) * (sum(above) - reached)
        reached = sum(above)
    return area / positives if positives else None


# Several classes

SOFTMAX = [[0.5, 0.25, 0.25], [0.25, 0.5, 0.25], [0.5, 0.25, 0.25], [0.25, 0.25, 0.5]]


@pytest.mark.parametrize("encoding", ["index", "one_hot"])
def test_several_classes_are_told_apart_one_against_the_rest(encoding):
    truth = places(0, 0, 2, 2) if encoding == "index" else np.eye(3, dtype=np.float32)[[0, 0, 2, 2]]
    report = report_of(Target(output="output", columns=["y"], encoding=encoding, classes=["a", "b", "c"]), SOFTMAX, truth)
    assert report["confusion_matrix"] == [[1, 1, 0], [0, 0, 0], [1, 0, 1]]
    assert report["accuracy"] == 0.5
    assert report["log_loss"] == pytest.approx(math.log(2) / 2 + math.log(4) / 2)
    a, b, c = report["per_class"]
    assert a == {"label": "a", "precision": 0.5, "recall": 0.5, "f1": 0.5, "support": 2}
    assert b == {"label": "b", "precision": 0.0, "recall": None, "f1": 0.0, "support": 0}
    assert c == {"label": "c", "precision": 1.0, "recall": 0.5, "f1": pytest.approx(2 / 3), "support": 2}
    assert report["macro_f1"] == pytest.approx((0.5 + 0 + 2 / 3) / 3)
    assert [curve["auc"] for curve in report["roc"]] == [0.5, None, 0.75]
    assert [curve["average_precision"] for curve in report["precision_recall"]] == [0.5, None, 0.75]
    assert report["expected_calibration_error"] == 0.0
    assert report["baseline"] == {"name": "majority class", "label": "a", "accuracy": 0.5, "log_loss": pytest.approx(math.log(2))}


def test_a_class_that_occurs_nowhere_is_null_and_noted():
    report = report_of(THREE, [[0.75, 0.25, 0], [0.25, 0.75, 0]], places(0, 1))
    empty = {"label": "c", "auc": None, "false_positive_rate": [], "true_positive_rate": [], "thresholds": []}
    assert report["roc"][2] == empty
    assert report["per_class"][2] == {"label": "c", "precision": None, "recall": None, "f1": None, "support": 0}
    assert report["macro_f1"] == 1.0
    assert report["notes"] == ["Classes without a row here: 1 of 3. What needs their rows is null."]


def test_calibration_of_several_classes_looks_at_the_likeliest_one():
    report = report_of(THREE, [[0.75, 0.25, 0]] * 4, places(0, 0, 0, 1))
    assert report["expected_calibration_error"] == 0.0
    assert report["calibration"][2] == {"label": "c", "predicted": [0.0], "observed": [0.0], "count": [4]}


def test_many_classes_have_a_bounded_report():
    classes = Target(output="output", columns=["y"], encoding="index", classes=list(range(150)))
    truth = np.concatenate([np.arange(150), np.arange(100, 150)])
    report = report_of(classes, np.eye(150)[truth], truth[:, None].astype(np.int32))
    assert report["confusion_matrix"] is None
    assert len(report["per_class"]) == 150
    assert [curve["label"] for curve in report["roc"]] == list(range(100, 120))
    assert report["notes"] == [
        "The confusion matrix is left out: there are 150 classes, and it has room for 100.",
        "Curves are drawn for the 20 most frequent of the 150 classes.",
    ]


def test_very_many_classes_are_not_all_listed():
    classes = Target(output="output", columns=["y"], encoding="index", classes=list(range(1500)))
    report = report_of(classes, np.full((2, 1500), 1 / 1500), places(7, 1400))
    assert report["classes"] == [row["label"] for row in report["per_class"]] == [*range(999), 1400]


def test_outputs_that_are_no_probabilities_are_scored_and_noted():
    report = report_of(YES_OR_NO, column(-1, 3, 0.5), column(0, 1, 0))
    assert report["roc"][0]["auc"] == 1.0
    assert report["log_loss"] == pytest.approx(math.log(2) / 3, abs=1e-6)
    assert "outside 0 to 1" in report["notes"][0]


def test_curves_are_thinned_and_keep_their_ends():
    chance = np.random.default_rng(0)
    truth = chance.integers(0, 2, 5000)
    scores = np.clip(chance.normal(0.3 + 0.3 * truth, 0.2), 0, 1)
    report = report_of(YES_OR_NO, scores[:, None], truth[:, None])
    roc, precision_recall = report["roc"][0], report["precision_recall"][0]
    assert len(roc["thresholds"]) == len(precision_recall["thresholds"]) == 200
    points = list(zip(roc["false_positive_rate"], roc["true_positive_rate"], strict=True))
    assert (points[0], points[-1]) == ((0, 0), (1, 1))
    assert np.trapezoid(roc["true_positive_rate"], roc["false_positive_rate"]) == pytest.approx(roc["auc"], abs=0.002)
    assert (precision_recall["recall"][0], precision_recall["recall"][-1]) == (1, 0)
    assert precision_recall["thresholds"][-1] is None


def test_curves_of_very_many_rows_are_drawn_from_some_of_them(monkeypatch):
    monkeypatch.setattr(scores, "MAX_CURVE_CELLS", 2)
    report = report_of(YES_OR_NO, column(0.2, 0.9, 0.3, 0.8), column(0, 0, 1, 1))
    assert report["calibration"][0]["count"] == [1, 1]
    assert (report["roc"][0]["auc"], report["accuracy"]) == (1.0, 0.5)
    assert report["notes"] == ["Curves, their areas and calibration are computed from one row in every 2."]


@pytest.mark.parametrize("encoding", ["binary", "index", "one_hot"])
def test_reports_do_not_depend_on_blocks(monkeypatch, encoding):
    target, outputs, truth = random_rows(encoding)
    whole = report_of(target, outputs, truth)
    for module in (scores, evaluation):
        monkeypatch.setattr(module, "BLOCK_CELLS", 7)
    assert report_of(target, outputs, truth) == whole | {"log_loss": pytest.approx(whole["log_loss"])}


def random_rows(encoding: str) -> tuple[Target, np.ndarray, np.ndarray]:
    chance = np.random.default_rng(1)
    classes = SOME_CLASSES[encoding]
    drawn = chance.integers(0, len(classes), 50)
    truth = np.eye(len(classes))[drawn] if encoding == "one_hot" else drawn[:, None]
    outputs = chance.normal(size=(50, 1 if encoding == "binary" else len(classes)))
    return Target(output="output", columns=["y"], encoding=encoding, classes=classes, from_logits=True), outputs, truth


# Numbers


def test_the_report_on_numbers_is_the_example_that_was_worked_out_by_hand():
    report = report_of(NUMBER, column(2, 3, 4, 5), column(1, 3, 5, 7))
    assert rounded(report) == example_of(RegressionRead)


def test_several_outputs_have_means_and_scores_of_their_own():
    truth, outputs = [[0, 10], [2, 30]], [[1, 10], [2, 10]]
    report = report_of(NUMBER, outputs, np.array(truth, dtype=np.float32))
    first, second = report["per_output"]
    assert (first["mae"], first["rmse"], first["r2"], first["max_error"]) == (0.5, pytest.approx(math.sqrt(0.5)), 0.5, 1)
    assert (second["mae"], second["r2"], second["median_absolute_error"]) == (10, -1, 10)
    assert (report["outputs"], report["mae"], report["r2"], report["max_error"]) == (2, 5.25, -0.25, 20)
    assert report["residual_quantiles"]["0.5"] == (-0.5 + 10) / 2
    assert (report["baseline"]["mae"], report["baseline"]["r2"]) == (5.5, 0)


def test_the_baseline_comes_from_the_training_rows():
    report = report_of(NUMBER, column(1, 5), column(1, 5), training_truth=column(0, 0, 6))
    assert report["baseline"]["rmse"] == pytest.approx(math.sqrt((1 + 9) / 2))
    assert report["baseline"]["r2"] == pytest.approx(1 - 10 / 8)
    assert report["baseline"]["mae_of_median"] == 3
    assert report_of(YES_OR_NO, column(0, 0, 0, 1), column(0, 0, 0, 1), column(1, 1, 1, 0))["baseline"] == {
        "name": "majority class",
        "label": "yes",
        "accuracy": 0.25,
        "log_loss": pytest.approx((3 * math.log(4) + math.log(4 / 3)) / 4),
    }


def test_a_class_that_training_never_saw_does_not_make_the_baseline_infinite():
    report = report_of(YES_OR_NO, column(0, 1), column(0, 1), training_truth=column(0, 0))
    assert report["baseline"]["log_loss"] == pytest.approx(-math.log(1e-7) / 2, rel=1e-6)


@pytest.mark.parametrize("truth", [[3.0], [0.1, 0.1, 0.1]])
def test_r2_of_one_row_or_a_constant_truth_is_null(truth):
    report = report_of(NUMBER, column(*(value + 1 for value in truth)), column(*truth))
    assert report["r2"] is report["baseline"]["r2"] is None
    assert report["mae"] == pytest.approx(1)


def test_outputs_with_a_constant_truth_are_left_out_of_the_mean_r2():
    report = report_of(NUMBER, [[1, 1], [3, 3]], np.array([[1, 2], [3, 2]], dtype=np.float32))
    assert (report["r2"], report["per_output"][1]["r2"]) == (1.0, None)


@pytest.mark.parametrize("target", [NUMBER, THREE])
def test_outputs_that_cannot_be_compared_with_the_truth_are_null_with_the_reason(target):
    report = report_of(target, np.zeros((2, 5)), places(0, 1))
    assert (report["task"], report["mae"], report["baseline"]) == ("regression", None, None)
    assert report["notes"] == ["The model answers 5 numbers per row and the truth has 1: no comparison."]


def test_outputs_that_are_no_class_outputs_are_compared_as_numbers():
    report = report_of(THREE, column(0, 2), places(0, 1))
    assert (report["task"], report["mae"], report["baseline"]) == ("regression", 0.5, None)


def test_many_outputs_have_a_bounded_report(monkeypatch):
    truth = np.random.default_rng(0).normal(size=(5, 4, 6)).astype(np.float32)
    whole = report_of(NUMBER, np.zeros((5, 4, 6)), truth)
    assert (whole["outputs"], len(whole["per_output"])) == (24, 20)
    assert whole["notes"] == ["Only the first 20 of the 24 outputs are listed."]
    monkeypatch.setattr(evaluation, "BLOCK_CELLS", 12)  # two outputs at a time
    baseline = NumberBaseline(mean=truth.reshape(5, 24).mean(axis=0).tolist(), median=[0.0] * 24)
    again = evaluate(NUMBER, np.zeros((5, 4, 6)), truth, baseline)
    assert again["mae"] == pytest.approx(whole["mae"])
    assert again["per_output"] == whole["per_output"]


# Any data


def test_rows_that_are_not_finite_are_left_out_and_noted():
    report = report_of(NUMBER, column(1, math.nan, 3), column(1, 2, 3))
    assert (report["rows"], report["mae"]) == (2, 0)
    assert report["notes"] == ["Rows left out, as the model's output or the truth is not finite: 1 of 3."]


@pytest.mark.parametrize(("target", "baseline"), [(NUMBER, NumberBaseline(mean=[0.0], median=[0.0])), (YES_OR_NO, None)])
def test_no_rows_give_a_report_without_scores(target, baseline):
    nothing = np.zeros((0, 1), dtype=np.float32)
    report = evaluate(target, nothing, nothing, baseline or ClassBaseline(frequencies=[0.5, 0.5]))
    REPORT.validate_python(report)
    assert (report["rows"], report["notes"]) == (0, ["There are no rows to compare."])


@st.composite
def anything(draw: st.DrawFn) -> tuple[Target, np.ndarray, np.ndarray]:
    """Any target, any finite truth and any output, numbers that are not finite among them."""
    encoding = draw(st.sampled_from(["number", *SOME_CLASSES]))
    rows, width = draw(st.integers(1, 12)), draw(st.integers(1, 3))
    if encoding == "number":
        finite = st.floats(width=32, allow_nan=False, allow_infinity=False)
        truth = draw(arrays.arrays(np.float32, (rows, width), elements=finite))
        target = NUMBER
    else:
        drawn = draw(arrays.arrays(np.int32, rows, elements=st.integers(0, len(SOME_CLASSES[encoding]) - 1)))
        truth = np.eye(3, dtype=np.float32)[drawn] if encoding == "one_hot" else drawn[:, None]
        target = Target(
            output="output", columns=["y"], encoding=encoding, classes=SOME_CLASSES[encoding], from_logits=draw(st.booleans())
        )
    own_width = truth.shape[1] if encoding in ("number", "binary") else 3
    shape = (rows, draw(st.sampled_from([own_width] * 4 + [width])))
    numbers = draw(st.sampled_from([st.floats(0, 1, width=32), st.floats(width=32)]))
    return target, draw(arrays.arrays(np.float32, shape, elements=numbers)), truth


@given(anything())
def test_no_data_gives_a_number_that_is_not_finite_or_a_warning(data):
    report_of(*data)


# Baselines


def test_class_baselines_count_the_training_rows(monkeypatch):
    monkeypatch.setattr(evaluation, "BLOCK_CELLS", 3)
    assert baseline_of(YES_OR_NO, column(0, 1, 1, 1)) == ClassBaseline(frequencies=[0.25, 0.75])
    assert baseline_of(THREE, places(0, 2, 2, 1)) == ClassBaseline(frequencies=[0.25, 0.25, 0.5])
    one_hot = Target(output="output", columns=["y"], encoding="one_hot", classes=[1, 2])
    assert baseline_of(one_hot, np.eye(2)[[1, 1, 0, 1]]) == ClassBaseline(frequencies=[0.25, 0.75])


def test_the_first_of_equally_frequent_classes_is_the_majority():
    assert report_of(THREE, SOFTMAX, places(2, 1, 1, 2))["baseline"]["label"] == "b"


def test_number_baselines_read_mapped_files_in_blocks(monkeypatch, tmp_path):
    np.save(tmp_path / "y.npy", np.array([[1, 0], [2, 0], [9, 6]], dtype=np.float32))
    mapped = np.load(tmp_path / "y.npy", mmap_mode="r")
    assert baseline_of(NUMBER, mapped) == NumberBaseline(mean=[4, 2], median=[2, 0])
    monkeypatch.setattr(evaluation, "BLOCK_CELLS", 4)  # the mean of all rows, the median of every second one
    assert baseline_of(NUMBER, mapped) == NumberBaseline(mean=[4, 2], median=[5, 3])


def test_very_many_outputs_have_no_baseline():
    truth = np.zeros((2, 5000), dtype=np.float32)
    assert baseline_of(NUMBER, truth) == NumberBaseline(mean=[], median=[])
    report = report_of(NUMBER, truth, truth)
    assert report["baseline"] is None
    assert "There is no baseline: no mean of the training rows is known for these outputs." in report["notes"]


def test_a_baseline_of_other_classes_is_not_used():
    report = evaluate(YES_OR_NO, column(0, 1), column(0, 1), ClassBaseline(frequencies=[0.5, 0.25, 0.25]))
    assert report["baseline"] is None
    assert report["notes"] == ["There is no baseline: the training rows had other classes."]


@pytest.mark.parametrize("baseline", [ClassBaseline(frequencies=[0.25, 0.75]), NumberBaseline(mean=[1.5], median=[1.0])])
def test_a_stored_baseline_is_read_again(baseline):
    assert read_baseline(json.loads(json.dumps(baseline.as_document()))) == baseline
