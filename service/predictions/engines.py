"""Turns versions into loaded, warm engines, without blocking the event loop. Knows no HTTP and no database."""

from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from functools import partial

from anyio import CapacityLimiter, to_thread

from service.errors import Unavailable
from service.features.encoding import encode_rows
from service.features.plan import FeaturePlan, read_plan
from service.infra.logging import get_logger
from service.predictions.single_flight import SingleFlight
from service.predictions.versions import ArtifactReader, ServableVersion
from service.serving.cache import EngineCache
from service.serving.engine import Array, Engine, OnnxEngine
from service.serving.keras_engine import KerasEngine
from service.serving.sidecar import Sidecar

log = get_logger(__name__)

LOADS_AT_ONCE = 2
"""Loading is mostly CPU time, which answers need too."""
NO_ENGINE_RETRY_SECONDS = 60


@dataclass(frozen=True)
class Servable:
    """A version whose plan has been read and whose engine has been loaded and warmed at least once."""

    version: ServableVersion
    plan: FeaturePlan

    def named(self, tensors: Sequence[Array]) -> dict[str, Array]:
        """Encoded tensors by the names of the inputs."""
        return {entry.name: tensor for entry, tensor in zip(self.plan.inputs, tensors, strict=True)}


class Engines:
    """The engines of this process. Those not used for long may be let go; they are loaded again when needed."""

    def __init__(self, artifacts: ArtifactReader, cache: EngineCache[Engine], sidecar: Sidecar) -> None:
        self._artifacts = artifacts
        self._cache = cache
        self._sidecar = sidecar
        self._loads: SingleFlight[Engine] = SingleFlight()
        self._limiter = CapacityLimiter(LOADS_AT_ONCE)
        self._keras_limiter = CapacityLimiter(1)  # they wait for the sidecar, and ONNX shall not wait with them

    def can_serve(self, version: ServableVersion) -> bool:
        """Whether this host has what the version's engine needs."""
        return version.engine == "onnx" or (self._sidecar.is_installed and version.keras_sha256 is not None)

    async def prepare(self, version: ServableVersion) -> Servable:
        """Load and warm what the version needs. Raises Unavailable when its files cannot be read or loaded."""
        servable = Servable(version, read_plan(version.plan))
        if self.can_serve(version):
            await self.engine_of(servable)
        return servable

    async def engine_of(self, servable: Servable) -> Engine:
        """The warm engine. Raises Unavailable, for a version that this host cannot serve with the reason."""
        version = servable.version
        if not self.can_serve(version):
            raise Unavailable(
                f"Version {version.number} of model '{version.model}' needs Keras, which this host does not run. "
                f"It has no ONNX engine: {version.reason or 'no reason is known'}",
                NO_ENGINE_RETRY_SECONDS,
            )
        key = _key_of(version)
        engine = self._cache.get(key)
        return engine if engine is not None else await self._loads.run(key, lambda: self._load(key, servable))

    async def _load(self, key: Hashable, servable: Servable) -> Engine:
        limiter = self._limiter if servable.version.engine == "onnx" else self._keras_limiter
        return await to_thread.run_sync(self._cache.get_or_load, key, lambda: self._open(servable), limiter=limiter)

    def _open(self, servable: Servable) -> Engine:
        version = servable.version
        try:
            engine = self._engine(version)
            tensors, _ = encode_rows(servable.plan, version.example["rows"])
            engine.run(servable.named(tensors))  # the first run of an engine is slow
        except Unavailable:
            raise
        except Exception as error:  # whatever a broken file makes the runtime raise, this version cannot answer
            log.error("engine.load_failed", model=version.model, version=version.number, exc_info=error)
            raise Unavailable(f"Version {version.number} of model '{version.model}' cannot be loaded.") from error
        return engine

    def _engine(self, version: ServableVersion) -> Engine:
        if version.engine == "onnx":
            return OnnxEngine(self._artifacts.read(version.onnx_sha256 or ""))
        find = partial(self._artifacts.local_path, version.keras_sha256 or "")
        return KerasEngine(self._sidecar, find, version.inputs, version.outputs)


def _key_of(version: ServableVersion) -> Hashable:
    return version.engine, version.onnx_sha256 if version.engine == "onnx" else version.keras_sha256
