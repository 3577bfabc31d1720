"""How many requests of the control plane are worked on at once."""

import asyncio
import json
from collections.abc import Callable, Coroutine
from typing import Any

import pytest

from service.errors import Unavailable
from service.infra.overload import Limit
from service.web.admission import AT_WORK, BoundedRequests

MOST = 2


class Api:
    """An application behind its limit that reads a whole request, waits until it may answer, and answers in two parts."""

    def __init__(self, most: int = MOST) -> None:
        self.at_work = 0
        self.may_answer = asyncio.Event()
        self.may_end = asyncio.Event()
        self.may_end.set()
        self._bounded = BoundedRequests(self._answer, Limit("test", most, 1))

    async def _answer(self, scope: Any, receive: Any, send: Any) -> None:
        while (await receive()).get("more_body"):
            pass
        self.at_work += 1
        await self.may_answer.wait()
        if scope["path"] == "/fails":
            raise ZeroDivisionError
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await self.may_end.wait()
        await send({"type": "http.response.body", "body": b""})

    def ask(
        self, path: str = "/api/runs", method: str = "GET", parts: list[bytes] | None = None, after: float = 0, **headers: str
    ) -> "asyncio.Task[list[Any]]":
        """The messages of an answer; the ``parts`` of the body come ``after`` so many seconds, and an empty list never comes."""
        fields = [(name.encode(), value.encode()) for name, value in headers.items()]
        fields += [(b"transfer-encoding", b"chunked")] if parts is not None else []
        scope = {"type": "http", "method": method, "path": path, "headers": fields}
        left = [b""] if parts is None else list(parts)
        sent: list[Any] = []

        async def receive() -> Any:
            if not left:
                await asyncio.Event().wait()
            await asyncio.sleep(after)
            return {"type": "http.request", "body": left.pop(0), "more_body": bool(left)}

        async def send(message: Any) -> None:
            sent.append(message)

        async def run() -> list[Any]:
            await self._bounded(scope, receive, send)
            return sent

        return asyncio.create_task(run())


def told(story: Callable[[Api], Coroutine[Any, Any, None]], most: int = MOST) -> None:
    async def run() -> None:
        await story(Api(most))

    asyncio.run(run())


async def begun(*tasks: "asyncio.Task[list[Any]]") -> None:
    await asyncio.sleep(0.01)
    assert not any(task.done() for task in tasks)


def test_what_is_beyond_the_limit_is_refused_at_once_and_says_when_to_come_back() -> None:
    async def story(api: Api) -> None:
        await begun(*(api.ask() for _ in range(MOST)))
        start, body = await api.ask()
        assert start["status"] == 503
        assert (b"retry-after", b"1") in start["headers"]
        assert json.loads(body["body"])["instance"] == "/api/runs"

    told(story)


@pytest.mark.parametrize("body", [None, [b"a"]], ids=["without a body", "with one"])
def test_those_that_are_let_in_wait_for_their_turn(body: list[bytes] | None) -> None:
    async def story(api: Api) -> None:
        asked = [api.ask(method="POST", parts=body) for _ in range(AT_WORK + 3)]
        await begun(*asked)
        assert api.at_work == AT_WORK
        asked.pop().cancel()
        api.may_answer.set()
        assert {(await task)[0]["status"] for task in asked} == {200}
        assert api.at_work == AT_WORK + 2

    told(story, most=2 * AT_WORK)


@pytest.mark.parametrize("body", [None, [b"a"]], ids=["without a body", "with one"])
def test_those_that_wait_are_refused_once_as_many_had_to_be(body: list[bytes] | None) -> None:
    async def story(api: Api) -> None:
        at_work = [api.ask() for _ in range(AT_WORK)]
        await begun(*at_work)
        waiting = [api.ask(method="POST", parts=body) for _ in range(3)]
        await begun(*waiting)
        for _ in range(AT_WORK + 3):
            assert (await api.ask())[0]["status"] == 503
        api.may_answer.set()
        assert {(await task)[0]["status"] for task in at_work} == {200}
        for task in waiting:
            if body is None:
                assert (await task)[0]["status"] == 503
            else:
                with pytest.raises(Unavailable):
                    await task
        assert api.at_work == AT_WORK
        assert (await api.ask())[0]["status"] == 200

    told(story, most=AT_WORK + 3)


def test_an_answered_request_leaves_its_place_to_the_next_one() -> None:
    async def story(api: Api) -> None:
        api.may_answer.set()
        for _ in range(2 * MOST):
            assert (await api.ask())[0]["status"] == 200

    told(story)


def test_a_request_that_fails_leaves_its_place() -> None:
    async def story(api: Api) -> None:
        api.may_answer.set()
        for _ in range(2 * MOST):
            with pytest.raises(ZeroDivisionError):
                await api.ask("/fails")
        assert (await api.ask())[0]["status"] == 200

    told(story)


def test_a_long_answer_takes_no_place_once_it_has_begun() -> None:
    async def story(api: Api) -> None:
        api.may_answer.set()
        api.may_end.clear()
        streams = []
        for _ in range(2 * MOST):
            streams.append(api.ask())
            await begun(*streams)
        api.may_end.set()
        assert {(await stream)[0]["status"] for stream in streams} == {200}

    told(story)


def test_clients_that_do_not_send_their_bodies_take_no_place() -> None:
    async def story(api: Api) -> None:
        slow = [api.ask(method="POST", parts=[]) for _ in range(3 * MOST)]
        await begun(*slow)
        api.may_answer.set()
        assert (await api.ask(method="POST", parts=[b"a", b"b"]))[0]["status"] == 200
        for task in slow:
            task.cancel()

    told(story)


def test_a_body_that_was_begun_is_refused_by_the_application_where_there_is_no_place_any_more() -> None:
    async def story(api: Api) -> None:
        late = api.ask(method="POST", parts=[b"a", b"b"], after=0.05)
        await begun(late, *(api.ask() for _ in range(MOST)))
        with pytest.raises(Unavailable):
            await late
        start, _ = await api.ask(method="POST", parts=[b"a", b"b"])
        assert start["status"] == 503, "of another one nothing is read"

    told(story)


@pytest.mark.parametrize(
    ("path", "method", "headers"),
    [
        ("/livez", "GET", {}),
        ("/readyz", "GET", {}),
        ("/metrics", "GET", {}),
        ("/api/datasets", "POST", {}),
        ("/api/runs/1", "GET", {"prefer": "wait=10"}),
    ],
)
def test_probes_uploads_and_those_that_wait_for_a_run_need_no_place(path: str, method: str, headers: dict[str, str]) -> None:
    async def story(api: Api) -> None:
        await begun(*(api.ask() for _ in range(MOST)))
        others = [api.ask(path, method, **headers) for _ in range(MOST)]
        await begun(*others)
        api.may_answer.set()
        assert {(await other)[0]["status"] for other in others} == {200}

    told(story)
