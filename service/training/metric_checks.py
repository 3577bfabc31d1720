"""Refuses metrics that Keras would compute without a word and without sense, or fail at in the midst of a fit."""

from collections.abc import Iterator

from service.errors import InvalidInput, Problem
from service.features.plan import Target
from service.spec.compile import MetricBase
from service.training.truths import CLAIMS, Output, is_true

NUMBERS = ("binary", "one_hot", "number")
CURVES = ("PrecisionAtRecall", "RecallAtPrecision", "SensitivityAtSpecificity", "SpecificityAtSensitivity")
COUNTS = ("TruePositives", "TrueNegatives", "FalsePositives", "FalseNegatives", "Precision", "Recall")
SCORES = ("F1Score", "FBetaScore")
OVERLAPS = ("IoU", "MeanIoU", "OneHotIoU", "OneHotMeanIoU")
DIFFERENCES = ("MeanSquaredError", "MeanAbsoluteError", "RootMeanSquaredError", "LogCoshError", "R2Score")
ALONG_AXIS = ("CosineSimilarity", "PearsonCorrelation", "ConcordanceCorrelation")
GOES_WITH: dict[str, tuple[str, ...]] = {
    "accuracy": ("index", "single bits", "shares"),
    **dict.fromkeys(("SparseCategoricalAccuracy", "SparseTopKCategoricalAccuracy", "SparseCategoricalCrossentropy"), ("index",)),
    **dict.fromkeys(("AUC", *CURVES, *COUNTS, "BinaryAccuracy", "BinaryIoU"), ("bits",)),
    **dict.fromkeys(("CategoricalAccuracy", "TopKCategoricalAccuracy"), ("shares",)),
    **dict.fromkeys(("CategoricalCrossentropy", "KLDivergence"), ("shares or less",)),
    **dict.fromkeys(("CategoricalHinge", *OVERLAPS, *SCORES), ("one-hot rows",)),
    **dict.fromkeys(("Hinge", "SquaredHinge"), ("bits", "signs")),
    **dict.fromkeys((*DIFFERENCES, *ALONG_AXIS), NUMBERS),
    **dict.fromkeys(("MeanSquaredLogarithmicError", "Poisson"), ("never negative",)),
    "BinaryCrossentropy": ("parts",),
    "MeanAbsolutePercentageError": ("never 0",),
}
"""The encodings of the target with which a metric says something, or what must be true of the target's numbers; with others
Keras answers nonsense or fails at once."""
IN_ROWS = {**dict.fromkeys(ALONG_AXIS, "rows"), "PearsonCorrelation": "uneven rows"}
"""What metrics want that compare the numbers of a row with each other."""
FLAT = (*SCORES, "R2Score")
"""Metrics that take one row of numbers for each example."""
USUAL = {"binary": "BinaryAccuracy", "index": "SparseCategoricalAccuracy", "one_hot": "CategoricalAccuracy"}
"""The metric to use instead, by the target's encoding."""
USUAL_OVERLAP = {"binary": "BinaryIoU", "index": "MeanIoU with sparse_y_true", "one_hot": "OneHotMeanIoU"}
ENCODINGS = {"number": "numbers", "binary": "yes or no, as 0 and 1", "index": "places of classes", "one_hot": "one-hot rows"}
THRESHOLDED = ("accuracy", "BinaryAccuracy", "BinaryIoU", *COUNTS)
OF_SCORES = ("Hinge", "SquaredHinge")
"""Metrics that take the sign of an output for the answer."""
OF_PROBABILITIES = (
    *CURVES,
    *DIFFERENCES,
    "KLDivergence",
    "Poisson",
    "MeanSquaredLogarithmicError",
    "MeanAbsolutePercentageError",
)
"""Metrics that compare outputs with 0 and 1, and cannot be told that they are logits."""
WITHIN_0_AND_1 = ("AUC", *CURVES, "BinaryCrossentropy", "CategoricalCrossentropy", "KLDivergence")
"""Metrics that cut off what is less than 0 or more than 1."""


def check_metrics(output: Output) -> None:
    """Raise InvalidInput, with the metric's place and the mend, where one says nothing about an output."""
    for pointer, metric in output.metrics:
        wanted = _wanted(metric, output)
        if not any(_is_so(words, output) for words in wanted):
            raise _refused(pointer, metric, *_mismatch(metric, output.target, wanted))
        for message, fix in _setting_problems(metric, output):
            raise _refused(pointer, metric, message, fix)
        for message, fix in _number_problems(metric, output) if output.has_numbers else _class_problems(metric, output.target):
            raise _refused(pointer, metric, message, fix)


# Targets


def _wanted(metric: MetricBase, output: Output) -> tuple[str, ...]:
    """With what the metric goes as it is set."""
    goes_with = GOES_WITH[metric.type]
    if metric.type in SCORES and getattr(metric, "threshold", None) is not None:
        return ("bits",)
    if getattr(metric, "top_k", None) is not None:
        return ("rows of bits",)
    if getattr(metric, "sparse_y_true", False):
        return ("index",)
    if metric.type in ALONG_AXIS:
        return (IN_ROWS[metric.type],) if _is_last_axis(metric, output) else goes_with
    return goes_with


def _is_so(words: str, output: Output) -> bool:
    """Whether it can be said of the target; its numbers are only looked at where that matters."""
    if words not in CLAIMS:
        return words == output.target.encoding
    return output.target.encoding != "index" and is_true(words, output.truth)


def _mismatch(metric: MetricBase, target: Target, wanted: tuple[str, ...]) -> tuple[str, str]:
    described = f"{len(target.labels)} labels, each 0 or 1" if target.labels is not None else ENCODINGS[target.encoding]
    message = f"Metric {metric.type} says nothing about target '{target.name}', which is {described}."
    claims = [CLAIMS[words].words for words in wanted if words in CLAIMS]
    if target.encoding == "number" and claims:
        message += f" It is for {' or '.join(claims)}."
    usual = USUAL_OVERLAP if metric.type in OVERLAPS else USUAL
    encoding = "binary" if target.labels is not None else target.encoding
    return message, f"Use {usual.get(encoding, 'MeanAbsoluteError')}, or leave it out."


# Settings


def _setting_problems(metric: MetricBase, output: Output) -> Iterator[tuple[str, str]]:
    """What a metric is told of the outputs that is not so: each with its mend."""
    if metric.type in FLAT and output.truth.ndim > 2:
        message = (
            f"Metric {metric.type} takes one row of numbers for each example, but target '{output.target.name}' has several."
        )
        yield message, "Leave it out, or put a Flatten at the end of the model and flatten the target."
    for setting, whose in (("sparse_y_pred", "a number for each class"), ("from_sorted_ids", "a number for each class")):
        if getattr(metric, setting, False):
            message = (
                f"Metric {metric.type} has {setting}=true, so it takes outputs for the classes themselves; they are {whose}."
            )
            yield message, f"Set {setting} to false."
    if metric.type not in ALONG_AXIS and not _is_last_axis(metric, output):
        yield (
            f"Metric {metric.type} has axis={getattr(metric, 'axis', -1)}, and the classes lie along the last.",
            "Leave axis out.",
        )
    yield from _size_problems(metric, output.units)


def _size_problems(metric: MetricBase, units: int) -> Iterator[tuple[str, str]]:
    for setting, most in (("k", units - 1), ("top_k", units - 1), ("class_id", units - 1)):
        value = getattr(metric, setting, None)
        if value is not None and value > most:
            message = f"Metric {metric.type} has {setting}={value}, but an answer has {units} numbers"
            why = "counted from 0" if setting == "class_id" else "so that it would always answer the same"
            yield f"{message}, {why}.", f"Set {setting} to {most} at most." if most >= 1 else f"Leave {setting} out."
    labels = getattr(metric, "label_weights", None) if getattr(metric, "multi_label", False) else None
    for setting, count in (
        ("num_classes", max(units, getattr(metric, "num_classes", units))),
        ("num_labels", units),
    ):
        value = getattr(metric, setting, None)
        if value is not None and value != count:
            yield f"Metric {metric.type} has {setting}={value}, but an answer has {units} numbers.", f"Set {setting} to {units}."
    if labels is not None and len(labels) != units:
        message = f"Metric {metric.type} has {len(labels)} label_weights, but an answer has {units} numbers."
        yield message, "Give as many."


def _is_last_axis(metric: MetricBase, output: Output) -> bool:
    axis = getattr(metric, "axis", -1)
    rank = 2 if output.target.encoding == "index" else output.truth.ndim
    return axis in (-1, rank - 1)


# Outputs


def _class_problems(metric: MetricBase, target: Target) -> Iterator[tuple[str, str]]:
    """Keras takes outputs for probabilities unless the metric itself is told otherwise, whatever the loss says of them."""
    if hasattr(metric, "from_logits") and metric.from_logits != target.from_logits:
        received, wanted = ("probabilities", "false") if not target.from_logits else ("logits", "true")
        message = (
            f"Metric {metric.type} takes the outputs for something else than they are: the loss says that they are {received}."
        )
        yield message, f"Set from_logits to {wanted} in {metric.type}."
    if metric.type in OF_SCORES and not target.from_logits:
        yield (
            f"Metric {metric.type} takes an output below 0 for no, but the outputs are probabilities.",
            "Use BinaryCrossentropy.",
        )
    if target.from_logits:
        yield from _logit_problems(metric, target)


def _logit_problems(metric: MetricBase, target: Target) -> Iterator[tuple[str, str]]:
    is_several = target.encoding in ("index", "one_hot")
    function = "softmax" if is_several else "sigmoid"
    thresholds = getattr(metric, "threshold", getattr(metric, "thresholds", None))
    is_by_rank = getattr(metric, "top_k", None) is not None or (metric.type == "accuracy" and is_several)
    if metric.type in THRESHOLDED and not is_by_rank and thresholds not in (0, [0]):
        message = f"Metric {metric.type} counts an output from 0.5 on as yes, but the outputs are logits, where yes begins at 0."
        yield message, _threshold_mend(metric)
    if metric.type in OF_PROBABILITIES or (metric.type in SCORES and thresholds is not None):
        message = f"Metric {metric.type} takes the outputs for probabilities, but the loss says that they are logits."
        yield message, f"Let the model itself end with {function}, without from_logits in the loss, or leave it out."


def _threshold_mend(metric: MetricBase) -> str:
    if "ccuracy" in metric.type:
        return "Use BinaryAccuracy with threshold 0."
    return "Set its threshold to 0." if hasattr(metric, "threshold") else "Set its thresholds to 0."


def _number_problems(metric: MetricBase, output: Output) -> Iterator[tuple[str, str]]:
    ending = output.ending
    if ending is None:
        return
    if metric.type in WITHIN_0_AND_1 and not getattr(metric, "from_logits", False) and not ending.are_probabilities:
        message = f"Metric {metric.type} takes outputs from 0 to 1, but the model ends with {ending.function}."
        yield message, "Let the last layer have the activation sigmoid, or leave it out."
    if metric.type == "Poisson" and ending.low < 0:
        message = f"Metric Poisson takes the logarithm of the outputs, but the model ends with {ending.function}."
        yield message, "Let the last layer have the activation exponential or softplus, or leave it out."


def _refused(pointer: str, metric: MetricBase, message: str, fix: str) -> InvalidInput:
    return InvalidInput(f"{message} {fix}", [Problem(pointer, message, metric.type, fix=fix)])
