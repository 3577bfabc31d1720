"""What a browser, a proxy and a curious reader of logs find of a running service."""

import secrets
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

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
