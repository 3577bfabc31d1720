"""The process that runs Keras: it may die, hang or refuse, and is never left behind. A child without TensorFlow does here."""

import gc
import importlib.util
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import psutil
import pytest

from service.errors import Unavailable
from service.infra.scratch import Scratch
from service.serving.cache import EngineCache
from service.serving.keras_engine import KerasEngine
from service.serving.sidecar import KerasRefused, Sidecar
from service.spec.frames import TensorSpec
from tests.acceptance.running import wait_until
from tests.fakes import light_sidecar
from tests.fakes.light_sidecar import COUNT_MODELS, DIE, HANG, PRINT, REFUSE, TALK_NONSENSE, USE_TOO_MUCH, kill

LIGHT = light_sidecar.__name__
BROKEN = "tests.fakes.no_such_module"
SPEC = [TensorSpec(name="x", dtype="float32", shape=[None, 1])]

Open = Callable[[float], KerasEngine]


class Clock:
    """Seconds that pass when the test says so."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def sidecar(scratch: Scratch) -> Iterator[Sidecar]:
    sidecar = Sidecar(10, scratch, module=LIGHT)
    yield sidecar
    sidecar.close()
    assert children() == []


@pytest.fixture
def open_model(sidecar: Sidecar, tmp_path: Path) -> Open:
    """Makes an engine that multiplies."""

    def open_model(factor: float) -> KerasEngine:
        path = tmp_path / f"{factor}.model"
        path.write_text(str(factor))
        return KerasEngine(sidecar, lambda: path, SPEC, SPEC)

    return open_model


def children() -> list[psutil.Process]:
    """The sidecars that this process has started and that live."""
    return [child for child in psutil.Process().children() if is_sidecar(child)]


def is_sidecar(process: psutil.Process) -> bool:
    """Whether a child is one of these; other tests may have left others."""
    try:
        return LIGHT in process.cmdline() or BROKEN in process.cmdline()
    except (psutil.NoSuchProcess, psutil.ZombieProcess):
        return False


def ask(engine: KerasEngine, value: float) -> float:
    (output,) = engine.run({"x": np.float32([[value]])})
    return float(output[0, 0])


def test_nothing_is_started_before_a_model_is_loaded(sidecar: Sidecar) -> None:
    assert (sidecar.pid, children()) == (None, [])


def test_models_answer_by_their_own_weights_in_one_process(open_model: Open) -> None:
    double, triple = open_model(2), open_model(3)

    assert [ask(double, 5), ask(triple, 5), ask(double, 7)] == [10, 15, 14]
    assert len(children()) == 1


def test_requests_of_many_threads_get_the_answers_to_their_own_rows(open_model: Open) -> None:
    engines = [open_model(factor) for factor in (2, 3, 5)]

    def ask_one(number: int) -> bool:
        rows = np.full((1 + number % 50, 1), number, np.float32)
        (output,) = engines[number % 3].run({"x": rows})
        return np.array_equal(output, rows * (2, 3, 5)[number % 3])

    with ThreadPoolExecutor(8) as threads:
        assert all(threads.map(ask_one, range(300)))


def test_a_request_larger_than_a_pipe_is_answered(open_model: Open) -> None:
    rows = np.arange(2_000_000, dtype=np.float32).reshape(-1, 1)

    (output,) = open_model(2).run({"x": rows})

    assert np.array_equal(output, rows * 2)


@pytest.mark.parametrize("end", [DIE, TALK_NONSENSE])
def test_a_process_that_dies_fails_the_request_and_the_next_one_gets_another_with_all_models(
    end: float, open_model: Open
) -> None:
    double, triple = open_model(2), open_model(3)
    before = children()

    with pytest.raises(Unavailable, match="has died") as lost:
        ask(double, end)

    assert lost.value.retry_after_seconds == 1
    assert (ask(double, 5), ask(triple, 5)) == (10, 15)
    assert children() != before


def test_a_process_that_was_killed_in_a_quiet_moment_costs_no_request(open_model: Open, sidecar: Sidecar) -> None:
    engine = open_model(2)
    assert sidecar.pid is not None
    kill(sidecar.pid)

    assert ask(engine, 5) == 10


def test_requests_that_wait_while_the_process_dies_are_answered_by_the_next_one(open_model: Open) -> None:
    engine = open_model(2)

    def ask_or_die(value: float) -> float | None:
        try:
            return ask(engine, value)
        except Unavailable:
            return None

    with ThreadPoolExecutor(4) as threads:
        answers = list(threads.map(ask_or_die, [1, DIE, 2, 3, 4]))

    assert answers == [2, None, 4, 6, 8]


def test_an_answer_over_its_deadline_ends_the_process_and_the_next_one_works(tmp_path: Path, scratch: Scratch) -> None:
    sidecar = Sidecar(0.3, scratch, module=LIGHT)
    (tmp_path / "model").write_text("2")
    engine = KerasEngine(sidecar, lambda: tmp_path / "model", SPEC, SPEC)
    (hung,) = children()
    try:
        with pytest.raises(Unavailable, match=r"no answer within 0\.3 seconds"):
            ask(engine, HANG)
        assert not hung.is_running()
        assert ask(engine, 5) == 10
    finally:
        sidecar.close()


def test_what_keras_refuses_is_told_and_costs_no_process(open_model: Open) -> None:
    engine = open_model(2)
    before = children()

    with pytest.raises(KerasRefused, match="as was wished"):
        ask(engine, REFUSE)
    with pytest.raises(Unavailable, match="not enough memory"):
        ask(engine, USE_TOO_MUCH)

    assert ask(engine, 5) == 10
    assert children() == before


def test_a_model_that_cannot_be_loaded_is_told_and_leaves_nothing_behind(
    open_model: Open, sidecar: Sidecar, tmp_path: Path
) -> None:
    good = open_model(2)
    (tmp_path / "broken").write_text("no number")

    with pytest.raises(KerasRefused, match="no number"):
        KerasEngine(sidecar, lambda: tmp_path / "broken", SPEC, SPEC)

    assert ask(good, COUNT_MODELS) == 1


def test_a_file_that_is_gone_is_told(sidecar: Sidecar, tmp_path: Path) -> None:
    def find() -> Path:
        raise FileNotFoundError("no such file")

    with pytest.raises(FileNotFoundError):
        KerasEngine(sidecar, find, SPEC, SPEC)


def test_what_a_process_prints_never_holds_it_up(open_model: Open) -> None:
    assert ask(open_model(2), PRINT) == 2 * PRINT


def test_a_model_that_nobody_uses_any_more_is_unloaded(open_model: Open) -> None:
    double, triple = open_model(2), open_model(3)
    assert ask(double, COUNT_MODELS) == 2

    del triple
    gc.collect()

    assert ask(double, COUNT_MODELS) == 1


def test_the_process_ends_with_its_last_model_and_starts_with_the_next(open_model: Open) -> None:
    engine = open_model(2)
    assert len(children()) == 1

    del engine
    gc.collect()

    wait_until(lambda: children() == [], 10, "the end of the process")
    assert ask(open_model(3), 5) == 15


def test_what_the_cache_lets_go_is_unloaded_once_its_last_request_is_answered(open_model: Open) -> None:
    cache: EngineCache[KerasEngine] = EngineCache(max_bytes=1)
    held = cache.get_or_load("old", lambda: open_model(2))
    new = cache.get_or_load("new", lambda: open_model(3))

    assert cache.get("old") is None
    assert (ask(held, 5), ask(new, COUNT_MODELS)) == (10, 2)
    del held
    gc.collect()

    assert ask(new, COUNT_MODELS) == 1


def test_a_process_that_cannot_start_is_tried_again_after_longer_and_longer_pauses(tmp_path: Path, scratch: Scratch) -> None:
    clock = Clock()
    sidecar = Sidecar(10, scratch, module=BROKEN, clock=clock)

    def refusal() -> Unavailable:
        with pytest.raises(Unavailable) as refused:
            sidecar.load(lambda: tmp_path)
        return refused.value

    pauses = []
    try:
        assert "has died." in refusal().message
        for _ in range(8):
            assert "has died." in refusal().message
            pauses.append(refusal().retry_after_seconds)
            clock.now += pauses[-1]
    finally:
        sidecar.close()

    assert pauses == [1, 2, 4, 8, 16, 32, 60, 60]
    assert children() == []


def test_closing_fails_what_is_being_asked_and_leaves_no_process(open_model: Open, sidecar: Sidecar) -> None:
    engine = open_model(2)
    with ThreadPoolExecutor(2) as threads:
        futures = [threads.submit(ask, engine, value) for value in (HANG, 5)]
        wait_until(lambda: sidecar._keeper._queue.qsize() == 1, 10, "a request under way, and another that waits for it")
        sidecar.close()
        for future in futures:
            with pytest.raises(Unavailable, match="about to end"):
                future.result(10)

    with pytest.raises(Unavailable, match="about to end"):
        ask(engine, 5)
    assert children() == []


def test_the_process_has_a_session_of_its_own_and_none_of_our_settings(
    open_model: Open, sidecar: Sidecar, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FITSERVE_DATABASE_URL", "postgresql+psycopg://user:secret@host/name")
    engine = open_model(2)
    assert sidecar.pid is not None

    assert os.getsid(sidecar.pid) == sidecar.pid
    assert not any(name.startswith("FITSERVE_") for name in psutil.Process(sidecar.pid).environ())
    assert engine.size_bytes == 1


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells a child of its parent's end")
def test_the_process_dies_with_its_parent(tmp_path: Path) -> None:
    (tmp_path / "model").write_text("2")
    program = (
        "import time; from pathlib import Path; from service.infra.scratch import Scratch\n"
        "from service.serving.sidecar import Sidecar\n"
        f"sidecar = Sidecar(10, Scratch(Path({str(tmp_path)!r}), 'test'), module={LIGHT!r})\n"
        f"sidecar.load(lambda: Path({str(tmp_path / 'model')!r}))\n"
        "print(sidecar.pid, flush=True); time.sleep(600)"
    )
    with subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, text=True) as parent:
        assert parent.stdout is not None
        while not (line := parent.stdout.readline()).strip().isdigit():
            assert line, "the parent has ended"
        child = psutil.Process(int(line))
        parent.kill()

    assert child.wait(10) is None


def test_a_host_without_keras_says_so(monkeypatch: pytest.MonkeyPatch, scratch: Scratch) -> None:
    assert Sidecar(10, scratch).is_installed
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    assert not Sidecar(10, scratch).is_installed
