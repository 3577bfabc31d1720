"""Looks for what cannot work about a run before it is accepted, from what the database knows of its data."""

from collections.abc import Iterator
from dataclasses import dataclass

from service.datasets.tables import Dataset
from service.errors import InvalidInput, Problem
from service.features.roles import Kind, assign_roles, names_in
from service.models.tables import Revision
from service.runs.schemas import RunCreate
from service.spec.base import suggest
from service.spec.callbacks import LearningRateScheduler as EpochScheduler
from service.spec.callbacks import MonitoringCallback, ReduceLROnPlateau, TensorBoard
from service.spec.compile import CompileSpec, LossBase, NamedMetric, named_metrics
from service.spec.definition import Definition
from service.spec.endings import units_of
from service.spec.features import ExcludedFeature, TargetSpec
from service.spec.schedules import ScheduleBase

MAX_PROBLEMS = 20
POINTERS = {"validation": "/fit/validation_dataset", "test": "/test_dataset"}
"""Where a request names the datasets to measure with."""


@dataclass(frozen=True)
class _Asked:
    """A request beside what the database knows of it."""

    request: RunCreate
    dataset: Dataset
    target: TargetSpec | None
    definition: Definition
    compile: CompileSpec

    @property
    def losses(self) -> list[LossBase]:
        """The loss of each output."""
        return list(self.compile.losses(self.definition.output_names).values())


def problems_of(dataset: Dataset, others: dict[str, Dataset], request: RunCreate, revision: Revision) -> list[Problem]:
    """Everything that is wrong with a request; ``others`` are further datasets by what they are for."""
    definition, compile_spec = Definition.model_validate(revision.definition), CompileSpec.model_validate(revision.compile)
    target = request.target if request.target is not None else dataset.target
    asked = _Asked(request, dataset, target, definition, compile_spec)
    found = [
        *_role_problems(asked),
        *_target_problems(asked),
        *_feature_problems(dataset, request),
        *_rows_problems(dataset, request),
        *_weight_problems(asked),
        *_class_problems(asked),
        *_callback_problems(asked),
        *(problem for role, other in others.items() for problem in _other_problems(dataset, POINTERS[role], other, request)),
    ]
    return found[:MAX_PROBLEMS]


def _role_problems(asked: _Asked) -> list[Problem]:
    """Whether there is a target for each output, and something for each input."""
    names = [name for name in asked.dataset.names if name != asked.request.fit.sample_weight or name in names_in(asked.target)]
    kind: Kind = "table" if asked.dataset.kind == "table" else "arrays"
    inputs, outputs = asked.definition.input_names, asked.definition.output_names
    try:
        assign_roles(kind, names, inputs, outputs, asked.target, asked.request.features.inputs)
    except InvalidInput as error:
        return error.problems
    return []


def _target_problems(asked: _Asked) -> Iterator[Problem]:
    """Targets of which there is nothing to learn; counts that are estimates are of very many values."""
    columns = {column["name"]: column for column in asked.dataset.columns}
    for name in sorted(set(names_in(asked.target)) & columns.keys()):
        column = columns[name]
        if column["nulls"] == asked.dataset.rows:
            yield Problem("/target", f"Column '{name[:80]}' has no values.", "no values", "a column with values")
        elif column["distinct"] == 1 and not column["nulls"]:
            message = f"All rows have the same value in column '{name[:80]}', so there is nothing to learn."
            yield Problem("/target", message, "1 value", "a column with different values")


def _feature_problems(dataset: Dataset, request: RunCreate) -> Iterator[Problem]:
    for kind, settings in (("columns", request.features.columns), ("arrays", request.features.arrays)):
        for name in sorted(set(settings) - set(dataset.names)):
            message, fix = f"The dataset has no such {kind[:-1]}.", "Correct the name or leave it out."
            yield Problem(f"/features/{kind}/{name[:80]}", message, fix=fix)


def _rows_problems(dataset: Dataset, request: RunCreate) -> Iterator[Problem]:
    fit = request.fit
    training_rows = int(dataset.rows * (1 - fit.validation_split))
    if training_rows < 1:
        received = f"{fit.validation_split} of {dataset.rows} row(s)"
        yield Problem("/fit/validation_split", "It leaves no row to train on.", received, "a smaller part")
    elif fit.batch_size > training_rows and "batch_size" in fit.model_fields_set:
        received, expected = str(fit.batch_size), f"at most {training_rows}, the number of training rows"
        yield Problem("/fit/batch_size", "A batch is larger than the data.", received, expected)


def _weight_problems(asked: _Asked) -> Iterator[Problem]:
    fit, names = asked.request.fit, asked.dataset.names
    if fit.sample_weight is not None:
        if fit.sample_weight not in names:
            fix = suggest(fit.sample_weight[:80], names[:50])
            yield Problem("/fit/sample_weight", "The dataset has no such column.", fit.sample_weight[:80], fix=fix)
        elif fit.sample_weight in names_in(asked.target):
            yield Problem("/fit/sample_weight", "This is the target.", fit.sample_weight[:80], "another column")
    wishes = {
        "/fit/class_weight": (fit.class_weight is not None, "weigh", "Use sample_weight with a column of weights."),
        "/fit/split": (fit.split == "stratified", "keep in proportion", "Use 'last' or 'random'."),
    }
    for pointer, (is_wanted, verb, fix) in wishes.items():
        if is_wanted and len(asked.losses) > 1:
            message = f"The model has several outputs, so it is not clear which classes to {verb}."
            yield Problem(pointer, message, fix=fix)
        elif is_wanted and not asked.losses[0].is_classification:
            message = f"The model's loss, {asked.losses[0].type}, is for numbers: there are no classes to {verb}."
            yield Problem(pointer, message, fix=fix)


def _class_problems(asked: _Asked) -> Iterator[Problem]:
    """Weights of more classes than the only output tells apart, of which one number tells two."""
    named, (units, *others) = asked.request.fit.class_weight, units_of(asked.definition.graph)
    if isinstance(named, dict) and units is not None and not others and len(named) > max(units, 2):
        message = f"It names {len(named)} classes, and the model's output has {max(units, 2)}."
        fix = "Name classes of the target only; one that is left out counts 1."
        yield Problem("/fit/class_weight", message, f"{len(named)} classes", f"at most {max(units, 2)}", fix)


def _callback_problems(asked: _Asked) -> Iterator[Problem]:
    request, columns = asked.request, _Columns.of(asked)
    has_schedule = isinstance(getattr(asked.compile.optimizer, "learning_rate", None), ScheduleBase)
    for place, callback in enumerate(request.fit.callbacks):
        pointer = f"/fit/callbacks/{place}"
        if isinstance(callback, ReduceLROnPlateau | EpochScheduler) and has_schedule:
            message = f"The optimizer's learning rate follows a schedule, so {callback.type} cannot set it."
            yield Problem(pointer, message, callback.type, fix="Give the optimizer a number as learning_rate.")
        if isinstance(callback, MonitoringCallback):
            yield from _monitor_problems(pointer, callback, columns, request.fit.has_validation)
        if isinstance(callback, TensorBoard):
            for named in columns.in_arrays:
                message = f"Metric '{named.name}' is an array of numbers, and Keras's TensorBoard writes single ones only."
                yield Problem(pointer, message, named.metric.type, "a metric of one number", named.metric.mend_of_several)


@dataclass(frozen=True)
class _Columns:
    """What an epoch of a fit is measured by, and so what a callback can watch."""

    losses: list[str]
    """The loss of each output, where there are several."""
    single: list[NamedMetric]
    """Metrics of one number."""
    several: list[NamedMetric]
    """Metrics of a number for each class or threshold."""
    outputs: list[str]

    @classmethod
    def of(cls, asked: _Asked) -> "_Columns":
        outputs = asked.definition.output_names
        units = dict(zip(outputs, units_of(asked.definition.graph), strict=True))
        metrics = named_metrics(asked.compile, outputs)
        several = [named for named in metrics if named.metric.is_several(units[named.output])]
        losses = [f"{output}_loss" for output in outputs] if len(outputs) > 1 else []
        return cls(losses, [named for named in metrics if named not in several], several, outputs)

    @property
    def names(self) -> list[str]:
        """What can be watched without validation."""
        return ["loss", *self.losses, *(named.name for named in self.single)]

    @property
    def in_arrays(self) -> list[NamedMetric]:
        """Those that Keras keeps in an array, be it of a single number."""
        return [named for named in (*self.single, *self.several) if named.metric.mend_of_several is not None]

    @property
    def without_direction(self) -> set[str]:
        """Those of which Keras does not know whether small or large is good: it finds a metric by the name of its own."""
        strange = {named.name for named in self.single if len(self.outputs) > 1 or not named.metric.has_direction}
        return strange | set(self.losses)


def _monitor_problems(pointer: str, callback: MonitoringCallback, columns: _Columns, has_validation: bool) -> Iterator[Problem]:
    known = columns.names + [f"val_{name}" for name in columns.names if has_validation]
    watched = callback.monitor.removeprefix("val_")
    named = next((named for named in columns.several if watched.startswith(named.name)), None)
    if callback.monitor in known:
        if callback.mode == "auto" and watched in columns.without_direction:
            message = f"Keras does not know whether a small or a large '{callback.monitor}' is good."
            wanted = '"min"' if watched in columns.losses else '"min" or "max"'
            yield Problem(f"{pointer}/mode", message, "auto", wanted, f"Set mode to {wanted}.")
    elif named is not None:
        message = f"Metric '{named.name}' is several numbers, of which {callback.type} cannot tell whether they are better."
        fix = f"{named.metric.mend_of_several} Then monitor {callback.monitor[: callback.monitor.index(named.name)]}{named.name}."
        yield Problem(f"{pointer}/monitor", message, callback.monitor, f"one of: {', '.join(known)}", fix)
    else:
        yield _unknown_monitor(pointer, callback, known, has_validation)


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
