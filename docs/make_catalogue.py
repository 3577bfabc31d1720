"""Writes ``catalogue.md`` beside it from the classes that the API page is made of: ``python docs/make_catalogue.py``."""

import inspect
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

from service.spec.activations import ACTIVATIONS
from service.spec.base import KerasObject, snake_case
from service.spec.callbacks import CALLBACKS
from service.spec.constraints import CONSTRAINTS
from service.spec.family import Family
from service.spec.initializers import INITIALIZERS
from service.spec.layers import (
    LAYERS,
    activations,
    attention,
    augmentation,
    convolution,
    core,
    images,
    merging,
    models,
    normalization,
    pooling,
    preprocessing,
    recurrent,
    regularization,
    reshaping,
    wrappers,
)
from service.spec.layers.recurrent import CELLS
from service.spec.losses import LOSSES
from service.spec.metrics import METRICS, classification, overlap, regression, surprise
from service.spec.optimizers import OPTIMIZERS
from service.spec.regularizers import REGULARIZERS
from service.spec.schedules import SCHEDULES

PAGE = Path(__file__).with_name("catalogue.md")
INTRODUCTION = """# The catalogue

Everything that a definition may be made of, what it does, and when to use it. The names are Keras's; what settings each
takes, with bounds and defaults, is on the API page (`/docs`). `docs/make_catalogue.py` writes this page.

A name is written as it stands here or in Keras's other spelling (`"mean_squared_error"`); with settings it is an object,
`{"type": "Huber", "delta": 2.0}`. The short names in brackets are Keras's too."""
LAYER_MODULES = (
    core, activations, reshaping, regularization, normalization, convolution, pooling, recurrent, attention, merging, models,
    wrappers, preprocessing, images, augmentation,
)  # fmt: skip
MODULES = (*LAYER_MODULES, classification, regression, surprise, overlap)
FAMILIES: tuple[tuple[str, str, Family], ...] = (
    ("Losses", "`compile.loss`", LOSSES),
    ("Metrics", "`compile.metrics`", METRICS),
    ("Optimizers", "`compile.optimizer`", OPTIMIZERS),
    ("Schedules", "`learning_rate` of an optimizer", SCHEDULES),
    ("Initializers", "`kernel_initializer` of a layer and the like", INITIALIZERS),
    ("Regularizers", "`kernel_regularizer` of a layer and the like", REGULARIZERS),
    ("Constraints", "`kernel_constraint` of a layer and the like", CONSTRAINTS),
    ("Cells", "`cell` of an `RNN` layer", CELLS),
)


def write_page() -> str:
    """The whole page."""
    activations = [*_table((f"`{name}`", text) for name, text in ACTIVATIONS.items())]
    parts = [INTRODUCTION, *_layers(), "## Activation functions", "`activation` of a layer.", "\n".join(activations)]
    for title, place, family in FAMILIES:
        parts += [f"## {title}", f"{place}. {family.description}", _classes(family.members.values())]
    parts += ["## Callbacks", "`fit.callbacks` of a run; [fitting](fitting.md) shows them at work.", _classes(CALLBACKS)]
    return "\n\n".join(parts) + "\n"


def _layers() -> Iterator[str]:
    yield "## Layers"
    for module in LAYER_MODULES:
        classes = [cls for cls in LAYERS.members.values() if cls.__module__ == module.__name__]
        yield f"### {(module.__doc__ or '').partition(' Source:')[0].rstrip('.').replace('``', '`')}"
        yield _classes(classes)


def _classes(classes: Iterable[type[KerasObject]]) -> str:
    in_order = sorted(classes, key=_place)
    return "\n".join(_table((_name(cls), " ".join(inspect.getdoc(cls).split())) for cls in in_order))


def _place(cls: type[KerasObject]) -> tuple[int, int]:
    """Where it stands: the usual module first, and in it the usual class."""
    module = sys.modules[cls.__module__]
    return MODULES.index(module) if module in MODULES else 0, inspect.getsourcelines(cls)[1]


def _name(cls: type[KerasObject]) -> str:
    name = cls.model_fields["type"].default
    short = [alias for alias in cls.aliases if alias == alias.lower() != snake_case(name)]
    return f"`{name}`" + (f" ({', '.join(f'`{alias}`' for alias in short)})" if short else "")


def _table(rows: Iterable[tuple[str, str]]) -> Iterator[str]:
    yield "| name | what it does, and when to use it |"
    yield "|---|---|"
    for name, text in rows:
        yield f"| {name} | {text} |"


if __name__ == "__main__":
    PAGE.write_text(write_page(), encoding="utf-8")
