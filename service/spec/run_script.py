"""Writes a run as a short Keras script that gives the same weights. Knows no Keras: it only spells its calls."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from service.spec.adapt_script import adapt_lines, settle_lines
from service.spec.artifacts import numbered
from service.spec.callbacks import (
    CallbackBase,
    CosineSchedule,
    LearningRateScheduler,
    ModelCheckpoint,
    TensorBoard,
    formula_of,
)
from service.spec.compile import CompileSpec
from service.spec.definition import Definition
from service.spec.fit import FitSpec
from service.spec.frames import Planned
from service.spec.script import INDENT, Shape, Variables, build, call, compile_call, docstring, literal, spread

IN_ORDER = '{"arithmetic_optimization": False}'
"""Where layers branch, TensorFlow turns sums and products into others, and not always into the same ones."""
LIBRARIES = {"tensorflow": "TensorFlow", "keras": "Keras", "numpy": "NumPy"}


@dataclass(frozen=True)
class Recipe:
    """Everything that decides about the weights of a run."""

    run_id: str
    model: str
    definition: Definition
    compile: CompileSpec
    fit: FitSpec
    seed: int
    plan: Planned
    initial_epoch: int = 0
    """Epochs that count as done before the first one of the script."""
    starts_from: str | None = None
    """Id of the run whose weights it begins with; None where it begins with fresh ones."""
    differences: Sequence[str] = ()
    """What the run did that the script may not repeat: ``went on with another processor``."""
    notes: Sequence[str] = ()
    """Sentences that its reader needs to know besides."""


def run_script(recipe: Recipe) -> str:
    """The script. It needs the run's artifact ``encoded.npz`` beside it, and leaves ``model.keras``."""
    sections = [
        [_docstring(recipe)],
        _imports(recipe),
        _settings(recipe),
        _data(recipe),
        _model(recipe),
        *([_windows(recipe)] if _goes_by_windows(recipe) else []),
        _batches(recipe),
        [*_fit(recipe), _save(recipe)],
    ]
    return "\n\n".join("\n".join(section) for section in sections) + "\n"


def _docstring(recipe: Recipe) -> str:
    return docstring(
        f"Run '{recipe.run_id}' of the model '{recipe.model}' as a plain Keras script.",
        _promise(recipe),
        *([" ".join(recipe.notes)] if recipe.notes else []),
    )


def _promise(recipe: Recipe) -> str:
    needs = "It needs the run's file encoded.npz beside it"
    if recipe.starts_from is not None:
        needs += f", and as start.keras the file model.keras of run '{recipe.starts_from}', whose weights it begins with"
    libraries = " with {tensorflow}, {keras} and {numpy}".format(
        **{name: f"{shown} {recipe.plan.versions.get(name, '')}".rstrip() for name, shown in LIBRARIES.items()}
    )
    if recipe.differences:
        reasons = ", and ".join(recipe.differences)
        return f"It may end with other weights than the run, which {reasons}. {needs}. The run was fitted{libraries}."
    return f"{needs}, and gives the run's final weights, bit for bit,{libraries} on a processor of the same kind."


def _imports(recipe: Recipe) -> list[str]:
    schedules = [spec.schedule for spec in recipe.fit.callbacks if isinstance(spec, LearningRateScheduler)]
    standard = ["import itertools"] if _counts_passes(recipe) else []
    if any(isinstance(schedule, CosineSchedule) for schedule in schedules):
        standard.append("import math")
    return [*standard, *([""] if standard else []), "import keras", "import numpy as np", "import tensorflow as tf"]


def _settings(recipe: Recipe) -> list[str]:
    """What the last bits of every number depend on."""
    policy = recipe.fit.dtype_policy
    is_repeatable = recipe.plan.inexact_reason is None
    return [
        f"tf.config.threading.set_intra_op_parallelism_threads({recipe.plan.threads})",
        *(["tf.config.experimental.enable_op_determinism()"] if is_repeatable else []),
        *([f"tf.config.optimizer.set_experimental_options({IN_ORDER})"] if recipe.definition.holds_graph else []),
        *([f"keras.config.set_dtype_policy({literal(policy)})"] if policy != "float32" else []),
        f"keras.utils.set_random_seed({recipe.seed})",
    ]


def _data(recipe: Recipe) -> list[str]:
    names = [name for group in _names(recipe) for name in group]
    return ['data = np.load("encoded.npz")', f"{', '.join(names)} = {', '.join(map(_array, names))}"]


def _array(name: str) -> str:
    return f'data["{name}"]'


def _names(recipe: Recipe) -> list[list[str]]:
    """The names of the arrays: those of the inputs, those of the targets, and of the weights."""
    is_weighted = recipe.fit.class_weight is not None or recipe.fit.sample_weight is not None
    inputs, targets = numbered("x", len(recipe.definition.input_names)), numbered("y", len(recipe.definition.output_names))
    return [inputs, targets, *([["sample_weight"]] if is_weighted else [])]


def _grouped(names: list[list[str]], write: Callable[[str], str]) -> str:
    """Arrays as Keras takes them: several inputs or targets as one tuple."""
    written = [[write(name) for name in group] for group in names]
    return ", ".join(group[0] if len(group) == 1 else f"({', '.join(group)})" for group in written)


def _model(recipe: Recipe) -> list[str]:
    variables = Variables()
    return [
        *build(recipe.model, recipe.definition, shapes_of(recipe.definition, recipe.plan.input_shapes), variables),
        *compile_call(recipe.compile, recipe.definition),
        *(_start(recipe) if recipe.starts_from else _adapt(recipe, variables)),
        "",
    ]


def _start(recipe: Recipe) -> list[str]:
    load = 'model.set_weights(keras.saving.load_model("start.keras").get_weights())'
    return [load, *settle_lines(recipe.definition)]


def _adapt(recipe: Recipe, variables: Variables) -> list[str]:
    plan = recipe.plan
    if plan.adapted_rows is None:
        return []
    rows = plan.adapted_rows if plan.adapted_rows < plan.train_rows else None
    return adapt_lines(recipe.definition, variables, _names(recipe)[0], rows)


def shapes_of(definition: Definition, of_data: Sequence[Shape]) -> list[Shape]:
    """The shape of one row of each input: the definition's own, else the data's."""
    return [own or shape for own, shape in zip(definition.input_shapes, of_data, strict=True)]


def _rows(recipe: Recipe) -> str:
    """The number of rows."""
    return f"len({_names(recipe)[0][0]})"


def _goes_by_windows(recipe: Recipe) -> bool:
    return recipe.fit.shuffle and recipe.plan.chunk_rows is not None


def _windows(recipe: Recipe) -> list[str]:
    rows = _rows(recipe)
    seed, chunk_rows, window_chunks = recipe.seed, recipe.plan.chunk_rows, recipe.plan.window_chunks
    return [
        "def shuffled(number):",
        f'    """Chunks of {chunk_rows} neighbouring rows in a new order; the rows of {window_chunks} at a time are shuffled."""',
        f"    chunks = np.split(np.arange({rows}), range({chunk_rows}, {rows}, {chunk_rows}))",
        f"    order = np.random.default_rng([{seed}, number]).permutation(len(chunks))",
        f"    for window, start in enumerate(range(0, len(order), {window_chunks}), 1):",
        f"        rows = np.concatenate([chunks[chunk] for chunk in order[start : start + {window_chunks}]])",
        f"        yield np.random.default_rng([{seed}, number, window]).permutation(rows)",
        "",
    ]


def _batches(recipe: Recipe) -> list[str]:
    """A generator of all batches from the first one of the script on."""
    size = recipe.fit.batch_size
    first_pass, first_row = _beginning(recipe)
    start = f"{first_row} if number == {first_pass} else 0" if first_row else "0"
    taken = _grouped(_names(recipe), lambda name: f"{name}[rows]")
    passes = f"for number in itertools.count({first_pass or ''}):" if _counts_passes(recipe) else "while True:"
    return [
        "def batches():",
        f'    """{_about_order(recipe)}"""',
        f"    {passes}",
        f"        order = {_order(recipe)}",
        f"        for start in range({start}, {_rows(recipe)}, {size}):",
        f"            rows = order[start : start + {size}]",
        f"            yield {taken}",
        "",
    ]


def _about_order(recipe: Recipe) -> str:
    return "All rows again and again, each time in a new order." if recipe.fit.shuffle else "All rows again and again."


def _counts_passes(recipe: Recipe) -> bool:
    return recipe.fit.shuffle or _beginning(recipe) != (0, 0)


def _beginning(recipe: Recipe) -> tuple[int, int]:
    """The pass through the rows, counted from 0, and the place in it, where the first epoch begins."""
    passes_steps = -(-recipe.plan.train_rows // recipe.fit.batch_size)
    number, batch = divmod(recipe.initial_epoch * recipe.plan.steps, passes_steps)
    return number, batch * recipe.fit.batch_size


def _order(recipe: Recipe) -> str:
    if not recipe.fit.shuffle:
        return f"np.arange({_rows(recipe)})"
    if _goes_by_windows(recipe):
        return "np.concatenate(list(shuffled(number)))"
    return f"np.random.default_rng([{recipe.seed}, number]).permutation({_rows(recipe)})"


def _fit(recipe: Recipe) -> list[str]:
    arguments = [_epochs(recipe)]
    if recipe.plan.validation_rows:
        arguments.append(_validation(recipe))
    if recipe.fit.callbacks:
        lines = "".join(f"{INDENT * 2}{_callback(spec)},\n" for spec in recipe.fit.callbacks)
        arguments.append(f"callbacks=[\n{lines}{INDENT}]")
    return [f"model.fit({arguments[0]})"] if len(arguments) == 1 else spread("model.fit", arguments)


def _save(recipe: Recipe) -> str:
    """Keras saves the optimizer that scales the loss of 16 bits in a way that it does not load."""
    hint = '  # to load it: keras.saving.load_model("model.keras", compile=False)'
    return f'model.save("model.keras"){hint if recipe.fit.dtype_policy == "mixed_float16" else ""}'


def _epochs(recipe: Recipe) -> str:
    initial = f"initial_epoch={recipe.initial_epoch}, " if recipe.initial_epoch else ""
    return f"batches(), epochs={recipe.fit.epochs}, {initial}steps_per_epoch={recipe.plan.steps}"


def _validation(recipe: Recipe) -> str:
    fit = recipe.fit
    names = _names(recipe)[: 3 if fit.sample_weight is not None else 2]
    frequency = f", validation_freq={literal(fit.validation_freq)}" if fit.validation_freq != 1 else ""
    arrays = _grouped(names, lambda name: _array(f"{name}_val"))
    return f"validation_data=({arrays}), validation_batch_size={fit.batch_size}{frequency}"


def _callback(spec: CallbackBase) -> str:
    match spec:
        case LearningRateScheduler(schedule=schedule):
            return f"keras.callbacks.LearningRateScheduler(lambda epoch, _: {formula_of(schedule)})"
        case ModelCheckpoint():
            return _with_arguments(call(spec), '"best.keras"', "save_best_only=True")
        case TensorBoard():
            return _with_arguments(call(spec), '"tensorboard"', "write_graph=False")
    return call(spec)


def _with_arguments(text: str, *more: str) -> str:
    function, _, rest = text.partition("(")
    return f"{function}({', '.join([more[0], *([rest[:-1]] if rest != ')' else []), *more[1:]])})"
