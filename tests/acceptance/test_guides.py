"""What the guides and the API page show works as they say."""

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.acceptance.client import Document, Fitserve, accepted
from tests.acceptance.running import EMBEDDED_ONLY, RunningService

pytestmark = EMBEDDED_ONLY

GUIDES = Path(__file__).parents[2] / "docs"


def blocks(text: str, language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", text, re.DOTALL | re.MULTILINE)


def documents(text: str) -> list[Any]:
    """The JSON documents that stand one after the other."""
    found, decoder = [], json.JSONDecoder()
    while text := text.strip():
        document, end = decoder.raw_decode(text)
        found.append(document)
        text = text[end:]
    return found


def is_part_of(shown: Any, whole: Any) -> bool:
    """Whether ``whole`` has all that is shown of it; numbers may differ a little from one machine to another."""
    if isinstance(shown, dict):
        return isinstance(whole, dict) and all(name in whole and is_part_of(shown[name], whole[name]) for name in shown)
    if isinstance(shown, list):
        return isinstance(whole, list) and all(map(is_part_of, shown, whole))
    return shown == (pytest.approx(whole, abs=0.05) if isinstance(shown, float) else whole)


@pytest.mark.skipif(not (shutil.which("curl") or os.environ.get("CI")), reason="the commands of the guide use curl")
@pytest.mark.parametrize("guide", ["functional.md", "predicting.md"])
def test_the_commands_of_a_guide_give_the_answers_that_it_shows(running: RunningService, tmp_path: Path, guide: str) -> None:
    text = (GUIDES / guide).read_text(encoding="utf-8")
    script = "\n".join(blocks(text, "sh"))
    for old, new in {
        "http://127.0.0.1:8000": running.url,
        "/tmp/": f"{tmp_path}/",
        ".venv/bin/python": sys.executable,
        "curl -s": "curl -sSf",
    }.items():
        script = script.replace(old, new)
    environment = os.environ | {"no_proxy": "127.0.0.1"}
    command = ["bash", "-eu", "-o", "pipefail", "-c", script]
    done = subprocess.run(command, capture_output=True, text=True, timeout=240, env=environment)
    assert done.returncode == 0, done.stderr
    answers = documents(done.stdout)
    for shown in map(json.loads, blocks(text, "json")):
        assert any(is_part_of(shown, answer) for answer in answers), shown


def test_the_models_of_the_api_page_are_created_and_built(fitserve: Fitserve) -> None:
    def examples(path: str) -> list[Document]:
        body = accepted(fitserve.http.get("/openapi.json"))["paths"][path]["post"]["requestBody"]
        return [
            example["value"] for name, example in body["content"]["application/json"]["examples"].items() if name != "mistaken"
        ]

    for model in examples("/api/models"):
        fitserve.define_model(model["definition"], model["compile"])
    for check in examples("/api/models:check"):
        answer = accepted(fitserve.http.post("/api/models:check", json=check))
        assert answer["ok"], answer["errors"]
        assert answer["built"], answer["warnings"]
