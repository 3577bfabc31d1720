"""Looks for what cannot work about a run before it is accepted, from what the database knows of its data."""

from collections.abc import Iterator

from service.datasets.tables import Dataset
from service.errors import Problem
from service.runs.schemas import RunCreate
from service.spec.base import suggest
from service.spec.callbacks import LearningRateScheduler as EpochScheduler
from service.spec.callbacks import MonitoringCallback, ReduceLROnPlateau
from service.spec.compile import CompileSpec, metric_names
from service.spec.features import ExcludedFeature
from service.spec.schedules import ScheduleBase

MAX_PROBLEMS = 20
POINTERS = {"validation": "/fit/validation_dataset", "test": "/test_dataset"}
"""Where a request names the datasets to measure with."""


def problems_of(dataset: Dataset, others: dict[str, Dataset], request: RunCreate, compile_spec: CompileSpec) -> list[Problem]:
    """Everything that is wrong with a request; ``others`` are further datasets by what they are for."""
    found = [
        *_target_problems(dataset, request),
        *_feature_problems(dataset, request),
        *_rows_problems(dataset, request),
        *_weight_problems(dataset, request, compile_spec),
        *_callback_problems(request, compile_spec),
        *(problem for role, other in others.items() for problem in _other_problems(dataset, POINTERS[role], other, request)),
    ]
    return found[:MAX_PROBLEMS]


def _target_problems(dataset: Dataset, request: RunCreate) -> Iterator[Problem]:
    target, names = request.target or dataset.target, dataset.names
    expected = f"one of: {', '.join(names[:20])}"
    if target is None:
        yield Problem("/target", "Neither the run nor the dataset names a target.", expected=expected, fix="Name one.")
    elif target not in names:
        yield Problem("/target", "The dataset has no such column.", target[:80], expected)


def _feature_problems(dataset: Dataset, request: RunCreate) -> Iterator[Problem]:
    for name in sorted(set(request.features.columns) - set(dataset.names)):
        yield Problem(
            f"/features/columns/{name[:80]}", "The dataset has no such column.", fix="Correct the name or leave it out."
        )


def _rows_problems(dataset: Dataset, request: RunCreate) -> Iterator[Problem]:
    fit = request.fit
    training_rows = int(dataset.rows * (1 - fit.validation_split))
    if training_rows < 1:
        received = f"{fit.validation_split} of {dataset.rows} row(s)"
        yield Problem("/fit/validation_split", "It leaves no row to train on.", received, "a smaller part")
    elif fit.batch_size > training_rows and "batch_size" in fit.model_fields_set:
        received, expected = str(fit.batch_size), f"at most {training_rows}, the number of training rows"
        yield Problem("/fit/batch_size", "A batch is larger than the data.", received, expected)


def _weight_problems(dataset: Dataset, request: RunCreate, compile_spec: CompileSpec) -> Iterator[Problem]:
    fit, names = request.fit, dataset.names
    if fit.sample_weight is not None:
        if fit.sample_weight not in names:
            fix = suggest(fit.sample_weight[:80], names[:50])
            yield Problem("/fit/sample_weight", "The dataset has no such column.", fit.sample_weight[:80], fix=fix)
        elif fit.sample_weight == (request.target or dataset.target):
            yield Problem("/fit/sample_weight", "This is the target.", fit.sample_weight[:80], "another column")
    if compile_spec.loss.is_classification:
        return
    loss = compile_spec.loss.type
    if fit.class_weight is not None:
        message = f"The model's loss, {loss}, is for numbers: there are no classes to weigh."
        yield Problem("/fit/class_weight", message, fix="Use sample_weight with a column of weights.")
    if fit.split == "stratified":
        message = f"The model's loss, {loss}, is for numbers: there are no classes to keep in proportion."
        yield Problem("/fit/split", message, "stratified", "last or random")


def _callback_problems(request: RunCreate, compile_spec: CompileSpec) -> Iterator[Problem]:
    known = ["loss", *metric_names(compile_spec)]
    if request.fit.has_validation:
        known += [f"val_{name}" for name in known]
    has_schedule = isinstance(getattr(compile_spec.optimizer, "learning_rate", None), ScheduleBase)
    for place, callback in enumerate(request.fit.callbacks):
        pointer = f"/fit/callbacks/{place}"
        if isinstance(callback, ReduceLROnPlateau | EpochScheduler) and has_schedule:
            message = f"The optimizer's learning rate follows a schedule, so {callback.type} cannot set it."
            yield Problem(pointer, message, callback.type, fix="Give the optimizer a number as learning_rate.")
        if isinstance(callback, MonitoringCallback) and callback.monitor not in known:
            yield _unknown_monitor(pointer, callback, known, request.fit.has_validation)


def _unknown_monitor(pointer: str, callback: MonitoringCallback, known: list[str], has_validation: bool) -> Problem:
    message = f"No epoch has a metric '{callback.monitor}', so {callback.type} would never act."
    if callback.monitor.startswith("val_") and not has_validation:
        fix = "Ask for a validation_split or a validation_dataset, or monitor a metric of training such as loss."
    else:
        fix = suggest(callback.monitor, known)
    return Problem(f"{pointer}/monitor", message, callback.monitor, f"one of: {', '.join(known)}", fix)


def _other_problems(dataset: Dataset, pointer: str, other: Dataset, request: RunCreate) -> Iterator[Problem]:
    """What a dataset to measure with lacks of the one to train on."""
    if other.kind != dataset.kind:
        yield Problem(pointer, "It is of another kind than the training data.", other.kind, dataset.kind)
        return
    excluded = {name for name, feature in request.features.columns.items() if isinstance(feature, ExcludedFeature)}
    entries = {entry["name"]: entry for entry in other.entries}
    for entry in dataset.entries:
        name = entry["name"]
        if name not in entries and name not in excluded:
            fix = "Add it, or exclude the column from the features."
            yield Problem(pointer, f"The dataset has no '{name[:80]}', which the training data has.", fix=fix)
        elif "shape" in entry and name in entries and entries[name]["shape"][1:] != entry["shape"][1:]:
            received, expected = str(entries[name]["shape"][1:]), str(entry["shape"][1:])
            yield Problem(pointer, f"Its array '{name[:80]}' has rows of another shape.", received, expected)
