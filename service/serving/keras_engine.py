"""One model that only Keras can run, loaded in a sidecar. Knows no HTTP, no database and no feature plan."""

import weakref
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from service.serving.engine import Array
from service.serving.sidecar import Sidecar
from service.spec.frames import TensorSpec


class KerasEngine:
    """Asks a model in a process of its own, which forgets it when nobody uses the engine any more.

    Safe to call from several threads, of which one is answered at a time.
    """

    runs_inline = False

    def __init__(
        self, sidecar: Sidecar, find: Callable[[], Path], inputs: Sequence[TensorSpec], outputs: Sequence[TensorSpec]
    ) -> None:
        """Load the file that ``find`` gives; ``inputs`` and ``outputs`` are in the model's order.

        Raises KerasRefused on a broken model, or Unavailable.
        """
        self._sidecar = sidecar
        self._handle = sidecar.load(find)
        weakref.finalize(self, sidecar.unload, self._handle)
        self.size_bytes = find().stat().st_size
        self.inputs = list(inputs)
        self.outputs = list(outputs)

    def run(self, inputs: Mapping[str, Array], names: Sequence[str] | None = None) -> list[Array]:
        """The named outputs, or all, one float32 array ``(rows, …)`` each, for the inputs by name.

        Raises KerasRefused on wrong shapes, or Unavailable.
        """
        answers = self._sidecar.predict(self._handle, [inputs[spec.name] for spec in self.inputs])
        by_name = {spec.name: answer for spec, answer in zip(self.outputs, answers, strict=True)}
        return [by_name[name] for name in names or by_name]
