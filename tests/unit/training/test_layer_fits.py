"""Every layer of the catalogue in a real fit: interrupted and gone on with where it keeps a state, and exported."""

import itertools
import math
from collections import defaultdict
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest

from service.spec.frames import Publication
from service.spec.layers import LAYERS
from service.training.building import as_keras
from service.training.publishing import NotLoadable, publish
from tests.catalogue import layers
from tests.catalogue.documents import Document, full_document
from tests.unit.training.trials import KILLED_AT, QUIET, ROWS, SGD, SHORT, STEP_BY_STEP, Trial, assert_exact

pytestmark = [
    QUIET,
    STEP_BY_STEP,
    # Keras patches tf2onnx for NumPy 2 by asking whether np.object is there, at which NumPy warns.
    pytest.mark.filterwarnings("ignore:In the future `np.object` will be defined:FutureWarning"),
]

TOGETHER = 4
"""Layers of a kind that share a model."""
INTEGERS = ("CategoryEncoding", "Embedding")
ALONE = {
    **dict.fromkeys(INTEGERS, "takes whole numbers, which only the data has"),
    **dict.fromkeys(("Masking", "RandomCrop"), "its output is not for every layer"),
    **dict.fromkeys(("Equalization", "ContrastLimitedAdaptiveHistogramEqualization"), "no layer before it could learn"),
    "Discretization": "no layer before it could learn",
    "MelSpectrogram": "is not exported",
}
SLOW = ("pooling", "recurrent", "wrappers")
"""Modules of layers that are made with all their arguments only: their graphs are large, and take long to make."""
STATELESS = ("activations", "convolution", "core", "pooling", "preprocessing", "reshaping")
"""Modules of layers that keep nothing beside their weights."""
FLATTENED_BY = {
    "Embedding": "GlobalAveragePooling1D",
    "Masking": "GlobalAveragePooling1D",
    "RandomCrop": "GlobalAveragePooling2D",
}
"""Where Flatten will not do: it knows no masks, and RandomCrop cuts in training only."""
NOT_LOADED = ("Equalization minimal", "Equalization full")
"""Keras 3.15 takes its output for its input, and does not load what it has saved; a fit refuses it."""
SERVED_BY_KERAS = {
    "MelSpectrogram minimal": "RFFT",
    "MelSpectrogram full": "RFFT",
}
"""Models whose export to ONNX fails, with words of the reason: tf2onnx knows no Fourier transform of real numbers."""


def module_of(name: str) -> str:
    return LAYERS.members[name].__module__.rpartition(".")[2]


def forms(name: str) -> dict[str, Document]:
    """A layer with the arguments that it needs, and one with all of them."""
    _, required, further = layers.LAYERS[name]
    full = full_document(LAYERS.members[name], required, further) | {"trainable": True, "name": f"full_{name}"}
    return {"full": full} if module_of(name) in SLOW else {"minimal": {"type": name} | required, "full": full}


def groups() -> dict[str, list[Document]]:
    """The layers that each model is about, which all take the same shape, by their names."""
    made: dict[str, list[Document]] = {}
    kinds = defaultdict(list)
    for name, (shape, *_) in layers.LAYERS.items():
        if name in ALONE:
            made |= {f"{name} {form}": [document] for form, document in forms(name).items()}
        else:
            kinds[module_of(name), tuple(shape)].append(name)
    for names in kinds.values():
        for start in range(0, len(names), TOGETHER):
            some = names[start : start + TOGETHER]
            made[", ".join(some)] = [document for name in some for document in forms(name).values()]
    return made


GROUPS = groups()


def model_of(documents: list[Document]) -> dict[str, Any]:
    """What a fit is made of that is about these layers."""
    name = documents[0]["type"]
    shape = layers.LAYERS[name][0]
    noise = np.random.default_rng(0)
    x = largest(shape) * noise.random((ROWS, *shape), np.float32)
    x = np.floor(4 * x) if name in INTEGERS else x
    made = in_a_row(documents, shape)
    rows = x, noise.normal(size=(ROWS, 1)).astype(np.float32)
    return {"layers": made, "shape": tuple(shape), "rows": rows, "fit": SHORT, "optimizer": SGD}


def largest(shape: list[int]) -> float:
    """The largest number of an input: layers for images take pixels."""
    return 255.0 if shape == layers.IMAGE else 1.0


def in_a_row(documents: list[Document], shape: list[int]) -> list[Document]:
    made = documents[:1]
    for before, document in itertools.pairwise(documents):
        if shape_after(before, shape) != shape:
            made += brought_to(shape)
        made.append(document)
    name = documents[-1]["type"]
    small = [{"type": "Rescaling", "scale": 1 / largest(shape)}] if name not in ("Embedding", "Masking") else []
    return [*made, *small, {"type": FLATTENED_BY.get(name, "Flatten")}, {"type": "Dense", "units": 1}]


def brought_to(shape: list[int]) -> list[Document]:
    """Layers that make of anything what a layer takes."""
    small, large = ({"type": "Rescaling", "scale": scale} for scale in (1 / largest(shape), largest(shape)))
    dense = {"type": "Dense", "units": math.prod(shape), "activation": "sigmoid"}
    return [small, {"type": "Flatten"}, dense, {"type": "Reshape", "target_shape": shape}, large]


def shape_after(document: Document, shape: list[int]) -> list[int]:
    return list(keras.Sequential([keras.Input(shape), as_keras(LAYERS.validate(document))]).output_shape[1:])


def fitted(documents: list[Document], folder: Path) -> Trial:
    """A fit about these layers; where they keep a state, one that was killed and gone on with is the same."""
    if all(module_of(document["type"]) in STATELESS for document in documents):
        return Trial(**model_of(documents)).run()
    return assert_exact(folder, KILLED_AT, **model_of(documents))


def published(trial: Trial, folder: Path) -> Publication:
    trial.model.save(folder / "model.keras")
    return publish(trial.model, folder / "model.keras", folder / "model.onnx", trial.examples)


def test_every_layer_that_takes_one_input_is_tried():
    tried = {document["type"] for documents in GROUPS.values() for document in documents}
    assert tried == {name for name, cls in LAYERS.members.items() if cls.takes[0] == 1 and cls.namespace == "keras.layers"}
    assert set(SERVED_BY_KERAS) < set(GROUPS)


@pytest.mark.parametrize("name", GROUPS)
def test_layers_go_on_exactly_and_are_served_by_onnx_where_they_can_be(name, tmp_path):
    if name in NOT_LOADED:
        with pytest.raises(NotLoadable, match="part of a cycle"):
            published(fitted(GROUPS[name], tmp_path), tmp_path)
        return
    publication = published(fitted(GROUPS[name], tmp_path), tmp_path)
    reason = SERVED_BY_KERAS.get(name)
    assert publication.engine == ("onnx" if reason is None else "keras"), publication.parity
    assert publication.parity.agrees is (reason is None)
    assert reason is None or reason in publication.parity.reason
