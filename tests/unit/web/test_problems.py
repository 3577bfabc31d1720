"""What errors have in common, whichever operation they come from."""

import asyncio

import httpx
import pytest
from fastapi import FastAPI

from service.web.problems import install_problem_handlers
from service.web.routing import make_router


def make_api() -> FastAPI:
    """Two operations on an address, and one on another that begins like it."""
    router = make_router("things")
    router.get("/things/{thing_id}")(lambda thing_id: thing_id)
    router.delete("/things/{thing_id}")(lambda thing_id: thing_id)
    router.post("/things/{thing_id}:stop")(lambda thing_id: thing_id)
    api = FastAPI()
    api.include_router(router)
    install_problem_handlers(api)
    return api


def ask(method: str, path: str) -> httpx.Response:
    async def send() -> httpx.Response:
        async with httpx.AsyncClient(transport=httpx.ASGITransport(make_api()), base_url="http://fitserve") as client:
            return await client.request(method, path)

    return asyncio.run(send())


@pytest.mark.parametrize(
    ("method", "path", "allowed"),
    [
        ("POST", "/api/things/1", "DELETE, GET"),
        ("OPTIONS", "/api/things/1", "DELETE, GET"),
        ("GET", "/api/things/1:stop", "POST"),
        ("OPTIONS", "/api/things/1:stop", "POST"),
    ],
)
def test_a_method_that_is_not_taken_is_answered_with_all_that_are(method: str, path: str, allowed: str) -> None:
    answer = ask(method, path)

    assert (answer.status_code, answer.headers["allow"]) == (405, allowed)
    assert answer.json()["detail"] == f"This address does not take {method}."


def test_an_id_ends_before_a_colon() -> None:
    assert ask("GET", "/api/things/1").json() == "1"
    assert ask("POST", "/api/things/1:stop").json() == "1"
    assert ask("POST", "/api/things/1:2:stop").status_code == 404
