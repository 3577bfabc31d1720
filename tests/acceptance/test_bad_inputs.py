"""Whatever is sent, the answer is a clear 4xx soon, and the service is well afterwards."""

import json
import re
import time
from dataclasses import dataclass, field
from typing import Any

import pytest

from tests.acceptance.client import DIGITS, TUTORIAL_COMPILE, TUTORIAL_LAYERS, Fitserve, accepted, refused
from tests.acceptance.running import RunningService
from tests.graphs import dense, graph, joined

SECONDS = 3.0
"""Longest time that a refusal may take. On an idle machine it takes less than one; other work may slow it down."""
MODEL = {"name": "bad-input", "definition": {"layers": TUTORIAL_LAYERS}, "compile": TUTORIAL_COMPILE}
JSON = {"Content-Type": "application/json"}
BOUNDARY = "multipart/form-data; boundary=edge"
HOST_DETAILS = re.compile(r"Traceback|File \"|site-packages|/service/|\.py\b|/tmp/|/home/|sqlalchemy|psycopg", re.IGNORECASE)


@dataclass(frozen=True)
class Request:
    """A request and how it must be refused."""

    what: str
    path: str
    body: bytes = b""
    status: int = 422
    pointer: str | None = None
    message: str = ""
    """What the answer must say somewhere."""
    method: str = "POST"
    headers: dict[str, str] = field(default_factory=lambda: dict(JSON))


def model_text(what: str, body: bytes | str, status: int = 422, pointer: str | None = None, message: str = "") -> Request:
    """A text that is no model."""
    return Request(what, "/api/models", body.encode() if isinstance(body, str) else body, status, pointer, message)


def layer(what: str, layer: dict[str, Any], pointer: str | None = None, message: str = "") -> Request:
    """A model with one impossible layer."""
    body = MODEL | {"definition": {"layers": [layer, {"type": "Dense", "units": 1}]}}
    return Request(what, "/api/models", json.dumps(body).encode(), 422, pointer, message)


def functional(what: str, layers: list[dict[str, Any]], pointer: str, message: str = "", output: str = "h") -> Request:
    """A functional model that does not hang together."""
    definition = graph([{"name": "a", "shape": [4]}], layers, output)
    return Request(what, "/api/models", json.dumps(MODEL | {"definition": definition}).encode(), 422, pointer, message)


def imported(what: str, document: Any, pointer: str, message: str = "") -> Request:
    """Keras's own JSON that cannot be taken over."""
    return Request(what, "/api/models", json.dumps(MODEL | {"definition": {"keras": document}}).encode(), 422, pointer, message)


def compiled(what: str, pointer: str | None = None, message: str = "", **changes: Any) -> Request:
    """A model that cannot be compiled."""
    body = json.dumps(MODEL | {"compile": TUTORIAL_COMPILE | changes}).encode()
    return Request(what, "/api/models", body, 422, pointer, message)


def named(what: str, name: Any) -> Request:
    """A model with an impossible name."""
    return Request(what, "/api/models", json.dumps(MODEL | {"name": name}).encode(), 422, "/name")


def form(content: bytes, target: str = "", file_name: str = "data.csv") -> bytes:
    """A multipart body with a file."""
    parts = [
        f'--edge\r\nContent-Disposition: form-data; name="target"\r\n\r\n{target}\r\n'.encode() if target else b"",
        f'--edge\r\nContent-Disposition: form-data; name="file"; filename="{file_name}"\r\n\r\n'.encode() + content,
        b"\r\n--edge--\r\n",
    ]
    return b"".join(parts)


def upload(what: str, body: bytes, status: int = 422, message: str = "", content_type: str = BOUNDARY) -> Request:
    """A file that is no dataset."""
    return Request(what, "/api/datasets", body, status, None, message, headers={"Content-Type": content_type})


def get(what: str, path: str, status: int = 422, pointer: str | None = None, method: str = "GET") -> Request:
    """A request without a body."""
    return Request(what, path, b"", status, pointer, method=method, headers={})


DEFINITION = "/definition/layers/0"
LAYERS_TEXT = json.dumps(TUTORIAL_LAYERS)
REQUESTS = [
    # Any JSON
    model_text("empty body", b""),
    model_text("null", "null"),
    model_text("a list", "[]"),
    model_text("trailing garbage", json.dumps(MODEL) + "x", 400),
    model_text("NaN", '{"name": NaN}', 400),
    model_text("infinity", '{"name": -Infinity}', 400),
    model_text("a number beyond a double", json.dumps(MODEL).replace("0.5", "1e999"), 400),
    model_text("a number of 5000 digits", json.dumps(MODEL).replace("25", "9" * 5000), 400),
    model_text("a duplicate key", '{"name": "a", "name": "b"}', 422, message="name"),
    model_text("a lone surrogate", '{"name": "\\ud800"}', 400),
    model_text("a lone surrogate in a key", '{"\\udc00": 1}', 400),
    model_text("bytes that are not UTF-8", b'{"name": "\xff\xfe"}', 400),
    model_text("UTF-16", json.dumps(MODEL).encode("utf-16"), 400),
    model_text("nesting of 500", "[" * 500 + "]" * 500, 422),
    model_text("nesting of 100000", "[" * 100_000 + "]" * 100_000, 400),
    model_text("open nesting of 100000", '{"a":' * 100_000, 400),
    model_text("unknown field", json.dumps(MODEL | {"lossy": 1}), 422, "/lossy"),
    model_text("missing field", json.dumps({"name": "bad-input"}), 422, "/definition"),
    model_text("a large value of the wrong type", json.dumps(MODEL | {"name": ["x" * 1000] * 1000}), 422, "/name"),
    model_text("a thousand mistakes", json.dumps(MODEL | {f"field_{n}": n for n in range(1000)}), 422),
    model_text("a body over the limit", b'"' + b"x" * (9 * 1024 * 1024) + b'"', 413),
    Request("text as content type", "/api/models", json.dumps(MODEL).encode(), 415, headers={"Content-Type": "text/plain"}),
    Request("no content type", "/api/models", json.dumps(MODEL).encode(), 415, headers={}),
    Request("gzip", "/api/models", b"\x1f\x8b\x08", 415, headers=JSON | {"Content-Encoding": "gzip"}),
    # Models
    layer("units 0", {"type": "Dense", "units": 0}, f"{DEFINITION}/units"),
    layer("units -1", {"type": "Dense", "units": -1}, f"{DEFINITION}/units"),
    layer("units 1.5", {"type": "Dense", "units": 1.5}, f"{DEFINITION}/units"),
    layer("units true", {"type": "Dense", "units": True}, f"{DEFINITION}/units"),
    layer("units as text", {"type": "Dense", "units": "1.5"}, f"{DEFINITION}/units"),
    layer("units 1e9", {"type": "Dense", "units": 10**9}, f"{DEFINITION}/units"),
    layer("units 1e18", {"type": "Dense", "units": 10**18}, f"{DEFINITION}/units"),
    layer("unknown layer", {"type": "Danse", "units": 1}, DEFINITION, "Did you mean 'Dense'"),
    layer("a layer that runs code", {"type": "Lambda", "function": "print"}, DEFINITION),
    layer("a module", {"class_name": "Dense", "module": "os", "config": {"units": 1, "code": "x"}}, DEFINITION),
    layer("unknown argument", {"type": "Dense", "units": 1, "unit": 1}, f"{DEFINITION}/unit"),
    layer("dropout 1", {"type": "Dropout", "rate": 1.0}, f"{DEFINITION}/rate"),
    layer("layer name with a slash", {"type": "Dense", "units": 1, "name": "../x"}, f"{DEFINITION}/name"),
    model_text("no layers", json.dumps(MODEL | {"definition": {"layers": []}}), 422, "/definition/layers"),
    model_text("1000 layers", json.dumps(MODEL | {"definition": {"layers": TUTORIAL_LAYERS * 400}}), 422),
    model_text(
        "duplicate layer names",
        json.dumps(MODEL | {"definition": {"layers": TUTORIAL_LAYERS * 2}}),
        422,
        "/definition",
        "layer1",
    ),
    functional("a cycle", [dense("h", ["g"]), dense("g", ["h"])], "/definition/layers/0/inbound", "round in a circle"),
    functional("a missing inbound name", [dense("h", ["b"])], "/definition/layers/0/inbound", "Known names: a, h"),
    functional("no inbound", [{"type": "Dense", "units": 1, "name": "h"}], "/definition/layers/0", "takes 1 input"),
    functional("an inbound of another type", [dense("h", [5])], "/definition/layers/0/inbound/0"),
    functional("100 inbound names", [joined("Add", "h", *["a"] * 100)], "/definition/layers/0/inbound"),
    functional("a layer named like an input", [dense("a", ["a"])], "/definition/layers/0/name", "named 'a' too", "a"),
    functional("an output that is missing", [dense("h", ["a"])], "/definition/outputs/0", "no layer or input 'g'", "g"),
    functional("shapes that do not meet", [dense("g", ["a"], 3), dense("h", ["g", "a"])], "/definition/layers/1/inbound"),
    functional(
        "outputs without end",
        [joined("Concatenate", "l0", *["a"] * 64), *(joined("Concatenate", f"l{n}", *[f"l{n - 1}"] * 64) for n in range(1, 9))],
        "/definition/layers",
        "outputs of all layers",
        "l8",
    ),
    imported("Keras's JSON that is none", "{", "/definition/keras", "not JSON"),
    imported("Keras's JSON of a layer", {"class_name": "Dense", "config": {"units": 1}}, "/definition/keras", "functional model"),
    imported(
        "Keras's JSON with code",
        {"class_name": "Sequential", "config": {"layers": [{"class_name": "Lambda", "module": "keras.layers", "config": {}}]}},
        "/definition/keras/config/layers/0/type",
    ),
    imported(
        "Keras's JSON with a path",
        {
            "class_name": "Sequential",
            "config": {"layers": [{"class_name": "StringLookup", "config": {"vocabulary": "/etc/passwd"}}]},
        },
        "/definition/keras/config/layers/0/type",
    ),
    compiled("a loss of an output that is none", "/compile/loss/x", "no output 'x'", loss={"x": "mse"}),
    compiled("losses in a list", "/compile/loss", loss=["mse"]),
    compiled("a weight of an output below 0", "/compile/loss_weights/x", loss_weights={"x": -1}),
    compiled("learning rate 0", "/compile/optimizer/learning_rate", optimizer={"type": "SGD", "learning_rate": 0}),
    compiled("learning rate -1", "/compile/optimizer/learning_rate", optimizer={"type": "SGD", "learning_rate": -1}),
    compiled("learning rate true", "/compile/optimizer/learning_rate", optimizer={"type": "SGD", "learning_rate": True}),
    compiled("unknown optimizer", "/compile/optimizer", "Did you mean 'Adam'", optimizer="Adom"),
    compiled("unknown loss", "/compile/loss", loss="mean_squared_terror"),
    compiled("unknown metric", "/compile/metrics/0", metrics=["acuracy"]),
    named("name with a path", "../x"),
    named("name with markup", "<script>"),
    model_text("name with NUL", json.dumps(MODEL | {"name": "a\u0000b"}), 422, message="zero"),
    named("empty name", ""),
    named("long name", "x" * 64),
    named("name with a line end", "name\n"),
    named("name as a number", 1),
    # Datasets
    upload("no boundary", form(b"a,b\n1,2\n"), 400, content_type="multipart/form-data"),
    upload("truncated upload", form(b"a,b\n1,2\n")[:-20]),
    upload("no file", b'--edge\r\nContent-Disposition: form-data; name="name"\r\n\r\nx\r\n--edge--\r\n'),
    upload("2000 parts", b'--edge\r\nContent-Disposition: form-data; name="x"\r\n\r\nx\r\n' * 2000 + b"--edge--\r\n"),
    upload("empty file", form(b"")),
    upload("header only", form(b"a,b\n")),
    upload("ragged rows", form(b"a,b\n1,2\n3\n4,5,6\n")),
    upload("duplicate columns", form(b"a,a\n1,2\n"), message="a"),
    upload("a number beyond a double", form(b"a,b\n1e400,2\n1,2\n")),
    upload("latin-1", form("name,b\nJos\u00e9,2\n".encode("latin-1"))),
    upload("UTF-16", form("a,b\n1,2\n".encode("utf-16"))),
    upload("NUL in a cell", form(b"a,b\nx\x00y,2\n")),
    upload("open quote", form(b'a,b\n"1,2\n' + b"3,4\n" * 10_000)),
    upload("no gzip", form(b"\x1f\x8b\x08\x00garbage", file_name="data.csv.gz"), 400),
    upload("target that is missing", form(b"a,b\n1,2\n", target="c"), message="c"),
    upload("300000 columns", form(b",".join(b"c%d" % n for n in range(300_000)) + b"\n"), 422),
    upload("no type at all", b"a,b\n1,2\n", 415, content_type="text/csv"),
    Request("no rows", "/api/datasets", b'{"name": "x", "rows": []}', 422, "/rows"),
    Request("a nested cell", "/api/datasets", b'{"name": "x", "rows": [{"a": {"b": 1}}]}'),
    Request("ragged arrays", "/api/datasets", b'{"name": "x", "x": [[1, 2], [3]], "y": [0, 1]}'),
    Request("arrays of text", "/api/datasets", b'{"name": "x", "x": [["a"], ["b"]], "y": [0, 1]}'),
    Request("arrays of different length", "/api/datasets", b'{"name": "x", "x": [[1], [2]], "y": [0]}'),
    Request("neither rows nor arrays", "/api/datasets", b'{"name": "x"}'),
    # Lists, paths and headers
    get("page_size -1", "/api/runs?page_size=-1", pointer="?page_size"),
    get("page_size 0", "/api/runs?page_size=0", pointer="?page_size"),
    get("page_size 1e20", "/api/runs?page_size=100000000000000000000", pointer="?page_size"),
    get("page_size as text", "/api/datasets?page_size=ten", pointer="?page_size"),
    get("injected order", "/api/runs?order_by=id;drop%20table%20runs", pointer="?order_by"),
    get("a column that is no order", "/api/runs?order_by=idempotency_key", pointer="?order_by"),
    get("garbage as token", "/api/runs?page_token=garbage", pointer="?page_token"),
    get("bytes as token", "/api/runs?page_token=%ff%fe", pointer="?page_token"),
    get("a huge token", f"/api/runs?page_token={'A' * 5000}"),
    get("garbage as token of rows", "/api/models?page_token=W10", pointer="?page_token"),
    get("unknown state", "/api/runs?state=sleeping", pointer="?state"),
    get("NUL in a filter", "/api/runs?tag=a%00b", 400),
    get("NUL in an id", "/api/runs/run_%00", 400),
    get("unknown run", "/api/runs/run_1", 404),
    get("unknown dataset", "/api/datasets/ds_1", 404),
    get("unknown model", "/api/models/nothing", 404),
    get("a path that climbs", "/api/models/%252e%252e", 404),
    get("unknown path", "/api/nothing", 404),
    get("wrong method", "/api/runs", 405, method="PATCH"),
    get("wrong method of predict", "/api/models/x:predict", 405, method="DELETE"),
]


@pytest.mark.parametrize("request_", REQUESTS, ids=lambda request: f"{request.path.split('?')[0][5:]}: {request.what}")
def test_it_is_refused_clearly_and_quickly(fitserve: Fitserve, request_: Request) -> None:
    began = time.monotonic()
    response = fitserve.http.request(request_.method, request_.path, content=request_.body, headers=request_.headers)
    seconds = time.monotonic() - began
    problem = refused(response, request_.status)
    assert seconds < SECONDS
    assert len(response.content) < 100_000, "the input is not echoed"
    assert not HOST_DETAILS.search(response.text)
    assert request_.message in response.text
    if request_.pointer is not None:
        pointers = [error["pointer"] for error in problem["errors"]]
        assert any(pointer.startswith(request_.pointer) for pointer in pointers), pointers
    assert fitserve.http.get("/livez").status_code == 200


@pytest.fixture(scope="module")
def valid_run(running: RunningService) -> dict[str, Any]:
    """A request for a run that would be accepted."""
    fitserve = Fitserve(running.http)
    return {"model": fitserve.create_model(), "dataset": fitserve.upload_digits(), "fit": {"epochs": 1}}


@pytest.mark.parametrize(
    ("changes", "status", "pointer"),
    [
        pytest.param({"fit": {"epochs": 10**12}}, 422, "/fit/epochs", id="epochs 1e12"),
        pytest.param({"fit": {"epochs": 0}}, 422, "/fit/epochs", id="epochs 0"),
        pytest.param({"fit": {"batch_size": 0}}, 422, "/fit/batch_size", id="batch size 0"),
        pytest.param({"fit": {"batch_size": 10_000}}, 422, "/fit/batch_size", id="batch larger than the data"),
        pytest.param({"fit": {"validation_split": 1}}, 422, "/fit/validation_split", id="nothing to train on"),
        pytest.param({"fit": {"validation_split": 0.9999}}, 422, "/fit/validation_split", id="less than a row to train on"),
        pytest.param({"fit": {"verbose": 1}}, 422, "/fit/verbose", id="unknown argument of fit"),
        pytest.param({"target": "nothing"}, 422, "/target", id="target that is missing"),
        pytest.param({"features": {"columns": {"nothing": "number"}}}, 422, "/features/columns/nothing", id="unknown feature"),
        pytest.param({"seed": -1}, 422, "/seed", id="seed -1"),
        pytest.param({"seed": 10**20}, None, "/seed", id="seed 1e20"),
        pytest.param({"priority": 10**6}, 422, "/priority", id="priority 1e6"),
        pytest.param({"tags": ["a b"]}, 422, "/tags/0", id="tag with a space"),
        pytest.param({"tags": ["x"] * 21}, 422, "/tags", id="too many tags"),
        pytest.param({"timeout_seconds": 0}, 422, "/timeout_seconds", id="no time"),
        pytest.param({"revision": 99}, 404, None, id="unknown revision"),
        pytest.param({"model": "nothing"}, 404, None, id="unknown model"),
        pytest.param({"dataset": "ds_nothing"}, 404, None, id="unknown dataset"),
        pytest.param({"dataset": "ds_\u0000"}, None, None, id="NUL in an id"),
    ],
)
def test_an_impossible_run_is_refused(
    fitserve: Fitserve, valid_run: dict[str, Any], changes: dict[str, Any], status: int | None, pointer: str | None
) -> None:
    response = fitserve.http.post("/api/runs", json=valid_run | changes)
    # Numbers beyond 64 bits may be refused by the parser already, and characters that no id has by the look-up.
    problem = refused(response, status or response.status_code)
    assert 400 <= response.status_code < 500
    if pointer is not None and response.status_code == 422:
        assert any(error["pointer"].startswith(pointer) for error in problem["errors"]), problem["errors"]


@pytest.mark.parametrize(
    "headers",
    [
        pytest.param({"Idempotency-Key": "x" * 256}, id="key that is too long"),
        pytest.param({"Idempotency-Key": "a b"}, id="key with a space"),
        pytest.param({"Idempotency-Key": ""}, id="empty key"),
    ],
)
def test_an_impossible_header_is_refused(fitserve: Fitserve, valid_run: dict[str, Any], headers: dict[str, str]) -> None:
    refused(fitserve.http.post("/api/runs", json=valid_run, headers=headers), 422)


@pytest.mark.parametrize(
    ("rows", "pointer"),
    [
        pytest.param([], "/rows", id="no rows"),
        pytest.param([[0] * 63], "/rows/0", id="too few columns"),
        pytest.param([[0] * 64, [0] * 65], "/rows/1", id="ragged"),
        pytest.param([["x"] + [0] * 63], "/rows/0", id="text for a number"),
        pytest.param([{"nothing": 1}], "/rows/0", id="unknown column"),
        pytest.param(5, "/rows", id="no list"),
        pytest.param([5], "/rows/0", id="row that is no row"),
    ],
)
def test_impossible_rows_are_refused(fitserve: Fitserve, published: str, rows: Any, pointer: str) -> None:
    response = fitserve.http.post(f"/api/models/{published}:predict", json={"rows": rows})
    assert refused(response, 422)["errors"][0]["pointer"].startswith(pointer)
    in_v1 = fitserve.http.post(f"/v1/models/{published}:predict", json={"instances": rows})
    assert in_v1.status_code == 400
    assert list(in_v1.json()) == ["error"]
    assert not HOST_DETAILS.search(in_v1.text)


@pytest.fixture(scope="module")
def published(running: RunningService, valid_run: dict[str, Any]) -> str:
    """A model that answers predictions."""
    fitserve = Fitserve(running.http)
    fitserve.succeeded(fitserve.start(valid_run["model"], valid_run["dataset"], valid_run["fit"]))
    return str(valid_run["model"])


def test_a_model_that_has_learnt_nothing_cannot_predict(fitserve: Fitserve) -> None:
    refused(fitserve.http.post(f"/api/models/{fitserve.create_model()}:predict", json={"rows": [[0] * 64]}), 404)


def test_a_file_name_cannot_leave_its_folder(fitserve: Fitserve, running: RunningService) -> None:
    files = {"file": ("../../../etc/passwd", DIGITS.read_bytes(), "text/csv")}
    dataset = accepted(fitserve.http.post("/api/datasets", files=files), 201)
    assert "/" not in dataset["name"]
    assert not list(running.data_dir.parent.rglob("passwd"))


def test_after_all_that_nothing_bad_was_stored(fitserve: Fitserve) -> None:
    refused(fitserve.http.get("/api/models/bad-input"), 404)
    assert accepted(fitserve.http.get("/readyz"))["ready"]
