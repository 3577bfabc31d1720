"""What beside the request decides about a fit's numbers: libraries, threads, processor."""

import os
import platform
from pathlib import Path
from typing import Any

import keras
import numpy as np
import onnxruntime
import tensorflow as tf

NAMES = {
    "tensorflow": "TensorFlow",
    "keras": "Keras",
    "numpy": "NumPy",
    "threads": "number of threads",
    "processor": "processor",
    "onednn": "oneDNN setting",
    "device": "device",
}

ON_A_GPU = "It was fitted on a GPU, where the order of additions is not fixed."


def keep_sums_in_order(is_needed: bool) -> None:
    """Whether TensorFlow shall leave sums and products in their order, instead of turning them into fewer ones.

    Where the output of a layer goes into several others, what it turns them into depends on the function that they stand in, so
    that the last bits of a fit here would not be those of a plain Keras script.
    """
    tf.config.optimizer.set_experimental_options({"arithmetic_optimization": not is_needed})


def set_threads(threads: int) -> None:
    """How many threads TensorFlow shall take, said before it does anything; 0 leaves its own choice."""
    if threads:
        tf.config.threading.set_intra_op_parallelism_threads(threads)
        tf.config.threading.set_inter_op_parallelism_threads(threads)


def versions() -> dict[str, str]:
    """Versions of the libraries that a fit uses."""
    libraries: dict[str, Any] = {"tensorflow": tf, "keras": keras, "numpy": np, "onnxruntime": onnxruntime}
    return {
        "python": platform.python_version(),
        **{name: str(library.__version__) for name, library in libraries.items()},
    }


def devices() -> list[str]:
    """``cpu``, and ``gpu`` where TensorFlow sees one."""
    return ["cpu", "gpu"] if tf.config.list_physical_devices("GPU") else ["cpu"]


def threads() -> int:
    """Threads that TensorFlow takes for one operation."""
    return tf.config.threading.get_intra_op_parallelism_threads() or _available_processors()


def environment() -> dict[str, str]:
    """Everything that a resumed fit must find again to give the same numbers."""
    found = versions()
    return {
        **{name: found[name] for name in ("tensorflow", "keras", "numpy")},
        "threads": str(threads()),
        "processor": _processor(),
        "onednn": os.environ.get("TF_ENABLE_ONEDNN_OPTS", ""),
        "device": devices()[-1],
    }


def inexact_by_nature() -> str | None:
    """Why even an undisturbed fit gives other numbers each time here; None where it does not."""
    return ON_A_GPU if devices()[-1] == "gpu" else None


def difference(before: dict[str, str]) -> str | None:
    """Why a fit that began in the environment ``before`` may go on with other numbers here; None where it will not."""
    now = environment()
    if now["device"] == "gpu":
        return ON_A_GPU
    changed = [NAMES[name] for name in now if now[name] != before.get(name)]
    return f"It went on with another {', '.join(changed)}." if changed else None


def _available_processors() -> int:
    """How many threads TensorFlow takes for an operation when it is left the choice."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _processor() -> str:
    """The model and the instruction sets of the processor, since TensorFlow chooses its kernels by them."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor() or platform.machine()
    wanted = ("model name", "flags", "Features")
    return "; ".join(dict.fromkeys(line.partition(":")[2].strip() for line in lines if line.startswith(wanted)))
