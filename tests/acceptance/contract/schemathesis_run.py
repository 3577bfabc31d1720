"""Runs Schemathesis's command, and reads its report."""

import json
import os
import subprocess
import sys
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.acceptance.client import Document
from tests.acceptance.contract.link_story import Fitted
from tests.conftest import ROOT

CONFIG = Path(__file__).with_name("schemathesis.toml")
REPORT = "report.ndjson"


@dataclass(frozen=True)
class Trial:
    """A document to hold a service to, and what requests need to be about something."""

    document: Mapping[str, Any]
    url: str
    key: Document
    fitted: Fitted

    def variables(self) -> dict[str, str]:
        """Those of the configuration."""
        return {
            "CONTRACT_KEY": self.key["key"],
            "CONTRACT_KEY_ID": self.key["id"],
            "CONTRACT_MODEL": self.fitted.model,
            "CONTRACT_DATASET": self.fitted.dataset,
        }


def run_schemathesis(trial: Trial, folder: Path, *options: str) -> None:
    """Try a service; fail with what Schemathesis says of its findings, each with a request that repeats it."""
    document = folder / "openapi.json"
    document.write_text(json.dumps(trial.document))
    command = [sys.executable, "-m", "schemathesis.cli", "--config-file", str(CONFIG), "--no-color", "run", str(document)]
    report = ["--report", "ndjson", "--report-ndjson-path", str(folder / REPORT)]
    done = subprocess.run(
        [*command, "--url", trial.url, *report, *options],
        env=os.environ | trial.variables() | {"PYTHONPATH": str(ROOT)},
        cwd=folder,  # where it leaves its own files
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stdout + done.stderr


def count_successes(folder: Path, is_linked: bool = False) -> Counter[str]:
    """How often each operation, as method and path, was answered with 2xx; ``is_linked`` after a link had led to it."""
    found: Counter[str] = Counter()
    for line in (folder / REPORT).read_text().splitlines():
        recorder = json.loads(line).get("ScenarioFinished", {}).get("recorder", {})
        for name, case in recorder.get("cases", {}).items():
            response = recorder["interactions"].get(name, {}).get("response") or {}
            if 200 <= response.get("status_code", 0) < 300 and (case["is_transition_applied"] or not is_linked):
                found[f"{case['value']['method']} {case['value']['path']}"] += 1
    return found
