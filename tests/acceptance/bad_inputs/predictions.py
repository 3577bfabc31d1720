"""Requests for predictions that cannot be answered, over each of the three protocols."""

import json
import struct
import zlib
from typing import Any

import numpy as np

from tests.acceptance.bad_inputs.cases import JSON, Case, got, posted

LONG = "x" * 5000
WIDTH = 64
"""Columns of the model."""
ROW = [0] * WIDTH
NATIVE = "/api/models/$model:predict"
SERVING = "/v1/models/$model:predict"
INFER = "/v2/models/$model/infer"
JSON_BYTES = "Inference-Header-Content-Length"
NO_JSON = {
    "nothing": b"",
    "null": b"null",
    "a list": b"[]",
    "cut off": b'{"instances": [[0',
    "trailing garbage": b"{} x",
    "bad UTF-8": b'{"instances": "\xff"}',
    "UTF-16": '{"instances": [[0]]}'.encode("utf-16"),
    "a number of 5000 digits": b'{"instances": [[%s]]}' % (b"9" * 5000),
    "nesting of 500": b'{"instances": ' + b"[" * 500 + b"]" * 500 + b"}",
    "nesting of 100000": b"[" * 100_000 + b"]" * 100_000,
    "open nesting of 100000": b'{"a":' * 100_000,
}
ROWS: dict[str, tuple[Any, str]] = {
    "no rows": ([], "/rows"),
    "too few columns": ([[0] * (WIDTH - 1)], "/rows/0"),
    "ragged": ([ROW, [0] * (WIDTH + 1)], "/rows/1"),
    "text for a number": ([["x", *ROW[1:]]], "/rows/0"),
    "a long text for a number": ([[LONG, *ROW[1:]]], "/rows/0"),
    "true for a number": ([[True, *ROW[1:]]], "/rows/0"),
    "a list for a number": ([[[0], *ROW[1:]]], "/rows/0"),
    "an object for a number": ([[{"a": 0}, *ROW[1:]]], "/rows/0"),
    "a number too large": ([[1e300] * WIDTH], "/rows/0"),
    "an unknown column": ([{"nothing": 1}], "/rows/0"),
    "a long unknown column": ([{LONG: 1}], "/rows/0"),
    "no list": (5, "/rows"),
    "text": ("rows", "/rows"),
    "a row that is no row": ([5], "/rows/0"),
    "a row that is null": ([None], "/rows/0"),
    "an empty row": ([[]], "/rows/0"),
}


def infer(what: str, says: str = "", **changes: Any) -> Case:
    """A request of the Open Inference Protocol with a changed input."""
    tensor = {"name": "pixel_0_0", "shape": [1], "datatype": "FP64", "data": [0]} | changes
    return posted(what, INFER, {"inputs": [tensor]}, says=says, status=400)


def packed(what: str, size: Any, part: bytes, length: str = "", **changes: Any) -> Case:
    """The same, with its tensor as bytes behind the JSON."""
    tensor = {"name": "pixel_0_0", "shape": [1], "datatype": "FP64", "parameters": {"binary_data_size": size}} | changes
    text = json.dumps({"inputs": [tensor]}).encode()
    return Case(what, INFER, text + part, 400, headers={JSON_BYTES: length or str(len(text))})


def million_rows() -> bytes:
    """As many rows as fit into a body."""
    return b'{"%s": [' + b"[0]," * 1_000_000 + b"[0]]}"


def wide_csv(columns: int, last: bytes) -> bytes:
    """A header of many names, and a line below it."""
    names = b",".join(b"c%d" % number for number in range(columns))
    return names + b"," + last + b"\n" + b"1," * columns + b"1\n"


def many_keys() -> bytes:
    """As many fields as fit into a body, none of which anybody knows."""
    return json.dumps({f"field_{number}": number for number in range(300_000)}).encode()


def many_columns() -> bytes:
    """As many columns of one row as fit into a body."""
    return b",".join(b'"c%d": [1]' % number for number in range(400_000))


def coded(what: str, path: str, body: bytes, coding: str, status: int) -> Case:
    """A body that does not keep what its Content-Encoding says."""
    return Case(what, path, body, status, headers=JSON | {"Content-Encoding": coding})


def bomb() -> bytes:
    """Little that expands to 100 MB."""
    packer = zlib.compressobj(9, zlib.DEFLATED, 16 + zlib.MAX_WBITS)
    return packer.compress(b'{"instances": [' + b" " * 100_000_000) + packer.flush()


NATIVES = [
    *(posted(what, NATIVE, {"rows": rows}, pointer) for what, (rows, pointer) in ROWS.items()),
    posted("no rows at all", NATIVE, {}, "/rows"),
    posted("an unknown field", NATIVE, {"rows": [ROW], "instances": []}, "/instances"),
    posted("a long unknown field", NATIVE, {"rows": [ROW], LONG: 1}, "/x"),
    *(
        posted(f"version {version!r}", NATIVE, {"rows": [ROW], "version": version}, "/version")
        for version in (0, -1, True, "1", 1e20, 2**31, [1])
    ),
    posted("a version that is not there", NATIVE, {"rows": [ROW], "version": 99}, status=404),
    posted("an alias that is not there", NATIVE, {"rows": [ROW], "alias": "nothing"}, status=404),
    posted("an alias that is no name", NATIVE, {"rows": [ROW], "alias": "../x"}, "/alias"),
    posted("a long alias", NATIVE, {"rows": [ROW], "alias": LONG}, "/alias"),
    posted("version and alias", NATIVE, {"rows": [ROW], "version": 1, "alias": "a"}, "/alias"),
    posted("an unknown parameter", f"{NATIVE}?colour=red", {"rows": [ROW]}, "?colour"),
    posted("a query that is none", f"{NATIVE}?version", {"rows": [ROW]}),
    posted("version 1e20", f"{NATIVE}?version=100000000000000000000", {"rows": [ROW]}, "?version"),
    posted("an untrained model", "/api/models/$untrained:predict", {"rows": [ROW]}, status=404),
    posted("a model that is not there", "/api/models/nothing:predict", {"rows": [ROW]}, status=404),
    posted("a long model", f"/api/models/{LONG}:predict", {"rows": [ROW]}, status=404),
    posted("a model with markup", "/api/models/%3Cscript%3E:predict", {"rows": [ROW]}, status=404),
    *(
        Case(f"2600000 {what}", NATIVE, lambda start=start, part=part: start + part * 2_600_000 + b"0]}", pointer="")
        for what, start, part in (
            ("lists for rows", b'{"rows": [', b"[],"),
            ("objects for rows", b'{"rows": [', b"{},"),
            ("lists elsewhere", b'{"row": [', b"[],"),
        )
    ),
    Case("1000000 rows", NATIVE, lambda: million_rows() % b"rows", 422),
    Case(
        "an answer that nobody gives", NATIVE, json.dumps({"rows": [ROW]}).encode(), 406, headers=JSON | {"Accept": "image/png"}
    ),
    *(
        Case(what, NATIVE, body, status, headers={"Content-Type": "text/csv"})
        for what, body, status in (
            ("empty CSV", b"", 422),
            ("CSV of one cell", b"1\n", 422),
            ("ragged CSV", b"1,2\n1,2,3\n", 422),
            ("CSV of text", b",".join([b"x"] * WIDTH) + b"\n" + b",".join([b"y"] * WIDTH) + b"\n", 422),
            ("CSV in latin-1", b"\xe9\n", 400),
            ("CSV with an open quote", b'"1,2\n', 400),
            ("CSV with a zero byte", b"1\x002\n", (400, 422)),
            ("CSV with a name twice", b"a,b,a\n1,2,3\n", 422),
            ("CSV of 9000 columns, the last twice", lambda: wide_csv(9000, b"c8999"), 422),
            ("CSV of 80000 columns, the last twice", lambda: wide_csv(80_000, b"c79999"), 422),
            ("CSV of 300000 columns", lambda: wide_csv(300_000, b"x"), 422),
            ("CSV of 3500000 commas", lambda: b"," * 3_500_000 + b"\n" + b"," * 3_500_000 + b"\n", 422),
        )
    ),
    *(
        Case(what, NATIVE, body, status, headers={"Content-Type": "application/x-ndjson"})
        for what, body, status in (
            ("no lines", b"\n\n", 422),
            ("a line that is no row", b"5\n", 422),
            ("a line that is no JSON", b"[0]\n{\n", 400),
            ("a line with NaN", b"[NaN]\n", 400),
            ("a line of 2600000 lists", lambda: b"[" + b"[]," * 2_600_000 + b"0]\n", 422),
        )
    ),
]
SERVINGS = [
    *(posted(what, SERVING, {"instances": rows}, status=400) for what, (rows, _) in ROWS.items() if "true" not in what),
    *(Case(what, SERVING, body, 400) for what, body in NO_JSON.items()),
    posted("neither rows nor columns", SERVING, {}, status=400),
    posted("rows and columns", SERVING, {"instances": [ROW], "inputs": [ROW]}, status=400),
    posted("columns that are missing", SERVING, {"inputs": {"pixel_0_0": [0]}}, status=400),
    posted(
        "columns of different lengths",
        SERVING,
        {"inputs": {f"pixel_{n // 8}_{n % 8}": [0] * (1 + n % 2) for n in range(WIDTH)}},
        status=400,
    ),
    posted("a long column", SERVING, {"inputs": {LONG: [[1]]}}, status=400),
    posted("columns that are a number", SERVING, {"inputs": 5}, status=400),
    posted("an unknown signature", SERVING, {"signature_name": "x", "instances": [ROW]}, status=400),
    posted("base64 that is none", SERVING, {"instances": [[{"b64": "!"}, *ROW[1:]]]}, status=400),
    posted("an untrained model", "/v1/models/$untrained:predict", {"instances": [ROW]}, status=404),
    posted("a model that is not there", "/v1/models/nothing:predict", {"instances": [ROW]}, status=404),
    posted("a long model", f"/v1/models/{LONG}:predict", {"instances": [ROW]}, status=404),
    posted("a version that is not there", "/v1/models/$model/versions/99:predict", {"instances": [ROW]}, status=404),
    posted("a version that is no number", "/v1/models/$model/versions/x:predict", {"instances": [ROW]}, status=400),
    posted("a version of 30 digits", f"/v1/models/$model/versions/{'9' * 30}:predict", {"instances": [ROW]}, status=404),
    posted("a label that is not there", "/v1/models/$model/labels/nothing:predict", {"instances": [ROW]}, status=400),
    posted("a verb that is none", "/v1/models/$model:guess", {"instances": [ROW]}, status=400),
    posted("a path that is none", "/v1/elsewhere", {}, status=404),
    got("a long path", f"/v1/models/{LONG}/{LONG}", (400, 404)),
    got("another method", SERVING, 405, method="DELETE"),
    Case("300000 fields", SERVING, many_keys, 400),
    Case("300000 columns", SERVING, lambda: b'{"inputs": %s}' % many_keys(), 400),
    Case("400000 columns of a row", SERVING, lambda: b'{"inputs": {%s}}' % many_columns(), 400),
    Case("2600000 lists for rows", SERVING, lambda: b'{"instances": [' + b"[]," * 2_600_000 + b"0]}", 400),
    Case("1000000 rows", SERVING, lambda: million_rows() % b"instances", 400),
    Case("a body over the limit", SERVING, lambda: b" " * (9 * 1024 * 1024), 413),
    coded("gzip that is none", SERVING, b"{}", "gzip", 400),
    coded("an unknown coding", SERVING, b"{}", "br", 415),
    coded("a long coding", SERVING, b"{}", LONG, 415),
    Case("a gzip bomb", SERVING, bomb, 413, headers=JSON | {"Content-Encoding": "gzip"}),
]
INFERS = [
    *(Case(what, INFER, body, 400) for what, body in NO_JSON.items()),
    posted("no inputs", INFER, {}, status=400),
    posted("inputs that are a text", INFER, {"inputs": "x"}, status=400),
    posted("no tensors", INFER, {"inputs": []}, status=400),
    posted("a tensor that is a list", INFER, {"inputs": [[0]]}, status=400),
    posted("a key that nobody knows", INFER, {"input": []}, status=400),
    posted("a long key", INFER, {LONG: []}, status=400),
    posted("a long id", INFER, {"id": LONG, "inputs": []}, status=400),
    posted("100000 tensors", INFER, {"inputs": [{"name": "x"}] * 100_000}, status=400),
    Case("2600000 lists for tensors", INFER, lambda: b'{"inputs": [' + b"[]," * 2_600_000 + b"0]}", 400),
    Case("300000 fields", INFER, many_keys, 400),
    Case("300000 fields of a tensor", INFER, lambda: b'{"inputs": [%s]}' % many_keys(), 400),
    infer("a single column", "no 'pixel"),
    infer("an unknown column", name="nothing"),
    infer("a long name", name=LONG),
    infer("a name that is a number", name=5),
    infer("an unknown datatype", "There is no such datatype", datatype="FP31"),
    infer("a long datatype", datatype=LONG),
    *(
        infer(f"shape {shape!r}", shape=shape)
        for shape in ([], [0], [-1], [2**63], [1.5], ["1"], 1, None, [1] * 1000, [10**6] * 3)
    ),
    *(
        infer(f"data {what}", data=data)
        for what, data in (
            ("nothing", None),
            ("text", "x"),
            ("true", [True]),
            ("a long text", [LONG]),
            ("too many", [0, 0]),
            ("empty", []),
            ("an object", {"a": 1}),
            ("deep", [[[[0]]]]),
        )
    ),
    infer("shared memory", parameters={"shared_memory_region": "x"}),
    infer("parameters that are a list", parameters=[1]),
    packed("half a number", 7, b"\0" * 7),
    packed("fewer bytes than said", 8, b"\0" * 7),
    packed("more bytes than said", 8, b"\0" * 9),
    packed("a size of -1", -1, b"\0" * 8),
    packed("a size of 1e18", 10**18, b"\0" * 8),
    packed("a size that is a text", "8", b"\0" * 8),
    packed("a size that is true", True, b"\0"),
    packed("a text of four gigabytes", 7, struct.pack("<I", 2**32 - 1) + b"abc", datatype="BYTES"),
    packed("a text that is cut off", 3, b"\x01\x00\x00", datatype="BYTES"),
    packed("an infinite number", 8, np.array([np.inf]).tobytes()),
    *(packed(f"a length of {length[:8]}", 8, b"\0" * 8, length) for length in ("-1", "x", "1.5", "1", "9" * 30, "99999")),
    Case("a raw body", INFER, b"\0" * 8, 400, headers={JSON_BYTES: "0"}),
    posted("an untrained model", "/v2/models/$untrained/infer", {"inputs": []}, status=(400, 404)),
    posted(
        "a model that is not there",
        "/v2/models/nothing/infer",
        {"inputs": [{"name": "x", "shape": [1], "datatype": "FP32", "data": [0]}]},
        status=404,
    ),
    got("a model with markup", "/v2/models/%3Cscript%3E", 404),
    got("a long model", f"/v2/models/{LONG}", 404),
    got("a version of 30 digits", f"/v2/models/$model/versions/{'9' * 30}", 404),
    got("another method", INFER, 405),
    got("a path that is none", "/v2/elsewhere", 404),
    got("a long path", f"/v2/{LONG}", 404),
    Case("a body over the limit", INFER, lambda: b" " * (9 * 1024 * 1024), 413),
    Case("a gzip bomb", INFER, bomb, 413, headers=JSON | {"Content-Encoding": "gzip"}),
    coded("an unknown coding", INFER, b"{}", "zstd", 415),
    Case("an index that is none", "/v2/repository/index", b"[]", 400),
]
PREDICTIONS = [*NATIVES, *SERVINGS, *INFERS]
