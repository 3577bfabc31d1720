"""Takes an upload off the wire and puts it into a file, whatever form it has."""

import shutil
from pathlib import Path
from typing import Any

import anyio.to_thread
from fastapi import Request
from fastapi.exceptions import RequestValidationError
from pydantic import ValidationError
from starlette.datastructures import UploadFile

from service.datasets.schemas import DatasetFromArrays, DatasetFromRows
from service.datasets.service import Upload
from service.errors import InvalidInput, MalformedInput, PayloadTooLarge, Problem, UnsupportedMediaType
from service.web.json_body import parse_strict

MAX_NAME_LENGTH = 255
FORM_FIELDS = {"file", "name", "target"}


async def receive_upload(request: Request, folder: Path, max_json_bytes: int) -> Upload:
    """The upload of this request, stored in ``folder``. Raises InvalidInput, MalformedInput or UnsupportedMediaType."""
    media_type = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if media_type == "multipart/form-data":
        return await _receive_form(request, folder)
    if media_type == "application/json":
        return await _receive_json(request, folder, max_json_bytes)
    raise UnsupportedMediaType(
        f"A dataset is sent as multipart/form-data or application/json. Received Content-Type '{media_type[:80]}'."
    )


async def _receive_form(request: Request, folder: Path) -> Upload:
    async with request.form(max_files=1, max_fields=len(FORM_FIELDS), max_part_size=64 * 1024) as form:
        unknown = sorted(set(form) - FORM_FIELDS)
        if unknown:
            problem = Problem(unknown[0][:80], "There is no such field.", expected="file, name, target")
            raise InvalidInput("The form has an unknown field.", [problem])
        file = form.get("file")
        if not isinstance(file, UploadFile):
            problem = Problem("file", "This field is required.", expected="a CSV file", fix="curl -F file=@data.csv …")
            raise InvalidInput("The form has no whole file: it is missing, or the upload was cut off.", [problem])
        name = _form_text(form.get("name"), "name") or _name_from(file.filename or "")
        path = folder / "upload"
        await anyio.to_thread.run_sync(_save, file, path)
        return Upload(path, "csv", name, _form_text(form.get("target"), "target"))


def _form_text(value: Any, field: str) -> str | None:
    if value is None or value == "":
        return None
    if not isinstance(value, str) or len(value) > MAX_NAME_LENGTH or "\0" in value:
        expected = f"text of 1 to {MAX_NAME_LENGTH} characters"
        raise InvalidInput("A field of the form cannot be used.", [Problem(field, "This is no name.", expected=expected)])
    return value


def _name_from(file_name: str) -> str:
    """A dataset's name from what the client calls its file: the last part, without its ending."""
    last = file_name.replace("\\", "/").rsplit("/", 1)[-1]
    plain = "".join(character for character in last if character.isprintable())
    return plain.removesuffix(".gz").removesuffix(".csv")[:MAX_NAME_LENGTH] or "dataset"


def _save(file: UploadFile, path: Path) -> None:
    with path.open("wb") as target:
        shutil.copyfileobj(file.file, target)


async def _receive_json(request: Request, folder: Path, max_bytes: int) -> Upload:
    body = bytearray()
    async for chunk in request.stream():
        body += chunk
        if len(body) > max_bytes:
            raise PayloadTooLarge(f"A JSON body is limited to {max_bytes} bytes. Send larger data as a CSV file.")
    document = await anyio.to_thread.run_sync(parse_strict, bytes(body))
    if not isinstance(document, dict):
        raise MalformedInput("A dataset is a JSON object with 'name' and 'rows', or 'name', 'x' and 'y'.")
    try:
        dataset = await anyio.to_thread.run_sync(_validate, document)
    except ValidationError as error:
        found = [{**entry, "loc": ("body", *entry["loc"])} for entry in error.errors(include_url=False)]
        raise RequestValidationError(found, body=document) from error
    path = folder / "upload"
    path.write_bytes(body)
    return Upload(path, "json", dataset.name, _target_of(dataset))


def _validate(document: dict[str, Any]) -> DatasetFromRows | DatasetFromArrays:
    if "rows" in document:
        return DatasetFromRows.model_validate(document)
    if "x" not in document:
        problem = Problem("", "There is no data.", expected="'rows', or 'x' and 'y'")
        raise InvalidInput("A dataset needs data.", [problem])
    return DatasetFromArrays.model_validate(document)


def _target_of(dataset: DatasetFromRows | DatasetFromArrays) -> str | None:
    if isinstance(dataset, DatasetFromRows):
        return dataset.target
    return "y" if dataset.y is not None else None
