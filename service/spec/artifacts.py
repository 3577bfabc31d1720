"""What a run leaves as files: their names, by which the trainer writes them and everybody else finds them."""

from service.spec.weights import WEIGHTS_MEDIA_TYPE

MODEL = "model.keras"
"""What was learnt, as Keras saves it."""
WEIGHTS = "weights.npz"
"""Every weight by itself, as ``spec.weights`` describes it."""
GRAPH = "model.onnx"
"""What answers predictions."""
PLAN = "plan.json"
"""The feature plan."""
HISTORY = "history.json"
"""The metrics of every epoch."""
EVALUATION = "evaluation.json"
"""The scores of the result."""
ENCODED = "encoded.npz"
"""The rows as Keras saw them."""
STATE = "state.npz"
"""From where another run can go on."""
BEST = "best.keras"
"""The model of the best epoch, where it was asked for."""
TENSORBOARD = "tensorboard.zip"
"""Logs for TensorBoard, where they were asked for."""
PREDICTIONS = {"parquet": "predictions.parquet", "csv": "predictions.csv"}
"""The answers to all rows of a dataset, by format."""
MEDIA_TYPES = {
    MODEL: "application/vnd.keras",
    WEIGHTS: WEIGHTS_MEDIA_TYPE,
    GRAPH: "application/onnx",
    PLAN: "application/json",
    HISTORY: "application/json",
    EVALUATION: "application/json",
    ENCODED: "application/zip",
    STATE: "application/zip",
    BEST: "application/vnd.keras",
    TENSORBOARD: "application/zip",
    PREDICTIONS["parquet"]: "application/vnd.apache.parquet",
    PREDICTIONS["csv"]: "text/csv",
}
"""What each of them is."""


def numbered(name: str, count: int) -> list[str]:
    """Names of the arrays of ``ENCODED``: ``x`` for a single input, else ``x0``, ``x1`` … in the order of the inputs."""
    return [name] if count == 1 else [f"{name}{number}" for number in range(count)]
