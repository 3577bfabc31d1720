"""A run can be done again without Fitserve: its script and its encoded data give the same weights."""

import os
import subprocess
import sys
from pathlib import Path

from tests.acceptance.client import ENDLESS_FIT, TUTORIAL_FIT, Fitserve, refused
from tests.acceptance.running import EMBEDDED_ONLY

pytestmark = EMBEDDED_ONLY

COMPARE = """
import runpy
import numpy as np

model, theirs = runpy.run_path("script.py")["model"], np.load("weights.npz")
ours = {f"{layer.name}/{weight.name}": weight.numpy() for layer in model.layers for weight in layer.weights}
assert sorted(ours) == ["layer1/bias", "layer1/kernel", "layer2/bias", "layer2/kernel", "layer3/bias", "layer3/kernel"], ours
for name, weight in ours.items():
    assert weight.tobytes() == theirs[name].tobytes(), name
print("the same weights")
"""


def run_in(folder: Path, program: str) -> str:
    """What a program prints that finds neither this project nor its settings."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("PYTHON", "FITSERVE_"))}
    command = [sys.executable, "-c", program]
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False, timeout=240)
    assert done.returncode == 0, done.stderr[-3000:]
    return done.stdout


def test_the_script_of_a_run_gives_its_weights(fitserve: Fitserve, tmp_path: Path) -> None:
    run_id = fitserve.start_digits(TUTORIAL_FIT)
    fitserve.succeeded(run_id)
    answer = fitserve.http.get(f"/api/runs/{run_id}/code").raise_for_status()
    assert answer.headers["content-type"].startswith("text/x-python")
    (tmp_path / "script.py").write_bytes(answer.content)
    for name in ("encoded.npz", "weights.npz"):
        (tmp_path / name).write_bytes(fitserve.http.get(f"/api/runs/{run_id}/artifacts/{name}").raise_for_status().content)
    assert "bit for bit" in answer.text.split('"""')[1]
    assert run_in(tmp_path, COMPARE).endswith("the same weights\n")


def test_a_script_is_there_once_the_data_is_loaded(fitserve: Fitserve) -> None:
    running = fitserve.start_digits(ENDLESS_FIT, publish=False)
    fitserve.wait_for_epoch(running, 1)
    queued = fitserve.start_digits(TUTORIAL_FIT)
    problem = refused(fitserve.http.get(f"/api/runs/{queued}/code"), 409)
    assert "it is known once the data is loaded" in problem["detail"]
    script = fitserve.http.get(f"/api/runs/{running}/code").raise_for_status().text
    assert "The run is running: its file encoded.npz is there once it has succeeded." in " ".join(script.split())
    for run_id in (queued, running):
        fitserve.cancel(run_id)
    fitserve.ended(running)
    refused(fitserve.http.get(f"/api/runs/{queued}/code"), 404)
    refused(fitserve.http.get("/api/runs/run_unknown/code"), 404)
