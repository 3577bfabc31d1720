"""The HTTP operations on runs and workers."""

import asyncio
import re
from collections.abc import AsyncIterable, AsyncIterator, Sequence
from dataclasses import dataclass
from typing import Annotated

import anyio.to_thread
from fastapi import Depends, Header, Path, Query, Request, Response
from fastapi.sse import EventSourceResponse, ServerSentEvent

from service.errors import InvalidInput, Problem
from service.infra.artifacts import ArtifactStore
from service.infra.queue import Doorbell
from service.runs import accepting, batch_results, code, repository, service, weights, workers
from service.runs.accepting import Admission
from service.runs.evaluations import read_evaluation
from service.runs.hub import RunHub
from service.runs.reading import read_logs, read_metrics, read_page, read_progress, read_run
from service.runs.repository import RunFilter
from service.runs.result_schemas import ArtifactList, ArtifactRead, EvaluationRead, LogPage, RunMetrics
from service.runs.schemas import BatchPredictionCreate, CancelRequest, EvaluationCreate, RunCreate, RunPage, RunRead
from service.runs.states import TERMINAL, Kind, State
from service.runs.tables import RunEvent
from service.runs.weight_schemas import RunWeights
from service.runs.worker_schemas import WorkerList
from service.settings import Settings
from service.spec import artifacts
from service.web.downloads import Download, file_answers
from service.web.parameters import WholeNumber
from service.web.routing import PageOf, ReadSession, WriteSession, database_of, headers_of, make_router, problems
from service.workspaces.auth import CurrentWorkspace, StillAdmitted
from service.workspaces.errors import NotIdentified
from service.workspaces.quotas import Quotas

ADMISSION_SECONDS = 1.0
"""How often whoever waits is asked for a key that still opens what was asked for."""
ACCEPTED = {**problems(404, 409, 413, 415, 422, 429), **headers_of(202, "Location")}
router = make_router("runs")
workers_router = make_router("workers")

RunId = Annotated[str, Path(max_length=80, description="Id of the run.", examples=["run_01a20b40052676958af2ee9e1501afa3"])]
IdempotencyKey = Annotated[
    str | None,
    Header(
        alias="Idempotency-Key",
        pattern=r"^[\x21-\x7e]{1,255}$",
        description="Any text of your own: the same key makes the same run only once, however often you repeat the request.",
        examples=["nightly-2026-11-24"],
    ),
]
LastEventId = Annotated[
    str | None,
    Header(
        alias="Last-Event-ID",
        pattern=r"^\d{1,9}$",
        description="Number of the last event that you have seen; the stream goes on after it.",
        examples=["12"],
    ),
]
Prefer = Annotated[
    str | None,
    Header(
        alias="Prefer",
        max_length=200,
        description="`wait=10` answers when the run has ended, or after 10 seconds.",
        examples=["wait=10"],
    ),
]


def _doorbell_of(request: Request) -> Doorbell:
    doorbell: Doorbell = request.app.state.doorbell
    return doorbell


def _settings_of(request: Request) -> Settings:
    settings: Settings = request.app.state.settings
    return settings


CurrentSettings = Annotated[Settings, Depends(_settings_of)]


def _admission(settings: CurrentSettings, workspace_id: CurrentWorkspace, idempotency_key: IdempotencyKey = None) -> Admission:
    return Admission(
        workspace_id,
        idempotency_key,
        Quotas.of(settings),
        max_epochs=settings.max_epochs,
        max_timeout_seconds=settings.max_run_timeout_seconds,
    )


CurrentAdmission = Annotated[Admission, Depends(_admission)]


@router.post("/runs", status_code=202, responses=ACCEPTED)
def create_run(
    http: Request,
    session: WriteSession,
    settings: CurrentSettings,
    admission: CurrentAdmission,
    request: RunCreate,
    response: Response,
) -> RunRead:
    """Fit a model on a dataset; the answer comes at once, and a worker does the work."""
    run = accepting.create(session, _doorbell_of(http), admission, request)
    response.headers["Location"] = f"/api/runs/{run.id}"
    return read_run(session, settings, run)


@router.post("/evaluations", status_code=202, responses=ACCEPTED)
def create_evaluation(
    http: Request,
    session: WriteSession,
    settings: CurrentSettings,
    admission: CurrentAdmission,
    request: EvaluationCreate,
    response: Response,
) -> RunRead:
    """Measure a version on a dataset, as a run of kind `evaluate`; its scores are at `/api/runs/{run_id}/evaluation`."""
    run = accepting.create_evaluation(session, _doorbell_of(http), admission, request)
    response.headers["Location"] = f"/api/runs/{run.id}"
    return read_run(session, settings, run)


@router.post("/batch-predictions", status_code=202, responses=ACCEPTED)
def create_batch_prediction(
    http: Request,
    session: WriteSession,
    settings: CurrentSettings,
    admission: CurrentAdmission,
    request: BatchPredictionCreate,
    response: Response,
) -> RunRead:
    """Predict every row of a dataset, as a run of kind `predict`; its result is at `/api/batch-predictions/{run_id}/content`."""
    run = accepting.create_batch_prediction(session, _doorbell_of(http), admission, request)
    response.headers["Location"] = f"/api/runs/{run.id}"
    return read_run(session, settings, run)


@router.get(
    "/batch-predictions/{run_id}/content",
    response_class=Download,
    responses={
        **problems(404, 409, 416),
        **file_answers(
            "Parquet or CSV, as it was asked for: a row for each row of the dataset, in its order.",
            *(artifacts.MEDIA_TYPES[name] for name in artifacts.PREDICTIONS.values()),
        ),
    },
)
def download_batch_prediction(http: Request, session: ReadSession, workspace_id: CurrentWorkspace, run_id: RunId) -> Download:
    """Download the result of a batch prediction that has succeeded."""
    result = batch_results.find(session, http.app.state.artifacts, repository.get(session, workspace_id, run_id))
    headers = {"ETag": f'"{result.sha256}"'}
    return Download(result.path, media_type=result.media_type, filename=result.name, headers=headers)


@router.get("/runs", responses=problems(422))
def list_runs(
    session: ReadSession,
    settings: CurrentSettings,
    workspace_id: CurrentWorkspace,
    page: PageOf,
    model: Annotated[str | None, Query(max_length=63, description="Only runs of this model.", examples=["my_model"])] = None,
    dataset: Annotated[
        str | None,
        Query(max_length=80, description="Only runs on this dataset.", examples=["ds_01a20b40037677bf83159b06b0d2da20"]),
    ] = None,
    state: Annotated[State | None, Query(description="Only runs in this state.", examples=["running"])] = None,
    tag: Annotated[str | None, Query(max_length=64, description="Only runs with this tag.", examples=["tutorial"])] = None,
    kind: Annotated[Kind | None, Query(description="Only runs that fit, evaluate or predict.", examples=["fit"])] = None,
) -> RunPage:
    """List runs, newest first unless `order_by` is `created_at`, `priority` or `model`, or one of these with `-`."""
    wanted = RunFilter(model, dataset, state, tag, kind)
    return read_page(session, settings, repository.list_page(session, workspace_id, wanted, page))


@router.get("/runs/{run_id}", name="read_run", responses={**problems(404, 422, 429), **headers_of(200, "Preference-Applied")})
async def read_run_state(
    request: Request,
    response: Response,
    workspace_id: CurrentWorkspace,
    run_id: RunId,
    is_still_admitted: StillAdmitted,
    prefer: Prefer = None,
) -> RunRead:
    """Read a run: state, progress, latest metrics, and why it failed if it did."""
    wait_seconds = min(_parse_wait(prefer), _settings_of(request).max_wait_seconds)
    run = await anyio.to_thread.run_sync(_read, request, workspace_id, run_id)
    if wait_seconds:
        response.headers["Preference-Applied"] = f"wait={wait_seconds}"
    if wait_seconds and run.state not in TERMINAL:
        with anyio.move_on_after(wait_seconds):
            await _wait_for_end(request, workspace_id, run, is_still_admitted)
        run = await anyio.to_thread.run_sync(_read, request, workspace_id, run_id)
    return run


def _parse_wait(prefer: str | None) -> int:
    """Seconds of a ``Prefer: wait=N`` header (RFC 7240); other preferences do not matter here."""
    for preference in (prefer or "").split(","):
        found = re.fullmatch(r"\s*wait\s*=\s*\"?(\d{1,9})\"?\s*", preference)
        if found:
            return int(found[1])
        if preference.strip().startswith("wait"):
            problem = Problem("header:Prefer", "This is no waiting time.", preference.strip()[:80], "wait=10, in seconds")
            raise InvalidInput("The preference cannot be read.", [problem])
    return 0


async def _wait_for_end(request: Request, workspace_id: str, run: RunRead, is_still_admitted: StillAdmitted) -> None:
    hub: RunHub = request.app.state.hub
    async with hub.watch(run.id, workspace_id) as bell:
        while run.state not in TERMINAL and not hub.is_closing:
            await _next_news(bell, is_still_admitted)
            if not await is_still_admitted():
                raise NotIdentified
            bell.clear()
            run = await anyio.to_thread.run_sync(_read, request, workspace_id, run.id)


async def _next_news(bell: asyncio.Event, is_still_admitted: StillAdmitted) -> None:
    """Wait until something may have happened to the run, or the key that asks opens nothing any more."""
    while not bell.is_set() and await is_still_admitted():
        with anyio.move_on_after(ADMISSION_SECONDS):
            await bell.wait()


def _read(request: Request, workspace_id: str, run_id: str) -> RunRead:
    with database_of(request).read() as session:
        return read_run(session, _settings_of(request), repository.get(session, workspace_id, run_id))


@router.get("/runs/{run_id}/metrics", responses=problems(404))
def read_run_metrics(session: ReadSession, workspace_id: CurrentWorkspace, run_id: RunId) -> RunMetrics:
    """Read the metrics of all finished epochs in columns, like Keras's `History`."""
    run = repository.get(session, workspace_id, run_id)
    return read_metrics(repository.list_epochs(session, run.id))


def _existing_run(session: ReadSession, workspace_id: CurrentWorkspace, run_id: RunId) -> str:
    return repository.get(session, workspace_id, run_id).id


async def _watched_run(
    request: Request, workspace_id: CurrentWorkspace, run_id: Annotated[str, Depends(_existing_run)]
) -> AsyncIterator[asyncio.Event]:
    """The bell of a run. Its place is taken before the answer begins: a stream cannot turn into an error."""
    hub: RunHub = request.app.state.hub
    async with hub.watch(run_id, workspace_id) as bell:
        yield bell


@router.get("/runs/{run_id}/events", response_class=EventSourceResponse, responses=problems(404, 422, 429))
async def stream_run_events(
    request: Request,
    workspace_id: CurrentWorkspace,
    run_id: RunId,
    bell: Annotated[asyncio.Event, Depends(_watched_run)],
    is_still_admitted: StillAdmitted,
    last_event_id: LastEventId = None,
) -> AsyncIterable[ServerSentEvent]:
    """Follow a run as server-sent events: `state`, `epoch`, `progress`, `log`, `resumed`, and `done` at the end."""
    hub: RunHub = request.app.state.hub
    position = int(last_event_id or 0)
    progress = None
    while not hub.is_closing and await is_still_admitted():
        bell.clear()
        news = await anyio.to_thread.run_sync(_read_news, request, workspace_id, run_id, position)
        if news.progress != progress and not news.is_over:
            progress = news.progress
            # Progress has no number: a client that comes back needs the present one only.
            yield ServerSentEvent(event="progress", data=progress)
        for event in news.events:
            position = event.number
            yield ServerSentEvent(id=str(event.number), event=event.kind, data=event.data)
        if news.is_over:
            return
        if not news.has_more:
            await _next_news(bell, is_still_admitted)


@dataclass(frozen=True)
class _News:
    events: Sequence[RunEvent]
    progress: dict[str, float | None]
    has_more: bool
    is_over: bool


def _read_news(request: Request, workspace_id: str, run_id: str, after: int) -> _News:
    with database_of(request).read() as session:
        run = repository.get(session, workspace_id, run_id)
        events = repository.list_events_after(session, run_id, after)
        progress = read_progress(run).model_dump(exclude={"eta_seconds"})
        last = events[-1].number if events else after
        has_more = len(events) == repository.EVENTS_AT_ONCE
        return _News(events, progress, has_more, is_over=run.is_terminal and last >= run.last_event)


@router.post("/runs/{run_id}:cancel", status_code=202, responses=problems(404, 409, 413, 415, 422))
def cancel_run(
    session: WriteSession,
    settings: CurrentSettings,
    workspace_id: CurrentWorkspace,
    run_id: RunId,
    request: CancelRequest = CancelRequest(),  # noqa: B008  # frozen
) -> RunRead:
    """Stop a run: a queued one at once, a running one at its next batch."""
    return read_run(session, settings, service.request_cancel(session, workspace_id, run_id, request.keep))


@router.get("/runs/{run_id}/logs", responses=problems(404, 422))
def list_run_logs(session: ReadSession, workspace_id: CurrentWorkspace, run_id: RunId, page: PageOf) -> LogPage:
    """Read what the attempts of a run have logged, oldest first; `order_by` is `number` or `-number`."""
    run = repository.get(session, workspace_id, run_id)
    return read_logs(repository.list_logs(session, run.id, page))


@router.get("/runs/{run_id}/weights", response_model=RunWeights, responses=problems(404, 409, 422))
def read_run_weights(
    http: Request,
    session: ReadSession,
    workspace_id: CurrentWorkspace,
    run_id: RunId,
    layer: Annotated[str | None, Query(max_length=200, description="Only the layer of this name.", examples=["layer1"])] = None,
    max_values: Annotated[
        WholeNumber, Query(ge=1, le=100_000, description="A weight of more numbers is shown without them.", examples=[1000])
    ] = 1000,
) -> Response:
    """Read what a run has learnt: the weights W and biases b of every layer; at most 1,000,000 numbers are shown."""
    run = repository.get(session, workspace_id, run_id)
    learnt = weights.read_weights(session, http.app.state.artifacts, run, weights.Wanted(layer, max_values))
    return Response(weights.as_json(learnt), media_type="application/json")


@router.get("/runs/{run_id}/evaluation", responses=problems(404, 409))
def read_run_evaluation(http: Request, session: ReadSession, workspace_id: CurrentWorkspace, run_id: RunId) -> EvaluationRead:
    """Read how good the result of a run is: scores on rows that it has not learnt from, beside those of a baseline."""
    run = repository.get(session, workspace_id, run_id)
    return read_evaluation(session, http.app.state.artifacts, run)


@router.get(
    "/runs/{run_id}/code",
    response_class=Response,
    responses={**problems(404, 409), 200: {"description": "A Python script.", "content": {"text/x-python": {}}}},
)
def read_run_code(session: ReadSession, workspace_id: CurrentWorkspace, run_id: RunId) -> Response:
    """Show the Keras script that gives the same weights; it needs the run's artifact `encoded.npz` beside it."""
    run = repository.get(session, workspace_id, run_id)
    return Response(code.script_of(session, run), media_type="text/x-python")


@router.get("/runs/{run_id}/artifacts", responses=problems(404))
def list_run_artifacts(session: ReadSession, workspace_id: CurrentWorkspace, run_id: RunId) -> ArtifactList:
    """List the files of a run."""
    run = repository.get(session, workspace_id, run_id)
    names = ("name", "size_bytes", "sha256", "media_type")
    files = repository.list_artifacts(session, run.id)
    items = [ArtifactRead(**{name: getattr(file, name) for name in names}) for file in files]
    return ArtifactList(items=items, next_page_token=None)


@router.get(
    "/runs/{run_id}/artifacts/{name}",
    response_class=Download,
    responses={**problems(404, 416), **file_answers("The file.", *artifacts.MEDIA_TYPES.values())},
)
def download_run_artifact(
    http: Request,
    session: ReadSession,
    workspace_id: CurrentWorkspace,
    run_id: RunId,
    name: Annotated[str, Path(max_length=255, description="Name of the file.", examples=["model.keras"])],
) -> Download:
    """Download a file of a run: the model as `.keras` or `.onnx`, its weights, its feature plan, its history."""
    run = repository.get(session, workspace_id, run_id)
    artifact = repository.get_artifact(session, run.id, name)
    store: ArtifactStore = http.app.state.artifacts
    path = store.local_path(artifact.sha256)
    return Download(path, media_type=artifact.media_type, filename=artifact.name, headers={"ETag": f'"{artifact.sha256}"'})


@router.delete("/runs/{run_id}", status_code=204, responses=problems(404, 409))
def delete_run(session: WriteSession, workspace_id: CurrentWorkspace, run_id: RunId) -> None:
    """Delete a run that has ended, with its metrics and events; its version stays."""
    service.delete(session, workspace_id, run_id)


@workers_router.get("/workers", responses=problems())
def list_workers(session: ReadSession, settings: CurrentSettings, workspace_id: CurrentWorkspace) -> WorkerList:
    """List the workers: who is alive, what they can do, and what they are doing."""
    return workers.list_workers(session, workspace_id, settings.lease_seconds)
