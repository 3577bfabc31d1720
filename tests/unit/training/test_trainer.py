"""The trainer as a worker meets it: a real child process behind its pipe."""

import json
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import keras
import numpy as np
import psutil
import pytest

from service.features.plan import read_plan
from service.infra.confinement import missing
from service.serving.engine import OnnxEngine
from service.spec.frames import EpochEnded, Failed, Finished, PhaseStarted, Planned, Progress, Stop
from tests.planning import encode_one
from tests.unit.training.conftest import TrainerProcess, make_job, store_arrays, store_table

MEAN_SQUARED_ERROR = {"optimizer": {"type": "SGD"}, "loss": {"type": "MeanSquaredError"}}
SPARSE_CROSSENTROPY = {
    "optimizer": {"type": "Adam"},
    "loss": {"type": "SparseCategoricalCrossentropy"},
    "metrics": [{"type": "accuracy"}],
}
EXPLODING = {"optimizer": {"type": "SGD", "learning_rate": 1e6}, "loss": {"type": "MeanSquaredError"}}
TWO_LINEAR_LAYERS = {"layers": [{"type": "Dense", "units": 4}, {"type": "Dense", "units": 1}]}
LONG = {"epochs": 100_000}


@pytest.fixture(scope="module")
def frames(trainer, digits, tmp_path_factory):
    """The tutorial's model on the digits, with a part kept out for validation."""
    return trainer.run(make_job(tmp_path_factory.mktemp("run"), digits, fit={"epochs": 20, "validation_split": 0.2}))


@pytest.fixture(scope="module")
def finished(frames) -> Finished:
    assert isinstance(frames[-1], Finished)
    return frames[-1]


@pytest.fixture(scope="module")
def files(finished) -> dict:
    return {file.name: file.path for file in finished.files}


def start(trainer, job):
    """Send a job and wait for its first epoch."""
    trainer.send(job)
    while not isinstance(trainer.receive(), EpochEnded):
        pass


def stop(trainer, job, keep) -> Finished:
    trainer.send(Stop(run_id=job.run_id, attempt=job.attempt, keep=keep))
    while not isinstance(frame := trainer.receive(), Finished | Failed):
        pass
    assert isinstance(frame, Finished), frame
    return frame


def test_the_phases_come_in_order(frames):
    phases = [frame.phase for frame in frames if isinstance(frame, PhaseStarted)]
    assert phases == ["loading", "encoding", "building", "fitting", "evaluating", "publishing"]


def test_the_plan_is_told_before_the_fit(frames):
    planned = next(frame for frame in frames if isinstance(frame, Planned))
    assert (planned.train_rows, planned.validation_rows, planned.steps, planned.parameters) == (288, 72, 9, 2031)
    assert planned.features["digit"] == "target: 2 classes (0, 1) as 0 and 1"


def test_every_epoch_is_told_with_its_metrics(frames):
    epochs = [frame for frame in frames if isinstance(frame, EpochEnded)]
    assert [frame.epoch for frame in epochs] == list(range(1, 21))
    assert set(epochs[0].metrics) == {"loss", "accuracy", "val_loss", "val_accuracy"}
    assert epochs[-1].metrics["accuracy"] > 0.9


def test_progress_counts_steps_from_one(frames):
    progress = [frame for frame in frames if isinstance(frame, Progress)]
    assert progress
    assert all(1 <= frame.step <= 9 for frame in progress)


def test_the_onnx_answers_the_example_as_keras_does(finished, files):
    publication = finished.publication
    assert publication.engine == "onnx"
    assert publication.parity.max_abs_difference < 1e-5
    engine = OnnxEngine(Path(files["model.onnx"]))
    assert (engine.inputs, engine.outputs) == (publication.inputs, publication.outputs)
    encoded, warnings = encode_one(read_plan(publication.plan), publication.example["rows"])
    assert warnings == []
    expected = keras.saving.load_model(files["model.keras"])(encoded)
    np.testing.assert_allclose(engine.run({"input": encoded})[0], expected, atol=1e-5)


def test_the_files_are_the_model_and_what_belongs_to_it(finished, files):
    others = {"plan.json", "history.json", "evaluation.json", "encoded.npz", "state.npz"}
    assert set(files) == {"model.keras", "weights.npz", "model.onnx"} | others
    history = json.loads(Path(files["history.json"]).read_bytes())
    assert history["epoch"] == list(range(1, 21))
    assert history["metrics"]["loss"][-1] == finished.metrics["loss"]
    assert json.loads(Path(files["plan.json"]).read_bytes()) == finished.publication.plan


def test_the_weights_are_those_of_the_saved_model(files):
    saved = keras.saving.load_model(files["model.keras"])
    with np.load(files["weights.npz"], allow_pickle=False) as file:
        for name in ("layer1", "layer2", "layer3"):
            kernel, bias = saved.get_layer(name).get_weights()
            assert (file[f"{name}/kernel"] == kernel).all()
            assert (file[f"{name}/bias"] == bias).all()


def test_a_run_gives_the_same_weights_after_another_run(trainer, digits, tmp_path):
    last = {"type": "Dense", "units": 1, "activation": "sigmoid"}
    noisy = {"layers": [{"type": "Dense", "units": 8}, {"type": "Dropout", "rate": 0.5}, last]}
    losses = []
    for name in ("first", "second"):
        job = make_job(tmp_path / name, digits, definition=noisy, publish=False)
        losses.append([frame.metrics for frame in trainer.run(job) if isinstance(frame, EpochEnded)])
        trainer.run(make_job(tmp_path / f"other after {name}", digits, seed=1, fit={"epochs": 1}))
    first, second = (keras.saving.load_model(tmp_path / name / "model.keras") for name in ("first", "second"))
    assert losses[0] == losses[1]
    assert all((a == b).all() for a, b in zip(first.get_weights(), second.get_weights(), strict=True))
    assert first.layers[0].name == second.layers[0].name


def test_a_run_alone_gives_the_same_as_after_others(trainer, finished, digits, tmp_path):
    alone = TrainerProcess(tmp_path / "alone.log")
    try:
        alone.await_ready()
        frame = alone.run(make_job(tmp_path / "run", digits, fit={"epochs": 20, "validation_split": 0.2}))[-1]
        assert frame.metrics == finished.metrics
    finally:
        alone.close()
    assert alone.process.returncode == 0  # closing its input is how a trainer is asked to end


def test_nothing_is_published_unasked(trainer, digits, tmp_path):
    frame = trainer.run(make_job(tmp_path / "run", digits, publish=False))[-1]
    assert frame.publication is None
    assert "model.keras" in {file.name for file in frame.files}


def test_arrays_fit_a_convolution_of_three_classes(trainer, tmp_path):
    random = np.random.default_rng(0)
    pictures = random.integers(0, 255, (40, 6, 6, 1), dtype=np.int32)
    dataset = store_arrays(tmp_path, x=pictures, y=np.arange(40, dtype=np.int32) % 3)
    layers = [
        {"type": "Conv2D", "filters": 2, "kernel_size": 3, "activation": "relu"},
        {"type": "BatchNormalization"},
        {"type": "MaxPooling2D"},
        {"type": "Flatten"},
        {"type": "Dense", "units": 3, "activation": "softmax"},
    ]
    job = make_job(tmp_path / "run", dataset, definition={"layers": layers}, compile=SPARSE_CROSSENTROPY, target="y")
    frame = trainer.run(job)[-1]
    assert isinstance(frame, Finished), frame
    assert frame.publication.engine == "onnx"
    assert np.shape(frame.publication.example["rows"]) == (2, 6, 6, 1)


def test_a_sequence_of_indices_fits_an_lstm(trainer, tmp_path):
    x = np.random.default_rng(0).integers(0, 20, (24, 5), dtype=np.int32)
    dataset = store_arrays(tmp_path, x=x, y=x.sum(axis=1, dtype=np.int32))
    embedding = {"type": "Embedding", "input_dim": 20, "output_dim": 3}
    definition = {"layers": [embedding, {"type": "LSTM", "units": 4}, {"type": "Dense", "units": 1}]}
    job = make_job(tmp_path / "run", dataset, definition=definition, compile=MEAN_SQUARED_ERROR, target="y")
    frame = trainer.run(job)[-1]
    assert isinstance(frame, Finished), frame
    assert frame.publication.engine == "onnx", frame.publication.parity


def test_missing_values_and_text_come_back_in_an_example_that_works(trainer, tmp_path):
    columns = {"age": [31, None, 50, 44] * 3, "city": ["Ulm", None, "Rome", "Ulm"] * 3, "sick": ["no", "yes", "no", "yes"] * 3}
    layers = {"layers": [{"type": "Dense", "units": 1, "activation": "sigmoid"}]}
    frame = trainer.run(make_job(tmp_path / "run", store_table(tmp_path, columns), definition=layers, target="sick"))[-1]
    assert frame.publication.example == {"rows": [{"age": 31, "city": "Ulm"}, {"age": None, "city": None}]}


@pytest.mark.parametrize(
    ("fields", "kind", "words"),
    [
        ({"target": "nobody"}, "bad_data", "no column 'nobody'"),
        ({"definition": {"layers": [{"type": "Dense", "units": 3}]}}, "bad_data", "Let the last layer have 1 unit"),
        ({"definition": {"input_shape": [3], "layers": [{"type": "Dense", "units": 1}]}}, "bad_data", r"\(64,\).*\(3,\)"),
        ({"max_parameters": 100}, "bad_data", "2,031 parameters; the limit is 100"),
        ({"fit": {"epochs": 1, "validation_split": 0.999}}, "bad_data", "no row is left for training"),
        ({"definition": {"layers": [{"type": "Conv2D", "filters": 1, "kernel_size": 3}]}}, "keras_error", "expected min_ndim=4"),
        ({"definition": TWO_LINEAR_LAYERS, "compile": EXPLODING}, "not_finite", "in epoch 1"),
    ],
)
def test_a_bad_job_is_a_failure_and_the_trainer_lives_on(trainer, digits, tmp_path, fields, kind, words):
    failed = trainer.run(make_job(tmp_path / "bad", digits, **fields))[-1]
    assert isinstance(failed, Failed)
    assert failed.type == kind
    assert re.search(words, failed.message)
    assert failed.hint
    assert str(Path(__file__).parents[3]) not in failed.message + failed.hint
    assert isinstance(trainer.run(make_job(tmp_path / "good", digits, fit={"epochs": 1}, publish=False))[-1], Finished)


def test_a_window_larger_than_the_image_has_a_plain_hint(trainer, tmp_path):
    dataset = store_arrays(tmp_path, x=np.zeros((4, 4, 4, 1), np.float32), y=np.arange(4, dtype=np.int32) % 2)
    layers = [{"type": "Conv2D", "filters": 1, "kernel_size": 5}, {"type": "Flatten"}, {"type": "Dense", "units": 1}]
    failed = trainer.run(make_job(tmp_path / "run", dataset, definition={"layers": layers}, target="y"))[-1]
    assert failed.type == "keras_error"
    assert "padding 'same'" in failed.hint


@pytest.mark.parametrize("keep", ["last", "best"])
def test_a_stopped_run_publishes_the_weights_that_are_asked_for(trainer, digits, tmp_path, keep):
    job = make_job(tmp_path / "run", digits, fit=LONG)
    start(trainer, job)
    finished = stop(trainer, job, keep)
    assert finished.outcome == "stopped"
    assert finished.publication.engine == "onnx"
    assert finished.metrics["loss"] > 0


def test_a_stop_is_obeyed_at_once_and_keeps_nothing(trainer, digits, tmp_path):
    job = make_job(tmp_path / "run", digits, fit=LONG)
    start(trainer, job)
    began = time.monotonic()
    finished = stop(trainer, job, "none")
    assert time.monotonic() - began < 2
    assert (finished.outcome, finished.publication) == ("stopped", None)
    assert {file.name for file in finished.files} == {"plan.json", "history.json"}


def test_best_weights_before_any_epoch_are_the_last_ones(trainer, digits, tmp_path):
    job = make_job(tmp_path / "run", digits, fit=LONG)
    trainer.send(job)
    finished = stop(trainer, job, "best")
    if finished.metrics == {}:  # a quick machine may have ended an epoch by now
        assert any(words in finished.publish_reason for words in ("No epoch had ended", "not fitting"))


def test_a_stop_for_another_attempt_is_ignored(trainer, digits, tmp_path):
    job = make_job(tmp_path / "run", digits, fit={"epochs": 2}, publish=False)
    trainer.send(Stop(run_id=job.run_id, attempt=job.attempt + 1, keep="none"))
    assert trainer.run(job)[-1].outcome == "completed"


@pytest.mark.skipif(missing() is not None, reason=f"nothing is confined here: {missing()}")
def test_a_trainer_writes_in_its_own_folder_and_nowhere_else(digits, tmp_path):
    own = tmp_path / "own"
    own.mkdir()
    trainer = TrainerProcess(tmp_path / "trainer.log", temporary=own)
    try:
        trainer.await_ready()
        refused = trainer.run(make_job(tmp_path / "elsewhere", digits, fit={"epochs": 1}))[-1]
        finished = trainer.run(make_job(own / "run", digits, fit={"epochs": 1}))[-1]
    finally:
        trainer.close()
    assert isinstance(refused, Failed)
    assert "Permission denied" in refused.message
    assert list((tmp_path / "elsewhere").iterdir()) == []
    assert isinstance(finished, Finished)
    assert {file.name for file in finished.files} >= {"model.keras", "model.onnx"}
    assert "telemetry" not in (tmp_path / "trainer.log").read_text()


PARENT = """
import subprocess, sys, time
command = [sys.executable, "-m", "service.training"]
child = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
print(child.pid, flush=True)
time.sleep(600)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells a process that its parent has ended")
def test_a_trainer_ends_with_its_parent():
    parent = subprocess.Popen([sys.executable, "-c", PARENT], stdout=subprocess.PIPE, text=True)
    child = psutil.Process(int(parent.stdout.readline()))
    os.kill(parent.pid, signal.SIGKILL)
    parent.wait()
    parent.stdout.close()
    deadline = time.monotonic() + 10
    while child.is_running() and child.status() != psutil.STATUS_ZOMBIE:
        assert time.monotonic() < deadline, "the trainer outlived its parent"
        time.sleep(0.05)
