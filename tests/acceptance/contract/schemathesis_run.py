"""Runs Schemathesis's command, and reads its report."""

import json
import os
import subprocess
import sys
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tests.conftest import ROOT

CONFIG = Path(__file__).with_name("schemathesis.toml")
REPORT = "report.ndjson"


def run_schemathesis(folder: Path, document: Mapping[str, Any], url: str, variables: Mapping[str, str], *options: str) -> None:
    """Go over a document; fail with what Schemathesis says of its findings, each with a request that repeats it."""
    path = folder / "openapi.json"
    path.write_text(json.dumps(document))
    command = [sys.executable, "-m", "schemathesis.cli", "--config-file", str(CONFIG), "--no-color", "run", str(path)]
    report = ["--report", "ndjson", "--report-ndjson-path", str(folder / REPORT)]
    done = subprocess.run(
        [*command, "--url", url, *report, *options],
        env=os.environ | variables | {"PYTHONPATH": str(ROOT)},
        cwd=folder,  # where it leaves its own files
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stdout + done.stderr


def count_linked_successes(folder: Path) -> Counter[str]:
    """How often each operation, as method and path, was answered with 2xx after a link had led to it."""
    found: Counter[str] = Counter()
    for line in (folder / REPORT).read_text().splitlines():
        recorder = json.loads(line).get("ScenarioFinished", {}).get("recorder", {})
        for name, case in recorder.get("cases", {}).items():
            response = recorder["interactions"].get(name, {}).get("response") or {}
            if case["is_transition_applied"] and 200 <= response.get("status_code", 0) < 300:
                found[f"{case['value']['method']} {case['value']['path']}"] += 1
    return found
