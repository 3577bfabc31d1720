"""A stop or a suspend that comes while the job is not fitting."""

import json
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import keras
import pytest

from service.spec.frames import EpochEnded, Finished, FitJob, Frame, Keep, PhaseStarted, SnapshotTaken, Suspended
from service.training import fitting, snapshots
from service.training.job import fit
from service.training.wishes import Wishes
from tests.unit.training.conftest import make_job

RARELY = {"snapshot_seconds": 3600}

# Keras saves and exports with calls at which NumPy 2 warns.
pytestmark = [
    pytest.mark.filterwarnings("ignore:In the future `np.object` will be defined:FutureWarning"),
    pytest.mark.filterwarnings("ignore:__array__ implementation doesn't accept a copy keyword:DeprecationWarning"),
]


@dataclass
class Asked:
    """Fits a job, and asks something of it from the moment on when ``when`` says so of a frame."""

    when: Callable[[Frame], bool]
    stop: Keep | None = None
    frames: list[Frame] = field(default_factory=list)
    _is_asking: bool = False

    def fit(self, job: FitJob) -> Finished | Suspended:
        keep, asks = (lambda: self.stop if self._is_asking else None), (lambda: self._is_asking)
        return fit(job, self._note, Wishes(stop=keep) if self.stop else Wishes(suspend=asks))

    def _note(self, frame: Frame) -> None:
        self.frames.append(frame)
        self._is_asking = self._is_asking or self.when(frame)

    def of(self, *kinds: type) -> list[Frame]:
        return [frame for frame in self.frames if isinstance(frame, kinds)]


def phase(name: str) -> Callable[[Frame], bool]:
    return lambda frame: isinstance(frame, PhaseStarted) and frame.phase == name


def files_in(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir() if path.is_file()}


@pytest.mark.parametrize("name", ["loading", "encoding", "building"])
def test_a_suspend_before_the_fit_ends_the_job_at_the_next_phase(digits, tmp_path, name):
    asked = Asked(phase(name))
    assert asked.fit(make_job(tmp_path, digits)) == Suspended()
    assert [frame.phase for frame in asked.of(PhaseStarted)][-1] == name
    assert not asked.of(SnapshotTaken, EpochEnded)


def test_a_suspend_while_publishing_is_ignored(digits, tmp_path):
    finished = Asked(phase("publishing")).fit(make_job(tmp_path, digits, fit={"epochs": 1}))
    assert finished.outcome == "completed"
    assert finished.publication is not None


@pytest.mark.parametrize("keep", ["none", "last", "best"])
@pytest.mark.parametrize("name", ["loading", "encoding", "building"])
def test_a_stop_before_the_fit_ends_the_job_at_the_next_phase(digits, tmp_path, name, keep):
    asked = Asked(phase(name), stop=keep)
    finished = asked.fit(make_job(tmp_path, digits))
    assert (finished.outcome, finished.publication, finished.files) == ("stopped", None, [])
    assert finished.publish_reason
    assert [frame.phase for frame in asked.of(PhaseStarted)][-1] == name


def test_a_stop_while_publishing_keeps_the_numbers_but_no_model(digits, tmp_path):
    finished = Asked(phase("publishing"), stop="none").fit(make_job(tmp_path, digits, fit={"epochs": 2}, **RARELY))
    assert (finished.outcome, finished.publication) == ("stopped", None)
    assert finished.metrics["loss"] > 0
    assert {file.name for file in finished.files} == {"history.json", "plan.json"} == files_in(tmp_path)


def test_a_model_that_keras_cannot_load_again_is_not_published_and_the_run_says_why(digits, tmp_path):
    def spoil() -> None:
        if (saved := tmp_path / "model.keras").exists():
            saved.write_bytes(b"no model")

    finished = fit(make_job(tmp_path, digits, fit={"epochs": 1}), lambda _: None, Wishes(stop=spoil))
    assert (finished.outcome, finished.publication) == ("completed", None)
    assert "Keras cannot load the model that it has saved" in finished.publish_reason
    assert str(tmp_path) not in finished.publish_reason
    assert {"history.json", "plan.json"} < {file.name for file in finished.files}


@pytest.mark.parametrize("keep", ["last", "best"])
def test_a_stop_of_a_resumed_job_keeps_what_earlier_attempts_have_fitted(digits, tmp_path, keep):
    first = Asked(lambda frame: isinstance(frame, EpochEnded) and frame.epoch == 2)
    first.fit(make_job(tmp_path / "first", digits, **RARELY))
    (taken,) = first.of(SnapshotTaken)
    second = Asked(phase("loading"), stop=keep)
    finished = second.fit(make_job(tmp_path / "second", digits, attempt=2, resume=[taken.path]))
    assert finished.outcome == "stopped"
    assert finished.publication is not None
    assert json.loads((tmp_path / "second" / "history.json").read_bytes())["epoch"] == [1, 2]
    weights = keras.saving.load_model(tmp_path / "second" / "model.keras").get_weights()
    best = snapshots.read(Path(taken.path))[0].callbacks[-1].arrays
    assert all((a == b).all() for a, b in zip(weights, best, strict=True))


def test_a_suspend_in_the_midst_of_an_epoch_is_obeyed_at_the_next_batch(digits, tmp_path, monkeypatch):
    monkeypatch.setattr(fitting, "EXECUTION_SECONDS", 0)
    asked = Asked(phase("fitting"))
    assert asked.fit(make_job(tmp_path, digits, fit={"epochs": 50}, snapshot_seconds=3600)) == Suspended()
    (taken,) = asked.of(SnapshotTaken)
    assert (taken.epoch, taken.step) == (0, 1)
    assert 0 < taken.seconds < 5
