"""Keys, as an operator and real clients use them."""

import subprocess
import sys
from pathlib import Path

import httpx
import pytest
import tritonclient.http as triton
from tritonclient.utils import InferenceServerException

from tests.acceptance.running import environment, running_api, wait_until
from tests.factories import bearer

EVERYWHERE = "0.0.0.0"


def keys(data_dir: Path, *arguments: str) -> str:
    """What ``fitserve keys`` prints."""
    command = [sys.executable, "-m", "service.cli", "keys", *arguments, "--data-dir", str(data_dir)]
    return subprocess.run(command, env=environment({}), capture_output=True, text=True, check=True, timeout=60).stdout.strip()


def test_a_service_for_other_machines_starts_with_its_first_key_and_asks_for_it(tmp_path: Path) -> None:
    key = keys(tmp_path, "create", "first")
    with running_api(tmp_path, {"FITSERVE_HOST": EVERYWHERE}) as (http, _):
        assert http.get("/api/runs").status_code == 401
        assert http.get("/api/runs", headers=bearer(key)).status_code == 200


def test_keys_that_are_required_can_be_made_while_the_service_runs(tmp_path: Path) -> None:
    with running_api(tmp_path, {"FITSERVE_HOST": EVERYWHERE, "FITSERVE_REQUIRE_KEYS": "true"}) as (http, _):
        assert http.get("/api/runs").status_code == 401
        key = keys(tmp_path, "create", "first")
        assert http.get("/api/runs", headers=bearer(key)).status_code == 200


@pytest.mark.parametrize("log_format", ["console", "json"])
def test_no_line_of_the_log_holds_a_key(tmp_path: Path, log_format: str) -> None:
    data_dir, log = tmp_path / "data", tmp_path / "log"
    settings = {"FITSERVE_REQUIRE_KEYS": "true", "FITSERVE_LOG_LEVEL": "debug", "FITSERVE_LOG_FORMAT": log_format}
    with running_api(data_dir, settings, log) as (http, _):
        admin = keys(data_dir, "create", "first", "--scopes", "admin")
        made = http.post("/api/keys", json={"name": "second"}, headers=bearer(admin)).raise_for_status().json()
        refused = "fs_0123456789ab_" + 43 * "s"
        for key in (admin, made["key"], refused):
            http.get("/api/runs", headers=bearer(key))
            http.post("/v1/models/m:predict", json={"instances": [[0]]}, headers={"X-API-Key": key})

    lines = log.read_text()
    assert lines.count("request.answered") >= 7
    assert not any(key[16:] in lines for key in (admin, made["key"], refused))


def wait_for_refusal(client: httpx.Client, path: str, key: str) -> None:
    wait_until(lambda: client.get(path, headers=bearer(key)).status_code == 401, 30, f"{path} refused")


def test_a_revoked_key_is_refused_soon_by_every_process(tmp_path: Path) -> None:
    key = keys(tmp_path, "create", "first")
    with running_api(tmp_path, {"FITSERVE_WORKERS": "2"}) as (http, _):
        addresses = [
            (httpx.Client(base_url=http.base_url, trust_env=False), path) for path in ("/api/runs", "/v2") for _ in range(4)
        ]
        for client, path in addresses:
            assert client.get(path, headers=bearer(key)).status_code == 200
        keys(tmp_path, "revoke", key[:15])
        for client, path in addresses:
            wait_for_refusal(client, path, key)
            client.close()


def test_a_client_of_the_open_inference_protocol_sends_its_key_as_a_header(tmp_path: Path) -> None:
    key = keys(tmp_path, "create", "client", "--scopes", "predict")
    with running_api(tmp_path) as (http, _):
        client = triton.InferenceServerClient(http.base_url.netloc.decode())
        assert client.is_server_live()
        with pytest.raises(InferenceServerException, match="valid API key"):
            client.get_model_metadata("my_model")
        for headers in (bearer(key), {"X-API-Key": key}):
            assert client.get_server_metadata(headers=headers)["name"] == "fitserve"
            with pytest.raises(InferenceServerException, match="There is no model 'my_model'"):
                client.get_model_metadata("my_model", headers=headers)
        client.close()
