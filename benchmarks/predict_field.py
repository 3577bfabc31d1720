"""Who takes part in one case of the benchmark of predictions: servers on one core, each contestant asked once."""

import itertools
import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx
import numpy as np
from first_epoch import fitserve, wait_for
from predict_cases import Case, Contestant
from predict_load import Post, cores, on_core
from predict_models import file_of

from tests.servers import free_port

RIVALS = Path(__file__).parent / "rivals"
ABSOLUTE_TOLERANCE, RELATIVE_TOLERANCE = 1e-4, 1e-3  # as between a version and Keras, before it is published
ANSWER_SECONDS = 60
ERROR_CHARACTERS = 500
LOG_END_CHARACTERS = 2000
VARIABLES = {"TF_CPP_MIN_LOG_LEVEL": "3", "KERAS_BACKEND": "tensorflow"}


@dataclass(frozen=True)
class Entrant:
    """A contestant that answers, what it is asked, and its first answer."""

    contestant: Contestant
    post: Post
    server_pid: int
    answer: httpx.Response


@contextmanager
def line_up(case: Case, models: Path, scratch: Path, left_out: set[str]) -> Iterator[list[Entrant]]:
    """Everybody who takes part, in the case's order; nobody where Fitserve has none of the case's paths.

    ``left_out`` names rivals. Raises RuntimeError where two do not compute the same.
    """
    rivals = [contestant for contestant in case.contestants if contestant.rival and contestant.rival not in left_out]
    with ExitStack() as stack:
        entrants = _enter_ours(case, models, scratch, stack)
        if entrants:
            answer_bytes = len(entrants[0].answer.content)
            entrants[:0] = [_enter_rival(rival, case, answer_bytes, models, scratch, stack) for rival in rivals]
        _require_same_numbers(entrants)
        yield entrants


def _enter_ours(case: Case, models: Path, scratch: Path, stack: ExitStack) -> list[Entrant]:
    with on_core(cores()[0]):
        process, url = stack.enter_context(fitserve("api", str(models)))
    entrants = [_enter(contestant, case, process.pid, url, scratch) for contestant in case.contestants if not contestant.rival]
    return [entrant for entrant in entrants if entrant.answer.status_code != httpx.codes.NOT_FOUND]


def _enter_rival(rival: Contestant, case: Case, answer_bytes: int, models: Path, scratch: Path, stack: ExitStack) -> Entrant:
    arguments = {
        "asgi_limit": str(answer_bytes),
        "fastapi_onnx": str(file_of(models, case.kind, "onnx")),
        "fastapi_keras": str(file_of(models, case.kind, "keras")),
    }
    pid, url = stack.enter_context(_running(rival.rival, arguments[rival.rival], scratch))
    return _enter(rival, case, pid, url, scratch)


@contextmanager
def _running(rival: str, argument: str, scratch: Path) -> Iterator[tuple[int, str]]:
    """A rival that takes connections: its process and its address."""
    port = free_port()
    command = [sys.executable, str(RIVALS / f"{rival}.py"), str(port), argument]
    log = scratch / f"{rival}.log"
    with log.open("wb") as output, on_core(cores()[0]):
        process = subprocess.Popen(command, env=os.environ | VARIABLES, stdout=output, stderr=output)
    try:
        _wait_for_port(process, port, log)
        yield process.pid, f"http://127.0.0.1:{port}"
    finally:
        process.terminate()
        process.wait()


def _wait_for_port(process: subprocess.Popen[bytes], port: int, log: Path) -> None:
    def is_listening() -> bool:
        if process.poll() is not None:
            raise RuntimeError(f"{log.stem}.py ended with {process.returncode}.\n{log.read_text()[-LOG_END_CHARACTERS:]}")
        with socket.socket() as probe:
            return probe.connect_ex(("127.0.0.1", port)) == 0

    wait_for(is_listening)


def _enter(contestant: Contestant, case: Case, pid: int, url: str, scratch: Path) -> Entrant:
    """Ask once. Raises RuntimeError for any refusal but 404."""
    body = contestant.write(case.kind.rows(case.rows))
    file = scratch / f"{contestant.path.strip('/').replace('/', '_')}_{contestant.rival}.body"
    file.write_bytes(body.content)
    post = Post(url + contestant.path.format(model=case.kind.name), file, tuple(body.headers.items()))
    answer = httpx.post(post.url, content=body.content, headers=body.headers, timeout=ANSWER_SECONDS, trust_env=False)
    if answer.status_code not in (httpx.codes.OK, httpx.codes.NOT_FOUND):
        raise RuntimeError(f"{post.url} has answered {answer.status_code}: {answer.text[:ERROR_CHARACTERS]}")
    return Entrant(contestant, post, pid, answer)


def _require_same_numbers(entrants: list[Entrant]) -> None:
    """Raise RuntimeError where two do not compute the same."""
    found = [(entrant, entrant.contestant.read(entrant.answer)) for entrant in entrants]
    numbers = [(entrant.contestant.name, answer) for entrant, answer in found if answer is not None]
    for (name, answer), (other, expected) in itertools.pairwise(numbers):
        if answer.shape != expected.shape or not np.allclose(answer, expected, RELATIVE_TOLERANCE, ABSOLUTE_TOLERANCE):
            raise RuntimeError(f"{name} and {other} do not compute the same: {answer[:1]}, {expected[:1]}.")
