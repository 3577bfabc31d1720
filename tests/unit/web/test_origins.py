"""For whom a request is, and from which page it comes."""

from typing import Any

import httpx
import pytest

from service.web.origins import Origins

HERE = "http://fitserve"
ELSEWHERE = "https://evil.example.org"


async def answer(scope: Any, receive: Any, send: Any) -> None:
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": b"answered"})


async def ask(origins: Origins, method: str = "GET", path: str = "/api/models", **headers: str) -> httpx.Response:
    fields = {name.replace("_", "-"): value for name, value in headers.items()}
    async with httpx.AsyncClient(transport=httpx.ASGITransport(origins.around(answer)), base_url=HERE) as http:
        return await http.request(method, path, headers=fields)


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@pytest.mark.parametrize(
    "host", ["fitserve.example.com", "Fitserve.Example.com:8443", "a.b.example.net", "10.1.2.3:80", "[::1]:8000", "api"]
)
@pytest.mark.anyio
async def test_a_trusted_host_is_answered(host: str) -> None:
    origins = Origins(["fitserve.example.com", "*.example.net"])

    assert (await ask(origins, host=host)).text == "answered"


@pytest.mark.parametrize(
    "host", ["evil.example.org", "example.net", "fitserve.example.com.evil.org", "xfitserve.example.com", "1.2.3.4.evil.org:80"]
)
@pytest.mark.anyio
async def test_any_other_host_is_a_bad_request(host: str) -> None:
    refused = await ask(Origins(["fitserve.example.com", "*.example.net"]), host=host)

    assert refused.status_code == 400
    assert refused.headers["content-type"] == "application/problem+json"
    assert "FITSERVE_TRUSTED_HOSTS" in refused.json()["detail"]
    assert host not in refused.text


@pytest.mark.anyio
async def test_a_prediction_for_another_host_is_refused_in_the_form_of_its_protocol() -> None:
    refused = await ask(Origins(), "POST", "/v1/models/my_model:predict", host="evil.example.org")

    assert refused.status_code == 400
    assert set(refused.json()) == {"error"}


@pytest.mark.anyio
async def test_any_host_is_taken_only_where_that_is_asked_for() -> None:
    assert (await ask(Origins(), host="fitserve.example.com")).status_code == 400
    assert (await ask(Origins(["*"]), host="fitserve.example.com")).status_code == 200


@pytest.mark.parametrize(
    "said",
    [
        {"sec_fetch_site": "cross-site", "origin": ELSEWHERE},
        {"sec_fetch_site": "same-site"},
        {"origin": ELSEWHERE},
        {"origin": "null"},
        {"origin": "http://[bad"},
        {"origin": "//fitserve"},
    ],
)
@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE"])
@pytest.mark.anyio
async def test_a_page_of_another_origin_changes_nothing(method: str, said: dict[str, str]) -> None:
    refused = await ask(Origins(), method, **said)

    assert refused.status_code == 403
    assert "FITSERVE_CORS_ORIGINS" in refused.json()["detail"]


@pytest.mark.parametrize(
    "said", [{}, {"sec_fetch_site": "same-origin", "origin": HERE}, {"sec_fetch_site": "none"}, {"origin": HERE}]
)
@pytest.mark.anyio
async def test_our_own_pages_and_other_programs_may_change_things(said: dict[str, str]) -> None:
    assert (await ask(Origins(), "POST", **said)).text == "answered"


@pytest.mark.anyio
async def test_no_page_of_another_origin_may_read_by_default() -> None:
    read = await ask(Origins(), origin=ELSEWHERE)

    assert not any(name.startswith("access-control") for name in read.headers)


@pytest.mark.anyio
async def test_pages_of_the_named_origins_may_ask_and_others_still_may_not() -> None:
    origins = Origins(origins=["https://app.example.com"])
    wish = {"access_control_request_method": "POST", "access_control_request_headers": "content-type, x-api-key"}

    allowed = await ask(origins, "OPTIONS", origin="https://app.example.com", **wish)
    asked = await ask(origins, "POST", origin="https://app.example.com", sec_fetch_site="cross-site")

    assert (
        allowed.headers["access-control-allow-origin"]
        == asked.headers["access-control-allow-origin"]
        == "https://app.example.com"
    )
    assert "access-control-allow-credentials" not in asked.headers
    assert "X-Request-ID" in asked.headers["access-control-expose-headers"]
    assert (await ask(origins, "OPTIONS", origin=ELSEWHERE, **wish)).status_code == 400
    assert (await ask(origins, "POST", origin=ELSEWHERE)).status_code == 403


def test_only_plain_requests_of_trusted_hosts_are_answered_without_a_look() -> None:
    origins = Origins(origins=["https://app.example.com"])

    assert origins.lets_pass({"headers": [(b"host", b"10.0.0.1:8000")]})
    assert not origins.lets_pass({"headers": [(b"host", b"evil.example.org")]})
    assert not origins.lets_pass({"headers": [(b"host", b"10.0.0.1"), (b"origin", b"https://app.example.com")]})
