"""Reads an upload into stored files, a schema and statistics. Runs as a child process: ``python -m service.datasets.parsing``.

Request: ``{"path", "format": "csv" | "json", "target", "max_rows", "max_columns"}``. Answer: ``{"dataset": …}`` with the
files written beside the upload, or ``{"error": …, "problems": […]}``. Knows no HTTP and no database.
"""

import gzip
import io
import sys
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import orjson
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv
import pyarrow.parquet

from service.errors import FitserveError, InvalidInput, MalformedInput, Problem

SAMPLE_BYTES = 64 * 1024
MAX_CATEGORIES = 50
MAX_CELL_CHARACTERS = 100
GZIP_MAGIC = b"\x1f\x8b"
MAX_EXPANSION = 200
MAX_HEADER_BYTES = 4 * 1024 * 1024
MAX_DIMENSIONS = 5


def parse(request: dict[str, Any]) -> dict[str, Any]:
    """Parse the upload that the request names. Raises InvalidInput or MalformedInput."""
    path = Path(request["path"])
    if request["format"] == "csv":
        return _store_table(_read_csv(path, request["max_columns"]), request)
    document = orjson.loads(path.read_bytes())
    if "rows" in document:
        return _store_table(_table_from_rows(document["rows"]), request)
    return _store_arrays({name: document[name] for name in ("x", "y") if document.get(name) is not None}, request)


# Tables


def _read_csv(path: Path, max_columns: int) -> pa.Table:
    path = _unpack(path)
    header = _header_line(path)
    delimiter = max(",;\t|", key=header.count)
    names = header.count(delimiter) + 1
    if names > max_columns:
        raise InvalidInput(
            f"The CSV has about {names} columns.",
            [Problem("file", "Too many columns.", received=str(names), expected=f"at most {max_columns}")],
        )
    try:
        table = pa.csv.read_csv(
            path,
            parse_options=pa.csv.ParseOptions(delimiter=delimiter, newlines_in_values=True),
            convert_options=pa.csv.ConvertOptions(strings_can_be_null=True, check_utf8=True),
        )
    except (pa.ArrowInvalid, pa.ArrowKeyError) as error:
        reason = str(error).split("\n", 1)[0][:300]
        raise InvalidInput("The CSV cannot be read.", [Problem("file", reason, fix="Check that line.")]) from error
    return _check_table(table)


def _unpack(path: Path) -> Path:
    """The plain text of an upload that may be gzipped; its size is bounded by the ratio that text can have."""
    with path.open("rb") as file:
        if file.read(2) != GZIP_MAGIC:
            return path
    unpacked = path.with_suffix(".unpacked")
    limit = path.stat().st_size * MAX_EXPANSION
    try:
        with gzip.open(path) as source, unpacked.open("wb") as target:
            while chunk := source.read(io.DEFAULT_BUFFER_SIZE * 16):
                target.write(chunk)
                if target.tell() > limit:
                    raise InvalidInput(
                        "The gzip file expands too far.",
                        [Problem("file", f"It is more than {MAX_EXPANSION} times larger inside than outside.")],
                    )
    except (OSError, EOFError) as error:
        raise MalformedInput("The gzip file is damaged or cut off.") from error
    return unpacked


def _header_line(path: Path) -> str:
    with path.open("rb") as file:
        line = file.readline(MAX_HEADER_BYTES)
    if b"\0" in line:
        raise InvalidInput(
            "The CSV is not UTF-8 text.",
            [Problem("file", "It holds zero bytes.", expected="UTF-8 text", fix="Save it as UTF-8 (it may be UTF-16).")],
        )
    try:
        text = line.decode("utf-8-sig").strip("\r\n")
    except UnicodeDecodeError as error:
        problem = Problem("file", f"Byte {error.start} is not UTF-8.", expected="UTF-8 text", fix="Save the file as UTF-8.")
        raise InvalidInput("The CSV is not UTF-8 text.", [problem]) from error
    if not text.strip():
        raise InvalidInput(
            "The CSV is empty.",
            [Problem("file", "There is no header line.", expected="a first line with column names")],
        )
    return text


def _table_from_rows(rows: list[dict[str, Any]]) -> pa.Table:
    names = list(dict.fromkeys(name for row in rows for name in row))
    if not names:
        raise InvalidInput("The rows have no columns.", [Problem("/rows", "Every row is empty.")])
    problems: list[Problem] = []
    columns = {name: _column_from_values(name, [row.get(name) for row in rows], problems) for name in names}
    if problems:
        raise InvalidInput("Some columns mix different kinds of values.", problems)
    return _check_table(pa.table(columns))


def _column_from_values(name: str, values: list[Any], problems: list[Problem]) -> pa.Array:
    kinds = {type(value) for value in values if value is not None}
    if kinds <= {int, float}:
        values = [float(value) if value is not None and kinds != {int} else value for value in values]
    elif len(kinds) > 1:
        first = next(value for value in values if value is not None)
        row, other = next((i, v) for i, v in enumerate(values) if v is not None and type(v) is not type(first))
        message = f"The column has {type(first).__name__} and {type(other).__name__} values."
        problems.append(Problem(f"/rows/{row}/{name}", message, repr(other)[:100], type(first).__name__))
        return pa.nulls(len(values))
    try:
        return pa.array(values)
    except (pa.ArrowInvalid, OverflowError) as error:
        problems.append(
            Problem(
                f"/rows/*/{name}",
                "A value is out of range.",
                expected="64-bit integers or doubles",
                fix=str(error)[:100],
            )
        )
        return pa.nulls(len(values))


def _check_table(table: pa.Table) -> pa.Table:
    names = table.column_names
    repeated = sorted({name for name in names if names.count(name) > 1}) if len(set(names)) < len(names) else []
    if repeated:
        problem = Problem("file", f"Two columns are named '{repeated[0][:80]}'.", fix="Give every column a name of its own.")
        raise InvalidInput("The table has duplicate columns.", [problem])
    if any(not name.strip() or "\0" in name for name in names):
        raise InvalidInput("A column has no name.", [Problem("file", "Every column needs a name in the first line.")])
    if table.num_rows == 0:
        raise InvalidInput("The table has no rows.", [Problem("file", "There is only a header.", expected="at least one row")])
    return pa.table({name: _usable_column(name, table.column(name)) for name in names})


def _usable_column(name: str, column: pa.ChunkedArray) -> pa.ChunkedArray:
    if pa.types.is_floating(column.type):
        if not pc.all(pc.is_finite(column), skip_nulls=True).as_py() and pc.any(pc.is_inf(column)).as_py():
            raise InvalidInput(
                f"Column '{name[:80]}' holds an infinite number.",
                [
                    Problem(
                        "file",
                        f"Column '{name[:80]}' has infinity or a number beyond a double.",
                        fix="Leave the cell empty.",
                    )
                ],
            )
        return pc.if_else(pc.is_nan(column), pa.scalar(None, column.type), column)
    if pa.types.is_binary(column.type) or pa.types.is_large_binary(column.type):
        raise InvalidInput(
            "The CSV is not UTF-8 text.",
            [Problem("file", f"Column '{name[:80]}' has bytes that are not UTF-8.", fix="Save the file as UTF-8.")],
        )
    if pa.types.is_string(column.type) and pc.any(pc.match_substring(column, "\0")).as_py():
        raise InvalidInput(
            "The table has a zero character.",
            [Problem("file", f"Column '{name[:80]}' has a text with the character U+0000.", fix="Leave that character out.")],
        )
    if pa.types.is_time(column.type) or pa.types.is_duration(column.type):
        return column.cast(pa.string())
    return column


def _store_table(table: pa.Table, request: dict[str, Any]) -> dict[str, Any]:
    _check_rows(table.num_rows, request["max_rows"])
    if table.num_columns > request["max_columns"]:
        problem = Problem("", "Too many columns.", str(table.num_columns), f"at most {request['max_columns']}")
        raise InvalidInput("The table has too many columns.", [problem])
    _check_target(request["target"], table.column_names)
    path = Path(request["path"]).with_name("table.parquet")
    pa.parquet.write_table(table, path, compression="zstd")
    columns = [_describe_column(name, table.column(name)) for name in table.column_names]
    return {"kind": "table", "rows": table.num_rows, "files": {"table": str(path)}, "columns": columns, "arrays": []}


def _check_rows(rows: int, max_rows: int) -> None:
    if rows > max_rows:
        raise InvalidInput("The dataset has too many rows.", [Problem("", "Too many rows.", str(rows), f"at most {max_rows}")])


def _check_target(target: str | None, names: list[str]) -> None:
    if target is not None and target not in names:
        known = ", ".join(names[:20])
        problem = Problem("target", "There is no such column.", target[:80], f"one of: {known}", "Correct it or leave it out.")
        raise InvalidInput("The target is not in the data.", [problem])


def _describe_column(name: str, column: pa.ChunkedArray) -> dict[str, Any]:
    distinct = pc.count_distinct(column).as_py()
    kind = _column_type(column.type, distinct)
    description: dict[str, Any] = {"name": name, "type": kind, "nulls": column.null_count, "distinct": distinct}
    if kind in ("number", "integer") and column.null_count < len(column):
        extremes = pc.min_max(column).as_py()
        description |= {key: float(extremes[key]) for key in ("min", "max")}
        description |= {"mean": pc.mean(column).as_py(), "std": pc.stddev(column).as_py()}
    if kind == "datetime" and column.null_count < len(column):
        extremes = pc.min_max(column).as_py()
        description |= {key: extremes[key].isoformat() for key in ("min", "max")}
    if kind in ("category", "boolean") or (kind == "integer" and distinct <= MAX_CATEGORIES):
        description["most_frequent"] = _most_frequent(column)
    return description


def _column_type(kind: pa.DataType, distinct: int) -> str:
    if pa.types.is_boolean(kind):
        return "boolean"
    if pa.types.is_integer(kind):
        return "integer"
    if pa.types.is_floating(kind) or pa.types.is_null(kind):
        return "number"
    if pa.types.is_temporal(kind):
        return "datetime"
    return "category" if distinct <= MAX_CATEGORIES else "text"


def _most_frequent(column: pa.ChunkedArray) -> list[list[Any]]:
    counts = sorted(pc.value_counts(column.drop_null()).to_pylist(), key=lambda entry: -entry["counts"])[:10]
    shown = [(_shorten(entry["values"]), entry["counts"]) for entry in counts]
    return [list(pair) for pair in shown]


def _shorten(value: Any) -> Any:
    return value[:MAX_CELL_CHARACTERS] if isinstance(value, str) else value


# Arrays


def _store_arrays(documents: dict[str, list[Any]], request: dict[str, Any]) -> dict[str, Any]:
    arrays = {name: _array_from_lists(name, values) for name, values in documents.items()}
    lengths = {name: len(array) for name, array in arrays.items()}
    if len(set(lengths.values())) > 1:
        received = ", ".join(f"{name}: {length}" for name, length in lengths.items())
        problem = Problem("/y", "x and y need one entry per example each.", received, "equal lengths")
        raise InvalidInput("The arrays have different lengths.", [problem])
    rows = next(iter(lengths.values()))
    _check_rows(rows, request["max_rows"])
    files = {}
    for name, array in arrays.items():
        path = Path(request["path"]).with_name(f"{name}.npy")
        np.save(path, array, allow_pickle=False)
        files[name] = str(path)
    described = [{"name": name, "shape": list(array.shape), "dtype": str(array.dtype)} for name, array in arrays.items()]
    return {"kind": "arrays", "rows": rows, "files": files, "columns": [], "arrays": described}


def _array_from_lists(name: str, values: list[Any]) -> np.ndarray[Any, Any]:
    expected = "numbers in nested lists of equal lengths"
    try:
        array = np.array(values)
    except (ValueError, OverflowError) as error:
        problem = Problem(f"/{name}", "The lists inside have different lengths.", expected=expected)
        raise InvalidInput(f"'{name}' is not an array.", [problem]) from error
    if array.dtype.kind not in "bif" or array.ndim > MAX_DIMENSIONS or array.size == 0:
        received = f"shape {list(array.shape)[:8]} of {array.dtype}"
        raise InvalidInput(
            f"'{name}' is not an array of numbers.", [Problem(f"/{name}", "This is not numbers.", received, expected)]
        )
    if array.dtype.kind == "f":
        return _as_float32(name, array)
    if array.dtype.kind == "i" and (array.min() < -(2**31) or array.max() >= 2**31):
        raise InvalidInput(
            f"'{name}' has large integers.", [Problem(f"/{name}", "Integers need 32 bits.", fix="Send them as floats.")]
        )
    return array.astype(np.int32)


def _as_float32(name: str, array: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    with np.errstate(over="ignore"):
        narrowed = array.astype(np.float32)
    if not np.isfinite(narrowed).all():
        raise InvalidInput(
            f"'{name}' has huge numbers.",
            [Problem(f"/{name}", "A number is beyond 32-bit floats.", fix="Scale the data.")],
        )
    return narrowed


def main() -> None:
    """Read the request from standard input and write the answer to standard output."""
    request = orjson.loads(sys.stdin.buffer.read())
    answer: dict[str, Any]
    try:
        answer = {"dataset": parse(request)}
    except InvalidInput as error:
        answer = {
            "error": "invalid",
            "message": error.message,
            "problems": [asdict(problem) for problem in error.problems],
        }
    except FitserveError as error:
        answer = {"error": "malformed", "message": error.message}
    sys.stdout.buffer.write(orjson.dumps(answer))


if __name__ == "__main__":
    main()
