"""Every optimizer, schedule, loss and metric of the catalogue in a real fit that is interrupted and gone on with."""

import re
from typing import Any

import numpy as np
import pytest

from service.spec.compile import CompileSpec, metric_names
from service.spec.family import Family
from service.spec.losses import LOSSES
from service.spec.metrics import METRICS
from service.spec.optimizers import OPTIMIZERS
from service.spec.schedules import SCHEDULES
from tests.catalogue import others
from tests.catalogue.documents import Document, full_document
from tests.unit.training.trials import KILLED_AT, QUIET, ROWS, SGD, SHORT, STEP_BY_STEP, assert_exact

pytestmark = [QUIET, STEP_BY_STEP]


def in_full(family: Family, table: dict[str, Any], name: str) -> Document:
    *_, required, further = table[name]
    return full_document(family.members[name], required, further)


# Optimizers and schedules


SMALL = [{"type": "Dense", "units": 4, "activation": "tanh"}, {"type": "Dropout", "rate": 0.2}, {"type": "Dense", "units": 1}]
OPTIMIZER_CASES = {
    **{name: in_full(OPTIMIZERS, others.OPTIMIZERS, name) for name in others.OPTIMIZERS},
    "momentum looking ahead": {"type": "SGD", "momentum": 0.9, "nesterov": True},
    "largest gradient": {"type": "Adam", "clipvalue": 0.01},
    "longest gradient": {"type": "Adam", "global_clipnorm": 0.01},
    "averages to the end": {"type": "RMSprop", "momentum": 0.9, "use_ema": True},
    **{name: {"type": "SGD", "learning_rate": in_full(SCHEDULES, others.SCHEDULES, name)} for name in others.SCHEDULES},
}


def test_every_optimizer_and_schedule_is_tried():
    assert set(OPTIMIZERS.members) == set(others.OPTIMIZERS)
    assert set(SCHEDULES.members) == set(others.SCHEDULES)


@pytest.mark.parametrize("name", OPTIMIZER_CASES)
def test_an_optimizer_goes_on_exactly(name, tmp_path):
    assert_exact(tmp_path, KILLED_AT, layers=SMALL, optimizer=OPTIMIZER_CASES[name], fit=SHORT)


# Losses and metrics

LAST = {"number": (3, "softplus"), "binary": (1, "sigmoid"), "index": (3, "softmax"), "one_hot": (3, "softmax")}
"""Units and activation of a last layer that fits the encoding of a target."""


def towards(encoding: str, from_logits: bool = False) -> dict[str, Any]:
    """A model and data for a target in this encoding."""
    units, activation = LAST[encoding]
    noise = np.random.default_rng(0)
    classes = noise.integers(0, max(2, units), size=ROWS)
    y = {
        "number": noise.uniform(0.1, 0.9, size=(ROWS, units)).astype(np.float32),
        "binary": classes[:, None].astype(np.float32),
        "index": classes[:, None].astype(np.int32),
        "one_hot": np.eye(units, dtype=np.float32)[classes % units],
    }[encoding]
    last = {"type": "Dense", "units": units, "activation": None if from_logits else activation}
    made = [{"type": "GaussianNoise", "stddev": 0.1}, {"type": "Dense", "units": 6, "activation": "tanh"}, last]
    return {"layers": made, "rows": (noise.normal(size=(ROWS, 3)).astype(np.float32), y), "fit": SHORT, "optimizer": SGD}


def columns_of(names: list[str]) -> set[str]:
    return {f"{part}{name}" for part in ("", "val_") for name in ("loss", *names)}


def columns_in(epoch: dict[str, float]) -> set[str]:
    """Names of the finite numbers, and of metrics of several numbers, which have one for each."""
    return {re.sub(r"_\d$", "", name) for name in epoch}


LOSS_CASES = {
    f"{name} {form}": document
    for name, (required, _) in others.LOSSES.items()
    for form, document in (("minimal", {"type": name} | required), ("full", in_full(LOSSES, others.LOSSES, name)))
}


@pytest.mark.parametrize("name", LOSS_CASES)
def test_a_loss_is_finite_and_goes_on_exactly(name, tmp_path):
    document = LOSS_CASES[name]
    kind = towards(LOSSES.members[document["type"]].target_encoding, document.get("from_logits", False))
    whole = assert_exact(tmp_path, KILLED_AT, loss=document, metrics=[], **kind)
    assert [set(epoch) for epoch in whole.epochs] == [columns_of([])] * 2


METRIC_CASES = {f"{encoding} {form}": (encoding, form) for encoding in LAST for form in ("minimal", "full")}
ABOUT_PROBABILITIES = {name: {"from_logits": False} for name, cls in METRICS.members.items() if "from_logits" in cls.model_fields}
"""The models here answer probabilities."""
LOSS_OF = {
    "number": "mse",
    "binary": "binary_crossentropy",
    "index": "sparse_categorical_crossentropy",
    "one_hot": "categorical_crossentropy",
}


def metrics_of(encoding: str, form: str) -> list[Document]:
    wanted = {name: required for name, (other, required, _) in others.METRICS.items() if other == encoding}
    if form == "minimal":
        return [{"type": name} | required for name, required in wanted.items()]
    full = {name: in_full(METRICS, others.METRICS, name) for name in wanted}
    return [document | {"name": f"full_{name}"} | ABOUT_PROBABILITIES.get(name, {}) for name, document in full.items()]


def test_every_loss_and_metric_is_tried():
    assert set(LOSSES.members) == set(others.LOSSES)
    assert set(METRICS.members) == {*others.METRICS, "accuracy"}


@pytest.mark.parametrize("name", METRIC_CASES)
def test_metrics_are_finite_and_go_on_in_the_midst_of_an_epoch(name, tmp_path):
    encoding, form = METRIC_CASES[name]
    documents = metrics_of(encoding, form)
    spec = CompileSpec(optimizer="adam", loss=LOSS_OF[encoding], metrics=documents)
    whole = assert_exact(tmp_path, KILLED_AT, loss=LOSS_OF[encoding], metrics=documents, **towards(encoding))
    assert [columns_in(epoch) for epoch in whole.epochs] == [columns_of(metric_names(spec, ["output"]))] * 2
