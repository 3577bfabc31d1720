"""A multipart form, whatever the pieces that it arrives in."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest

from service.datasets import forms
from service.datasets.forms import Form, read_form
from service.errors import FitserveError, InvalidInput, MalformedInput

CONTENT_TYPE = "multipart/form-data; boundary=edge"
KNOWN = frozenset({"file", "name"})
CONTENT = bytes(range(256)) * 20 + b"\r\n--edge\r\n--edg\r\n"


def read(body: bytes, path: Path, piece: int = 10**6, content_type: str = CONTENT_TYPE) -> Form:
    async def pieces() -> AsyncIterator[bytes]:
        for start in range(0, len(body), piece):
            yield body[start : start + piece]

    return asyncio.run(read_form(content_type, pieces(), path, KNOWN))


def part(name: str, content: bytes, file_name: str | None = None) -> bytes:
    about = f'form-data; name="{name}"' + (f'; filename="{file_name}"' if file_name is not None else "")
    return f"--edge\r\nContent-Disposition: {about}\r\n\r\n".encode() + content + b"\r\n"


@pytest.mark.parametrize("piece", [1, 7, 1000, 10**6])
def test_a_form_of_httpx_is_read_in_pieces_of_any_size(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, piece: int) -> None:
    monkeypatch.setattr(forms, "WRITE_BYTES", 50)
    content = CONTENT.replace(b"--edge\r\n", b"--other\r\n")
    request = httpx.Request("POST", "http://x", data={"name": "größer"}, files={"file": ("ä.csv", content)})
    form = read(request.read(), tmp_path / "upload", piece, request.headers["content-type"])
    assert form == Form(fields={"name": "größer"}, file_name="ä.csv")
    assert (tmp_path / "upload").read_bytes() == content


def test_fields_may_stand_behind_the_file(tmp_path: Path) -> None:
    form = read(part("file", b"a\n1\n", "x.csv") + part("name", b"n") + b"--edge--\r\n", tmp_path / "upload")
    assert form == Form(fields={"name": "n"}, file_name="x.csv")


def test_an_empty_form_has_no_file(tmp_path: Path) -> None:
    assert read(part("name", b"") + b"--edge--\r\n", tmp_path / "upload").file_name is None


@pytest.mark.parametrize(
    ("body", "error", "message"),
    [
        pytest.param(part("file", b"a\n1\n", "x.csv"), InvalidInput, "cut off", id="no end"),
        pytest.param(b"", InvalidInput, "cut off", id="nothing"),
        pytest.param(b"hello", MalformedInput, "multipart", id="another boundary"),
        pytest.param(part("colour", b"x") + b"--edge--\r\n", InvalidInput, "unknown field", id="unknown field"),
        pytest.param(part("file", b"x") + b"--edge--\r\n", InvalidInput, "no file", id="text as file"),
        pytest.param(part("name", b"x", "x.csv") + b"--edge--\r\n", InvalidInput, "another field", id="file as text"),
        pytest.param(part("name", b"x") * 2 + b"--edge--\r\n", MalformedInput, "twice", id="a field twice"),
        pytest.param(part("file", b"x", "x") * 2 + b"--edge--\r\n", MalformedInput, "twice", id="a file twice"),
        pytest.param(part("name", b"x" * 70_000) + b"--edge--\r\n", InvalidInput, "too long", id="a long field"),
        pytest.param(b"--edge\r\nX: " + b"y" * 10_000 + b"\r\n\r\n", MalformedInput, "multipart", id="a long header"),
        pytest.param(b"--edge\r\n\r\nx\r\n--edge--\r\n", InvalidInput, "unknown field", id="a part without a name"),
    ],
)
def test_a_form_that_is_none_is_refused(tmp_path: Path, body: bytes, error: type[FitserveError], message: str) -> None:
    with pytest.raises(error) as raised:
        read(body, tmp_path / "upload")
    assert message in raised.value.message


@pytest.mark.parametrize("content_type", ["multipart/form-data", f"multipart/form-data; boundary={'x' * 5000}"])
def test_a_boundary_is_needed(tmp_path: Path, content_type: str) -> None:
    with pytest.raises(MalformedInput, match="boundary"):
        read(b"--edge--\r\n", tmp_path / "upload", content_type=content_type)
