"""Reads the body of a prediction request: a JSON object, a line of JSON for each row, or CSV."""

from collections.abc import Callable
from functools import partial
from itertools import islice
from typing import Any, NamedTuple
from urllib.parse import parse_qsl

import numpy as np
import orjson

from service.errors import InvalidInput, MalformedInput, Problem
from service.features.cells import MAX_PROBLEMS
from service.features.raw import Array, escape
from service.features.requests import Encoded, RequestEncoder
from service.predictions.http import is_resource_name
from service.predictions.protocols.native.csv_rows import encode_csv, read_csv
from service.predictions.protocols.native.media import MediaType
from service.predictions.versions import Selector
from service.web import problems
from service.web.json_body import parse_rows, parse_strict
from service.web.numeric_json import refuse_many_brackets

FIELDS = ("rows", "version", "alias")
SELECTORS = ("version", "alias")
MAX_VERSION = 2**31 - 1
MAX_QUERY_FIELDS = 10


class RequestLimits(NamedTuple):
    """Most rows of a request, most columns of a header, and most brackets inside each other."""

    rows: int
    columns: int
    depth: int


class NativeRequest(NamedTuple):
    """A request that was read; its rows are raw and not yet checked one by one."""

    encode: Callable[[RequestEncoder], Encoded]
    rows: int
    selector: Selector


def read_request(media_type: MediaType, body: bytes, query: bytes, limits: RequestLimits) -> NativeRequest:
    """The request in a body and a query. Raises MalformedInput, or InvalidInput with every mistake outside the rows."""
    if media_type == "application/json":
        return _read_json(body, query, limits)
    selected = _selected(query)
    if media_type == "text/csv":
        records = read_csv(body, limits.rows)
        return NativeRequest(partial(encode_csv, records, limits.columns), len(records.records), _selector_of(selected))
    rows = _read_lines(body, limits)
    return NativeRequest(lambda encoder: encoder.encode_rows(rows), len(rows), _selector_of(selected))


def _read_json(body: bytes, query: bytes, limits: RequestLimits) -> NativeRequest:
    document = parse_rows(body, limits.depth)
    if not isinstance(document, dict):
        problem = Problem("", "The body is no object.", problems.show(document), 'an object such as {"rows": [...]}')
        raise InvalidInput("The request cannot be used.", [problem])
    found = [*_unknown_fields(document), *_rows_problems(document, limits.rows), *_selector_problems(document, "/")]
    selected = _selected(query) if query else {}
    if selected and not document.keys().isdisjoint(SELECTORS):
        found.append(Problem("?version", "The body names a version already.", fix="Name it in one of the two places."))
    if found:
        raise InvalidInput(f"The request has {len(found)} mistake(s).", found)
    rows: list[Any] | Array = document["rows"]
    return NativeRequest(lambda encoder: encoder.encode_rows(rows), len(rows), _selector_of(selected or document))


def _selector_of(document: dict[str, Any]) -> Selector:
    selector: Selector = document.get("version", document.get("alias"))
    return selector


def _unknown_fields(document: dict[str, Any]) -> list[Problem]:
    """The first fields that nobody knows: a body of nothing else would take long to describe."""
    unknown = (name for name in document if name not in FIELDS)
    return [
        Problem(f"/{escape(name)}", "There is no such field.", expected=", ".join(FIELDS), fix="Leave it out.")
        for name in islice(unknown, MAX_PROBLEMS)
    ]


def _rows_problems(document: dict[str, Any], max_rows: int) -> list[Problem]:
    if "rows" not in document:
        return [Problem("/rows", "This field is required.", expected="a list of rows")]
    rows = document["rows"]
    expected = f"a list of 1 to {max_rows} rows"
    if not isinstance(rows, list | np.ndarray):
        return [Problem("/rows", "This is no list.", problems.show(rows), expected, "Put one row into a list, too.")]
    if not len(rows):
        return [Problem("/rows", "There are no rows.", "an empty list", expected)]
    if len(rows) > max_rows:
        return [Problem("/rows", "There are too many rows.", f"{len(rows)} rows", expected, "Send several requests.")]
    return []


def _selector_problems(document: dict[str, Any], prefix: str) -> list[Problem]:
    if "version" not in document and "alias" not in document:
        return []
    found = []
    version, alias = document.get("version", 1), document.get("alias", "default")
    if type(version) is not int or not 1 <= version <= MAX_VERSION:
        found.append(Problem(f"{prefix}version", "This is no version number.", problems.show(version), "an integer from 1"))
    if not (isinstance(alias, str) and is_resource_name(alias)):
        found.append(Problem(f"{prefix}alias", "This is no alias.", problems.show(alias), 'a name such as "production"'))
    if "version" in document and "alias" in document:
        found.append(Problem(f"{prefix}alias", "A version is named already.", fix="Send either version or alias."))
    return found


def _selected(query: bytes) -> dict[str, Any]:
    """The version or alias that a query names. Raises InvalidInput."""
    try:
        fields = parse_qsl(query.decode(), keep_blank_values=True, strict_parsing=bool(query), max_num_fields=MAX_QUERY_FIELDS)
    except ValueError as error:
        raise InvalidInput("The query cannot be read.", [Problem("?", "Expected ?version=1 or ?alias=production.")]) from error
    unknown = [name for name, _ in fields if name not in SELECTORS]
    selected: dict[str, Any] = dict(fields)
    if "version" in selected and selected["version"].isascii() and selected["version"].isdigit():
        selected["version"] = int(selected["version"][:20])
    found = [Problem(f"?{name[:80]}", "There is no such parameter.", None, "version or alias") for name in unknown]
    found += _selector_problems(selected, "?")
    if found:
        raise InvalidInput(f"The query has {len(found)} mistake(s).", found)
    return selected


def _read_lines(body: bytes, limits: RequestLimits) -> list[Any]:
    refuse_many_brackets(body)
    lines = [line for line in body.split(b"\n") if line.strip()]
    if not lines:
        raise InvalidInput("There are no rows to predict.", [Problem("line 1", "The body is empty.", None, "JSON Lines")])
    if len(lines) > limits.rows:
        problem = Problem(f"line {limits.rows + 1}", "There are too many rows.", None, f"at most {limits.rows}")
        raise InvalidInput("There are too many rows.", [problem])
    rows = [_parse_line(number, line) for number, line in enumerate(lines, start=1)]
    parse_strict(b"[" + b",".join(lines) + b"]", limits.depth + 1)  # also finds repeated keys and the like, at once for all
    return rows


def _parse_line(number: int, line: bytes) -> Any:
    try:
        return orjson.loads(line)
    except orjson.JSONDecodeError as error:
        raise MalformedInput(f"Line {number} is no row as JSON: {error.msg} (column {error.colno}).") from error
