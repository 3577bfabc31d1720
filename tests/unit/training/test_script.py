"""The script of a run, in a folder with nothing but the run's ``encoded.npz``, gives the run's weights bit for bit."""

import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest

from service.spec.compile import CompileSpec
from service.spec.definition import Definition
from service.spec.fit import FitSpec
from service.spec.frames import DatasetFiles, EpochEnded, Finished, FitJob, Frame, Planned, Start
from service.spec.run_script import Recipe, run_script
from service.training import adapting, order
from service.training import job as story
from service.training.wishes import Wishes
from tests.graphs import GRAPHS
from tests.unit.training.conftest import TUTORIAL_LAYERS, TrainerProcess, make_job, store_arrays, store_table

ROWS = 110
RUN_SCRIPTS = """
import os, runpy, sys
import keras
for folder in sys.argv[1:]:
    keras.utils.clear_session()
    keras.config.set_dtype_policy("float32")
    os.chdir(folder)
    runpy.run_path("script.py")
"""
NOISY_LAYERS = [
    {"type": "GaussianNoise", "stddev": 0.1},
    {"type": "Dense", "units": 12, "activation": "relu", "kernel_initializer": "he_normal"},
    {"type": "BatchNormalization"},
    {"type": "Dropout", "rate": 0.4},
    {"type": "Dense", "units": 1, "activation": "sigmoid"},
]
CONVOLUTION = [
    {"type": "RandomFlip", "mode": "horizontal"},
    {"type": "Conv2D", "filters": 6, "kernel_size": 3, "activation": "relu"},
    {"type": "MaxPooling2D"},
    {"type": "BatchNormalization"},
    {"type": "Conv2D", "filters": 4, "kernel_size": 3, "padding": "same", "activation": "relu"},
    {"type": "Flatten"},
    {"type": "Dropout", "rate": 0.2},
    {"type": "Dense", "units": 3, "activation": "softmax"},
]
SEQUENCE = [{"type": "LSTM", "units": 5, "dropout": 0.2, "recurrent_dropout": 0.2}, {"type": "Dense", "units": 1}]
WORDS = [
    {"type": "Embedding", "input_dim": 20, "output_dim": 4, "mask_zero": True},
    {"type": "LSTM", "units": 4},
    {"type": "Dense", "units": 1},
]
LINE = [{"type": "Dense", "units": 8, "activation": "tanh"}, {"type": "Dense", "units": 1}]
SCALE = {"type": "Normalization"}
MEASURED = [
    {"type": "RandomFlip", "mode": "horizontal"},
    {
        "type": "Sequential",
        "layers": [{"type": "Rescaling", "scale": 5.0, "offset": 2.0}, {"type": "Normalization", "axis": [1, 3]}],
    },
    {"type": "Conv2D", "filters": 2, "kernel_size": 3},
    {"type": "Normalization", "axis": None, "invert": True},
    {"type": "Flatten"},
    {"type": "Dropout", "rate": 0.2},
    {"type": "Dense", "units": 1},
]
MEASURED_GRAPH = {
    "inputs": [{"name": "picture", "shape": [6, 6, 2]}, {"name": "numbers", "shape": [3]}],
    "layers": [
        {"type": "Sequential", "name": "changed", "layers": [{"type": "RandomFlip"}], "inbound": ["picture"]},
        {
            "type": "Functional",
            "name": "inner",
            "inbound": ["changed", "numbers"],
            "inputs": [{"name": "p", "shape": [6, 6, 2]}, {"name": "q", "shape": [3]}],
            "layers": [
                {"type": "Flatten", "name": "flat", "inbound": ["p"]},
                {"type": "Concatenate", "name": "both", "inbound": ["flat", "q"]},
                {"type": "Normalization", "name": "scale", "inbound": ["both"]},
            ],
            "outputs": ["scale"],
        },
        {"type": "Normalization", "name": "direct", "inbound": ["numbers"]},
        {"type": "Concatenate", "name": "all", "inbound": ["inner", "direct"]},
        {"type": "Dense", "name": "answer", "units": 1, "inbound": ["all"]},
    ],
    "outputs": ["answer"],
}
CLASSIFY = {"optimizer": {"type": "Adam", "learning_rate": 0.01}, "loss": "binary_crossentropy", "metrics": ["accuracy", "AUC"]}
REGRESS = {"optimizer": {"type": "Adam", "learning_rate": 0.01}, "loss": "mse", "metrics": ["mae"]}
AVERAGING = {"type": "AdamW", "learning_rate": 0.01, "use_ema": True, "ema_momentum": 0.9}
FALLING = {
    "type": "SGD",
    "learning_rate": {
        "type": "CosineDecay", "initial_learning_rate": 0.0, "decay_steps": 40, "warmup_target": 0.1, "warmup_steps": 10,
    },
    "momentum": 0.9,
    "nesterov": True,
}  # fmt: skip
HASTY = {**REGRESS, "optimizer": {"type": "Adam", "learning_rate": 0.2}}
TIRED = [
    {"type": "ReduceLROnPlateau", "patience": 1, "factor": 0.5, "min_delta": 0.01},
    {"type": "EarlyStopping", "patience": 3, "restore_best_weights": True},
]
COSINE = {"type": "LearningRateScheduler", "schedule": {"type": "cosine", "initial_learning_rate": 0.05, "epochs": 4}}
TABLE = {"type": "LearningRateScheduler", "schedule": {"type": "table", "epochs": [0, 2], "learning_rates": [0.05, 0.003]}}
KEPT = [{"type": "ModelCheckpoint", "mode": "max"}, {"type": "TensorBoard", "histogram_freq": 1}, "TerminateOnNaN"]


def noise(*shape: int) -> np.ndarray:
    return np.random.default_rng(sum(shape)).normal(size=(ROWS, *shape)).astype(np.float32)


def classes(count: int) -> np.ndarray:
    return np.random.default_rng(count).integers(0, count, ROWS)


@dataclass
class Case:
    """One run, and what it is run with."""

    layers: list[dict[str, Any]] | dict[str, Any]
    """Layers in a row, or a whole definition."""
    compile: dict[str, Any]
    fit: dict[str, Any]
    data: Callable[[Path], DatasetFiles]
    fields: dict[str, Any] = field(default_factory=lambda: {"target": "y"})
    is_alone: bool = False
    """Whether its script has a process to itself, as a user runs it."""


def arrays(x: np.ndarray, y: np.ndarray) -> Callable[[Path], DatasetFiles]:
    return lambda folder: store_arrays(folder, x=x, y=y)


def table(**columns: np.ndarray) -> Callable[[Path], DatasetFiles]:
    return lambda folder: store_table(folder, columns)


def graph_case(name: str, **fit: Any) -> Case:
    """A functional model on arrays with the names of its inputs."""
    document = GRAPHS[name]
    losses = {"answer": {"type": "MeanSquaredError"}, "all": {"type": "MeanSquaredError"}}
    losses["kind"] = {"type": "SparseCategoricalCrossentropy"}
    inputs = {entry["name"]: noise(*entry["shape"]) for entry in document["inputs"]}
    if "words" in inputs:
        inputs["words"] = np.random.default_rng(1).integers(0, 10, inputs["words"].shape)
    truth = {"y": noise(1)[:, 0], "kind_y": classes(3)}
    settings = {"optimizer": {"type": "Adam"}, "loss": {output: losses[output] for output in document["outputs"]}}
    targets = {output: "kind_y" if output == "kind" else "y" for output in document["outputs"]}
    used = {name: truth[name] for name in targets.values()}
    return Case(
        document,
        settings | ({"loss_weights": {"kind": 0.5}, "metrics": {"kind": ["accuracy"]}} if "kind" in targets else {}),
        {"epochs": 3, "batch_size": 16} | fit,
        lambda folder: store_arrays(folder, **inputs, **used),
        {"target": targets},
    )


POINTS = {"a": noise()[:, None][:, 0], "b": noise(1)[:, 0]}
CROSS = table(**POINTS, y=(POINTS["a"] * POINTS["b"] > 0).astype(np.int64))
NUMBERS = arrays(noise(4), noise(4)[:, :1] ** 2 + noise(1))
WEIGHTED = table(**POINTS, y=noise(2)[:, 0], weight=classes(4).astype(np.float64))
RARE = table(**POINTS, y=(POINTS["a"] > 1).astype(np.int64))
CASES = {
    "the tutorial's model": Case(TUTORIAL_LAYERS, CLASSIFY, {"epochs": 6}, CROSS, is_alone=True),
    "noise and averages": Case(
        NOISY_LAYERS,
        {**CLASSIFY, "optimizer": AVERAGING},
        {"epochs": 4, "batch_size": 16, "validation_split": 0.2},
        CROSS,
        is_alone=True,
    ),
    "convolution": Case(
        CONVOLUTION,
        {**CLASSIFY, "loss": "sparse_categorical_crossentropy", "metrics": ["accuracy"]},
        {"epochs": 3, "batch_size": 8, "validation_split": 0.2, "split": "stratified"},
        arrays(noise(10, 10, 1), classes(3)),
    ),
    "sequences": Case(SEQUENCE, REGRESS, {"epochs": 3, "batch_size": 8, "validation_split": 0.2}, arrays(noise(6, 2), noise(1))),
    "words": Case(
        WORDS, REGRESS, {"epochs": 3}, arrays(np.random.default_rng(1).integers(0, 20, (ROWS, 5)).astype(np.int32), noise(1))
    ),
    "class weights": Case(NOISY_LAYERS, CLASSIFY, {"epochs": 3, "class_weight": "balanced"}, RARE),
    "sample weights": Case(
        LINE,
        REGRESS,
        {"epochs": 4, "batch_size": 9, "sample_weight": "weight", "validation_split": 0.3, "split": "random"},
        WEIGHTED,
    ),
    "early stopping": Case(LINE, HASTY, {"epochs": 40, "validation_split": 0.3, "callbacks": TIRED}, NUMBERS),
    "cosine by epoch": Case(LINE, REGRESS, {"epochs": 6, "callbacks": [COSINE]}, NUMBERS),
    "cosine by step": Case(LINE, {**REGRESS, "optimizer": FALLING}, {"epochs": 6, "batch_size": 16}, NUMBERS),
    "steps": Case(
        LINE,
        REGRESS,
        {"epochs": 7, "initial_epoch": 2, "steps_per_epoch": 3, "batch_size": 16, "validation_split": 0.1, "validation_freq": 2},
        NUMBERS,
    ),
    "no shuffle": Case(LINE, REGRESS, {"epochs": 4, "initial_epoch": 1, "shuffle": False, "callbacks": [TABLE]}, NUMBERS),
    "mixed_bfloat16": Case(NOISY_LAYERS, CLASSIFY, {"epochs": 3, "dtype_policy": "mixed_bfloat16"}, CROSS),
    "mixed_float16": Case(NOISY_LAYERS, CLASSIFY, {"epochs": 3, "dtype_policy": "mixed_float16"}, CROSS),
    "measured": Case([SCALE, *NOISY_LAYERS], CLASSIFY, {"epochs": 3, "validation_split": 0.2}, CROSS),
    "measured behind others": Case(
        MEASURED, REGRESS, {"epochs": 3, "batch_size": 8, "validation_split": 0.2}, arrays(noise(6, 6, 2), noise(1))
    ),
    "measured in few bits": Case([SCALE, *LINE], REGRESS, {"epochs": 3, "dtype_policy": "mixed_bfloat16"}, NUMBERS),
    "measured in a graph": Case(
        MEASURED_GRAPH,
        {**REGRESS, "loss": {"answer": {"type": "MeanSquaredError"}}, "metrics": {"answer": ["mae"]}},
        {"epochs": 3, "batch_size": 8},
        lambda folder: store_arrays(folder, picture=noise(6, 6, 2), numbers=9 * noise(3), y=noise(1)[:, 0]),
        {"target": {"answer": "y"}},
    ),
    "XLA": Case(LINE, {**REGRESS, "jit_compile": True}, {"epochs": 2}, NUMBERS),
    **{name: graph_case(name, validation_split=0.2 if number % 2 else 0.0) for number, name in enumerate(GRAPHS)},
    "kept files": Case(LINE, HASTY, {"epochs": 4, "validation_split": 0.3, "callbacks": KEPT}, NUMBERS),
}


@dataclass(frozen=True)
class Pair:
    """The folders of a run and of its script."""

    run: Path
    script: Path
    frames: list[Frame]

    @property
    def source(self) -> str:
        return (self.script / "script.py").read_text()


def write_script(job: FitJob, frames: list[Frame], folder: Path) -> Pair:
    """What a user has downloaded: the script and the encoded data, and nothing else."""
    assert isinstance(frames[-1], Finished), frames[-1]
    (plan,) = (frame for frame in frames if isinstance(frame, Planned))
    fit = FitSpec.model_validate(job.fit)
    recipe = Recipe(
        run_id=job.run_id,
        model="my_model",
        definition=Definition.model_validate(job.definition),
        compile=CompileSpec.model_validate(job.compile),
        fit=fit,
        seed=job.seed,
        plan=plan,
        initial_epoch=fit.initial_epoch,
        starts_from=job.start.run_id if job.start and job.start.take == "weights" else None,
    )
    folder.mkdir()
    (folder / "script.py").write_text(run_script(recipe), encoding="utf-8")
    shutil.copy(Path(job.directory, "encoded.npz"), folder)
    if job.start and job.start.take == "weights":
        shutil.copy(job.start.model, folder / "start.keras")
    return Pair(Path(job.directory), folder, frames)


def python(*arguments: str, folder: Path) -> None:
    """Run Python as somebody who has never heard of this project."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("PYTHON", "FITSERVE_"))}
    command = [sys.executable, *arguments]
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False, timeout=300)
    assert done.returncode == 0, done.stderr[-3000:]


def assert_same(pair: Pair, name: str = "model.keras") -> None:
    theirs, ours = (keras.saving.load_model(folder / name, compile=False).get_weights() for folder in (pair.run, pair.script))
    assert [weight.shape for weight in ours] == [weight.shape for weight in theirs]
    different = [index for index, (a, b) in enumerate(zip(ours, theirs, strict=True)) if a.tobytes() != b.tobytes()]
    assert different == [], f"weights {different} of {len(ours)} differ"


@pytest.fixture(scope="module")
def pairs(trainer: TrainerProcess, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Pair]:
    """Every case as a real trainer has fitted it and as its script has."""
    folder = tmp_path_factory.mktemp("scripts")
    made = {}
    for number, (name, case) in enumerate(CASES.items()):
        job = make_job(
            folder / f"run-{number}",
            case.data(folder),
            definition=case.layers if isinstance(case.layers, dict) else {"layers": case.layers},
            compile=case.compile,
            fit=case.fit,
            seed=number,
            publish=False,
            **case.fields,
        )
        made[name] = write_script(job, trainer.run(job), folder / f"script-{number}")
    together = [str(pair.script) for name, pair in made.items() if not CASES[name].is_alone]
    python("-c", RUN_SCRIPTS, *together, folder=folder)
    return made


@pytest.mark.parametrize("name", CASES)
def test_the_script_gives_the_weights_of_the_run(name: str, pairs: dict[str, Pair]):
    if CASES[name].is_alone:
        python("script.py", folder=pairs[name].script)
    assert_same(pairs[name])


def test_the_best_epoch_is_kept_as_the_run_keeps_it(pairs: dict[str, Pair]):
    assert_same(pairs["kept files"], "best.keras")
    names = ("best.keras", "model.keras")
    best, last = (keras.saving.load_model(pairs["kept files"].script / name).get_weights() for name in names)
    assert any((a != b).any() for a, b in zip(best, last, strict=True)), "the last epoch is the one to keep"
    assert list((pairs["kept files"].script / "tensorboard").rglob("events.out.*"))


@pytest.mark.parametrize("policy", ["mixed_bfloat16", "mixed_float16"])
def test_a_run_of_few_bits_is_kept_so_that_keras_loads_it(policy: str, pairs: dict[str, Pair]):
    model = keras.saving.load_model(pairs[policy].run / "model.keras")
    assert {weight.dtype for weight in model.weights} == {"float32"}


def test_the_run_that_stops_early_has_stopped_early(pairs: dict[str, Pair]):
    epochs = [frame for frame in pairs["early stopping"].frames if isinstance(frame, EpochEnded)]
    assert 4 < len(epochs) < 40


def test_the_script_of_the_tutorial_is_short(pairs: dict[str, Pair]):
    assert len(pairs["the tutorial's model"].source.splitlines()) <= 46
    imported = {line for line in pairs["the tutorial's model"].source.splitlines() if line.startswith(("import", "from"))}
    assert imported == {"import itertools", "import keras", "import numpy as np", "import tensorflow as tf"}


def fit_and_run(run: Callable[[FitJob], list[Frame]], folder: Path, name: str, **fields: Any) -> Pair:
    """A run on numbers, done in some way, and its script, done in a process of its own."""
    settings = {"definition": {"layers": LINE}, "compile": REGRESS, "target": "y", "publish": False, **fields}
    job = make_job(folder / name, NUMBERS(folder), **settings)
    pair = write_script(job, run(job), folder / f"{name}-script")
    python("script.py", folder=pair.script)
    return pair


def run_here(job: FitJob) -> list[Frame]:
    frames: list[Frame] = []
    last = story.fit(job, frames.append, Wishes())
    return [*frames, last]


@pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")  # of Keras, when it evaluates
def test_rows_beyond_the_memory_come_in_the_order_of_the_run(monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    """This test's own process is the trainer, since it changes what counts as large."""
    for name, value in (("MEMORY_BYTES", 0), ("CHUNK_BYTES", 140), ("WINDOW_CHUNKS", 3)):
        monkeypatch.setattr(order, name, value)
    monkeypatch.setattr(story, "WINDOW_CHUNKS", 3)

    pair = fit_and_run(run_here, tmp_path, "windows", fit={"epochs": 3, "batch_size": 16})
    assert "def shuffled(number):" in pair.source
    assert_same(pair)


@pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")  # of Keras, when it evaluates
@pytest.mark.parametrize("before", [[], [{"type": "Rescaling", "scale": 3.0}]])
def test_rows_that_are_measured_in_blocks_are_so_in_the_script(
    before: list[Any], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
):
    """This test's own process is the trainer, since it changes what counts as a block."""
    monkeypatch.setattr(adapting, "MAX_ROWS", 20)
    layers = {"layers": [*before, SCALE, *LINE]}
    pair = fit_and_run(run_here, tmp_path, "blocks", definition=layers, fit={"epochs": 2, "batch_size": 16})
    block = "before(x[start : start + 20], training=False)" if before else "x[start : start + 20]"
    assert f"adapt({block} for start in range(0, len(x), 20))" in pair.source
    assert_same(pair)


def test_a_run_that_begins_with_the_measures_of_another_measures_nothing(trainer: TrainerProcess, tmp_path: Path):
    layers = {"layers": [SCALE, *LINE]}
    first = fit_and_run(trainer.run, tmp_path, "first", definition=layers, fit={"epochs": 1, "validation_split": 0.5})
    start = Start(run_id="run_0", take="weights", model=str(first.run / "model.keras"), state=None)
    pair = fit_and_run(trainer.run, tmp_path, "second", definition=layers, fit={"epochs": 2}, start=start)
    assert "model.layers[0].finalize_state()" in pair.source
    assert "adapt(" not in pair.source
    assert_same(pair)


def test_a_run_that_begins_with_the_weights_of_another_is_repeated_from_these(
    trainer: TrainerProcess, pairs: dict[str, Pair], tmp_path: Path
):
    start = Start(run_id="run_0", take="weights", model=str(pairs["cosine by epoch"].run / "model.keras"), state=None)
    pair = fit_and_run(trainer.run, tmp_path, "warm", fit={"epochs": 2}, start=start)
    assert "start.keras" in pair.source
    assert_same(pair)


def test_a_run_that_goes_on_with_the_state_of_another_is_repeated_from_the_beginning(trainer: TrainerProcess, tmp_path: Path):
    averaging = {"compile": {**REGRESS, "optimizer": AVERAGING}, "definition": {"layers": [*NOISY_LAYERS[:-1], LINE[-1]]}}
    first = fit_and_run(trainer.run, tmp_path, "first", fit={"epochs": 3}, **averaging)
    start = Start(run_id="run_0", take="state", model=str(first.run / "model.keras"), state=str(first.run / "state.npz"))
    second = fit_and_run(trainer.run, tmp_path, "second", fit={"epochs": 5}, start=start, **averaging)
    assert [frame.epoch for frame in second.frames if isinstance(frame, EpochEnded)] == [4, 5]
    assert_same(second)
