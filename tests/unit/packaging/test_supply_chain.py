"""Nothing that is read can run code, and what is installed is looked up where known vulnerabilities are listed."""

import ast
import os
import pickle  # noqa: TID251  # to show that nobody reads it
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from kombu.exceptions import ContentDisallowed
from kombu.serialization import loads

from service.infra.queue import make_celery
from service.settings import Settings

ROOT = Path(__file__).parents[3]
AUDIT = ROOT / ".ci" / "audit"
CAREFUL = {"allow_pickle": False, "safe_mode": True, "weights_only": True}
"""Arguments of libraries that decide whether a file may bring code along, and their only value here."""


def calls() -> Iterator[tuple[Path, ast.Call]]:
    for folder in ("service", "migrations", "examples", "benchmarks"):
        for path in (ROOT / folder).rglob("*.py"):
            yield from ((path, node) for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.Call))


def test_no_file_is_read_in_a_way_that_could_run_code() -> None:
    careless = [
        f"{path.relative_to(ROOT)}:{call.lineno}"
        for path, call in calls()
        for keyword in call.keywords
        if keyword.arg in CAREFUL and getattr(keyword.value, "value", None) is not CAREFUL[keyword.arg]
    ]
    assert careless == []


@pytest.mark.parametrize("program", ["import pickle", "from joblib import load", "import marshal", "from torch import load"])
def test_the_linter_refuses_what_unpickles(program: str) -> None:
    command = [sys.executable, "-m", "ruff", "check", "--no-cache", "--stdin-filename", "service/infra/new.py", "-"]
    done = subprocess.run(command, cwd=ROOT, input=program, capture_output=True, text=True, timeout=60, check=False)

    assert done.returncode == 1
    assert "TID251" in done.stdout


def test_a_pickled_message_is_not_read(tmp_path: Path) -> None:
    conf = make_celery(Settings(data_dir=tmp_path)).conf
    pickled = pickle.dumps({"task": "ring"})

    assert conf.accept_content == ["json"]
    assert conf.task_serializer == "json"
    with pytest.raises(ContentDisallowed):
        loads(pickled, "application/x-python-serialize", "binary", accept={"application/json"})


def audit(**environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([AUDIT], env=os.environ | environment, capture_output=True, text=True, timeout=60, check=False)


def test_a_machine_without_a_network_passes_with_one_line() -> None:
    nowhere = "http://127.0.0.1:1"
    done = audit(BIN=str(Path(sys.executable).parent), HTTPS_PROXY=nowhere, https_proxy=nowhere)

    assert done.returncode == 0
    assert done.stdout.splitlines() == ["The locked packages were not audited: the registry does not answer."]


def test_a_known_vulnerability_is_told_and_red(tmp_path: Path) -> None:
    auditor = tmp_path / "pip-audit"
    auditor.write_text('#!/bin/sh\nwhile [ "$1" != --output ]; do shift; done\necho "jinja2 2.0 CVE-2014-1402" > "$2"\nexit 1\n')
    auditor.chmod(0o755)

    done = audit(BIN=str(tmp_path))

    assert done.returncode == 1
    assert "CVE-2014-1402" in done.stderr
