"""Which answers are written into the log, and that clients cannot write into it."""

import logging
import time
from typing import Any

import pytest
from structlog.testing import capture_logs

from service.web import answer_log
from service.web.answer_log import log_answer, log_prediction


@pytest.fixture
def level(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """What ``log_level`` sets."""
    monkeypatch.setattr(logging.getLogger(answer_log.__name__), "level", request.param)
    logging.getLogger(answer_log.__name__).manager._clear_cache()


def request_to(path: str) -> dict[str, Any]:
    return {"type": "http", "method": "GET", "path": path}


def written(path: str, status: int) -> list[Any]:
    with capture_logs() as lines:
        log_answer(request_to(path), path, status, time.perf_counter())
    return lines


def written_of_prediction(status: int) -> list[Any]:
    with capture_logs() as lines:
        log_prediction(request_to("/v1/models/mine"), status, time.perf_counter(), "mine")
    return lines


@pytest.mark.parametrize("level", [logging.INFO], indirect=True)
@pytest.mark.usefixtures("level")
class TestAtInfo:
    def test_every_answer_of_the_control_plane_has_a_line(self) -> None:
        (line,) = written("/api/models", 200)
        assert line.pop("seconds") >= 0
        assert line == {
            "event": "request.answered",
            "log_level": "info",
            "method": "GET",
            "path": "/api/models",
            "route": "/api/models",
            "status": 200,
        }

    @pytest.mark.parametrize(("path", "status"), [("/livez", 200), ("/metrics", 200), ("/readyz", 200)])
    def test_probes_that_go_well_have_none(self, path: str, status: int) -> None:
        assert written(path, status) == []

    def test_a_probe_that_does_not_go_well_has_one(self) -> None:
        assert len(written("/readyz", 503)) == 1

    @pytest.mark.parametrize("status", [400, 404, 413, 500])
    def test_predictions_that_fail_have_one(self, status: int) -> None:
        (line,) = written_of_prediction(status)
        assert (line["status"], line["request_id"]) == (status, "mine")

    @pytest.mark.parametrize("status", [200, 429, 503])
    def test_predictions_that_succeed_or_are_refused_under_load_have_none(self, status: int) -> None:
        assert written_of_prediction(status) == []

    def test_a_path_stays_in_its_line(self) -> None:
        (line,) = written("/api/models/a\nb \x1b[31m\u2028", 404)
        assert line["path"] == "/api/models/a%0Ab%20%1B%5B31m%E2%80%A8"

    def test_a_long_path_is_cut(self) -> None:
        assert len(written("/" + "a" * 10_000, 404)[0]["path"]) == answer_log.MAX_PATH


@pytest.mark.parametrize("level", [logging.DEBUG], indirect=True)
@pytest.mark.usefixtures("level")
def test_at_debug_everything_has_a_line() -> None:
    assert len(written("/livez", 200)) == 1
    assert len(written_of_prediction(200)) == 1


@pytest.mark.parametrize("level", [logging.WARNING], indirect=True)
@pytest.mark.usefixtures("level")
def test_at_warning_no_answer_has_one() -> None:
    assert written("/api/models", 200) == []
    assert written_of_prediction(500) == []
