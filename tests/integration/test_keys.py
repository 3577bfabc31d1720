"""Keys over HTTP, on a real database."""

from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest
from httpx_sse import connect_sse
from sqlalchemy import text

from service.infra.database import Database
from tests.acceptance.running import wait_until
from tests.factories import bearer, make_key, queue_run

PREDICTION_PATHS = ["/v1/models/m:predict", "/v2/models/m/infer", "/api/models/m:predict"]
TENSORS = {"inputs": [{"name": "x", "shape": [1, 1], "datatype": "FP32", "data": [0]}]}
BODIES: dict[str, Any] = {"/v1/models/m:predict": {"instances": [[0]]}, "/v2/models/m/infer": TENSORS}


def make(http: httpx.Client, key: str, **fields: Any) -> dict[str, Any]:
    """A new key, made by the owner of another."""
    answer = http.post("/api/keys", json={"name": "made", **fields}, headers=bearer(key))
    assert answer.status_code == 201, answer.text
    document: dict[str, Any] = answer.json()
    return document


@pytest.fixture
def admin(database: Database) -> str:
    return make_key(database, "default")


def test_without_any_key_everybody_may_do_everything(http: httpx.Client) -> None:
    assert http.get("/api/runs").status_code == 200
    assert http.get("/api/keys").json() == {"items": [], "next_page_token": None}


def test_from_the_first_key_on_every_request_needs_one(http: httpx.Client) -> None:
    key = http.post("/api/keys", json={"name": "first", "scopes": ["admin"]}).raise_for_status().json()["key"]

    wait_until(lambda: http.get("/api/runs").status_code == 401, 10, "a request without a key refused")
    assert http.get("/api/runs", headers=bearer(key)).status_code == 200
    assert http.get("/api/runs", headers={"X-API-Key": key}).status_code == 200


def test_revoking_the_last_key_does_not_open_the_service(http: httpx.Client, admin: str) -> None:
    key_id = http.get("/api/keys", headers=bearer(admin)).json()["items"][0]["id"]
    http.delete(f"/api/keys/{key_id}", headers=bearer(admin)).raise_for_status()

    wait_until(lambda: http.get("/api/runs", headers=bearer(admin)).status_code == 401, 10, "the revoked key refused")
    assert http.get("/api/runs").status_code == 401


@pytest.mark.parametrize("path", ["/api/runs", "/api/no/such/path", "/api/runs/run_1/events", "/api/datasets/ds_1/content"])
def test_a_request_without_a_valid_key_is_told_how_to_send_one(http: httpx.Client, admin: str, path: str) -> None:
    without, unknown = http.get(path), http.get(path, headers=bearer(admin[:-4] + "AAAA"))

    assert without.status_code == unknown.status_code == 401
    assert without.headers["www-authenticate"] == 'Bearer realm="fitserve"'
    assert without.headers["content-type"] == "application/problem+json"
    assert without.json()["detail"] == unknown.json()["detail"]
    assert "X-API-Key" in without.json()["detail"]


@pytest.mark.parametrize("path", PREDICTION_PATHS)
def test_predictions_need_a_key_too_and_refuse_in_the_form_of_their_protocol(http: httpx.Client, admin: str, path: str) -> None:
    body = BODIES.get(path, {"rows": [[0]]})
    answer = http.post(path, json=body)

    assert answer.status_code == 401
    assert answer.headers["www-authenticate"] == 'Bearer realm="fitserve"'
    said = answer.json()["detail"] if path.startswith("/api") else answer.json()["error"]
    assert said.startswith("This needs a valid API key.")
    assert http.post(path, json=body, headers={"X-API-Key": admin}).status_code == 404


def test_a_key_without_the_scope_is_told_which_one_it_needs(http: httpx.Client, admin: str) -> None:
    reader = bearer(make(http, admin, scopes=["read"])["key"])

    assert http.get("/api/runs", headers=reader).status_code == 200
    refused = http.post("/api/runs", json={}, headers=reader)
    assert (refused.status_code, refused.json()["title"]) == (403, "Forbidden")
    assert "'train'" in refused.json()["detail"]
    assert "'admin'" in http.get("/api/keys", headers=reader).json()["detail"]
    assert "'predict'" in http.post("/v1/models/m:predict", json={"instances": [[0]]}, headers=reader).json()["error"]
    assert "'predict'" in http.post("/v2/models/m/infer", json={}, headers=reader).json()["error"]


def test_an_unauthenticated_upload_is_refused_whatever_its_body(http: httpx.Client, admin: str) -> None:
    assert http.post("/api/datasets", content=b"no form", headers={"content-type": "text/plain"}).status_code == 401


@pytest.mark.usefixtures("admin")
@pytest.mark.parametrize("path", ["/livez", "/readyz", "/docs", "/v2/health/live", "/v2/health/ready"])
def test_probes_and_the_page_need_no_key(http: httpx.Client, path: str) -> None:
    assert http.get(path).status_code == 200


def test_metrics_are_for_admins_of_the_default_workspace(http: httpx.Client, database: Database, admin: str) -> None:
    other = make_key(database, "others")

    assert http.get("/metrics").status_code == 401
    assert http.get("/metrics", headers=bearer(other)).status_code == 403
    assert http.get("/metrics", headers=bearer(admin)).status_code == 200


def test_a_key_is_shown_once_and_listed_without_its_secret(http: httpx.Client, admin: str) -> None:
    made = make(http, admin, scopes=["predict"])
    read = http.get(f"/api/keys/{made['id']}", headers=bearer(admin))

    assert read.json() == {name: value for name, value in made.items() if name != "key"}
    secret = made["key"].removeprefix(made["prefix"])
    assert secret not in read.text + http.get("/api/keys", headers=bearer(admin)).text


def test_the_database_does_not_hold_the_secret(http: httpx.Client, admin: str, database: Database) -> None:
    made = make(http, admin)
    secret = made["key"].removeprefix(made["prefix"])

    with database.read() as session:
        stored = [str(row) for row in session.execute(text("SELECT * FROM api_keys"))]
    assert any(made["prefix"] in row for row in stored)
    assert not any(secret.strip("_") in row for row in stored)


def test_an_expired_key_opens_nothing(http: httpx.Client, admin: str) -> None:
    expiry = datetime.now(UTC) + timedelta(seconds=5)
    made = bearer(make(http, admin, expires_at=expiry.isoformat())["key"])

    assert http.get("/api/runs", headers=made).status_code == 200
    wait_until(lambda: http.get("/api/runs", headers=made).status_code == 401, 10, "the expired key refused")


@pytest.mark.parametrize("moment", ["2020-01-01T00:00:00Z", "2099-01-01T00:00:00", "soon"])
def test_an_expiry_that_is_no_time_in_the_future_is_refused(http: httpx.Client, admin: str, moment: str) -> None:
    answer = http.post("/api/keys", json={"name": "made", "expires_at": moment}, headers=bearer(admin))

    assert answer.status_code == 422
    assert answer.json()["errors"][0]["pointer"] == "/expires_at"


def test_the_last_use_of_a_key_is_remembered(http: httpx.Client, admin: str) -> None:
    made = make(http, admin)
    assert made["last_used_at"] is None

    http.get("/api/runs", headers=bearer(made["key"])).raise_for_status()

    def is_noted() -> bool:
        used: str | None = http.get(f"/api/keys/{made['id']}", headers=bearer(admin)).json()["last_used_at"]
        return used is not None

    wait_until(is_noted, 5, "the time of the last use")


def test_a_revoked_key_is_refused_although_it_is_in_use(http: httpx.Client, admin: str) -> None:
    made = make(http, admin)
    http.get("/api/runs", headers=bearer(made["key"])).raise_for_status()
    http.delete(f"/api/keys/{made['id']}", headers=bearer(admin)).raise_for_status()

    wait_until(lambda: http.get("/api/runs", headers=bearer(made["key"])).status_code == 401, 10, "the revoked key refused")
    assert http.get(f"/api/keys/{made['id']}", headers=bearer(admin)).json()["revoked_at"] is not None


def test_an_event_stream_ends_when_its_key_is_revoked(http: httpx.Client, database: Database, admin: str) -> None:
    run_id = queue_run(database)
    made = make(http, admin)
    with connect_sse(http, "GET", f"/api/runs/{run_id}/events", headers=bearer(made["key"])) as stream:
        messages = stream.iter_sse()
        seen = [next(messages).event]
        http.delete(f"/api/keys/{made['id']}", headers=bearer(admin)).raise_for_status()
        seen += [message.event for message in messages]

    assert seen == ["progress"]


def test_a_request_that_waits_is_refused_when_its_key_is_revoked(http: httpx.Client, database: Database, admin: str) -> None:
    run_id = queue_run(database)
    made = make(http, admin)
    with ThreadPoolExecutor(1) as threads:
        headers = bearer(made["key"]) | {"Prefer": "wait=60"}
        waiting = threads.submit(http.get, f"/api/runs/{run_id}", headers=headers, timeout=60)
        wait_until(lambda: key_of(http, admin, made["id"])["last_used_at"] is not None, 10, "the key used")
        http.delete(f"/api/keys/{made['id']}", headers=bearer(admin)).raise_for_status()

        assert waiting.result().status_code == 401


def key_of(http: httpx.Client, admin: str, key_id: str) -> dict[str, Any]:
    document: dict[str, Any] = http.get(f"/api/keys/{key_id}", headers=bearer(admin)).raise_for_status().json()
    return document
