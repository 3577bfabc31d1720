"""Checks a model without storing anything: arithmetic first, then Keras in a process of its own. Knows no HTTP."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass, field

from service.errors import Problem
from service.models.check_data import DataFacts
from service.models.check_schemas import LayerSummary, MemoryEstimate, ModelCheck, ModelCheckRead
from service.models.checker import Cause, Checker, NotChecked
from service.models.service import limits_of
from service.settings import Settings
from service.spec.advice import advise, advise_on_classes, advise_on_inputs
from service.spec.check_frames import BuiltLayer, CheckJob
from service.spec.definition import Definition
from service.spec.model_script import keras_script
from service.spec.sizes import Row, Weight, agree
from service.spec.summary import LayerRow, estimate, first_rows, in_words, memory_of, size_problems
from service.web.routing import ProblemEntry

MAX_ENTRIES = 20
REASONS: dict[Cause, Problem] = {
    "absent": Problem("", "Keras is not installed on this host: only what arithmetic tells was checked."),
    "loading": Problem("", "Keras is not at hand yet: only what arithmetic tells was checked.", fix="Check again in a moment."),
    "crashed": Problem("/definition", "The process that builds the model ended in the midst of it.", fix="Check again."),
    "too_slow": Problem("/definition", "Keras takes too long to build the model.", fix="Use fewer or simpler layers."),
    "too_large": Problem("/definition", "Keras needs too much memory to build the model.", fix="Use fewer or smaller layers."),
}
BLAMELESS: tuple[Cause, ...] = ("absent", "loading")
"""Causes that say nothing about the model."""
NO_SHAPE = Problem(
    "/definition/input_shape",
    "What goes into the first layer is not known, so Keras could only try the arguments of each layer.",
    fix="Give input_shape, or name a dataset.",
)


@dataclass
class Findings:
    """What has been found so far."""

    rows: list[Row]
    """What goes into each input."""
    table: list[LayerRow]
    is_whole: bool
    """Whether the table has every layer."""
    errors: list[Problem] = field(default_factory=list)
    warnings: list[Problem] = field(default_factory=list)
    is_built: bool = False
    is_doubtful: bool = False
    """Whether the model has cost the process that builds it its life."""


def check(request: ModelCheck, facts: DataFacts, checker: Checker, settings: Settings) -> ModelCheckRead:
    """What is to be said of a model. Raises TooManyRequests."""
    found = _calculate(request, facts, settings)
    if not found.errors:
        _build(request, found, checker)
        found.errors += _limit_problems(request, found, settings)
    found.warnings += _advice(request, facts, found.table if found.is_whole else ())
    return _read(request, found)


def refuse(problems: Sequence[Problem]) -> ModelCheckRead:
    """The answer for a document that is no model."""
    return ModelCheckRead(
        ok=False, built=False, summary=[], parameters=None, memory_bytes=None, errors=_entries(problems), warnings=[], code=None
    )


def _calculate(request: ModelCheck, facts: DataFacts, settings: Settings) -> Findings:
    rows = first_rows(request.definition, facts.row_shapes)
    table, misfits = estimate(request.definition, rows)
    found = Findings(rows, table, is_whole=not misfits, errors=[*facts.problems], warnings=[*facts.warnings])
    (found.warnings if facts.is_estimated else found.errors).extend(_shape_problems(request.definition, facts))
    found.errors += [*misfits, *_limit_problems(request, found, settings)]
    return found


def _build(request: ModelCheck, found: Findings, checker: Checker) -> None:
    """Let Keras build the model; where it does, its own table takes the place of the calculated one."""
    try:
        checked = checker.check(_job(request, found.rows))
    except NotChecked as refusal:
        found.is_doubtful = refusal.cause not in BLAMELESS
        found.warnings.append(REASONS[refusal.cause])
        return
    found.errors += [Problem(problem.pointer, problem.message, fix=problem.fix) for problem in checked.problems]
    if checked.layers is not None:
        found.table = _table(checked.layers)
        found.is_built = not checked.problems
    elif not checked.problems:
        found.warnings.append(NO_SHAPE)


def _job(request: ModelCheck, rows: Sequence[Row]) -> CheckJob:
    compiled = None if request.compile is None else request.compile.as_document()
    shapes = [list(row.dims) for row in rows] if all(row.is_whole for row in rows) else None
    return CheckJob(definition=request.definition.as_document(), compile=compiled, input_shapes=shapes)


def _table(layers: Sequence[BuiltLayer]) -> list[LayerRow]:
    return [
        LayerRow(
            place=layer.place,
            name=layer.name,
            type=layer.type,
            output=Row(tuple(layer.output_shape), is_whole=True),
            weights=tuple(Weight(weight.name, tuple(weight.shape), weight.is_trained) for weight in layer.weights),
            numbers=layer.numbers,
        )
        for layer in layers
    ]


def _shape_problems(definition: Definition, facts: DataFacts) -> list[Problem]:
    problems = []
    for number, (wanted, given) in enumerate(zip(definition.input_shapes, facts.row_shapes or (), strict=False)):
        if wanted is not None and given is not None and not agree(wanted, given):
            fix = f"Set it to {list(given)}, or leave it out."
            message = "The data has rows of another shape."
            problems.append(Problem(definition.shape_pointer(number), message, str(wanted), str(list(given)), fix))
    return problems


def _limit_problems(request: ModelCheck, found: Findings, settings: Settings) -> list[Problem]:
    memory = memory_of(found.table, found.rows, None, request.batch_size)
    return size_problems(found.table, memory, request.batch_size, limits_of(settings))


def _advice(request: ModelCheck, facts: DataFacts, table: Sequence[LayerRow]) -> list[Problem]:
    advice = advise(request.definition, request.compile, table)
    advice += advise_on_inputs(request.definition, facts.largest_inputs)
    if request.compile is not None:
        advice += advise_on_classes(request.definition, request.compile, table, facts.classes)
    return advice


def _read(request: ModelCheck, found: Findings) -> ModelCheckRead:
    is_known = found.is_whole and all(layer.is_exact and layer.output.is_whole for layer in found.table)
    shapes = [row.dims if row.is_whole else None for row in found.rows]
    return ModelCheckRead(
        ok=not found.errors and not found.is_doubtful,
        built=found.is_built,
        summary=[_summary(layer) for layer in found.table],
        parameters=sum(layer.parameters for layer in found.table) if is_known else None,
        memory_bytes=_memory(request, found) if is_known else None,
        errors=_entries(request.definition.as_sent(found.errors)),
        warnings=_entries(request.definition.as_sent(found.warnings)),
        code=keras_script(request.name or "my_model", request.definition, request.compile, shapes),
    )


def _summary(layer: LayerRow) -> LayerSummary:
    return LayerSummary(
        name=layer.name,
        type=layer.type,
        output_shape=[None, *layer.output.dims] if layer.output.is_whole else None,
        parameters=layer.parameters if layer.is_exact else None,
        parameters_in_words=in_words(layer.type, layer.weights),
    )


def _memory(request: ModelCheck, found: Findings) -> MemoryEstimate:
    optimizer = None if request.compile is None else request.compile.optimizer
    memory = memory_of(found.table, found.rows, optimizer, request.batch_size)
    return MemoryEstimate(**asdict(memory), batch_size=request.batch_size, total=memory.total)


def _entries(problems: Sequence[Problem]) -> list[ProblemEntry]:
    return [ProblemEntry(**asdict(problem)) for problem in problems[:MAX_ENTRIES]]
