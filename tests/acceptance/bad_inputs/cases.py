"""A bad input and how it must be refused; the tables beside this file hold them by family."""

import json
import re
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import httpx

from tests.acceptance.client import TUTORIAL_COMPILE, TUTORIAL_LAYERS, Document

JSON = {"Content-Type": "application/json"}
MODEL = {"name": "bad-input", "definition": {"layers": TUTORIAL_LAYERS}, "compile": TUTORIAL_COMPILE}
HOST_DETAILS = re.compile(r"Traceback|File \"|site-packages|/service/|\.py\b|/tmp/|/home/|sqlalchemy|psycopg", re.IGNORECASE)
ECHO = re.compile(r"(.)\1{100}", re.DOTALL)
"""Long values of the tables repeat a character, so that an answer which has more than 100 of it has told too much."""
MAX_ANSWER_BYTES = 30_000


@dataclass(frozen=True)
class Case:
    """A request and how it must be refused. ``$model`` and the like in its path and body stand for what a test has made."""

    what: str
    path: str
    body: bytes | Callable[[], bytes] = b""
    """A large one is made only when it is sent."""
    status: int | tuple[int, ...] = 422
    pointer: str | None = None
    """Where a mistake must be told of, or the beginning of that place."""
    says: str = ""
    """What the answer must say somewhere."""
    method: str = "POST"
    headers: dict[str, str] = field(default_factory=lambda: dict(JSON))

    @property
    def name(self) -> str:
        """What the case is called in a test's id."""
        return f"{self.method} {self.path.split('?')[0][:60]}: {self.what}"

    def send(self, http: httpx.Client, made: dict[str, str]) -> httpx.Response:
        """The answer, where ``made`` says what names such as ``$model`` stand for."""
        body = self.body if isinstance(self.body, bytes) else self.body()
        path = self.path
        for name, value in made.items():
            path = path.replace(f"${name}", value)
            if len(body) < 1_000_000:
                body = body.replace(f"${name}".encode(), value.encode())
        return http.request(self.method, path, content=body, headers=self.headers)

    def assert_refused(self, response: httpx.Response) -> None:
        """That the answer is a short and clear no, in the form of its protocol, which tells nothing of the host."""
        statuses = self.status if isinstance(self.status, tuple) else (self.status,)
        assert response.status_code in statuses, f"{response.status_code}: {response.text[:500]}"
        assert_tells_little(response)
        assert self.says in response.text, response.text[:1000]
        if self.path.startswith(("/v1", "/v2")):
            assert list(response.json()) == ["error"]
            assert response.json()["error"]
        else:
            self._assert_problem(response)

    def _assert_problem(self, response: httpx.Response) -> None:
        assert response.headers["content-type"].startswith("application/problem+json")
        problem = response.json()
        assert problem["status"] == response.status_code
        assert problem["detail"]
        if self.pointer is not None:
            pointers = [error["pointer"] for error in problem["errors"]]
            assert any(pointer.startswith(self.pointer) for pointer in pointers), pointers


def assert_tells_little(response: httpx.Response) -> None:
    """That an answer neither echoes long values nor tells of the host."""
    assert len(response.content) < MAX_ANSWER_BYTES
    assert not HOST_DETAILS.search(response.text), response.text[:1000]
    assert not ECHO.search(response.text), response.text[:1000]


def posted(
    what: str, path: str, document: Any, pointer: str | None = None, says: str = "", status: int | tuple[int, ...] = 422
) -> Case:
    """A document that is sent as JSON."""
    return Case(what, path, json.dumps(document).encode(), status, pointer, says)


def got(
    what: str, path: str, status: int | tuple[int, ...] = 422, pointer: str | None = None, method: str = "GET", **headers: str
) -> Case:
    """A request without a body; in the names of headers ``_`` stands for ``-``."""
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return Case(what, path, b"", status, pointer, method=method, headers=named)


def modelled(what: str, pointer: str | None = None, says: str = "", **changes: Any) -> Case:
    """A model with a changed field."""
    return posted(what, "/api/models", MODEL | changes, pointer, says)


def nested(levels: int, value: Any = 0) -> Document | list[Any] | int:
    """Lists inside each other."""
    for _ in range(levels):
        value = [value]
    return value  # type: ignore[no-any-return]
