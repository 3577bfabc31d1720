"""Uploads that are no datasets: forms, files of every format, and documents."""

import gzip
import json
from collections.abc import Callable
from typing import Any

import numpy as np
import pyarrow as pa

from tests.acceptance.bad_inputs.cases import Case, got, posted
from tests.unit.datasets.making import image, npy, npz, parquet, zipped, zipped_link

BOUNDARY = "multipart/form-data; boundary=edge"
END = b"\r\n--edge--\r\n"
CSV = b"a,b\n1,2\n3,4\n"
LONG = "x" * 5000


def part(name: str, content: bytes, file_name: str | None = None, extra: bytes = b"") -> bytes:
    """One part of a form."""
    about = f'form-data; name="{name}"' + (f'; filename="{file_name}"' if file_name is not None else "")
    return b"--edge\r\nContent-Disposition: " + about.encode() + b"\r\n" + extra + b"\r\n" + content + b"\r\n"


def form(content: bytes, **fields: str) -> bytes:
    """A form with a file and other fields."""
    parts = [part(name, value.encode()) for name, value in fields.items()]
    return b"".join([*parts, part("file", content, "upload")]) + b"--edge--\r\n"


def sent(what: str, body: bytes | Callable[[], bytes], status: int = 422, says: str = "", type_: str = BOUNDARY) -> Case:
    """A body that is no form, or has no file."""
    return Case(what, "/api/datasets", body, status, None, says, headers={"Content-Type": type_})


def file(what: str, content: bytes | Callable[[], bytes], status: int = 422, says: str = "", **fields: str) -> Case:
    """A file that is no dataset."""
    body = form(content, **fields) if isinstance(content, bytes) else lambda: form(content(), **fields)
    return sent(what, body, status, says)


def fielded(what: str, pointer: str, **fields: str) -> Case:
    """A form with a field that cannot be used."""
    body = form(CSV, **fields)
    return Case(what, "/api/datasets", body, 422, pointer, headers={"Content-Type": BOUNDARY})


def document(what: str, pointer: str | None = None, status: int | tuple[int, ...] = 422, **fields: Any) -> Case:
    """A dataset as JSON."""
    return posted(f"JSON, {what}", "/api/datasets", {"name": "x"} | fields, pointer, status=status)


def made(what: str, make: Callable[[], bytes], pointer: str | None = None) -> Case:
    """A large document."""
    return Case(what, "/api/datasets", make, 422, pointer)


FORMS = [
    sent("no boundary", form(CSV), 400, "boundary", "multipart/form-data"),
    sent("a boundary without end", form(CSV), 400, "boundary", f"multipart/form-data; boundary={LONG}"),
    sent("another boundary", form(CSV), 400, type_="multipart/form-data; boundary=other"),
    sent("nothing", b"", 422, "cut off"),
    sent("truncated", form(CSV)[:-20], 422, "cut off"),
    sent("cut off in a header", form(CSV)[:30], 422, "cut off"),
    sent("no file", part("name", b"x") + b"--edge--\r\n"),
    sent("a file that is text", part("file", CSV) + b"--edge--\r\n"),
    sent("text that is a file", part("name", CSV, "x") + b"--edge--\r\n"),
    sent("two files", part("file", CSV, "x") * 2 + b"--edge--\r\n", 400, "twice"),
    sent("2000 parts", part("x", b"x") * 2000 + b"--edge--\r\n"),
    sent("a part without a name", b"--edge\r\n\r\nx" + END),
    sent("a header without end", b"--edge\r\nX-Y: " + b"y" * 100_000 + b"\r\n\r\nx" + END, 400),
    sent("a hundred headers", part("file", CSV, "x", b"X: y\r\n" * 100) + b"--edge--\r\n", 400),
    sent("a field without end", part("name", b"x" * 100_000) + b"--edge--\r\n", 422, "too long"),
    sent("plain CSV", CSV, 415, type_="text/csv"),
    sent("no type", CSV, 415, type_=""),
    fielded("an unknown field", "colour", colour="red"),
    fielded("a long unknown field", "x", **{LONG[:1000]: "red"}),
    fielded("an unknown format", "format", format="xlsx"),
    fielded("a long format", "format", format=LONG),
    fielded("an image size of 0", "image_size", image_size="0x5"),
    fielded("a huge image size", "image_size", image_size="99999x99999"),
    fielded("an image size in words", "image_size", image_size="big"),
    fielded("a long target", "target", target=LONG),
    fielded("a target that is missing", "target", target="c"),
    fielded("a name with NUL", "name", name="a\0b"),
]
TEXTS = [
    file("an empty file", b""),
    file("blank lines", b"\n\n\n"),
    file("header only", b"a,b\n"),
    file("ragged rows", b"a,b,c,d\n" + b"1,2,3,4\n" * 5 + b"1,2,3,4,5\n", 422, "Line 7 has 5 values, expected 4"),
    file("duplicate columns", b"a,a\n1,2\n"),
    file(
        "9000 columns, the last twice", lambda: b",".join(b"c%d" % n for n in range(9000)) + b",c8999\n" + b"1," * 9000 + b"1\n"
    ),
    file("long duplicate columns", b"%b,%b\n1,2\n" % (LONG.encode()[:1000], LONG.encode()[:1000])),
    file("a column without a name", b"a,\n1,2\n"),
    file("a column name of 5000", f"{LONG},b\n1,2\n".encode()),
    file("a number beyond a double", b"a,b\n1e400,2\n1,2\n"),
    file("latin-1", "a,b\n1,Jos\u00e9\n".encode("latin-1"), 422, "Line 2: byte 9"),
    file("UTF-16", "a,b\n1,2\n".encode("utf-16"), 422, "zero bytes"),
    file("NUL in a cell", b"a,b\nx\x00y,2\n"),
    file("an open quote", b'a,b\n1,2\n"1,2\n' + b"3,4\n" * 100_000, 422, "Line 3 opens a quote"),
    file("an open quote over 50 MB", lambda: b'a,b\n1,2\n"1,2\n' + b"3,4\n" * 13_000_000, 422, "Line 3 begins a record"),
    file("3500000 commas", lambda: b"," * 3_500_000 + b"\n" + b"," * 3_500_000 + b"\n"),
    file("300000 columns", lambda: b",".join(b"c%d" % number for number in range(300_000)) + b"\n"),
    file("no gzip", b"\x1f\x8b\x08\x00garbage", 400),
    file("a gzip bomb", lambda: gzip.compress(b"a\n" + b"1\n" * 50_000_000, 1), 422, "expands too far"),
    file("a gzip in a gzip", gzip.compress(gzip.compress(b"a\n1\n"))),
    file("a damaged gzip", gzip.compress(b"a\n1\n" * 1000)[:-20], 400, "gzip"),
    file("a NaN in JSON", b'[{"a": NaN}]', 400, "NaN"),
    file("JSON that is deep", b'[{"a": ' + b"[" * 100_000, 422, "nested"),
    file("JSON that is a number", b"5", 422, "", format="json"),
    file("JSON that is cut off", b'[{"a": 1}, {"a"', 400),
    file("JSON of two kinds", b'[{"a": 1}, {"a": "x"}]'),
    file("binary rubbish", bytes(range(256)) * 100),
]
BINARIES = [
    file("a Parquet bomb", lambda: parquet({"a": pa.array(["x" * 10_000] * 15_000)})),
    file("a cut Parquet", parquet({"a": [1, 2]})[:-9], 400, "Parquet"),
    file("a Parquet of lists", parquet({"a": [[1], [2, 3]]})),
    file("a Parquet of no rows", parquet({"a": pa.array([], pa.int64())})),
    file("Feather", b"ARROW1\0\0" + b"\0" * 100, 422, "Feather"),
    file("Python objects", npy(np.array([{}], dtype=object), allow_pickle=True), 422, "Python objects"),
    file("a pickle", b"\x80\x04\x95\x0b\x00\x00\x00\x00\x00\x00\x00]\x94(K\x01K\x02e.", 422, "", format="csv"),
    file(
        "a shape of 1e12", npy(np.zeros(3)).replace(b"(3,), }" + b" " * 12, b"(1000000000000,), }"), 400, "larger than its file"
    ),
    file("a negative shape", npy(np.zeros(3)).replace(b"(3,), } ", b"(-3,), }"), 400, "cannot be read"),
    file("an array of no axes", npy(np.float64(5))),
    file("an array of no rows", npy(np.zeros((0, 3)))),
    file("an array of seven axes", npy(np.zeros([1] * 7))),
    file("an infinity in an array", npy(np.array([1.0, np.inf]))),
    file("complex numbers", npy(np.array([1j])), 422, "numbers"),
    file("structured", npy(np.zeros(3, dtype=[("a", "i4")])), 422, "numbers"),
    file("dates in an array", npy(np.array(["2020-01-01"], dtype="M8[D]")), 422, "datetime64"),
    file("a wrong magic number", b"\x93NUMPY", 400, "cannot be read"),
    file("arrays of different lengths", npz(x=np.zeros(3), y=np.zeros(4))),
    file("an empty NPZ", zipped({})),
    file("an NPZ bomb", lambda: zipped({"x.npy": b"\x93NUMPY" + b"\0" * 100_000_000}), 422, "expands too far"),
    file("a key that climbs", zipped({"../../evil.npy": npy(np.zeros(3))}), 422, "climbs"),
    file("a ZIP that is cut off", zipped({"a/1.png": image(1)})[:-30], 400),
    file("a link", zipped_link("a/1.png", "/etc/passwd"), 422, "link"),
    file("an image bomb", lambda: zipped({"a/1.png": image(0, size=(6000, 6000), mode="1")}), 422, "pixels"),
    file("an image that is none", zipped({"a/1.png": b"\x89PNG\r\n\x1a\n" + b"\0" * 100, "b/1.png": image(1)}), 422, "a/1.png"),
    file("images of different sizes", zipped({"a/1.png": image(1, size=(9, 9)), "b/2.jpg": image(2, kind="JPEG")})),
    file("images without folders", zipped({"1.png": image(1), "2.png": image(2)})),
    file("many small members", lambda: zipped({f"a/{number}.png": b"" for number in range(20_000)}), 422, "a/"),
    file("ZIPs in ZIPs", zipped({"a/1.zip": zipped({"b/2.zip": zipped({})})}), 422, "a/1.zip"),
]
DOCUMENTS = [
    document("no data"),
    document("no rows", "/rows", rows=[]),
    document("rows that are a number", "/rows", rows=5),
    document("a row that is a list", "/rows/0", rows=[[1, 2]]),
    document("a nested cell", "/rows/1/a", rows=[{"a": 1}, {"a": {"b": 1}}]),
    document("cells of two kinds", rows=[{"a": 1}, {"a": "x"}]),
    document("rows without columns", rows=[{}, {}]),
    document("a column without a name", rows=[{"": 1}, {"": 2}]),
    document("a column name of 5000", rows=[{LONG: 1}, {LONG: 2}]),
    document("a nested cell of a long name", "/rows/0/x", rows=[{LONG: []}]),
    document("rows and arrays", rows=[{"a": 1}], x=[[1]]),
    document("no name", "/name", name="", rows=[{"a": 1}]),
    document("a long name", "/name", name=LONG, rows=[{"a": 1}]),
    document("a long target", "/target", target=LONG, rows=[{"a": 1}]),
    document("a target that is missing", "target", target="b", rows=[{"a": 1}, {"a": 2}]),
    document("an unknown field", "/row", rows=[{"a": 1}], row=1),
    document("ragged arrays", x=[[1, 2], [3]], y=[0, 1]),
    document("arrays of nested texts", x=[["a"], ["b"]], y=[0, 1]),
    document("arrays of different lengths", x=[[1], [2]], y=[0]),
    document("an empty array", "/x", x=[], y=[]),
    document("arrays of nulls", x=[[None], [None]], y=[0, 1]),
    document("arrays of objects", x=[{"a": 1}, {"a": 2}]),
    document("no arrays", "/arrays", arrays={}),
    document("200 arrays", "/arrays", arrays={f"a{number}": [1] for number in range(200)}),
    document("a name of an array of 5000", "/arrays/x", arrays={LONG: [1, 2]}),
    document("a ragged array of a long name", "/arrays/x", arrays={LONG: [[1], [2, 3]]}),
    document("a name of an array that climbs", arrays={"../../x": [1, 2]}),
    made("800000 rows that are numbers", lambda: json.dumps({"name": "x", "rows": [1] * 800_000}).encode(), "/rows/0"),
    made("100000 rows of wrong cells", lambda: json.dumps({"name": "x", "rows": [{"a": []}] * 100_000}).encode(), "/rows/0/a"),
    made("500000 rows of wrong cells", lambda: json.dumps({"name": "x", "rows": [{"a": []}] * 500_000}).encode()),
    made("2600000 lists for rows", lambda: b'{"name": "x", "rows": [' + b"[]," * 2_600_000 + b"0]}"),
    made(
        "a row of 200000 wrong cells",
        lambda: json.dumps({"name": "x", "rows": [{f"c{number}": [] for number in range(200_000)}]}).encode(),
        "/rows/0/c0",
    ),
    made(
        "300000 columns in a row",
        lambda: json.dumps({"name": "x", "rows": [{f"c{number}": 1 for number in range(300_000)}]}).encode(),
    ),
    made("a text of 7 MB as name", lambda: json.dumps({"name": "x" * 7_000_000, "rows": [{"a": 1}]}).encode(), "/name"),
]
STORED = [
    got("an unknown dataset", "/api/datasets/ds_1", 404),
    got("the content of nothing", "/api/datasets/ds_1/content", 404),
    got("the rows of nothing", "/api/datasets/ds_1/rows", 404),
    *(
        got(f"rows from {token[:10]}", f"/api/datasets/$dataset/rows?page_token={token}", 422, "?page_token")
        for token in ("-1", "x", "1.5", "9" * 30)
    ),
    got("201 rows", "/api/datasets/$dataset/rows?page_size=201", 422, "?page_size"),
    *(
        got(f"range {wanted[:16]}", "/api/datasets/$dataset/content", 416, Range=wanted)
        for wanted in (
            "bytes=",
            "bytes=9-5",
            "bytes=99999999-",
            "bytes=-0",
            "lines=1-2",
            "bytes=x-y",
            "bytes",
            "bytes=-",
            "bytes=0-0" + ",0-0" * 5000,
            "bytes=" + "0" * 5000 + "-",
        )
    ),
]
DATASETS = [*FORMS, *TEXTS, *BINARIES, *DOCUMENTS, *STORED]
