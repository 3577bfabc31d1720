"""Puts the HTTP side together: ``create_app(settings)`` is the one place that knows all its parts.

``python -m service.main`` writes the OpenAPI document.
"""

import re
import sys
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import TYPE_CHECKING, Any

import anyio.to_thread
import orjson
from fastapi import FastAPI
from fastapi.routing import APIRoute
from fastapi.telemetry import TelemetryConfig
from opentelemetry.trace import TracerProvider
from sqlalchemy import text
from starlette.types import ASGIApp, Receive, Scope, Send

import service
from service.datasets import endpoints as dataset_endpoints
from service.datasets.service import DatasetService
from service.infra.artifacts import make_artifact_store
from service.infra.database import Database, make_engine
from service.infra.ids import new_id
from service.infra.logging import get_logger
from service.infra.migrations import check_schema
from service.infra.overload import Limit, Turns
from service.infra.queue import CeleryDoorbell, make_celery
from service.infra.scratch import Scratch
from service.infra.telemetry import are_traces_sent
from service.models import check_endpoints
from service.models import endpoints as model_endpoints
from service.models.checker import Checker
from service.predictions.app import PredictionApp
from service.predictions.at_once import protocol_for
from service.predictions.metrics import PredictionMetrics
from service.predictions.openapi import add_prediction_paths, refusals_of
from service.predictions.repository import DatabaseVersionSource
from service.predictions.tracing import TracedPredictions
from service.runs import endpoints as run_endpoints
from service.runs.hub import RunHub
from service.runs.storage import count_bytes
from service.runs.sweeper import Sweeper
from service.serving.sidecar import Sidecar
from service.settings import Settings
from service.usage import endpoints as usage_endpoints
from service.web import docs, health
from service.web.admission import AT_WORK, LET_IN_UNDER_LOAD, BoundedRequests
from service.web.answer_log import PREDICTION_PROBES, PROBES
from service.web.connections import BoundedConnection, ConnectionLimits, bounded
from service.web.context import BodyLimit, RequestContext
from service.web.drain import Drain
from service.web.head_requests import HeadRequests
from service.web.links import add_links
from service.web.origins import Origins
from service.web.problems import install_problem_handlers
from service.web.routing import ProblemDocument
from service.web.shedding import InTurns, SheddingConnection, shedding
from service.workspaces import endpoints as key_endpoints
from service.workspaces.auth import OPERATORS_PATH, SECURITY_SCHEMES, Authentication, Gate
from service.workspaces.authenticator import Authenticator
from service.workspaces.quotas import Quotas
from service.workspaces.rates import WINDOW_SECONDS, Rates
from service.workspaces.service import DatabaseKeySource

if TYPE_CHECKING:
    from service.infra.shared_counts import RedisCounts

log = get_logger(__name__)

DESCRIPTION = """
The usual way:

1. **Upload a dataset** (`POST /api/datasets`): a CSV, JSON, Parquet or NumPy file, images in a ZIP, or rows or arrays as JSON.
2. **Create a model** (`POST /api/models`): layers, optimizer and loss, in Keras's own words.
3. **Start a run** (`POST /api/runs`): a worker fits the model; follow it at `/api/runs/{run_id}/events`.
4. **Predict** (`POST /api/models/{name}:predict`): the run has published a version that answers.
"""
TAGS = [
    {"name": "datasets", "description": "Uploaded data with a schema: a table of typed columns, or arrays."},
    {"name": "models", "description": "Named definitions, with their published versions and aliases."},
    {"name": "runs", "description": "One `fit` each: state, metrics, events and files."},
    {"name": "predictions", "description": "Answers from a published version."},
    {"name": "workers", "description": "The processes that fit the runs."},
    {"name": "usage", "description": "What this workspace uses, and what it may use."},
    {"name": "keys", "description": "Who may use this workspace, and for what."},
    {"name": "health", "description": "For monitors and orchestrators."},
]
SPARE_THREADS = 8
"""For probes and what has limits of its own. Requests that hold a lock or a connection of the database would wait for a thread
for as long as those that wait for the lock have all of them."""


Predictions = PredictionApp | TracedPredictions


class Guards:
    """What keeps clients from asking more of this process than it can do."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._turns = Turns(settings.overload_wait_seconds, Limit("event_loop", settings.max_waiting_requests, 0))

    def around(self, api: ASGIApp) -> ASGIApp:
        """The control plane behind its limit."""
        return BoundedRequests(api, Limit("control_plane", self._settings.max_api_requests, LET_IN_UNDER_LOAD))

    def of_connections(self, protocol: type[SheddingConnection]) -> type[BoundedConnection]:
        """The protocol within its limits."""
        settings = self._settings
        limits = ConnectionLimits(
            head_seconds=settings.head_timeout_seconds,
            body_seconds=settings.body_timeout_seconds,
            answer_seconds=settings.answer_timeout_seconds,
            head_bytes=settings.max_head_bytes,
            connections=settings.max_connections,
        )
        return bounded(shedding(protocol, self._turns), limits)

    def in_turns(self, app: ASGIApp) -> ASGIApp:
        """The application, whose requests begin in turns."""
        return InTurns(app, self._turns)


class Application:
    """The ASGI application: predictions go straight to their own callable, everything else to FastAPI."""

    def __init__(
        self,
        api: FastAPI,
        predictions: Predictions,
        drain: Drain,
        end_streams: Callable[[], None],
        origins: Origins,
        guards: Guards,
    ) -> None:
        self.api = api
        self.predictions = predictions
        self._drain = drain
        self._end_streams = end_streams
        self._origins = origins
        self._guards = guards
        self._answer_others = drain.around(guards.around(api))
        self._answer = guards.in_turns(origins.around(self._dispatch))

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await self._answer(scope, receive, send)

    async def _dispatch(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and self.predictions.handles(scope["path"]):
            await self.predictions(scope, receive, send)
        else:
            await self._answer_others(scope, receive, send)

    @property
    def http_protocol(self) -> type[BoundedConnection]:
        """What uvicorn shall speak HTTP with: traced predictions go its usual way."""
        predictions = self.predictions
        protocol = protocol_for(predictions, self._origins) if isinstance(predictions, PredictionApp) else SheddingConnection
        return self._guards.of_connections(protocol)

    def begin_drain(self) -> None:
        """Let clients go elsewhere; every request is still answered."""
        self._drain.begin()
        self.end_streams()

    def end_streams(self) -> None:
        """End event streams and waiting requests: uvicorn waits for open answers before it ends the lifespan."""
        self._end_streams()


def create_app(
    settings: Settings | None = None,
    metrics: PredictionMetrics | None = None,
    tracer_provider: TracerProvider | None = None,
    processes: int = 1,
) -> Application:
    """The application with all its collaborators; connects to nothing until it is started.

    A process that makes a second one gives it ``metrics`` with a registry of their own. ``tracer_provider`` gets the spans
    of all requests; without one, the environment decides whether there are any (``service.infra.telemetry``).
    ``processes``: how many of them answer at this address.
    """
    settings = settings or Settings()
    database = Database(make_engine(settings))
    artifacts = make_artifact_store(settings)
    doorbell = CeleryDoorbell(make_celery(settings))
    guards = Guards(settings)
    drain = Drain()
    hub = RunHub(database, settings.max_event_streams, settings.max_workspace_streams)
    sweeper = Sweeper(database, doorbell, artifacts, settings)
    scratch = Scratch(settings.scratch_folder, new_id("api"))
    datasets = DatasetService(artifacts, settings, count_bytes, scratch)
    shared_counts = _make_shared_counts(settings)
    rates = Rates(shared_counts, processes)
    gate = Gate(Authenticator(DatabaseKeySource(database, settings.require_keys, Quotas.of(settings))), rates)
    checker = Checker(settings.check_seconds, settings.check_memory_bytes, scratch)
    readiness_checks: dict[str, health.Check] = {
        "process": drain.check,
        "database": lambda: _ping(database),
        "schema": lambda: check_schema(settings),
    }
    predictions = PredictionApp(
        settings,
        DatabaseVersionSource(database),
        artifacts,
        gate,
        metrics or PredictionMetrics(),
        drain,
        lambda: health.check_all(readiness_checks),
        Sidecar(settings.keras_seconds, scratch, settings.keras_threads),
    )

    closers = [sweeper.stop, doorbell.close, checker.close, predictions.close, scratch.close, database.close]
    api = _make_api(_lifespan(hub, sweeper, shared_counts, closers), _telemetry(tracer_provider))
    api.state.settings = settings
    api.state.database = database
    api.state.artifacts = artifacts
    api.state.datasets = datasets
    api.state.doorbell = doorbell
    api.state.checker = checker
    api.state.hub = hub
    api.state.rates = rates
    api.state.readiness_checks = readiness_checks
    api.state.before_scrape = predictions.metrics.flush
    _surround(api, settings, gate)
    is_traced = tracer_provider is not None or are_traces_sent()
    answering = TracedPredictions(predictions, tracer_provider) if is_traced else predictions
    origins = Origins(_listed(settings.trusted_hosts), _listed(settings.cors_origins))
    return Application(api, answering, drain, hub.close, origins, guards)


def _lifespan(
    hub: RunHub, sweeper: Sweeper, shared_counts: "RedisCounts | None", closers: Sequence[Callable[[], None]]
) -> Callable[[FastAPI], AbstractAsyncContextManager[None]]:
    """What goes on while the application runs; ``closers`` end the rest, one after the other, and may block."""

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        anyio.to_thread.current_default_thread_limiter().total_tokens = AT_WORK + SPARE_THREADS
        hub.start()
        sweeper.start()
        yield
        await hub.stop()
        if shared_counts is not None:
            await shared_counts.close()
        for close in closers:
            await anyio.to_thread.run_sync(close)

    return lifespan


def _make_shared_counts(settings: Settings) -> "RedisCounts | None":
    """Where all processes count requests together; None where they share no Redis."""
    if not settings.broker_url:
        return None
    from service.infra.shared_counts import RedisCounts  # only here: the embedded stack can do without these 9 MB

    return RedisCounts(settings.broker_url, WINDOW_SECONDS)


def _telemetry(tracer_provider: TracerProvider | None) -> TelemetryConfig:
    """Traces only: metrics are Prometheus's, and log lines our own."""
    return TelemetryConfig(
        tracer_provider=tracer_provider,
        metrics=False,
        logs=False,
        auto_configure=tracer_provider is None and are_traces_sent(),
        exclude=lambda scope: scope["path"] in PROBES,
    )


def _make_api(lifespan: Callable[[FastAPI], Any] | None, telemetry: TelemetryConfig | None = None) -> FastAPI:
    api = FastAPI(
        title="Fitserve",
        version=service.__version__,
        summary="Fits Keras models and serves them.",
        description=DESCRIPTION,
        openapi_tags=TAGS,
        openapi_url=None,
        lifespan=lifespan,
        telemetry=telemetry,
        generate_unique_id_function=_operation_id,
    )
    for router in (
        dataset_endpoints.router,
        check_endpoints.router,
        model_endpoints.router,
        run_endpoints.router,
        run_endpoints.workers_router,
        usage_endpoints.router,
        key_endpoints.router,
        health.router,
    ):
        api.include_router(router)
    docs.install_docs(api, "service.main")
    install_problem_handlers(api)
    return api


def _operation_id(route: APIRoute) -> str:
    return route.name


def _surround(api: FastAPI, settings: Settings, gate: Gate) -> None:
    api.add_middleware(HeadRequests)
    api.add_middleware(BodyLimit, max_body_bytes=settings.max_body_bytes, max_upload_bytes=settings.max_upload_bytes)
    api.add_middleware(Authentication, gate=gate)
    api.add_middleware(RequestContext)


def _listed(names: str) -> list[str]:
    return [name for name in names.split(",") if name]


def describe() -> dict[str, Any]:
    """The OpenAPI document: what FastAPI reads from the endpoints, completed with what no signature tells."""
    document = _make_api(lifespan=None).openapi()
    schemas = document["components"]["schemas"]
    for schema in (ProblemDocument, *dataset_endpoints.DOCUMENTED_SCHEMAS):
        generated = schema.model_json_schema(ref_template="#/components/schemas/{model}")
        schemas |= generated.pop("$defs", {})
        schemas[schema.__name__] = generated
    schemas.pop("HTTPValidationError", None)
    schemas.pop("ValidationError", None)
    _join_lines(schemas)
    _drop_default_validation_answers(document)
    _write_summaries_as_sentences(document)
    add_prediction_paths(document)
    _describe_keys(document)
    add_links(document)
    return document


def _describe_keys(document: dict[str, Any]) -> None:
    """How to send a key, which operations need none, and how the others refuse one, or too many requests."""
    document["components"]["securitySchemes"] = SECURITY_SCHEMES
    document["security"] = [{name: []} for name in SECURITY_SCHEMES]
    for path, operations in document["paths"].items():
        for operation in operations.values():
            if path in (PROBES | PREDICTION_PROBES) - {OPERATORS_PATH}:
                operation["security"] = []
            else:
                operation["responses"] = refusals_of(path) | operation["responses"]


def _join_lines(part: Any) -> None:
    """Where a docstring goes on in another line, Markdown could take its beginning, such as "0.", for that of a list."""
    if isinstance(part, dict):
        if isinstance(part.get("description"), str):
            part["description"] = re.sub(r"(?<!\n)\n(?![\n-])", " ", part["description"])
        part = list(part.values())
    if isinstance(part, list):
        for child in part:
            _join_lines(child)


def _drop_default_validation_answers(document: dict[str, Any]) -> None:
    """FastAPI adds its own 422 to every operation with parameters; ours are problem documents."""
    problem = {"application/problem+json": {"schema": {"$ref": "#/components/schemas/ProblemDocument"}}}
    for path in document["paths"].values():
        for operation in path.values():
            answer = operation["responses"].get("422")
            if answer is not None:
                answer["content"] = problem
                answer["description"] = "The request was read, but something in it is wrong."


def _write_summaries_as_sentences(document: dict[str, Any]) -> None:
    """FastAPI writes "Create Run"; only the first word is a capital in a sentence."""
    for path in document["paths"].values():
        for operation in path.values():
            operation["summary"] = operation["operationId"].replace("_", " ").capitalize()


def _ping(database: Database) -> None:
    with database.read() as session:
        session.execute(text("SELECT 1"))


if __name__ == "__main__":
    sys.stdout.buffer.write(orjson.dumps(describe()))
