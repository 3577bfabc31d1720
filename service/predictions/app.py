"""The prediction application: bare ASGI, since a web framework would cost more time than the predictions.

It answers every path that one of its wire protocols owns; ``main`` dispatches to it before the framework's middleware.
"""

import time
from collections.abc import Callable
from functools import lru_cache

from starlette.types import Receive, Scope, Send

from service.errors import FitserveError
from service.infra.logging import get_logger
from service.predictions.engines import Engines
from service.predictions.errors import ClientGone
from service.predictions.http import LONGEST_REMEMBERED_PATH, REMEMBERED_PATHS, Answer, Call, send_answer
from service.predictions.lookup import Lookup
from service.predictions.metrics import PredictionMetrics
from service.predictions.protocols import WireProtocol
from service.predictions.protocols.native import Native
from service.predictions.protocols.open_inference import OpenInference
from service.predictions.protocols.tensorflow_serving import TensorFlowServing
from service.predictions.service import PredictionService
from service.predictions.versions import ArtifactReader, VersionSource
from service.serving.measuring import Measure, measure
from service.serving.sidecar import Sidecar
from service.serving.workbench import Workbench
from service.settings import Settings
from service.web.answer_log import PREDICTION_PROBES, log_prediction
from service.web.drain import Drain
from service.web.problems import let_go
from service.workspaces.auth import Gate

log = get_logger(__name__)

INTERNAL_ERROR = "Something went wrong here, not in the request. The request id finds it in the log."


class PredictionApp:
    """One ASGI callable for all prediction protocols."""

    def __init__(
        self,
        settings: Settings,
        versions: VersionSource,
        artifacts: ArtifactReader,
        gate: Gate,
        metrics: PredictionMetrics,
        drain: Drain,
        check_ready: Callable[[], None],
        sidecar: Sidecar,
        measure_engine: Measure = measure,
    ) -> None:
        """``check_ready`` may block; it raises where this process cannot do its work."""
        workbench = Workbench(settings.predict_threads, settings.max_waiting_predictions, settings.predict_timeout_seconds)
        self._sidecar = sidecar
        self._engines = Engines(settings, artifacts, workbench, self._sidecar, measure_engine)
        self._service = PredictionService(Lookup(versions, self._engines), self._engines, workbench)
        self._protocols: list[WireProtocol] = [
            Native(settings, self._service),
            TensorFlowServing(settings, self._service),
            OpenInference(settings, self._service, check_ready),
        ]
        self._remembered_protocol_of = lru_cache(REMEMBERED_PATHS)(self._find_protocol)
        self._gate = gate
        self._drain = drain
        self.metrics = metrics
        metrics.watch_loaded_bytes(lambda: self._engines.loaded_bytes)

    @property
    def routes(self) -> list[tuple[str, str]]:
        """Method and path template of every operation."""
        return [route for protocol in self._protocols for route in protocol.routes]

    def close(self) -> None:
        """End the threads and what runs beside this process."""
        self._sidecar.close()
        self._service.close()
        self._engines.close()

    def handles(self, path: str) -> bool:
        """Whether this application answers the path, with an error where it does not take the method."""
        return self._protocol_of(path) is not None

    def _protocol_of(self, path: str) -> WireProtocol | None:
        return self._remembered_protocol_of(path) if len(path) <= LONGEST_REMEMBERED_PATH else self._find_protocol(path)

    def _find_protocol(self, path: str) -> WireProtocol | None:
        return next((protocol for protocol in self._protocols if protocol.owns(path)), None)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one HTTP request of a path that ``handles`` said yes to."""
        started = time.perf_counter()
        protocol = self._protocol_of(scope["path"])
        assert protocol is not None, "the path is handled here"
        call = Call(scope, receive)
        try:
            if call.path not in PREDICTION_PROBES:
                call.workspace_id = (await self._gate.admit(scope, "predict")).workspace_id
            answer = await protocol.answer(call)
        except ClientGone:
            return
        except Exception as error:
            answer = self._refuse(protocol, call, error)
        await send_answer(send, call, answer, self._drain.has_begun)
        scope["state"]["servable"] = call.servable
        self._note(scope, protocol, call, answer, started)

    def has_room_for(self, body_bytes: int) -> bool:
        """Whether the body of a prediction may be read; whoever hears no has to be refused."""
        return self._service.has_room_for(body_bytes)

    def may_answer_now(self, scope: Scope) -> bool:
        """Whether ``answer_now`` is worth a try."""
        return self.handles(scope["path"]) and not self._drain.has_begun

    def answer_now(self, scope: Scope, body: bytes) -> tuple[Call, Answer] | None:
        """The answer to a whole request of a path that is handled here; None where something has to be waited for."""
        started = time.perf_counter()
        protocol = self._protocol_of(scope["path"])
        assert protocol is not None, "the path is handled here"
        call = Call(scope, None)
        try:
            caller = self._gate.recall(scope, "predict")
            if caller is None:
                return None
            call.workspace_id = caller.workspace_id
            answer = protocol.answer_now(call, body)
        except Exception as error:
            answer = self._refuse(protocol, call, error)
        if answer is None:
            return None
        self._note(scope, protocol, call, answer, started)
        return call, answer

    def _refuse(self, protocol: WireProtocol, call: Call, error: Exception) -> Answer:
        if isinstance(error, FitserveError):
            let_go(error)
            return protocol.refuse(call, error)
        # A mistake of ours: the client learns no more than that.
        log.error("prediction.failed", path=call.path, request_id=call.request_id, exc_info=error)
        return protocol.refuse(call, FitserveError(INTERNAL_ERROR))

    def _note(self, scope: Scope, protocol: WireProtocol, call: Call, answer: Answer, started: float) -> None:
        self.metrics.observe(call.servable, protocol.name, answer.status, time.perf_counter() - started, call.stages)
        log_prediction(scope, answer.status, started, call.request_id)
