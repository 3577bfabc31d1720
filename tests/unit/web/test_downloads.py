"""Parts of a file: those that it has are sent, and what it has not is a problem document."""

import asyncio
import io
from pathlib import Path
from typing import Any

import httpx
import pytest
from fastapi import FastAPI
from starlette.background import BackgroundTask

from service.web.downloads import MAX_RANGES, Download
from service.web.problems import install_problem_handlers

CONTENT = bytes(range(256))


def ask(path: Path, headers: dict[str, str], after: BackgroundTask | None = None) -> httpx.Response:
    """The answer of an application that has nothing but this file."""
    app = FastAPI()
    install_problem_handlers(app)

    @app.get("/file")
    def download() -> Download:
        return Download(path, background=after)

    async def send() -> httpx.Response:
        async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://x") as client:
            return await client.get("/file", headers=headers)

    return asyncio.run(send())


@pytest.fixture
def path(tmp_path: Path) -> Path:
    (tmp_path / "file").write_bytes(CONTENT)
    return tmp_path / "file"


@pytest.mark.parametrize(
    ("wanted", "part"),
    [
        ("bytes=0-9", CONTENT[:10]),
        ("bytes=250-", CONTENT[250:]),
        ("bytes=-6", CONTENT[-6:]),
        ("bytes=250-9999", CONTENT[250:]),
        ("bytes=-9999", CONTENT),
        ("Bytes= 3-3 ", CONTENT[3:4]),
        ("bytes=5-7,6-9", CONTENT[5:10]),
    ],
)
def test_a_part_of_the_file_is_sent(path: Path, wanted: str, part: bytes) -> None:
    answer = ask(path, {"Range": wanted})

    assert (answer.status_code, answer.content) == (206, part)


def test_several_parts_come_together(path: Path) -> None:
    answer = ask(path, {"Range": "bytes=0-1,100-101"})

    assert answer.headers["content-type"].startswith("multipart/byteranges")
    assert io.BytesIO(answer.content).read().count(b"Content-Range") == 2


@pytest.mark.parametrize(
    "wanted",
    [
        "bytes=",
        "bytes",
        "bytes=-",
        "bytes=-0",
        "bytes=256-",
        "bytes=9-5",
        "bytes=x-y",
        "lines=1-2",
        "bytes=0-1,",
        "bytes=0-1,300-",
        "bytes=" + "0" * 500 + "-",
        "bytes=0-0" + ",0-0" * MAX_RANGES,
    ],
)
def test_what_the_file_has_not_is_a_416_with_its_length(path: Path, wanted: str) -> None:
    answer = ask(path, {"Range": wanted})

    assert (answer.status_code, answer.headers["content-type"]) == (416, "application/problem+json")
    assert answer.headers["content-range"] == "bytes */256"
    assert len(answer.content) < 1000


def test_a_range_of_another_state_of_the_file_is_not_looked_at(path: Path) -> None:
    answer = ask(path, {"Range": "bytes=999-", "If-Range": '"another"'})

    assert (answer.status_code, answer.content) == (200, CONTENT)


@pytest.mark.parametrize("wanted", ["bytes=0-1", "bytes=999-"])
def test_what_has_to_be_tidied_up_is(path: Path, wanted: str) -> None:
    ask(path, {"Range": wanted}, BackgroundTask(path.unlink))

    assert not path.exists()


def test_whoever_wants_headers_only_gets_them_without_a_look_into_the_file(path: Path) -> None:
    sent: list[Any] = []

    async def send(message: Any) -> None:
        sent.append(message)

    scope = {"type": "http", "method": "GET", "headers": [], "state": {"wants_headers_only": True}}
    asyncio.run(Download(path)(scope, lambda: asyncio.sleep(0), send))  # type: ignore[arg-type, return-value]

    assert [message.get("body", b"") for message in sent] == [b"", b""]
    assert (b"content-length", b"256") in sent[0]["headers"]
