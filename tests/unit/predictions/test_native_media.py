"""Rows and predictions as JSON Lines and CSV."""

import asyncio
import csv
import io
import json
from typing import Any

import httpx
import pyarrow.csv
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from prometheus_client import CollectorRegistry

from service.features import words
from service.features.answers import AnswerColumn
from service.predictions.app import PredictionApp
from service.predictions.protocols.native.csv_rows import write_csv
from service.predictions.protocols.native.media import wanted_type
from tests.fakes.versions import FakeVersions
from tests.unit.predictions.apps import app_of, client_of

pytestmark = pytest.mark.anyio
PATH = "/api/models/my_model:predict"
CSV, LINES, JSON = "text/csv", "application/x-ndjson", "application/json"
PLAN: dict[str, Any] = {
    "inputs": [
        {
            "kind": "table",
            "name": "x",
            "columns": [
                {"type": "number", "column": "age", "missing": 40.0, "offset": 40.0, "divisor": 10.0, "low": 20.0, "high": 60.0},
                {"type": "category", "column": "city", "vocabulary": ["Ulm"], "encoding": "index"},
            ],
        }
    ],
    "targets": [{"output": "y0", "columns": ["=sick"], "encoding": "binary", "classes": ["no", "+yes"]}],
}


@pytest.fixture(autouse=True)
def model(versions: FakeVersions) -> None:
    versions.publish(plan=PLAN, weights=[[1.0], [1.0]], example={"rows": [[40, "Ulm"]]})


async def post(client: httpx.AsyncClient, body: str | bytes, sent: str, query: str = "", **headers: str) -> httpx.Response:
    return await client.post(PATH + query, content=body, headers={"content-type": sent} | headers)


async def test_csv_comes_back_as_csv_with_the_same_answers_as_json(client: httpx.AsyncClient) -> None:
    as_json = await client.post(PATH, json={"rows": [[50, "Ulm"], [None, None], [30.5, "Ulm"]]})
    as_csv = await post(client, "city,age\r\nUlm,50\r\n,NA\r\nUlm,30.5\r\n", CSV)

    records = list(csv.reader(io.StringIO(as_csv.text)))
    assert as_csv.headers["content-type"] == "text/csv; charset=utf-8"
    assert as_csv.headers["fitserve-model-version"] == "1"
    assert records[0] == ["label", "probability_no", "probability_+yes"]
    for record, prediction in zip(records[1:], as_json.json()["predictions"], strict=True):
        assert record[0].lstrip("'") == prediction["label"]
        assert [float(word) for word in record[1:]] == list(prediction["probabilities"].values())


async def test_a_header_is_no_row(app: PredictionApp, client: httpx.AsyncClient, registry: CollectorRegistry) -> None:
    await post(client, "age,city\n50,Ulm\n30,Ulm\n", CSV)
    app.metrics.flush()

    assert registry.get_sample_value("fitserve_prediction_rows_sum", {"model": "my_model", "version": "1"}) == 2


async def test_json_lines_come_back_as_json_lines(client: httpx.AsyncClient) -> None:
    as_json = await client.post(PATH, json={"rows": [[50, "Ulm"], [30, "Ulm"]]})
    as_lines = await post(client, '{"age": 50, "city": "Ulm"}\n\n[30, "Ulm"]', LINES)

    assert as_lines.headers["content-type"] == LINES
    assert [json.loads(line) for line in as_lines.text.splitlines()] == as_json.json()["predictions"]


@pytest.mark.parametrize(
    ("sent", "body"),
    [(JSON, '{"rows": [[50, "Ulm"]]}'), (LINES, '[50, "Ulm"]'), (CSV, "age,city\n50,Ulm\n")],
)
@pytest.mark.parametrize(
    ("accept", "wanted"),
    [
        (CSV, CSV),
        (f"{LINES};q=0.9, {CSV};q=0.1", LINES),
        ("text/*", CSV),
        (f"text/html, {JSON};q=0.5, */*;q=0.1", JSON),
    ],
)
async def test_accept_chooses_what_comes_back(client: httpx.AsyncClient, sent: str, body: str, accept: str, wanted: str) -> None:
    answer = await post(client, body, sent, accept=accept)

    assert answer.status_code == 200
    assert answer.headers["content-type"].startswith(wanted)


@pytest.mark.parametrize("accept", ["", "*/*", "application/*;q=nonsense, */*"])
def test_who_takes_anything_gets_what_it_has_sent(accept: str) -> None:
    assert wanted_type(accept, "text/csv") == "text/csv"


@pytest.mark.parametrize("accept", ["image/png", f"{JSON};q=0, {CSV};q=0"])
async def test_who_takes_nothing_of_this_gets_a_406(client: httpx.AsyncClient, accept: str) -> None:
    answer = await post(client, '{"rows": [[50, "Ulm"]]}', JSON, accept=accept)

    assert (answer.status_code, answer.headers["content-type"]) == (406, "application/problem+json")


async def test_warnings_come_in_a_header(client: httpx.AsyncClient) -> None:
    answer = await post(client, "age,city,pet\n50,Zürich,cat\n", CSV)

    warnings = json.loads(answer.headers["fitserve-warnings"])
    assert warnings[0] == "'pet' is no column of this model and was ignored."
    assert "'Zürich' was not seen" in warnings[1]


@pytest.mark.parametrize("query", ["?version=1", "?alias=production"])
async def test_the_query_names_the_version(client: httpx.AsyncClient, versions: FakeVersions, query: str) -> None:
    versions.publish(plan=PLAN, weights=[[1.0], [1.0]], example={"rows": [[40, "Ulm"]]})
    versions.aliases["my_model", "production"] = 1

    answer = await post(client, "age,city\n50,Ulm\n", CSV, query)

    assert answer.headers["fitserve-model-version"] == "1"


@pytest.mark.parametrize(
    "body",
    [
        "age;city\n50,5;Ulm\n30,25;Ulm\n",
        "\ufeffage\tcity\n50.5\tUlm\n30.25\tUlm\n",
        '"age","city"\r\n"50.5","Ulm"\r\n"30.25",Ulm',
    ],
    ids=["semicolons and decimal commas", "tabs and a byte order mark", "quotes and no last line end"],
)
async def test_csv_of_other_dialects_is_understood_as_uploads_are(client: httpx.AsyncClient, body: str) -> None:
    as_json = await client.post(PATH, json={"rows": [[50.5, "Ulm"], [30.25, "Ulm"]]})
    answer = await post(client, body.encode(), CSV, accept=JSON)

    assert answer.json()["predictions"] == as_json.json()["predictions"]


async def test_csv_for_an_array_may_have_a_header_or_none(client: httpx.AsyncClient, versions: FakeVersions) -> None:
    versions.publish("pairs")
    path = "/api/models/pairs:predict"

    bodies = ["a,b\n1,2\n3,4\n", "1,2\n3,4\n"]
    answers = [await client.post(path, content=body, headers={"content-type": CSV}) for body in bodies]

    assert answers[0].text == answers[1].text
    assert answers[0].text.startswith("value\r\n0.99")


async def test_csv_for_an_array_is_refused_where_it_is_wider_than_the_array(
    client: httpx.AsyncClient, versions: FakeVersions
) -> None:
    versions.publish("pairs")
    answer = await client.post("/api/models/pairs:predict", content="1,2,3\n", headers={"content-type": CSV})

    assert answer.status_code == 422
    assert answer.json()["errors"][0] == {
        "pointer": "line 1",
        "message": "There are too many cells.",
        "received": "3",
        "expected": "2",
        "fix": None,
    }


@pytest.mark.parametrize(
    ("body", "status", "pointer"),
    [
        ("", 422, "line 1"),
        ("\n\n", 422, "line 1"),
        ("age,city\n", 422, "line 2"),
        ("age,city\n50\n", 422, "line 2"),
        ("age,city\n50,Ulm,1\n", 422, "line 2"),
        ("age,age\n1,2\n", 422, "line 1"),
        pytest.param(
            ",".join(f"c{place}" for place in range(9000)) + ",c8999\n" + ",".join("1" * 9001), 422, "line 1", id="late"
        ),
        pytest.param("a," * 10_000 + "b\n" + "1," * 10_000 + "1\n", 422, "line 1", id="wide"),
        ("city\nUlm\n", 422, ""),
        ('age,city\n1,"a\nb"\nold,Ulm\n', 422, "line 4, column 'age'"),
        ("age,city\n1e400,Ulm\n", 422, "line 2, column 'age'"),
        ("age,city\n1_000,Ulm\n", 422, "line 2, column 'age'"),
        ('age,city\n1,"Ulm\n', 400, None),
        (b"age,city\n1,\xff\n", 400, None),
        ("age,city\n" + "1,Ulm\n" * 1001, 422, "line 1002"),
    ],
)
async def test_a_mistake_in_csv_names_its_line(
    client: httpx.AsyncClient, body: str | bytes, status: int, pointer: str | None
) -> None:
    answer = await post(client, body, CSV)

    assert answer.status_code == status
    if pointer is not None:
        assert answer.json()["errors"][0]["pointer"] == pointer


@pytest.mark.parametrize(
    ("body", "status"),
    [
        ("", 422),
        ('[50, "Ulm"]\n[50,', 400),
        ('[1, "Ulm"],[2, "Ulm"]', 400),
        ("[1\n, 2]", 400),
        ('{"age": 1, "age": 2, "city": "Ulm"}', 422),
        ('{"age": NaN, "city": "Ulm"}', 400),
        (b"\xff", 400),
        ("[" * 100_000, 400),
        ("[" * 100 + "]" * 100, 422),
        ("5", 422),
        ("null", 422),
        ('[1, "\\u0000"]', 422),
    ],
)
async def test_a_mistake_in_json_lines_is_refused(client: httpx.AsyncClient, body: str | bytes, status: int) -> None:
    answer = await post(client, body, LINES)

    assert (answer.status_code, answer.headers["content-type"]) == (status, "application/problem+json")


@pytest.mark.parametrize(
    "query",
    ["?version=0", "?version=x", "?alias=%3Cb%3E", "?version=1&alias=a", "?other=1", "?version", "?" + "a=1&" * 50, "?%ff=1"],
)
async def test_a_query_that_names_no_version_is_refused(client: httpx.AsyncClient, query: str) -> None:
    answer = await post(client, "age,city\n50,Ulm\n", CSV, query)

    assert answer.status_code == 422
    assert answer.json()["errors"][0]["pointer"].startswith("?")


async def test_with_json_the_version_stands_in_the_query_or_in_the_body_but_not_in_both(
    client: httpx.AsyncClient, versions: FakeVersions
) -> None:
    versions.publish(plan=PLAN, weights=[[1.0], [1.0]], example={"rows": [[40, "Ulm"]]})

    answer = await post(client, '{"rows": [[50, "Ulm"]]}', JSON, "?version=1")
    twice = await post(client, '{"rows": [[50, "Ulm"]], "version": 1}', JSON, "?version=1")

    assert answer.json()["version"] == 1
    assert (twice.status_code, twice.json()["errors"][0]["pointer"]) == (422, "?version")


@pytest.mark.parametrize("sent", ["", "text/plain", "application/xml", "multipart/form-data"])
async def test_other_types_are_a_415_that_lists_what_is_read(client: httpx.AsyncClient, sent: str) -> None:
    answer = await post(client, "age,city\n50,Ulm\n", sent)

    assert answer.status_code == 415
    assert "text/csv" in answer.json()["detail"]


@settings(max_examples=200, deadline=None)
@given(
    sent=st.sampled_from([CSV, LINES, JSON]),
    start=st.sampled_from(["", "age,city\n", '{"rows": ', '{"age": ']),
    body=st.text(alphabet=st.sampled_from("agecityUlm0123456789.-+eE,;\t\n\r\"'\\{}[]: "), max_size=60) | st.text(max_size=30),
)
def test_no_body_is_more_than_a_mistake_of_its_client(sent: str, start: str, body: str) -> None:
    versions = FakeVersions()
    versions.publish(plan=PLAN, weights=[[1.0], [1.0]], example={"rows": [[40, "Ulm"]]})

    async def ask() -> int:
        async with client_of(app_of(versions)) as client:
            return (await post(client, (start + body).encode("utf-8", "replace"), sent)).status_code

    assert asyncio.run(ask()) in (200, 400, 422)


def test_no_text_of_an_answer_begins_like_a_formula() -> None:
    labels = AnswerColumn("=label", pyarrow.array([0, 1]).to_numpy(), ["=1+1", -3])
    several = AnswerColumn("labels", pyarrow.array([1, 0]).to_numpy().reshape(2, 1).astype(bool), ["@cmd"])

    assert write_csv([labels, several]) == b'\'=label,labels\r\n\'=1+1,"[""@cmd""]"\r\n-3,[]\r\n'


def test_what_stands_for_no_value_is_the_same_as_in_uploads() -> None:
    assert frozenset(pyarrow.csv.ConvertOptions().null_values) == words.MISSING
