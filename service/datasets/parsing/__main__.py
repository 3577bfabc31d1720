"""The child process: ``python -m service.datasets.parsing``.

Request: the fields of ``ParseRequest`` as JSON. Answer: ``{"dataset": …}`` with the files written beside the upload, or
``{"error": "invalid" | "malformed", "message", "problems"}``.
"""

import sys
from collections.abc import Callable
from dataclasses import asdict
from typing import Any

import orjson

from service.datasets.parsing.recognising import recognise
from service.datasets.parsing.request import Format, ParseRequest
from service.errors import FitserveError, InvalidInput
from service.infra.disk import is_full_disk

Parser = Callable[[ParseRequest], dict[str, Any]]


def parser_of(form: Format) -> Parser:
    """What reads this format; no other is loaded, since their libraries take longer to load than small uploads to read."""
    match form:
        case "csv":
            from service.datasets.parsing.delimited import parse_csv as parser
        case "json":
            from service.datasets.parsing.json_files import parse_json as parser
        case "parquet":
            from service.datasets.parsing.parquet_files import parse_parquet as parser
        case "npy":
            from service.datasets.parsing.array_files import parse_npy as parser
        case "npz":
            from service.datasets.parsing.array_files import parse_npz as parser
        case "images":
            from service.datasets.parsing.images import parse_images as parser
        case "document":
            from service.datasets.parsing.documents import parse_document as parser
    return parser


def parse(request: ParseRequest) -> dict[str, Any]:
    """The description of a dataset, with ``files`` as paths by name. Raises InvalidInput or MalformedInput."""
    return parser_of(request.format or recognise(request))(request)


def answer_to(document: dict[str, Any]) -> dict[str, Any]:
    """What the parent gets: the dataset, or what is wrong with the upload."""
    try:
        return {"dataset": parse(ParseRequest.from_document(document))}
    except InvalidInput as error:
        problems = [asdict(problem) for problem in error.problems]
        return {"error": "invalid", "message": error.message, "problems": problems}
    except FitserveError as error:
        return {"error": "malformed", "message": error.message}
    except OSError as error:
        if not is_full_disk(error):
            raise
        return {"error": "disk_full"}


if __name__ == "__main__":
    sys.stdout.buffer.write(orjson.dumps(answer_to(orjson.loads(sys.stdin.buffer.read()))))
