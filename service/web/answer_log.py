"""A line in the log for an answered request, which its request id finds."""

import logging
import time
from typing import Any
from urllib.parse import quote

from starlette.types import Scope

from service.infra.logging import get_logger

log = get_logger(__name__)

PROBES = {"/livez", "/readyz", "/metrics"}
PREDICTION_PROBES = {"/v2/health/live", "/v2/health/ready"}
"""What orchestrators, who have no key, ask of the Open Inference Protocol."""
MAX_PATH = 200
UNDER_LOAD = {429, 503}
"""Refusals of a service that has too much to do, which a line for each would make worse; they are counted."""

# Asking structlog whether a level is written takes longer than everything else that happens where it is not.
_levels = logging.getLogger(__name__)


def log_answer(scope: Scope, route: str, status: int, started: float) -> None:
    """Write the line of a control plane request; of a probe that went well only at ``debug``.

    ``started``: when it began, by ``time.perf_counter``.
    """
    is_routine = scope["path"] in PROBES and status < 400
    level = logging.DEBUG if is_routine else logging.INFO
    if _levels.isEnabledFor(level):
        _write(level, scope, status, started, route=route)


def log_prediction(scope: Scope, status: int, started: float, request_id: str) -> None:
    """Write the line of a prediction that has failed; of any other only at ``debug``, since it would cost more than that."""
    level = logging.DEBUG if status < 400 or status in UNDER_LOAD else logging.INFO
    if _levels.isEnabledFor(level):
        _write(level, scope, status, started, request_id=request_id)


def _write(level: int, scope: Scope, status: int, started: float, **facts: Any) -> None:
    seconds = round(time.perf_counter() - started, 6)
    path = quote(scope["path"][:MAX_PATH], safe="/:")  # encoded, so that no client can write lines of its own
    log.log(level, "request.answered", method=scope["method"], path=path, status=status, seconds=seconds, **facts)
