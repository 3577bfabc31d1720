"""Models are checked before they are created: what is said of them, and that no definition can hurt the service."""

import json
import signal
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
import psutil
import pytest

from tests.acceptance.client import DIGITS, TUTORIAL_COMPILE, TUTORIAL_LAYERS, Document, accepted, refused
from tests.acceptance.running import running_api
from tests.graphs import dense, graph, joined

SECONDS = 3.0
"""Longest time that a refusal may take. On an idle machine it takes less than one; other work may slow it down."""
CHECK_SECONDS = 3.0
CHECKER = "service.training.checking"
MEBIBYTE = 1024 * 1024


@pytest.fixture(scope="module")
def api(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[httpx.Client, psutil.Process]]:
    """An API whose checker is warm."""
    with running_api(tmp_path_factory.mktemp("checks"), {"FITSERVE_CHECK_SECONDS": str(CHECK_SECONDS)}) as (http, process):
        _warm(http)
        yield http, process


@pytest.fixture
def http(api: tuple[httpx.Client, psutil.Process]) -> httpx.Client:
    return api[0]


def _warm(http: httpx.Client) -> None:
    deadline = time.monotonic() + 120
    while not check(http, TUTORIAL_LAYERS, input_shape=[64])["built"]:
        assert time.monotonic() < deadline, "Keras is not there after two minutes"


def check(http: httpx.Client, layers: list[dict[str, Any]], input_shape: list[int | None] | None = None, **more: Any) -> Document:
    definition: dict[str, Any] = {"layers": layers}
    if input_shape is not None:
        definition["input_shape"] = input_shape
    return accepted(http.post("/api/models:check", json={"definition": definition, **more}))


def checker_of(process: psutil.Process) -> psutil.Process:
    """The process in which the API builds models."""
    (found,) = [child for child in process.children() if CHECKER in child.cmdline()]
    return found


def pointers(problems: list[Document]) -> list[str]:
    return [problem["pointer"] for problem in problems]


def test_the_tutorial_model_is_explained(http: httpx.Client) -> None:
    answer = check(http, TUTORIAL_LAYERS, [64], compile=TUTORIAL_COMPILE, name="digits", batch_size=10)

    assert answer["ok"]
    assert answer["built"]
    assert [(layer["name"], layer["output_shape"], layer["parameters"]) for layer in answer["summary"]] == [
        ("layer1", [None, 25], 1625),
        ("layer2", [None, 15], 390),
        ("layer3", [None, 1], 16),
    ]
    assert answer["summary"][0]["parameters_in_words"] == "25 neurons × 64 inputs + 25 biases"
    assert answer["parameters"] == 2031
    assert answer["memory_bytes"]["parameters"] == 4 * 2031
    assert answer["memory_bytes"]["activations"] == 4 * 10 * (64 + 25 + 15 + 1)
    assert answer["errors"] == answer["warnings"] == []
    compile(answer["code"], "digits", "exec")


def test_nothing_is_stored(http: httpx.Client) -> None:
    before = accepted(http.get("/api/models"))
    check(http, TUTORIAL_LAYERS, [64], name="never-stored")

    assert accepted(http.get("/api/models")) == before


def test_without_a_shape_the_rest_is_still_told(http: httpx.Client) -> None:
    answer = check(http, TUTORIAL_LAYERS)

    assert answer["ok"]
    assert not answer["built"]
    assert answer["parameters"] is answer["memory_bytes"] is None
    assert answer["summary"][0]["parameters_in_words"] == "25 neurons × ? inputs + 25 biases"
    assert answer["summary"][1]["parameters"] == 390
    assert pointers(answer["warnings"]) == ["/definition/input_shape"]


def test_a_table_gives_the_shape_and_the_classes(http: httpx.Client) -> None:
    files = {"file": (DIGITS.name, DIGITS.read_bytes(), "text/csv")}
    dataset = accepted(http.post("/api/datasets", files=files, data={"target": "digit"}), 201)["id"]

    answer = check(http, TUTORIAL_LAYERS, dataset=dataset, compile=TUTORIAL_COMPILE)
    assert answer["built"]
    assert answer["parameters"] == 2031
    assert answer["warnings"] == []

    three = [{"type": "Dense", "units": 3, "activation": "softmax"}]
    compiled = TUTORIAL_COMPILE | {"loss": "SparseCategoricalCrossentropy"}
    doubted = check(http, three, dataset=dataset, compile=compiled)
    assert [warning["expected"] for warning in doubted["warnings"]] == ["2"]

    mistaken = check(http, three, [5], dataset=dataset)
    assert pointers(mistaken["warnings"]) == ["/definition/input_shape"]
    assert mistaken["warnings"][0]["expected"] == "[64]"

    assert pointers(check(http, three, dataset=dataset, target="nothing")["errors"]) == ["/target"]


def test_arrays_give_the_shape_and_are_looked_at_for_their_scale(http: httpx.Client) -> None:
    x = [[[index % 256] * 4] * 4 for index in range(60)]
    dataset = accepted(http.post("/api/datasets", json={"name": "x", "x": x, "y": [0, 1] * 30}), 201)["id"]

    answer = check(http, [{"type": "Flatten"}, {"type": "Dense", "units": 1}], dataset=dataset)

    assert answer["summary"][0]["output_shape"] == [None, 16]
    assert pointers(answer["warnings"]) == ["/definition/layers/0"]
    assert "not scaled" in answer["warnings"][0]["message"]
    mistaken = check(http, [{"type": "Dense", "units": 1}], [5], dataset=dataset)
    assert pointers(mistaken["errors"]) == ["/definition/input_shape"]
    assert mistaken["errors"][0]["expected"] == "[4, 4]"


def test_a_column_that_may_be_an_id_leaves_the_width_open(http: httpx.Client) -> None:
    rows = [{"number": row, "size": row / 7, "y": row % 2} for row in range(30)]
    dataset = accepted(http.post("/api/datasets", json={"name": "x", "rows": rows, "target": "y"}), 201)["id"]

    answer = check(http, [{"type": "Dense", "units": 1}], dataset=dataset)

    assert answer["ok"]
    assert "ids" in answer["warnings"][0]["message"]


def test_columns_give_each_input_its_shape(http: httpx.Client) -> None:
    rows = [{"size": row % 7 / 7, "city": "ab"[row % 2], "words": f"to {row % 3}", "y": row % 2} for row in range(30)]
    dataset = accepted(http.post("/api/datasets", json={"name": "x", "rows": rows, "target": "y"}), 201)["id"]
    layers = [dense("h", ["facts"]), dense("g", ["words"]), joined("Add", "sum", "h", "g"), dense("o", ["sum"], 1, "sigmoid")]
    body = {"definition": graph([{"name": "facts"}, {"name": "words"}], layers, "o"), "dataset": dataset}
    answer = accepted(http.post("/api/models:check", json=body))
    assert answer["built"]
    assert [layer["parameters"] for layer in answer["summary"]] == [20, 20, 0, 5]
    settings = {"columns": {"words": {"type": "text", "encoding": "tokens", "length": 9}}}
    asked = accepted(http.post("/api/models:check", json=body | {"features": settings}))
    assert [layer["parameters"] for layer in asked["summary"]] == [20, 40, 0, 5]
    mistaken = accepted(http.post("/api/models:check", json=body | {"features": {"inputs": {"fact": ["size"]}}}))
    assert pointers(mistaken["errors"]) == ["/features/inputs/fact"]


def test_rows_that_are_sorted_by_the_target_are_told_of(http: httpx.Client) -> None:
    rows = [{"size": row % 7 / 7, "kind": "abc"[row // 10]} for row in range(30)]
    dataset = accepted(http.post("/api/datasets", json={"name": "x", "rows": rows, "target": "kind"}), 201)["id"]
    layers = [{"type": "Dense", "units": 3, "activation": "softmax"}]
    assert check(http, layers, dataset=dataset, fit={"validation_split": 0.2, "split": "random"})["warnings"] == []
    answer = check(http, layers, dataset=dataset, fit={"validation_split": 0.2, "shuffle": False})
    assert pointers(answer["warnings"]) == ["/fit/shuffle", "/fit/split"]


def test_an_unknown_dataset_is_not_found(http: httpx.Client) -> None:
    body = {"definition": {"layers": TUTORIAL_LAYERS}, "dataset": "ds_nothing"}

    refused(http.post("/api/models:check", json=body), 404)


DENSE = {"type": "Dense", "units": 1}
HOSTILE: list[tuple[str, dict[str, Any], str]] = [
    *((f"units {units}", {"layers": [{"type": "Dense", "units": units}]}, "/definition/layers/0/units")
      for units in (0, -1, 1.5, True, "1.5", 10**9, 10**18)),
    ("Embedding of a billion", {"layers": [{"type": "Embedding", "input_dim": 10**9, "output_dim": 1}]}, "/definition/layers/0"),
    ("a large Embedding", {"layers": [{"type": "Embedding", "input_dim": 10**8, "output_dim": 64}]}, "/definition/layers/0"),
    ("LSTM of 1e5", {"layers": [{"type": "LSTM", "units": 10**5}], "input_shape": [4, 4]}, "/definition/layers/0"),
    ("a large LSTM", {"layers": [{"type": "LSTM", "units": 16_384}]}, "/definition/layers/0"),
    ("wide layers", {"layers": [{"type": "Dense", "units": 10**6}] * 3, "input_shape": [10**6]}, "/definition/layers/"),
    ("a huge input", {"layers": [DENSE], "input_shape": [10**6] * 3}, "/definition/layers"),
    ("UpSampling of 1e5", {"layers": [{"type": "UpSampling2D", "size": 10**5}], "input_shape": [9, 9, 1]}, "/definition/layers"),
    ("RepeatVector of 1e9", {"layers": [{"type": "RepeatVector", "n": 10**9}], "input_shape": [9]}, "/definition/layers"),
    ("many filters", {"layers": [{"type": "Conv2D", "filters": 65_536, "kernel_size": 99}] * 2, "input_shape": [999, 999, 3]},
     "/definition/layers"),
    ("1000 layers", {"layers": [DENSE] * 1000, "input_shape": [1]}, "/definition/layers"),
    ("no layers", {"layers": []}, "/definition/layers"),
    ("no definition", {}, "/definition/layers"),
    ("unknown layer", {"layers": [{"type": "Danse", "units": 1}]}, "/definition/layers/0/type"),
    ("Lambda", {"layers": [{"type": "Lambda", "function": "print"}]}, "/definition/layers/0"),
    ("TFSMLayer", {"layers": [{"type": "TFSMLayer", "filepath": "/etc/passwd"}]}, "/definition/layers/0"),
    ("a vocabulary as a path", {"layers": [{"type": "StringLookup", "vocabulary": "/etc/passwd"}]}, "/definition/layers/0"),
    ("a module", {"layers": [{"class_name": "Dense", "module": "os", "config": {"units": 1, "x": 1}}]}, "/definition/layers/0"),
    ("a kernel larger than the input", {"layers": [{"type": "Conv2D", "filters": 1, "kernel_size": 9}], "input_shape": [4, 4, 1]},
     "/definition/layers/0"),
    ("shapes that do not meet", {"layers": [DENSE, {"type": "Conv2D", "filters": 1, "kernel_size": 1}], "input_shape": [4]},
     "/definition/layers/1"),
    ("an axis that is not there", {"layers": [{"type": "BatchNormalization", "axis": 7}], "input_shape": [4]},
     "/definition/layers/0"),
    ("duplicate names", {"layers": [DENSE | {"name": "a"}] * 2}, "/definition"),
    ("a name with a path", {"layers": [DENSE | {"name": "../x"}]}, "/definition/layers/0/name"),
    ("a name with markup", {"layers": [DENSE | {"name": "<script>"}]}, "/definition/layers/0/name"),
    ("dropout 1", {"layers": [{"type": "Dropout", "rate": 1.0}]}, "/definition/layers/0/rate"),
]  # fmt: skip


@pytest.mark.parametrize(("definition", "pointer"), [pytest.param(d, p, id=what) for what, d, p in HOSTILE])
def test_a_hostile_definition_is_refused_quickly_and_without_memory(
    api: tuple[httpx.Client, psutil.Process], definition: dict[str, Any], pointer: str
) -> None:
    http, process = api
    checker = checker_of(process)
    before = checker.memory_info().rss + process.memory_info().rss
    began = time.monotonic()

    answer = accepted(http.post("/api/models:check", json={"definition": definition}))

    assert time.monotonic() - began < SECONDS
    assert checker.memory_info().rss + process.memory_info().rss - before < 100 * MEBIBYTE
    assert not answer["ok"]
    assert any(found.startswith(pointer) for found in pointers(answer["errors"])), answer["errors"]
    assert all(error["message"] for error in answer["errors"])
    assert len(json.dumps(answer)) < 200_000
    assert checker_of(process) == checker


@pytest.mark.parametrize(
    ("compiled", "pointer"),
    [
        ({"optimizer": {"type": "SGD", "learning_rate": 0}}, "/compile/optimizer/learning_rate"),
        ({"optimizer": {"type": "SGD", "learning_rate": -1}}, "/compile/optimizer/learning_rate"),
        ({"optimizer": "Adom"}, "/compile/optimizer"),
        ({"loss": "mean_squared_terror"}, "/compile/loss"),
        ({"metrics": ["acuracy"]}, "/compile/metrics/0"),
        ({"optimizer": {"type": "Adam", "clipnorm": 1.0, "clipvalue": 1.0}}, "/compile/optimizer"),
    ],
)
def test_what_cannot_be_compiled_is_told(http: httpx.Client, compiled: dict[str, Any], pointer: str) -> None:
    answer = check(http, TUTORIAL_LAYERS, [64], compile=TUTORIAL_COMPILE | compiled)

    assert not answer["ok"]
    assert any(found.startswith(pointer) for found in pointers(answer["errors"])), answer["errors"]


@pytest.mark.parametrize(
    ("body", "status"),
    [(b"", 422), (b"null", 422), (b"[]", 422), (b'{"definition": NaN}', 400), (b"{", 400), (b'{"a": 1, "a": 2}', 422)],
)
def test_a_body_that_is_no_document_is_refused(http: httpx.Client, body: bytes, status: int) -> None:
    refused(http.post("/api/models:check", content=body, headers={"Content-Type": "application/json"}), status)


def test_every_mistake_has_a_pointer_into_the_document(http: httpx.Client) -> None:
    body = {"name": "a b", "definition": {"layers": [{"type": "Dense", "unit": 1}]}, "batch_size": 0, "lossy": 1}

    answer = accepted(http.post("/api/models:check", json=body))

    assert set(pointers(answer["errors"])) >= {"/name", "/definition/layers/0/units", "/definition/layers/0/unit", "/batch_size"}
    assert "/lossy" in pointers(answer["errors"])


def test_an_oversized_model_is_not_created(http: httpx.Client) -> None:
    definition = {"layers": [{"type": "Dense", "units": 10**6}] * 2}

    problem = refused(
        http.post("/api/models", json={"name": "large", "definition": definition, "compile": TUTORIAL_COMPILE}), 422
    )

    assert pointers(problem["errors"]) == ["/definition/layers/1"]


def test_a_checker_that_dies_in_a_check_costs_only_that_check(api: tuple[httpx.Client, psutil.Process]) -> None:
    http, process = api
    checker = checker_of(process)
    checker.suspend()
    with ThreadPoolExecutor(1) as executor:
        answer = executor.submit(check, http, TUTORIAL_LAYERS, [64])
        time.sleep(CHECK_SECONDS / 3)  # until it waits for the process
        checker.kill()
        lost = answer.result()

    assert (lost["ok"], lost["built"]) == (False, False)
    assert lost["parameters"] == 2031
    assert "ended in the midst" in lost["warnings"][0]["message"]
    _warm(http)


def test_a_check_over_its_deadline_is_answered_and_the_next_one_works(api: tuple[httpx.Client, psutil.Process]) -> None:
    http, process = api
    checker_of(process).send_signal(signal.SIGSTOP)

    late = check(http, TUTORIAL_LAYERS, [64])

    assert (late["ok"], late["built"]) == (False, False)
    assert "too long" in late["warnings"][0]["message"]
    _warm(http)


def test_the_checker_ends_with_its_api(tmp_path: Path) -> None:
    with running_api(tmp_path) as (http, process):
        _warm(http)
        checker = checker_of(process)

    assert not checker.is_running()
