"""Takes an upload off the wire and puts it into a file, whatever form it has."""

import re
from pathlib import Path
from typing import Any, get_args

import anyio.to_thread
from fastapi import Request
from fastapi.exceptions import RequestValidationError
from pydantic import ValidationError

from service.datasets.forms import read_form
from service.datasets.schemas import DatasetFromArrays, DatasetFromNamedArrays, DatasetFromRows, FileFormat
from service.datasets.service import Upload
from service.errors import InvalidInput, MalformedInput, PayloadTooLarge, Problem, UnsupportedMediaType
from service.settings import Settings
from service.web.json_body import parse_strict

MAX_NAME_LENGTH = 255
MAX_IMAGE_SIDE = 4096
MAX_FIELDS = 20
FORM_FIELDS = frozenset({"file", "name", "target", "format", "image_size"})
FORMATS = get_args(FileFormat)
ENDINGS = re.compile(r"(\.(csv|tsv|json|jsonl|ndjson|parquet|npy|npz|zip|txt))?(\.gz)?$", re.IGNORECASE)
IMAGE_SIZE = re.compile(r"(\d{1,5})[xX×](\d{1,5})")

JsonDataset = DatasetFromRows | DatasetFromArrays | DatasetFromNamedArrays


async def receive_upload(request: Request, folder: Path, settings: Settings) -> Upload:
    """The upload of this request, stored in ``folder``. Raises InvalidInput, MalformedInput or UnsupportedMediaType."""
    content_type = request.headers.get("content-type", "")
    media_type = content_type.partition(";")[0].strip().lower()
    if request.headers.get("content-encoding", "identity") != "identity":
        raise UnsupportedMediaType("This operation reads plain bodies. Send it without Content-Encoding.")
    if media_type == "multipart/form-data":
        return await _receive_form(request, content_type, folder / "upload")
    if media_type == "application/json":
        return await _receive_json(request, folder / "upload", settings)
    raise UnsupportedMediaType(
        f"A dataset is sent as multipart/form-data or application/json. Received Content-Type '{media_type[:80]}'."
    )


async def _receive_form(request: Request, content_type: str, path: Path) -> Upload:
    form = await read_form(content_type, request.stream(), path, FORM_FIELDS)
    if form.file_name is None:
        problem = Problem("file", "This field is required.", expected="a file with data", fix="curl -F file=@data.csv …")
        raise InvalidInput("The form has no file.", [problem])
    fields = {name: _form_text(name, value) for name, value in form.fields.items()}
    return Upload(
        path,
        name=fields.get("name") or _name_from(form.file_name),
        target=fields.get("target"),
        format=_format(fields.get("format")),
        file_name=form.file_name[:MAX_NAME_LENGTH],
        image_size=_image_size(fields.get("image_size")),
    )


def _form_text(field: str, value: str) -> str | None:
    if len(value) > MAX_NAME_LENGTH or "\0" in value or "\ufffd" in value:
        expected = f"text of 1 to {MAX_NAME_LENGTH} characters"
        raise InvalidInput("A field of the form cannot be used.", [Problem(field, "This is no name.", expected=expected)])
    return value or None


def _format(value: str | None) -> FileFormat | None:
    if value is not None and value not in FORMATS:
        problem = Problem("format", "There is no such format.", value[:80], f"one of: {', '.join(FORMATS)}")
        raise InvalidInput("The format is not known.", [problem])
    return value  # type: ignore[return-value]  # it is one of them


def _image_size(value: str | None) -> tuple[int, int] | None:
    if value is None:
        return None
    found = IMAGE_SIZE.fullmatch(value)
    size = (int(found[1]), int(found[2])) if found else (0, 0)
    if not all(1 <= side <= MAX_IMAGE_SIDE for side in size):
        expected = f"height and width as HxW, e.g. 64x64, each from 1 to {MAX_IMAGE_SIDE}"
        problem = Problem("image_size", "This is no size.", value[:80], expected)
        raise InvalidInput("The size of the images cannot be used.", [problem])
    return size


def _name_from(file_name: str) -> str:
    """A dataset's name from what the client calls its file: the last part, without its ending."""
    last = file_name.replace("\\", "/").rsplit("/", 1)[-1]
    plain = "".join(character for character in last if character.isprintable())
    return ENDINGS.sub("", plain)[:MAX_NAME_LENGTH] or "dataset"


async def _receive_json(request: Request, path: Path, settings: Settings) -> Upload:
    body = bytearray()
    async for chunk in request.stream():
        body += chunk
        if len(body) > settings.max_body_bytes:
            raise PayloadTooLarge(f"A JSON body is limited to {settings.max_body_bytes} bytes. Send larger data as a file.")
    document = await anyio.to_thread.run_sync(parse_strict, bytes(body), settings.max_json_depth)
    if not isinstance(document, dict):
        raise MalformedInput("A dataset is a JSON object with 'name' and 'rows', 'x' and 'y', or 'arrays'.")
    try:
        dataset = await anyio.to_thread.run_sync(_validate, document)
    except ValidationError as error:
        found = [{**entry, "loc": ("body", *entry["loc"])} for entry in error.errors(include_url=False)]
        raise RequestValidationError(found, body=document) from error
    path.write_bytes(body)
    return Upload(path, name=dataset.name, target=getattr(dataset, "target", None), format="document")


def _validate(document: dict[str, Any]) -> JsonDataset:
    if len(document) > MAX_FIELDS:
        problem = Problem("", "There are too many fields.", f"{len(document)} fields", "'name', 'target' and the data")
        raise InvalidInput("A dataset has few fields.", [problem])
    if "rows" in document:
        return DatasetFromRows.model_validate(document)
    if "arrays" in document:
        return DatasetFromNamedArrays.model_validate(document)
    if "x" not in document:
        problem = Problem("", "There is no data.", expected="'rows', 'x' and 'y', or 'arrays'")
        raise InvalidInput("A dataset needs data.", [problem])
    return DatasetFromArrays.model_validate(document)
