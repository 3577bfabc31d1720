"""Fits of dates, texts, ids and labels by a real trainer, and what their versions answer."""

from datetime import date, timedelta
from pathlib import Path

import numpy as np
import pytest

from service.features.answers import to_answers
from service.features.plan import read_plan
from service.serving.engine import OnnxEngine
from service.spec.frames import Finished, Planned
from tests.planning import encode_one
from tests.unit.training.conftest import make_job, store_arrays, store_table

ROWS = 140
ADAM = {"type": "Adam", "learning_rate": 0.05}
ONE_SIGMOID = {"layers": [{"type": "Dense", "units": 1, "activation": "sigmoid"}]}
BINARY = {"optimizer": ADAM, "loss": {"type": "BinaryCrossentropy"}, "metrics": [{"type": "BinaryAccuracy"}]}


def shop_sales() -> dict[str, list]:
    """A shop that is busy at weekends and where somebody has asked for ice: ids, a date, a text and the target's twin."""
    random = np.random.default_rng(1)
    days = [date(2026, 1, 1) + timedelta(days=number) for number in range(ROWS)]
    wants_ice = (random.random(ROWS) < 0.3).tolist()
    busy = [day.weekday() >= 5 or ice for day, ice in zip(days, wants_ice, strict=True)]
    return {
        "receipt": list(range(5000, 5000 + ROWS)),
        "day": days,
        "note": [f"{'ICE please' if ice else 'hello'} number {number % 60}" for number, ice in enumerate(wants_ice)],
        "crowd": ["many" if is_busy else "few" for is_busy in busy],
        "busy": ["yes" if is_busy else "no" for is_busy in busy],
    }


def fitted(trainer, folder: Path, dataset, **fields) -> tuple[Planned, Finished]:
    frames = trainer.run(make_job(folder, dataset, **fields))
    assert isinstance(frames[-1], Finished), frames[-1]
    return next(frame for frame in frames if isinstance(frame, Planned)), frames[-1]


def predicted(finished: Finished, rows: list) -> tuple[list[dict], list[str]]:
    """What the published version answers."""
    plan = read_plan(finished.publication.plan)
    engine = OnnxEngine(Path(next(file.path for file in finished.files if file.name == "model.onnx")))
    encoded, warnings = encode_one(plan, rows)
    return to_answers(plan, engine.run({"input": encoded})), warnings


def test_dates_and_texts_are_learnt_from_and_ids_and_the_targets_twin_are_not(trainer, tmp_path):
    dataset = store_table(tmp_path, shop_sales())
    job = {"definition": ONE_SIGMOID, "compile": BINARY, "target": "busy", "fit": {"epochs": 60}}
    planned, finished = fitted(trainer, tmp_path / "run", dataset, **job)
    assert planned.features["receipt"].startswith("left out: it is a different integer in every row")
    assert planned.features["crowd"] == "left out: it says the same as the target"
    assert planned.features["day"].startswith("date as days since the first (standardized), day of week")
    assert len(planned.warnings) == 2
    assert finished.metrics["binary_accuracy"] > 0.95
    answers, _ = predicted(
        finished,
        [
            {"day": "2026-03-07", "note": "hello"},  # a Saturday
            {"day": "2026-03-10", "note": "hello number 7"},
            {"day": "2026-03-10T12:00:00Z", "note": "Ice, please!"},
        ],
    )
    assert [answer["label"] for answer in answers] == ["yes", "no", "yes"]
    assert predicted(finished, finished.publication.example["rows"])[1] == []


@pytest.mark.parametrize("from_logits", [False, True])
def test_each_of_several_labels_gets_a_probability(from_logits, trainer, tmp_path):
    x = np.random.default_rng(0).normal(size=(400, 2)).astype(np.float32)
    dataset = store_arrays(tmp_path, x=x, y=np.stack([x[:, 0] > 0, x[:, 1] > 0, x[:, 0] < 0], axis=1).astype(np.int32))
    loss = {"type": "BinaryCrossentropy", "from_logits": from_logits}
    layer = {"type": "Dense", "units": 3, "activation": "linear" if from_logits else "sigmoid"}
    job = {"definition": {"layers": [layer]}, "compile": {"optimizer": ADAM, "loss": loss}, "target": "y", "fit": {"epochs": 20}}
    planned, finished = fitted(trainer, tmp_path / "run", dataset, **job)
    assert planned.features["y"] == "target: 3 labels, each true or not"
    answers, _ = predicted(finished, [[2.0, 2.0], [-2.0, -2.0]])
    assert [answer["labels"] for answer in answers] == [[0, 1], [2]]
    assert all(0 <= probability <= 1 for answer in answers for probability in answer["probabilities"].values())


def test_several_numbers_are_predicted_at_once(trainer, tmp_path):
    x = np.random.default_rng(0).normal(size=(200, 2)).astype(np.float32)
    dataset = store_arrays(tmp_path, x=x, y=np.stack([x[:, 0] + 1, x[:, 1] * 2], axis=1))
    job = {"definition": {"layers": [{"type": "Dense", "units": 2}]}, "target": "y", "fit": {"epochs": 40}}
    squared = {"optimizer": ADAM, "loss": {"type": "MeanSquaredError"}}
    _, finished = fitted(trainer, tmp_path / "run", dataset, compile=squared, **job)
    ((answer,), _) = predicted(finished, [[1.0, 1.0]])
    assert answer["value"] == pytest.approx([2.0, 2.0], abs=0.1)


def test_a_text_as_tokens_feeds_an_embedding(trainer, tmp_path):
    columns = {name: values for name, values in shop_sales().items() if name in ("note", "busy")}
    columns["busy"] = ["yes" if "ICE" in note else "no" for note in columns["note"]]
    features = {"columns": {"note": {"type": "text", "encoding": "tokens", "max_words": 20, "length": 4}}}
    layers = [{"type": "Embedding", "input_dim": 22, "output_dim": 4}, {"type": "Flatten"}, *ONE_SIGMOID["layers"]]
    job = {"definition": {"layers": layers}, "compile": BINARY, "features": features, "target": "busy", "fit": {"epochs": 30}}
    _, finished = fitted(trainer, tmp_path / "run", store_table(tmp_path, columns), **job)
    answers, _ = predicted(finished, [["ice please number 3"], ["hello number 3"]])
    assert [answer["label"] for answer in answers] == ["yes", "no"]
