"""The prediction application: bare ASGI, since a web framework would cost more time than the predictions.

It answers every path that one of its wire protocols owns; ``main`` dispatches to it before the framework's middleware.
"""

import time
from collections.abc import Callable

from starlette.types import Receive, Scope, Send

from service.errors import FitserveError
from service.infra.logging import get_logger
from service.predictions.engines import Engines
from service.predictions.errors import ClientGone
from service.predictions.http import Answer, Call, send_answer
from service.predictions.lookup import Lookup
from service.predictions.metrics import PredictionMetrics
from service.predictions.protocols import WireProtocol
from service.predictions.protocols.native import Native
from service.predictions.protocols.tensorflow_serving import TensorFlowServing
from service.predictions.service import PredictionService
from service.predictions.versions import ArtifactReader, VersionSource
from service.predictions.workbench import Workbench
from service.serving.cache import EngineCache
from service.settings import Settings
from service.web.answer_log import log_prediction
from service.web.context import request_id_of

log = get_logger(__name__)

INTERNAL_ERROR = "Something went wrong here, not in the request. The request id finds it in the log."


class PredictionApp:
    """One ASGI callable for all prediction protocols."""

    def __init__(
        self,
        settings: Settings,
        versions: VersionSource,
        artifacts: ArtifactReader,
        workspace_of: Callable[[Scope], str],
        metrics: PredictionMetrics,
        workbench: Workbench | None = None,
    ) -> None:
        engines = Engines(artifacts, EngineCache(settings.engine_cache_bytes))
        service = PredictionService(Lookup(versions, engines), engines, workbench or Workbench())
        self._protocols: list[WireProtocol] = [Native(settings, service), TensorFlowServing(settings, service)]
        self._workspace_of = workspace_of
        self._metrics = metrics

    @property
    def routes(self) -> list[tuple[str, str]]:
        """Method and path template of every operation."""
        return [route for protocol in self._protocols for route in protocol.routes]

    def handles(self, method: str, path: str) -> bool:
        """Whether this application answers the path, with an error where it does not take the method."""
        return any(protocol.owns(path) for protocol in self._protocols)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one HTTP request of a path that ``handles`` said yes to."""
        started = time.perf_counter()
        protocol = next(protocol for protocol in self._protocols if protocol.owns(scope["path"]))
        call = Call(scope, receive, request_id_of(scope))
        try:
            answer = await self._answer(protocol, call, scope)
        except ClientGone:
            return
        await send_answer(send, answer, call.request_id, call.servable)
        scope["state"]["servable"] = call.servable
        self._metrics.observe(call.servable, protocol.name, answer.status, time.perf_counter() - started)
        log_prediction(scope, answer.status, started, call.request_id)

    async def _answer(self, protocol: WireProtocol, call: Call, scope: Scope) -> Answer:
        try:
            call.workspace_id = self._workspace_of(scope)
            return await protocol.answer(call)
        except FitserveError as error:
            return protocol.refuse(call, error)
        except ClientGone:
            raise
        except Exception as error:  # a mistake of ours: the client learns no more than that
            log.error("prediction.failed", path=call.path, request_id=call.request_id, exc_info=error)
            return protocol.refuse(call, FitserveError(INTERNAL_ERROR))
