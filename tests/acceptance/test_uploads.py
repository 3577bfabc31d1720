"""Every form of data, from the file that is sent to a prediction, over HTTP."""

import gzip
import io
import json
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet
import pytest

from tests.acceptance.client import Document, Fitserve, accepted, refused
from tests.acceptance.running import EMBEDDED_ONLY, RunningService
from tests.unit.datasets.making import image, npy, npz, parquet, zipped

pytestmark = EMBEDDED_ONLY

ROWS = [{"size": number / 2, "count": number, "kind": "ab"[number % 2], "good": number % 3 == 0} for number in range(40)]
NAMES = list(ROWS[0])
DENSE = [{"type": "Flatten"}, {"type": "Dense", "units": 2, "activation": "softmax"}]
COMPILE = {"loss": "SparseCategoricalCrossentropy", "optimizer": {"type": "Adam", "learning_rate": 0.05}}


def send(fitserve: Fitserve, content: bytes, file_name: str = "", **fields: str) -> Document:
    """Upload a file; the dataset."""
    files = {"file": (file_name or "upload", content)}
    return accepted(fitserve.http.post("/api/datasets", files=files, data=fields), 201)


def delimited(delimiter: str) -> bytes:
    """The rows as CSV."""
    lines = [NAMES, *([json.dumps(row[name]).strip('"') for name in NAMES] for row in ROWS)]
    return "".join(delimiter.join(line) + "\n" for line in lines).encode()


LINES = b"".join(json.dumps(row).encode() + b"\n" for row in ROWS)
TABLES = {
    "comma": (delimited(","), "rows.csv"),
    "tab": (delimited("\t"), "rows.tsv"),
    "semicolon": (delimited(";"), ""),
    "bar with mark": (b"\xef\xbb\xbf" + delimited("|"), ""),
    "gzip": (gzip.compress(delimited(",")), "rows.csv.gz"),
    "JSON": (json.dumps(ROWS).encode(), "rows.json"),
    "JSON Lines": (LINES, "rows.jsonl"),
    "gzipped JSON Lines": (gzip.compress(LINES), "rows.jsonl.gz"),
    "Parquet": (parquet({name: [row[name] for row in ROWS] for name in NAMES}), "rows.parquet"),
}


@pytest.mark.parametrize("form", TABLES)
def test_every_form_of_a_table_is_the_same_dataset(fitserve: Fitserve, form: str) -> None:
    content, file_name = TABLES[form]
    dataset = send(fitserve, content, file_name, target="kind")
    assert (dataset["kind"], dataset["rows"], dataset["target"]) == ("table", 40, "kind")
    assert {column["name"]: column["type"] for column in dataset["columns"]} == {
        "size": "number", "count": "integer", "kind": "category", "good": "boolean",
    }  # fmt: skip
    size, count, kind, good = dataset["columns"]
    assert (size["min"], size["max"], size["mean"], size["nulls"]) == (0, 19.5, pytest.approx(9.75), 0)
    assert count["distinct"] == 40
    assert kind["most_frequent"] == [["a", 20], ["b", 20]]
    assert good["most_frequent"] == [[False, 26], [True, 14]]
    assert accepted(fitserve.http.get(f"/api/datasets/{dataset['id']}/rows"))["items"] == ROWS
    if file_name:
        assert dataset["name"] == "rows"


def test_a_table_is_downloaded_as_parquet_and_can_be_sent_again(fitserve: Fitserve) -> None:
    dataset = send(fitserve, TABLES["comma"][0], name='../"évil"\\name', target="kind")
    response = fitserve.http.get(f"/api/datasets/{dataset['id']}/content")
    assert response.headers["content-type"] == "application/vnd.apache.parquet"
    assert response.headers["content-disposition"] == 'attachment; filename="vil_name.parquet"'
    assert pa.parquet.read_table(io.BytesIO(response.content)).to_pylist() == ROWS
    again = send(fitserve, response.content, "again.parquet")
    assert again["columns"] == dataset["columns"]


def test_the_same_bytes_are_stored_once(fitserve: Fitserve, running: RunningService) -> None:
    content = npy(np.random.default_rng().normal(size=(1000, 3)).astype(np.float32))
    sizes = []
    for _ in range(3):
        send(fitserve, content)
        sizes.append(stored_bytes(running.data_dir))
    assert sizes[0] == sizes[1] == sizes[2]


def stored_bytes(data_dir: Path) -> int:
    """Size of everything in the artifact store that is as large as the array of the test above."""
    found = [path.stat().st_size for path in data_dir.glob("artifacts/sha256/??/*")]
    return sum(size for size in found if 12_000 < size < 13_000)


def test_nothing_is_left_of_an_upload_but_what_is_stored(fitserve: Fitserve, running: RunningService) -> None:
    send(fitserve, TABLES["comma"][0])
    refused(fitserve.http.post("/api/datasets", files={"file": b"a,b\n1\n"}), 422)
    left = list(running.data_dir.glob("scratch/api_*/upload-*"))
    assert left == []


def test_named_arrays_are_sent_as_json(fitserve: Fitserve) -> None:
    arrays = {"x": [[1, 2.5], [3, 4]], "flag": [True, False], "kind": ["dog", "cat"]}
    dataset = fitserve.upload_json(arrays=arrays, target="kind")
    assert dataset["target"] == "kind"
    told = {array["name"]: (array["shape"], array["dtype"], array["classes"]) for array in dataset["arrays"]}
    assert told == {"x": ([2, 2], "float32", None), "flag": ([2], "bool", None), "kind": ([2], "int32", ["cat", "dog"])}
    assert accepted(fitserve.http.get(f"/api/datasets/{dataset['id']}/rows"))["items"] == [
        {"x": [1.0, 2.5], "flag": True, "kind": "dog"},
        {"x": [3.0, 4.0], "flag": False, "kind": "cat"},
    ]


def test_arrays_of_numpy_are_fitted_and_come_back(fitserve: Fitserve) -> None:
    generator = np.random.default_rng(0)
    y = np.arange(200) % 2
    x = generator.normal(size=(200, 4, 3)) + y[:, None, None] * 2
    dataset = send(fitserve, npz(x=x, y=y), "points.npz")
    assert (dataset["name"], dataset["kind"], dataset["rows"], dataset["target"]) == ("points", "arrays", 200, "y")
    told = {array["name"]: array for array in dataset["arrays"]}
    assert (told["x"]["shape"], told["x"]["dtype"]) == ([200, 4, 3], "float32")
    assert told["x"]["mean"] == pytest.approx(x.mean(), abs=1e-5)

    response = fitserve.http.get(f"/api/datasets/{dataset['id']}/content")
    assert response.headers["content-type"] == "application/x-npz"
    with np.load(io.BytesIO(response.content), allow_pickle=False) as back:
        np.testing.assert_array_equal(back["x"], x.astype(np.float32))
        np.testing.assert_array_equal(back["y"], y)

    model = fitserve.create_model(DENSE, COMPILE)
    fitserve.succeeded(fitserve.start(model, dataset["id"], {"epochs": 20, "batch_size": 32}))
    answer = accepted(fitserve.http.post(f"/api/models/{model}:predict", json={"rows": x[:20].tolist()}))
    labels = [prediction["label"] for prediction in answer["predictions"]]
    assert np.mean(np.array(labels) == y[:20]) >= 0.9


def test_a_zip_of_images_is_fitted_and_predicts_their_classes(fitserve: Fitserve) -> None:
    colours = {"red": (200, 20, 30), "blue": (10, 30, 220)}
    members = {
        f"pictures/{name}/{number}.png": image(tuple(part + number % 20 for part in colour), mode="RGB")
        for name, colour in colours.items()
        for number in range(60)
    }
    dataset = send(fitserve, zipped(members), "pictures.zip")
    x, y = dataset["arrays"]
    assert (x["shape"], x["dtype"], y["classes"]) == ([120, 6, 8, 3], "uint8", ["blue", "red"])
    rows = accepted(fitserve.http.get(f"/api/datasets/{dataset['id']}/rows", params={"page_size": 10}))["items"]
    assert {row["y"] for row in rows} <= set(colours)

    model = fitserve.create_model(DENSE, COMPILE)
    fit = {"epochs": 20, "batch_size": 16, "validation_split": 0.2}
    fitserve.succeeded(fitserve.start(model, dataset["id"], fit))
    answer = accepted(fitserve.http.post(f"/api/models/{model}:predict", json={"rows": [row["x"] for row in rows]}))
    assert [prediction["label"] for prediction in answer["predictions"]] == [row["y"] for row in rows]
    assert set(answer["predictions"][0]["probabilities"]) == set(colours)


def test_images_are_resized_when_the_form_says_so(fitserve: Fitserve) -> None:
    content = zipped({"a/1.png": image(1, size=(9, 9)), "b/2.jpg": image(2, kind="JPEG")})
    problem = refused(fitserve.http.post("/api/datasets", files={"file": content}), 422)
    assert problem["errors"][0]["pointer"] == "image_size"
    assert send(fitserve, content, image_size="4x5")["arrays"][0]["shape"] == [2, 4, 5, 1]


def test_a_format_can_be_forced(fitserve: Fitserve) -> None:
    dataset = send(fitserve, b"{a}\n1\n", "x.json", format="csv")
    assert dataset["columns"][0]["name"] == "{a}"


def test_a_column_that_was_read_as_text_says_why(fitserve: Fitserve) -> None:
    dataset = send(fitserve, b"a\n1\n2\n?\n3\n")
    assert "line 4 holds '?'" in dataset["columns"][0]["warning"]
