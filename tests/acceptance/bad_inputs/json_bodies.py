"""Bodies that no operation reads, whatever it is about."""

import json

from tests.acceptance.bad_inputs.cases import JSON, MODEL, Case

READERS = {
    "/api/models": "POST",
    "/api/models:check": "POST",
    "/api/models/$model": "PUT",
    "/api/models/$model/aliases/test": "PUT",
    "/api/models/$model:predict": "POST",
    "/api/datasets": "POST",
    "/api/runs": "POST",
    "/api/runs/$run:cancel": "POST",
    "/api/evaluations": "POST",
    "/api/batch-predictions": "POST",
}
"""Every address that reads JSON, by its method."""
MEBIBYTE = 1024 * 1024
READ_OR_NOT = (400, 422)
NO_DOCUMENT = {"null": b"null", "a list": b"[]", "a text": b'"x"', "a number": b"1", "a boolean": b"true"}
NO_JSON: dict[str, tuple[bytes, int]] = {
    "NaN": (b'{"name": NaN}', 400),
    "infinity": (b'{"name": Infinity}', 400),
    "minus infinity": (b'{"name": -Infinity}', 400),
    "a number beyond a double": (b'{"name": 1e999}', 400),
    "a number of 5000 digits": (b'{"name": %s}' % (b"9" * 5000), 400),
    "a lone surrogate": (b'{"name": "\\ud800"}', 400),
    "a lone surrogate in a key": (b'{"\\udc00": 1}', 400),
    "a reversed pair of surrogates": (b'{"name": "\\udc00\\ud800"}', 400),
    "bytes that are not UTF-8": (b'{"name": "\xff\xfe"}', 400),
    "UTF-16": ('{"name": "x"}'.encode("utf-16"), 400),
    "a byte order mark": (b'\xef\xbb\xbf{"name": "x"}', 400),
    "trailing garbage": (b'{"name": "x"}x', 400),
    "two documents": (b'{"name": "x"}{"name": "y"}', 400),
    "a comma too many": (b'{"name": "x",}', 400),
    "a comment": (b'{"name": "x"} // a name', 400),
    "single quotes": (b"{'name': 'x'}", 400),
    "cut off": (b'{"name": "x', 400),
    "a zero byte": (b'{"name": "x\x00"}', 400),
    "a written zero character": (b'{"name": "x\\u0000"}', 422),
    "a zero character behind a long key": (b'{"%s": "x\\u0000"}' % (b"k" * 5000), 422),
    "a key twice": (b'{"name": "a", "name": "b"}', 422),
    "a long key twice": (b'{"%s": 1, "%s": 2}' % (b"k" * 5000, b"k" * 5000), 422),
    "nesting of 500": (b"[" * 500 + b"]" * 500, 422),
    "nesting of 100000": (b"[" * 100_000 + b"]" * 100_000, 400),
    "open nesting of 100000": (b'{"a":' * 100_000, 400),
}


def _at(path: str, what: str, body: bytes, status: int | tuple[int, ...], headers: dict[str, str] = JSON) -> Case:
    return Case(what, path, body, status, method=READERS[path], headers=headers)


def _over_the_limit() -> bytes:
    return b'{"name": "' + b"x" * (9 * MEBIBYTE) + b'"}'


def _unknown_fields() -> bytes:
    return json.dumps(MODEL | {f"field_{number}": number for number in range(300_000)}).encode()


def _many_lists() -> bytes:
    return b'{"name": [' + b"[]," * 2_500_000 + b"[]]}"


JSON_BODIES = [
    *(_at(path, what, body, status) for path in READERS for what, (body, status) in NO_JSON.items()),
    *(_at(path, what, body, READ_OR_NOT) for path in READERS for what, body in NO_DOCUMENT.items()),
    *(_at(path, "nothing", b"", READ_OR_NOT) for path in READERS if not path.endswith(":cancel")),
    *(_at(path, "another type", b"{}", 415, {"Content-Type": "text/plain"}) for path in READERS),
    *(_at(path, "no type", b"{}", 415, {}) for path in READERS),
    *(_at(path, "a long type", b"{}", 415, {"Content-Type": "x" * 5000}) for path in READERS),
    *(_at(path, "gzip", b"\x1f\x8b\x08", 415, JSON | {"Content-Encoding": "gzip"}) for path in READERS),
    *(Case("a body over the limit", path, _over_the_limit, 413, method=READERS[path]) for path in READERS),
    *(Case("300000 unknown fields", path, _unknown_fields, 422, method=READERS[path]) for path in READERS),
    *(
        Case("2500000 lists", path, _many_lists, 422, method=READERS[path])
        for path in ("/api/models", "/api/runs", "/api/datasets")
    ),
]
