"""Liveness, readiness and Prometheus metrics."""

from collections.abc import Callable, Mapping
from typing import Literal

from anyio import to_thread
from fastapi import APIRouter, Request, Response
from prometheus_client import CONTENT_TYPE_LATEST

from service.errors import FitserveError, Unavailable
from service.infra.metrics import write_metrics
from service.spec.base import Spec
from service.web.routing import ProblemDocument

router = APIRouter(tags=["health"])

Check = Callable[[], None]
"""Looks at one part; raises with the reason when that part does not work."""


class Liveness(Spec):
    """The answer of a living process."""

    status: Literal["alive"]
    """Always `alive`: a dead process does not answer."""


class PartReadiness(Spec):
    """Whether one part works."""

    ready: bool
    """Whether this part works."""
    reason: str | None
    """Why it does not."""


class Readiness(Spec):
    """Whether this process can do its work."""

    ready: bool
    """Whether every part that requests need works."""
    parts: dict[str, PartReadiness]
    """Each part by name."""


@router.get("/livez", responses={500: {"model": ProblemDocument}})
async def read_liveness() -> Liveness:
    """Tell that the process is alive."""
    # It needs no thread, since all of them may be waiting for a database that is away.
    return Liveness(status="alive")


@router.get("/readyz", responses={503: {"model": Readiness, "description": "A part does not work; it says which and why."}})
def read_readiness(request: Request, response: Response) -> Readiness:
    """Tell whether requests can be answered, with the reason for every part that does not work."""
    checks: dict[str, Check] = request.app.state.readiness_checks
    parts = {name: _try(check) for name, check in checks.items()}
    readiness = Readiness(ready=all(part.ready for part in parts.values()), parts=parts)
    response.status_code = 200 if readiness.ready else 503
    return readiness


@router.get("/metrics", response_class=Response, responses={200: {"content": {"text/plain": {}}}})
async def read_prometheus_metrics(request: Request) -> Response:
    """Show counters and durations in Prometheus's text format."""
    request.app.state.before_scrape()
    return Response(await to_thread.run_sync(write_metrics), media_type=CONTENT_TYPE_LATEST)


def check_all(checks: Mapping[str, Check]) -> None:
    """Raise Unavailable with the first part that does not work, and why."""
    for name, check in checks.items():
        part = _try(check)
        if not part.ready:
            raise Unavailable(f"Not ready: {name}: {part.reason}")


def _try(check: Check) -> PartReadiness:
    try:
        check()
    except FitserveError as error:
        return PartReadiness(ready=False, reason=error.message)
    except Exception as error:  # other messages may name hosts and paths, so only their kind is told
        return PartReadiness(ready=False, reason=type(error).__name__)
    return PartReadiness(ready=True, reason=None)
