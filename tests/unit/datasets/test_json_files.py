"""JSON files, in one array or line by line."""

import gzip
import json
from pathlib import Path
from typing import Any

import pytest

from service.datasets.parsing import json_files
from service.errors import FitserveError, InvalidInput
from tests.unit.datasets.making import arrays_of, parsed, rows_of, types_of

ROWS = [{"n": number, "text": "x" * (number % 90) + '"},{"\n', "half": number / 2} for number in range(500)]


@pytest.mark.parametrize("chunk", [7, 1000, 10**6])
@pytest.mark.parametrize("form", ["array", "indented", "lines", "gzip"])
def test_rows_come_out_as_they_went_in(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, chunk: int, form: str) -> None:
    monkeypatch.setattr(json_files, "CHUNK_CHARACTERS", chunk)
    lines = "\n".join(json.dumps(row) for row in ROWS)
    content = {
        "array": json.dumps(ROWS).encode(),
        "indented": json.dumps(ROWS, indent=2).encode(),
        "lines": lines.encode(),
        "gzip": gzip.compress(lines.encode()),
    }[form]
    assert rows_of(parsed(tmp_path, content)) == ROWS


def test_a_missing_key_is_a_missing_value_and_integers_widen(tmp_path: Path) -> None:
    description = parsed(tmp_path, '{"a": 1}\n{"a": 2.5, "b": true}\n{"b": null, "c": null}\n')
    assert types_of(description) == {"a": "number", "b": "boolean", "c": "number"}
    assert rows_of(description) == [
        {"a": 1.0, "b": None, "c": None},
        {"a": 2.5, "b": True, "c": None},
        {"a": None, "b": None, "c": None},
    ]


def test_a_document_may_be_a_file_too(tmp_path: Path) -> None:
    arrays = arrays_of(parsed(tmp_path, '{"name": "xor", "x": [[0, 0], [0, 1]], "y": [0, 1]}'))
    assert {name: array.tolist() for name, array in arrays.items()} == {"x": [[0, 0], [0, 1]], "y": [0, 1]}
    assert rows_of(parsed(tmp_path, '{"rows": [{"a": 1}]}')) == [{"a": 1}]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ('{"a": 1}\n{"a": }\n', "line 2"),
        ('{"a": 1}\n{"a": 1\n', "line 2"),
        ('[{"a": 1},\n{"a": 2}', "cut off"),
        ('[{"a": 1}\n{"a": 2}]', "comma"),
        ('[{"a": 1}] {"a": 2}', "after the end"),
        ('{"a": NaN}\n', "NaN"),
        ('{"a": -Infinity}\n', "Infinity"),
        ('{"a": 1, "a": 2}\n', "twice"),
        ('{"a": 1}\n{"a": 1e999}\n', "infinity"),
        ('{"a": 1}\n{"a": ' + "9" * 30 + "}\n", "line 2"),
        ('{"a": ' + "9" * 5000 + "}\n", "4300 digits"),
        ('{"a": 1}\n{"a": "x"}\n', "line 2"),
        ('[{"a": 1}, {"a": [1]}]', "row 2"),
        ('{"a": "\\ud800"}\n', "line 1"),
        ('{"a": "x\\u0000"}\n', "U+0000"),
        ("[1, 2]", "row 1"),
        ("[" * 100_000, "nested"),
        ("[]", "empty"),
        ("[{}]", "no columns"),
        ('{"": 1}\n', "no name"),
    ],
)
def test_what_is_wrong_is_told_with_its_place(tmp_path: Path, content: str, message: str) -> None:
    with pytest.raises(FitserveError) as raised:
        parsed(tmp_path, content, format="json")
    assert message in raised.value.message + str(getattr(raised.value, "problems", ""))


def test_bytes_that_are_not_utf_8_are_told_with_line_and_byte(tmp_path: Path) -> None:
    with pytest.raises(FitserveError, match="line 2, byte 17"):
        parsed(tmp_path, b'{"a": "x"}\n{"a":"\xff"}\n')


def test_a_value_that_is_too_long_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(json_files, "CHUNK_CHARACTERS", 1000)
    monkeypatch.setattr(json_files, "MAX_VALUE_CHARACTERS", 5000)
    with pytest.raises(InvalidInput, match="Line 2 begins a value"):
        parsed(tmp_path, '{"a": "x"}\n{"a": "' + "x" * 20_000)


@pytest.mark.parametrize(
    ("document", "pointer"),
    [
        ({"arrays": {"a": [[1, 2], [3]]}}, "/arrays/a"),
        ({"arrays": {"a": [1, 2], "b": [1]}}, "/arrays/b"),
        ({"arrays": {"../a": [1]}}, "/arrays/..~1a"),
        ({"arrays": {"a": ["x", 1]}}, "/arrays/a"),
        ({"arrays": {"a": [["x"], ["y"]]}}, "/arrays/a"),
        ({"arrays": {"a": [None]}}, "/arrays/a"),
        ({"x": [1e39]}, "/x"),
        ({"rows": [{"a": 1}, {"a": "x"}]}, "/rows/1/a"),
        ({"rows": [{"a": 0.5}, {"a": 2**53 + 1}]}, "/rows/1"),
        ({"rows": [{"a": 1}, {"a": 2**63}]}, "/rows/1"),
    ],
)
def test_an_error_in_a_body_has_a_pointer(tmp_path: Path, document: dict[str, Any], pointer: str) -> None:
    with pytest.raises(InvalidInput) as raised:
        parsed(tmp_path, json.dumps(document), format="document")
    assert raised.value.problems[0].pointer == pointer
