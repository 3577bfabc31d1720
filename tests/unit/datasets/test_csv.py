"""CSV files, as different programs write them."""

import gzip
import random
from pathlib import Path

import pytest

from service.datasets.parsing import csv_blocks, delimited
from service.errors import InvalidInput
from tests.unit.datasets.making import parsed, rows_of, types_of

SMALL_BLOCK_BYTES = 64


@pytest.fixture
def small_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    """Files of a few lines are read in many blocks."""
    defaults = csv_blocks.read_blocks.__defaults__
    monkeypatch.setattr(csv_blocks.read_blocks, "__defaults__", (SMALL_BLOCK_BYTES,))
    assert defaults == (csv_blocks.BLOCK_BYTES,)


@pytest.mark.parametrize("delimiter", [",", ";", "\t", "|"])
def test_the_delimiter_is_recognised(tmp_path: Path, delimiter: str) -> None:
    lines = [["a", "b, c"], ["1", "x; y"], ["2", "z|"]]
    text = "\n".join(delimiter.join(f'"{cell}"' for cell in line) for line in lines)
    assert rows_of(parsed(tmp_path, text)) == [{"a": 1, "b, c": "x; y"}, {"a": 2, "b, c": "z|"}]


def test_a_delimiter_in_the_text_of_cells_does_not_mislead(tmp_path: Path) -> None:
    text = "id\tremark\n1\ta, b, c\n2\td\n3\te, f\n"
    assert rows_of(parsed(tmp_path, text))[0] == {"id": 1, "remark": "a, b, c"}


def test_a_decimal_comma_is_recognised_where_the_delimiter_is_another(tmp_path: Path) -> None:
    assert rows_of(parsed(tmp_path, "a;b\n1,5;2\n2,25;3\n")) == [{"a": 1.5, "b": 2}, {"a": 2.25, "b": 3}]


@pytest.mark.parametrize(
    "content",
    [
        pytest.param("é,b\n1,ü\n".encode(), id="plain"),
        pytest.param("\ufeffé,b\n1,ü\n".encode(), id="with a byte order mark"),
        pytest.param("é,b\r\n1,ü\r\n".encode(), id="Windows line ends"),
        pytest.param("é,b\n1,ü".encode(), id="no last line end"),
        pytest.param("\n\né,b\n\n1,ü\n\n".encode(), id="empty lines"),
        pytest.param(gzip.compress("é,b\n1,ü\n".encode()), id="gzip"),
    ],
)
def test_what_programs_write_differently_is_the_same_table(tmp_path: Path, content: bytes) -> None:
    assert rows_of(parsed(tmp_path, content)) == [{"é": 1, "b": "ü"}]


def test_quoted_cells_may_hold_lines_and_quotes(tmp_path: Path) -> None:
    text = 'a,b\n1,"first\nsecond"\n2,"say ""so"""\n3,5" pipe\n'
    assert [row["b"] for row in rows_of(parsed(tmp_path, text))] == ["first\nsecond", 'say "so"', '5" pipe']


@pytest.mark.usefixtures("small_blocks")
def test_blocks_are_cut_between_records_only(tmp_path: Path) -> None:
    chance = random.Random(1)
    pieces = ["x", "\n", '""', ",", "long text", "ü"]
    texts = ["".join(chance.choices(pieces, k=chance.randrange(1, 20))) for _ in range(300)]
    content = "n,t\n" + "".join(f'{number},"{text}"\n' for number, text in enumerate(texts))
    rows = rows_of(parsed(tmp_path, content))
    assert [(row["n"], row["t"]) for row in rows] == list(enumerate(text.replace('""', '"') for text in texts))


@pytest.mark.usefixtures("small_blocks")
def test_a_quote_in_the_middle_of_a_cell_opens_nothing(tmp_path: Path) -> None:
    content = "n,t\n" + "".join(f'{number},{number}" pipe\n' for number in range(51))
    assert [row["t"] for row in rows_of(parsed(tmp_path, content))] == [f'{number}" pipe' for number in range(51)]


@pytest.mark.usefixtures("small_blocks")
@pytest.mark.parametrize(
    ("first", "later", "kind", "value"),
    [
        pytest.param("1", "2.5", "number", 1.0, id="integers and fractions"),
        pytest.param("1", "12345678901234567890", "number", 1.0, id="integers and huge integers"),
        pytest.param("", "7", "integer", None, id="nothing and integers"),
        pytest.param("", "x", "category", None, id="nothing and text"),
        pytest.param("1", "x", "category", "1", id="integers and text"),
        pytest.param("true", "maybe", "category", "true", id="booleans and text"),
        pytest.param("2024-01-02", "2024-01-02 03:04:05", "datetime", None, id="dates and times"),
        pytest.param("2024-01-02", "yesterday", "category", "2024-01-02", id="dates and text"),
        pytest.param("1", "2024-01-02", "category", "1", id="integers and dates"),
    ],
)
def test_a_column_widens_when_a_later_block_needs_it(tmp_path: Path, first: str, later: str, kind: str, value: object) -> None:
    content = "k,v\n" + f"1,{first}\n" * 100 + f"1,{later}\n" + f"1,{first}\n" * 100
    description = parsed(tmp_path, content)
    assert types_of(description)["v"] == kind
    rows = rows_of(description)
    assert len(rows) == 201
    if kind != "datetime":
        assert rows[0]["v"] == rows[-1]["v"] == value


@pytest.mark.usefixtures("small_blocks")
def test_a_number_column_with_text_says_where_the_text_is(tmp_path: Path) -> None:
    content = "k,v\n" + "1,2\n" * 100 + "1,n.a.\n" + "1,2\n" * 100
    warning = parsed(tmp_path, content)["columns"][1]["warning"]
    assert warning == "The values are numbers, but line 102 holds 'n.a.', so the whole column is text."


def test_text_among_numbers_in_the_first_block_is_told_too(tmp_path: Path) -> None:
    columns = parsed(tmp_path, "a,b\n1,x\n2,y\n?,z\nNA,3\n")["columns"]
    assert "line 4 holds '?'" in columns[0]["warning"]
    assert "warning" not in columns[1], "it has always been text"


@pytest.mark.usefixtures("small_blocks")
@pytest.mark.parametrize(
    ("content", "message"),
    [
        pytest.param(b"a,b,c,d\n" + b"1,2,3,4\n" * 50 + b"1,2,3,4,5\n", "Line 52 has 5 values, expected 4", id="long"),
        pytest.param(b"a,b\n" + b'1,"x\ny"\n' * 50 + b"1\n1,2\n", "Line 102 has 1 value, expected 2", id="after line ends"),
        pytest.param(b"a,b\n" + b"1,2\n" * 50 + b'"1,2\n1,2\n1,2\n', "Line 52 opens a quote", id="open quote"),
        pytest.param(b"a,b\n" + b"1,2\n" * 50 + b"1,Jos\xe9\n", "Line 52: byte 209 of the file", id="latin-1"),
        pytest.param(b"a,b\n" + b"1,2\n" * 50 + b"1,\0\n", "Line 52 holds zero bytes", id="zero byte"),
        pytest.param(b"a,b\xff\n1,2\n", "Line 1: byte 3 of the file", id="header"),
    ],
)
def test_an_error_names_the_line(tmp_path: Path, content: bytes, message: str) -> None:
    with pytest.raises(InvalidInput) as raised:
        parsed(tmp_path, content)
    assert message in raised.value.problems[0].message


def test_an_endless_record_is_refused_before_it_fills_the_memory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(csv_blocks, "MAX_RECORD_BYTES", 10_000)
    monkeypatch.setattr(csv_blocks.read_blocks, "__defaults__", (1000,))
    with pytest.raises(InvalidInput, match="Line 3 begins a record of more than"):
        parsed(tmp_path, "a,b\n1,2\n" + '"1,2\n' + "3,4\n" * 10_000)


def test_a_record_longer_than_a_block_of_arrow_is_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(delimited, "ARROW_BLOCK_BYTES", 100)
    long = "x" * 1000
    assert rows_of(parsed(tmp_path, f'a,b\n1,"{long}\n"\n2,y\n')) == [{"a": 1, "b": f"{long}\n"}, {"a": 2, "b": "y"}]
