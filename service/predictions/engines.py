"""Turns versions into loaded, warm engines, without blocking the event loop. Knows no HTTP and no database."""

from collections.abc import Sequence
from dataclasses import dataclass

from anyio import CapacityLimiter, to_thread

from service.errors import Unavailable
from service.features.plan import FeaturePlan, read_plan
from service.features.requests import RequestEncoder
from service.infra.logging import get_logger
from service.predictions.single_flight import SingleFlight
from service.predictions.versions import ArtifactReader, ServableVersion
from service.serving.cache import EngineCache
from service.serving.engine import Array, OnnxEngine

log = get_logger(__name__)

LOADS_AT_ONCE = 2
"""Loading is mostly CPU time, which answers need too."""
NO_ENGINE_RETRY_SECONDS = 60


@dataclass(frozen=True)
class Servable:
    """A version whose plan has been read and whose engine has been loaded and warmed at least once."""

    version: ServableVersion
    encoder: RequestEncoder

    @property
    def plan(self) -> FeaturePlan:
        """How rows become tensors, and outputs answers."""
        return self.encoder.plan

    def named(self, tensors: Sequence[Array]) -> dict[str, Array]:
        """Encoded tensors by the names of the inputs."""
        return {entry.name: tensor for entry, tensor in zip(self.plan.inputs, tensors, strict=True)}


class Engines:
    """The engines of this process. Those not used for long may be let go; they are loaded again when needed."""

    def __init__(self, artifacts: ArtifactReader, cache: EngineCache[OnnxEngine]) -> None:
        self._artifacts = artifacts
        self._cache = cache
        self._loads: SingleFlight[OnnxEngine] = SingleFlight()
        self._limiter = CapacityLimiter(LOADS_AT_ONCE)

    async def prepare(self, version: ServableVersion) -> Servable:
        """Load and warm what the version needs. Raises Unavailable when its files cannot be read or loaded."""
        servable = Servable(version, RequestEncoder(read_plan(version.plan)))
        if version.engine == "onnx":
            await self.engine_of(servable)
        return servable

    async def engine_of(self, servable: Servable) -> OnnxEngine:
        """The warm engine. Raises Unavailable, for a version that needs Keras with the reason."""
        version = servable.version
        if version.engine == "keras":
            raise Unavailable(
                f"Version {version.number} of model '{version.model}' needs Keras, which this host does not run. "
                f"It has no ONNX engine: {version.reason or 'no reason is known'}",
                NO_ENGINE_RETRY_SECONDS,
            )
        engine = self._cache.get(version.onnx_sha256)
        return engine if engine is not None else await self._loads.run(version.onnx_sha256, lambda: self._load(servable))

    async def _load(self, servable: Servable) -> OnnxEngine:
        key = servable.version.onnx_sha256
        return await to_thread.run_sync(self._cache.get_or_load, key, lambda: self._open(servable), limiter=self._limiter)

    def _open(self, servable: Servable) -> OnnxEngine:
        version = servable.version
        try:
            engine = OnnxEngine(self._artifacts.read(version.onnx_sha256 or ""))
            tensors, _ = servable.encoder.encode_rows(version.example["rows"])
            engine.run(servable.named(tensors))  # the first run of an engine is slow
        except Exception as error:  # whatever a broken file makes the runtime raise, this version cannot answer
            log.error("engine.load_failed", model=version.model, version=version.number, exc_info=error)
            raise Unavailable(f"Version {version.number} of model '{version.model}' cannot be loaded.") from error
        return engine
