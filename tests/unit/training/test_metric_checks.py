"""Of every metric and every kind of target: what tells right answers from wrong ones is let through, the rest is refused."""

from typing import Any, NamedTuple

import numpy as np
import pytest

from service.errors import InvalidInput
from service.features.plan import Target
from service.spec.compile import MeanSquaredError
from service.spec.definition import Definition
from service.spec.endings import endings_of
from service.spec.losses import LOSSES
from service.spec.metrics import METRICS
from service.training.building import as_keras
from service.training.metric_checks import GOES_WITH, check_metrics
from service.training.truths import Output
from tests.catalogue import others
from tests.catalogue.documents import Document

ROWS = 12
PLACES = np.arange(ROWS) % 3
BITS = (np.arange(ROWS) % 2)[:, None].astype(np.float32)
ONE_HOT = np.eye(3, dtype=np.float32)[PLACES]
LABELS = np.array([[row % 2, row % 3 == 0, 1] for row in range(ROWS)], np.float32)
NOISE = np.random.default_rng(0)
NUMBERS = np.linspace(-1, 1, ROWS, dtype=np.float32)[:, None]
MASK = (NOISE.random((ROWS, 4, 4, 1)) > 0.5).astype(np.float32)


class Kind(NamedTuple):
    """A kind of target, with answers that are right and answers that are wrong."""

    target: Target
    truth: np.ndarray
    right: np.ndarray
    wrong: np.ndarray


def kind(encoding: str, truth: np.ndarray, right: np.ndarray, wrong: np.ndarray, **fields: Any) -> Kind:
    return Kind(Target(output="output", columns=["y"], encoding=encoding, **fields), truth, right, wrong)


def nearly(truth: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Probabilities that are almost right, and almost wrong."""
    return 0.02 + 0.96 * truth, 0.98 - 0.96 * truth


def numbers(truth: np.ndarray) -> Kind:
    return kind("number", truth, truth, truth[::-1])


KINDS = {
    "yes or no": kind("binary", BITS, *nearly(BITS), classes=[0, 1]),
    "places": kind("index", PLACES[:, None].astype(np.int32), *nearly(ONE_HOT), classes=[0, 1, 2]),
    "one-hot": kind("one_hot", ONE_HOT, *nearly(ONE_HOT), classes=[0, 1, 2]),
    "labels": kind("number", LABELS, *nearly(LABELS), labels=[0, 1, 2]),
    "mask": kind("number", MASK, *nearly(MASK)),
    "number": numbers(NUMBERS),
    "count": numbers(np.linspace(1, 9, ROWS, dtype=np.float32)[:, None]),
    "rows": numbers(NOISE.normal(size=(ROWS, 3)).astype(np.float32)),
}
OF_PLACES = (
    "SparseCategoricalAccuracy", "SparseTopKCategoricalAccuracy", "SparseCategoricalCrossentropy", "IoU", "MeanIoU",
)  # fmt: skip
EVERY_BIT = {"yes or no", "one-hot", "labels", "mask"}
EVERY_NUMBER = set(KINDS) - {"places"}
TABLE: dict[str, set[str]] = {
    "accuracy": {"yes or no", "places", "one-hot", "mask"},
    **{name: {"places"} for name in OF_PLACES},
    **dict.fromkeys(("AUC", "BinaryAccuracy", "BinaryIoU", "BinaryCrossentropy"), EVERY_BIT),
    **dict.fromkeys(("TruePositives", "TrueNegatives", "FalsePositives", "FalseNegatives", "Precision", "Recall"), EVERY_BIT),
    **dict.fromkeys(
        ("PrecisionAtRecall", "RecallAtPrecision", "SensitivityAtSpecificity", "SpecificityAtSensitivity"), EVERY_BIT
    ),
    **{
        name: {"one-hot"}
        for name in ("CategoricalAccuracy", "TopKCategoricalAccuracy", "CategoricalCrossentropy", "KLDivergence")
    },
    **{name: {"one-hot"} for name in ("CategoricalHinge", "OneHotIoU", "OneHotMeanIoU", "F1Score", "FBetaScore")},
    **{name: {"mask"} for name in ("Hinge", "SquaredHinge")},
    **dict.fromkeys(("MeanSquaredError", "MeanAbsoluteError", "RootMeanSquaredError", "LogCoshError"), EVERY_NUMBER),
    "R2Score": EVERY_NUMBER - {"mask"},
    **{name: {"one-hot", "labels", "rows"} for name in ("CosineSimilarity", "ConcordanceCorrelation")},
    "PearsonCorrelation": {"one-hot", "rows"},
    "MeanAbsolutePercentageError": {"number", "count", "rows"},
    **dict.fromkeys(("MeanSquaredLogarithmicError", "Poisson"), EVERY_BIT | {"count"}),
}
"""The kinds of targets about which a metric says something."""


def document(metric: str) -> Document:
    return {"type": metric} | (others.METRICS[metric][1] if metric in others.METRICS else {})


def check(metric: Document, target: Kind, layers: list[Document] | None = None) -> None:
    ending = endings_of(Definition.model_validate({"layers": layers}).graph)[0] if layers else None
    metrics = [("/compile/metrics/0", METRICS.validate(metric))]
    check_metrics(Output(target.target, (target.truth,), MeanSquaredError(), "/compile/loss", metrics, ending))


def measured(metric: Document, target: Kind, answers: np.ndarray) -> np.ndarray:
    measure = as_keras(METRICS.validate(metric))
    measure.update_state(target.truth, answers.astype(np.float32))
    return np.asarray(measure.result())


def test_every_metric_is_in_the_table():
    assert set(TABLE) == set(GOES_WITH) == set(METRICS.members)


@pytest.mark.parametrize("metric", TABLE)
@pytest.mark.parametrize("name", KINDS)
def test_a_metric_is_let_through_where_it_tells_right_from_wrong(metric, name):
    target = KINDS[name]
    if name not in TABLE[metric]:
        with pytest.raises(InvalidInput) as caught:
            check(document(metric), target)
        assert caught.value.problems[0].pointer == "/compile/metrics/0"
        assert caught.value.problems[0].fix
        return
    check(document(metric), target)
    if metric != "accuracy":  # Keras chooses what it is when it compiles
        right, wrong = (measured(document(metric), target, answers) for answers in (target.right, target.wrong))
        assert np.isfinite([right, wrong]).all()
        if metric != "RecallAtPrecision":  # always saying yes is as good for it where most rows are yes
            assert (right != wrong).any()


SETTINGS = {
    "threshold": [({"type": "F1Score", "threshold": 0.5}, {"yes or no", "one-hot", "labels"})],
    "likeliest": [({"type": kind, "top_k": 1}, {"one-hot", "labels"}) for kind in ("Precision", "Recall")],
    "one-hot truth": [
        ({"type": "MeanIoU", "num_classes": 3, "sparse_y_true": False, "sparse_y_pred": False}, {"one-hot"}),
    ],
    "over the rows": [({"type": "CosineSimilarity", "axis": 0}, EVERY_NUMBER)],
}


@pytest.mark.parametrize(("metric", "kinds"), [case for cases in SETTINGS.values() for case in cases])
def test_a_setting_decides_what_a_metric_is_for(metric, kinds):
    for name, target in KINDS.items():
        if name in kinds:
            check(metric, target)
        else:
            with pytest.raises(InvalidInput):
                check(metric, target)


@pytest.mark.parametrize(
    ("metric", "name", "words"),
    [
        ({"type": "MeanIoU", "num_classes": 3}, "places", "Set sparse_y_pred to false."),
        ({"type": "IoU", "num_classes": 3, "target_class_ids": [0]}, "yes or no", "Use BinaryIoU"),
        ({"type": "MeanIoU", "num_classes": 3}, "one-hot", "Use OneHotMeanIoU"),
        ({"type": "OneHotMeanIoU", "num_classes": 3, "sparse_y_pred": True}, "one-hot", "Set sparse_y_pred to false."),
        ({"type": "MeanIoU", "num_classes": 2, "sparse_y_pred": False}, "places", "num_classes=2.*Set num_classes to 3."),
        ({"type": "SparseTopKCategoricalAccuracy", "k": 2, "from_sorted_ids": True}, "places", "Set from_sorted_ids to false."),
        ({"type": "SparseTopKCategoricalAccuracy"}, "places", "k=5.*always answer the same. Set k to 2 at most."),
        ({"type": "TopKCategoricalAccuracy", "k": 3}, "one-hot", "Set k to 2 at most."),
        ({"type": "Precision", "top_k": 3}, "one-hot", "Set top_k to 2 at most."),
        ({"type": "Recall", "class_id": 3}, "labels", "class_id=3.*counted from 0.*Set class_id to 2 at most."),
        ({"type": "PrecisionAtRecall", "recall": 0.5, "class_id": 1}, "yes or no", "Leave class_id out."),
        ({"type": "AUC", "multi_label": True, "num_labels": 2}, "labels", "Set num_labels to 3."),
        ({"type": "AUC", "multi_label": True, "label_weights": [1, 2]}, "labels", "2 label_weights.*Give as many."),
        ({"type": "CategoricalCrossentropy", "axis": 0}, "one-hot", "Leave axis out."),
        ({"type": "MeanIoU", "num_classes": 3, "sparse_y_pred": False, "axis": 0}, "places", "Leave axis out."),
        ({"type": "F1Score", "threshold": 0.5}, "mask", "one row of numbers for each example"),
        ({"type": "MeanAbsolutePercentageError"}, "yes or no", "Use BinaryAccuracy"),
        ({"type": "MeanSquaredLogarithmicError"}, "number", "It is for numbers from 0 on. Use MeanAbsoluteError"),
        ({"type": "Hinge"}, "yes or no", "the outputs are probabilities. Use BinaryCrossentropy."),
        ({"type": "accuracy"}, "labels", "3 labels, each 0 or 1. .*Use BinaryAccuracy"),
    ],
)
def test_a_metric_with_a_setting_that_does_not_fit_is_refused_with_the_mend(metric, name, words):
    with pytest.raises(InvalidInput, match=words):
        check(metric, KINDS[name])


# Logits and scores


def of_logits(name: str) -> Kind:
    target = KINDS[name].target
    fields = {"encoding": target.encoding, "classes": target.classes, "labels": target.labels, "from_logits": True}
    return KINDS[name]._replace(target=Target(output="output", columns=["y"], **fields))


@pytest.mark.parametrize(
    ("metric", "name", "words"),
    [
        *(
            ({"type": metric}, "yes or no", "Set its thresholds to 0.")
            for metric in ("TruePositives", "TrueNegatives", "FalsePositives", "FalseNegatives")
        ),
        ({"type": "BinaryIoU"}, "yes or no", "Set its threshold to 0."),
        ({"type": "Precision"}, "labels", "Set its thresholds to 0."),
        ({"type": "AUC"}, "labels", "Set from_logits to true in AUC."),
        ({"type": "BinaryCrossentropy"}, "labels", "Set from_logits to true in BinaryCrossentropy."),
        ({"type": "CategoricalCrossentropy"}, "one-hot", "Set from_logits to true"),
        ({"type": "SparseCategoricalCrossentropy"}, "places", "Set from_logits to true"),
        ({"type": "RecallAtPrecision", "precision": 0.5}, "yes or no", "end with sigmoid"),
        ({"type": "KLDivergence"}, "one-hot", "end with softmax"),
        ({"type": "Poisson"}, "yes or no", "end with sigmoid"),
        ({"type": "MeanSquaredError"}, "yes or no", "takes the outputs for probabilities"),
        ({"type": "F1Score", "threshold": 0.5}, "labels", "takes the outputs for probabilities"),
    ],
)
def test_a_metric_that_takes_logits_for_probabilities_is_refused(metric, name, words):
    with pytest.raises(InvalidInput, match=words):
        check(metric, of_logits(name))


@pytest.mark.parametrize(
    ("metric", "name"),
    [
        ({"type": "TruePositives", "thresholds": 0}, "yes or no"),
        ({"type": "Recall", "thresholds": [0]}, "labels"),
        ({"type": "BinaryIoU", "threshold": 0}, "yes or no"),
        ({"type": "Precision", "top_k": 1}, "one-hot"),
        ({"type": "F1Score"}, "one-hot"),
        ({"type": "OneHotMeanIoU", "num_classes": 3}, "one-hot"),
        ({"type": "TopKCategoricalAccuracy", "k": 2}, "one-hot"),
        ({"type": "SparseCategoricalCrossentropy", "from_logits": True}, "places"),
        ({"type": "BinaryCrossentropy", "from_logits": True}, "labels"),
        *(({"type": metric}, "yes or no") for metric in ("Hinge", "SquaredHinge")),
        ({"type": "CategoricalHinge"}, "one-hot"),
    ],
)
def test_a_metric_of_logits_is_let_through(metric, name):
    check(metric, of_logits(name))


@pytest.mark.parametrize(
    ("activation", "metric", "is_refused"),
    [
        (None, {"type": "AUC"}, True),
        (None, {"type": "AUC", "from_logits": True}, False),
        ("sigmoid", {"type": "AUC"}, False),
        ("tanh", {"type": "PrecisionAtRecall", "recall": 0.5}, True),
        (None, {"type": "BinaryCrossentropy"}, True),
        (None, {"type": "BinaryAccuracy"}, False),
        (None, {"type": "Poisson"}, True),
        ("relu", {"type": "Poisson"}, False),
    ],
)
def test_a_metric_that_cuts_off_what_the_last_layer_answers_is_refused(activation, metric, is_refused):
    target, layers = numbers(BITS), [{"type": "Dense", "units": 1, "activation": activation}]
    if is_refused:
        with pytest.raises(InvalidInput, match="Let the last layer have the activation"):
            check(metric, target, layers)
    else:
        check(metric, target, layers)


def test_soft_rows_have_no_areas_and_no_overlaps():
    """Rows of shares are encoded as one-hot rows are, and Keras counts every share above 0 as a yes."""
    target = KINDS["one-hot"]._replace(truth=np.full((ROWS, 2), 0.5, np.float32))
    for metric in ("AUC", "F1Score", "OneHotMeanIoU"):
        with pytest.raises(InvalidInput):
            check(document(metric), target)
    check(document("CategoricalAccuracy"), target)
    check(document("KLDivergence"), target)


def test_losses_say_what_they_take_answers_for():
    assert all(cls.answers for cls in LOSSES.members.values())
