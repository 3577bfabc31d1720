"""Gets TensorFlow ready before the first job, so that no client waits for what happens only once."""

import platform
import tempfile
from pathlib import Path

import keras
import numpy as np
import onnxruntime
import tensorflow as tf

from service.spec.compile import CompileSpec
from service.spec.fit import FitSpec
from service.spec.frames import Ready
from service.training import batches, building, fitting, publishing

ROWS = 64
WIDTH = 4


def prepare_tensorflow(threads: int) -> None:
    """Fix the number of threads (0 leaves it to TensorFlow) and make every operation deterministic."""
    if threads:
        tf.config.threading.set_intra_op_parallelism_threads(threads)
        tf.config.threading.set_inter_op_parallelism_threads(threads)
    for device in tf.config.list_physical_devices("GPU"):
        tf.config.experimental.set_memory_growth(device, True)
    tf.config.experimental.enable_op_determinism()


def warm_up() -> Ready:
    """Fit and export a tiny model."""
    keras.utils.set_random_seed(0)
    model = keras.Sequential([keras.Input((WIDTH,)), keras.layers.Dense(1, activation="sigmoid")])
    compile_spec = CompileSpec.model_validate({"optimizer": "sgd", "loss": "binary_crossentropy", "metrics": ["accuracy"]})
    building.compile_model(model, compile_spec, 2)
    x = np.zeros((ROWS, WIDTH), dtype=np.float32)
    y = np.zeros((ROWS, 1), dtype=np.float32)
    spec = FitSpec(epochs=2, batch_size=16, validation_split=0.5)
    fitting.fit(model, batches.split_rows(x, y, spec.validation_split), spec, 0, lambda _: None, lambda: False)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "warm.onnx")
        publishing.export_onnx(model, path)
        publishing.measure_parity(model, path, x)
    return Ready(versions=_versions(), devices=_devices())


def _versions() -> dict[str, str]:
    return {
        "python": platform.python_version(),
        "tensorflow": tf.__version__,
        "keras": keras.__version__,
        "numpy": np.__version__,
        "onnxruntime": onnxruntime.__version__,
    }


def _devices() -> list[str]:
    return ["cpu", "gpu"] if tf.config.list_physical_devices("GPU") else ["cpu"]
