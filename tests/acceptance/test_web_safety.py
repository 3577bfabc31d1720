"""What a browser, a proxy and a curious reader of logs find of a running service."""

import secrets
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from tests.acceptance.client import Fitserve
from tests.acceptance.running import running_api, wait_until

PASSWORD = secrets.token_hex(8)
SETTINGS = {
    "FITSERVE_TRUSTED_HOSTS": "fitserve.example.com",
    "FITSERVE_BROKER_URL": f"redis://:{PASSWORD}@127.0.0.1:1/0",  # nobody is there
    "FITSERVE_LOG_LEVEL": "debug",
}
MODEL = {
    "name": "m",
    "definition": {"layers": [{"type": "Dense", "units": 1}]},
    "compile": {"optimizer": "SGD", "loss": "MeanSquaredError"},
}
PREDICTION = {"instances": [[0, 0]]}
EVIL = "evil.example.org"


@pytest.fixture(scope="module")
def log(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("log") / "api.log"


@pytest.fixture(scope="module")
def http(tmp_path_factory: pytest.TempPathFactory, log: Path) -> Iterator[httpx.Client]:
    with running_api(tmp_path_factory.mktemp("safety") / "data", SETTINGS, log) as (http, _):
        yield http


@pytest.mark.parametrize("path", ["/docs", "/docs/assets/swagger-ui.css", "/livez", "/api/models", "/api/models/m", "/nothing"])
def test_every_answer_tells_browsers_to_be_careful(http: httpx.Client, path: str) -> None:
    headers = http.get(path).headers

    assert headers["x-content-type-options"] == "nosniff"
    assert headers["x-frame-options"] == "DENY"
    assert headers["referrer-policy"] == "no-referrer"
    policy = headers["content-security-policy"]
    assert "default-src 'none'" in policy
    assert "frame-ancestors 'none'" in policy
    assert "script-src 'unsafe" not in policy


def test_a_request_for_another_host_is_refused_on_every_way(http: httpx.Client) -> None:
    for answer in (
        http.get("/api/models", headers={"Host": EVIL}),
        http.post("/v1/models/m:predict", json=PREDICTION, headers={"Host": EVIL}),
        http.post("/v2/models/m/infer", json=PREDICTION, headers={"Host": EVIL}),
        http.get("/docs", headers={"Host": EVIL}),
    ):
        assert answer.status_code == 400
        assert "FITSERVE_TRUSTED_HOSTS" in answer.text
    assert http.get("/api/models", headers={"Host": "fitserve.example.com"}).status_code == 200


def test_a_page_of_another_origin_creates_nothing(http: httpx.Client) -> None:
    said = {"Origin": f"https://{EVIL}", "Sec-Fetch-Site": "cross-site"}

    upload = http.post("/api/datasets", files={"file": ("a.csv", b"a,b\n1,2\n")}, headers=said)
    prediction = http.post("/v1/models/m:predict", json=PREDICTION, headers=said)

    assert (upload.status_code, prediction.status_code) == (403, 403)
    assert http.get("/api/datasets").json()["items"] == []


def test_what_a_proxy_may_forward_changes_no_address(http: httpx.Client) -> None:
    forwarded = {
        "X-Forwarded-Host": EVIL,
        "X-Forwarded-Proto": "https",
        "X-Forwarded-Prefix": "/elsewhere",
        "Forwarded": f"host={EVIL};proto=https",
    }

    created = http.post("/api/models", json=MODEL, headers=forwarded)
    root = http.get("/", headers=forwarded)
    slash = http.get("/api/models/", headers=forwarded)

    for answer in (created, root, slash):
        assert EVIL not in str(answer.headers)
        assert "elsewhere" not in str(answer.headers)
    assert created.status_code == 201


def test_a_file_name_cannot_break_out_of_a_header(http: httpx.Client) -> None:
    name = 'a"; filename="evil.html\r\nX-Evil: 1'
    dataset = http.post("/api/datasets", json={"name": name.replace("\r\n", ""), "rows": [{"a": 1}, {"a": 2}]}).json()

    headers = http.get(f"/api/datasets/{dataset['id']}/content").headers

    assert headers["content-disposition"].count('"') == 2
    assert ".html" not in headers["content-disposition"].rpartition(".parquet")[2]
    assert "x-evil" not in headers


def test_no_password_is_told_in_logs_metrics_or_errors(http: httpx.Client, log: Path) -> None:
    rows = [{"a": 1, "b": 0}, {"a": 2, "b": 1}] * 10
    dataset = http.post("/api/datasets", json={"name": "d", "rows": rows, "target": "b"}).json()
    http.post("/api/models", json=MODEL)
    run = http.post("/api/runs", json={"model": "m", "dataset": dataset["id"], "fit": {"epochs": 1}})
    told = [run.text, http.get("/readyz").text, http.get("/metrics").text, http.get(f"/api/runs/{run.json().get('id')}").text]

    assert run.status_code == 202
    assert PASSWORD not in "".join(told)
    wait_until(lambda: "doorbell.failed" in log.read_text(), 20, "a doorbell that nobody hears")
    assert PASSWORD not in log.read_text()


@pytest.fixture(scope="module")
def addresses(http: httpx.Client) -> list[str]:
    """Addresses of every kind that can be read, those of a waiting run among them."""
    fitserve = Fitserve(http)
    dataset = fitserve.upload_digits()
    run = fitserve.start(fitserve.create_model(), dataset)
    lists = [f"/api/{noun}" for noun in ("datasets", "models", "runs", "workers", "keys")]
    of_dataset = [f"/api/datasets/{dataset}{part}" for part in ("", "/rows", "/content")]
    of_run = [f"/api/runs/{run}{part}" for part in ("", "/metrics", "/logs", "/code", "/artifacts/model.keras")]
    pages = ["/", "/docs", "/docs/start.js", "/docs/assets/swagger-ui.css", "/openapi.json", "/livez", "/readyz", "/metrics"]
    return [*lists, *of_dataset, *of_run, *pages, "/api/nothing"]


def test_head_is_answered_as_get_without_a_body(http: httpx.Client, addresses: list[str]) -> None:
    changing = {"date", "x-request-id", "content-length"}
    for address in addresses:
        head, got = http.head(address), http.get(address)
        assert (head.status_code, head.content) == (got.status_code, b""), address
        assert {**head.headers, **dict.fromkeys(changing)} == {**got.headers, **dict.fromkeys(changing)}, address
        if address.endswith("/content"):
            assert int(head.headers["content-length"]) == len(got.content) > 0


def test_head_of_an_event_stream_ends_at_once(http: httpx.Client, addresses: list[str]) -> None:
    run = next(address.removesuffix("/metrics") for address in addresses if address.endswith("/metrics") and "/runs/" in address)

    for _ in range(3):
        head = http.head(f"{run}/events")
        assert (head.status_code, head.content) == (200, b"")
        assert head.headers["content-type"].startswith("text/event-stream")


def test_head_of_an_address_that_cannot_be_read_is_refused(http: httpx.Client) -> None:
    assert http.head("/api/models:check").status_code == 405
    assert http.head("/api/models/m:predict").status_code == 405


def test_the_log_says_that_it_was_head(http: httpx.Client, log: Path) -> None:
    http.head("/api/models", headers={"X-Request-ID": "head-of-models"})

    wait_until(lambda: "head-of-models" in log.read_text(), 10, "a line about the request")
    (line,) = (line for line in log.read_text().splitlines() if "head-of-models" in line)
    assert "method=HEAD" in line
    assert "route=/api/models" in line
