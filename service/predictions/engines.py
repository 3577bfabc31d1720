"""Turns versions into loaded, warm engines, without blocking the event loop. Knows no HTTP and no database."""

import asyncio
import os
import sys
import threading
from collections.abc import Hashable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial

from service.errors import Unavailable
from service.features.plan import FeaturePlan, read_plan
from service.features.requests import RequestEncoder
from service.infra.logging import get_logger
from service.infra.single_flight import SingleFlight
from service.predictions.versions import ArtifactReader, ServableVersion
from service.serving.batching import Batcher
from service.serving.cache import EngineCache
from service.serving.engine import Engine, OnnxEngine
from service.serving.keras_engine import KerasEngine
from service.serving.measuring import Measure, measure
from service.serving.sidecar import Sidecar
from service.serving.workbench import INLINE_SECONDS, Workbench
from service.settings import Settings

log = get_logger(__name__)

LOADS_AT_ONCE = 2
"""Loading is mostly CPU time, which answers need too."""
NICENESS = 10
NO_ENGINE_RETRY_SECONDS = 60
LOADING_RETRY_SECONDS = 5


@dataclass(frozen=True)
class Servable:
    """A version whose plan has been read and whose engine has been loaded and warmed at least once."""

    version: ServableVersion
    encoder: RequestEncoder
    """How rows become tensors."""
    plan: FeaturePlan
    input_names: tuple[str, ...]
    output_names: list[str]
    labels: tuple[str, str]
    """Model and version, as metrics name them."""
    key: Hashable
    """Of its engine in the cache: versions with the same file share one."""

    @classmethod
    def of(cls, version: ServableVersion) -> "Servable":
        """Read a version's plan. Raises msgspec.ValidationError where it cannot be read."""
        plan = read_plan(version.plan)
        names = tuple(entry.name for entry in plan.inputs)
        labels = (version.model, str(version.number))
        key = version.engine, version.onnx_sha256 if version.engine == "onnx" else version.keras_sha256
        return cls(version, RequestEncoder(plan), plan, names, plan.output_names, labels, key)


@dataclass(frozen=True)
class LoadedEngine:
    """An engine that has been warmed and measured."""

    engine: Engine
    inline_rows: int
    """Requests of at most so many rows are answered at once on the event loop; none, where requests run together."""
    batcher: Batcher | None
    """Runs requests together, where that gains."""

    @property
    def size_bytes(self) -> int:
        """Bytes that it keeps in memory."""
        return self.engine.size_bytes


class Engines:
    """The engines of this process. Those not used for long may be let go; they are loaded again when needed."""

    def __init__(
        self,
        settings: Settings,
        artifacts: ArtifactReader,
        workbench: Workbench,
        sidecar: Sidecar,
        measure_engine: Measure = measure,
    ) -> None:
        self._settings = settings
        self._artifacts = artifacts
        self._workbench = workbench
        self._sidecar = sidecar
        self._measure = measure_engine
        self._cache: EngineCache[LoadedEngine] = EngineCache(settings.engine_cache_bytes)
        self._loads: SingleFlight[LoadedEngine] = SingleFlight()
        self._loader = ThreadPoolExecutor(LOADS_AT_ONCE, thread_name_prefix="loader", initializer=_step_back)
        self._keras_loader = ThreadPoolExecutor(1, thread_name_prefix="keras-loader")  # it waits, and ONNX shall not wait with it

    @property
    def loaded_bytes(self) -> int:
        """Bytes of all loaded engines."""
        return self._cache.loaded_bytes

    def can_run(self, engine: str) -> bool:
        """Whether this process has what an engine of this kind needs."""
        return engine == "onnx" or self._sidecar.is_installed

    async def prepare(self, version: ServableVersion) -> Servable:
        """Load and warm what the version needs. Raises Unavailable when its files cannot be read or loaded."""
        servable = Servable.of(version)
        if self.can_run(version.engine):
            await self.engine_of(servable)
        return servable

    def loaded(self, servable: Servable) -> LoadedEngine | None:
        """The warm engine, where it is loaded."""
        return self._cache.get(servable.key)

    async def engine_of(self, servable: Servable) -> LoadedEngine:
        """The warm engine. Raises Unavailable, for a version that needs Keras with the reason."""
        version = servable.version
        if not self.can_run(version.engine):
            raise Unavailable(
                f"Version {version.number} of model '{version.model}' needs Keras, which this host does not run. "
                f"It has no ONNX engine: {version.reason or 'no reason is known'}",
                NO_ENGINE_RETRY_SECONDS,
            )
        return self.loaded(servable) or await self._load_in_time(servable)

    async def _load_in_time(self, servable: Servable) -> LoadedEngine:
        version = servable.version
        try:
            async with asyncio.timeout(self._workbench.timeout_seconds):
                return await self._loads.run(servable.key, lambda: self._load(servable))
        except TimeoutError as error:
            message = f"Version {version.number} of model '{version.model}' is still being loaded."
            raise Unavailable(message, LOADING_RETRY_SECONDS) from error

    async def _load(self, servable: Servable) -> LoadedEngine:
        loader = self._loader if servable.version.engine == "onnx" else self._keras_loader
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(loader, self._cache.get_or_load, servable.key, lambda: self._open(servable))

    def _open(self, servable: Servable) -> LoadedEngine:
        version = servable.version
        try:
            engine = self._engine(version)
            tensors, _ = servable.encoder.encode_rows(version.example["rows"])
            names = servable.output_names
            cost = self._measure(engine, dict(zip(servable.input_names, tensors, strict=True)), names)
        except Unavailable:
            raise
        except Exception as error:  # whatever a broken file makes the runtime raise, this version cannot answer
            log.error("engine.load_failed", model=version.model, version=version.number, exc_info=error)
            raise Unavailable(f"Version {version.number} of model '{version.model}' cannot be loaded.") from error
        if not engine.runs_inline:
            return LoadedEngine(engine, 0, None)
        is_batching = self._settings.batch_rows > 1 and cost.gains_from_batches
        log.info("engine.loaded", model=version.model, version=version.number, is_batching=is_batching, **vars(cost))
        if is_batching:
            rows, wait = self._settings.batch_rows, self._settings.overload_wait_seconds
            return LoadedEngine(engine, 0, Batcher(engine, names, cost, self._workbench, rows, wait))
        return LoadedEngine(engine, cost.rows_within(INLINE_SECONDS), None)

    def _engine(self, version: ServableVersion) -> Engine:
        if version.engine == "onnx":
            return OnnxEngine(self._artifacts.local_path(version.onnx_sha256 or ""), self._settings.engine_threads)
        find = partial(self._artifacts.local_path, version.keras_sha256 or "")
        return KerasEngine(self._sidecar, find, version.inputs, version.outputs)

    def close(self) -> None:
        """Let the loading threads end."""
        for loader in (self._loader, self._keras_loader):
            loader.shutdown(wait=False, cancel_futures=True)


def _step_back() -> None:
    """Give the thread that loads a lower priority than those that answer; only Linux has priorities of threads."""
    if sys.platform == "linux":
        os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), NICENESS)
