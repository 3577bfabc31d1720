"""What a worker and its trainer say to each other over the pipe: length-prefixed JSON, nothing pickled."""

import struct
from typing import Any, BinaryIO, Literal, TypeVar

import msgspec

Keep = Literal["none", "last", "best"]
Phase = Literal["waiting", "loading", "encoding", "building", "fitting", "evaluating", "predicting", "publishing"]
FailureType = Literal[
    "lost_worker",
    "killed_by_signal",
    "no_progress",
    "out_of_memory",
    "timeout",
    "keras_error",
    "not_finite",
    "bad_data",
    "disk_full",
]
LogLevel = Literal["info", "warning", "error"]
PredictionFormat = Literal["parquet", "csv"]

T = TypeVar("T")
LENGTH = struct.Struct(">I")
MAX_FRAME_BYTES = 64 * 1024 * 1024


class Frame(msgspec.Struct, frozen=True, kw_only=True, tag_field="frame"):
    """Base of everything on the pipe."""


class DatasetFiles(msgspec.Struct, frozen=True, kw_only=True):
    """A stored dataset as local files: a table is one Parquet file, arrays are one ``.npy`` file each."""

    kind: Literal["table", "arrays"]
    files: dict[str, str]
    """Local path by name: ``{"table": …}``, or one per array, e.g. ``{"x": …, "y": …}``."""
    sha256: dict[str, str] = {}
    """SHA-256 of each file by the same names, where they are known."""
    classes: dict[str, list[str]] = {}
    """Names of the classes whose places an array holds, by the name of the array."""


class Start(msgspec.Struct, frozen=True, kw_only=True):
    """What a fit begins with instead of fresh weights: the result of another run."""

    run_id: str
    take: Literal["state", "weights"]
    """``state`` goes on where the other one has ended; ``weights`` begins anew with its weights."""
    model: str
    """Path of its ``model.keras``."""
    state: str | None
    """Path of its ``state.npz``."""


class FitJob(Frame, frozen=True, kw_only=True, tag="fit"):
    """Fit one model; every output file goes into ``directory``, which exists and is empty."""

    run_id: str
    attempt: int
    directory: str
    definition: dict[str, Any]
    """A ``spec.definition.Definition`` document."""
    compile: dict[str, Any]
    """A ``spec.compile.CompileSpec`` document."""
    fit: dict[str, Any]
    """A ``spec.fit.FitSpec`` document."""
    features: dict[str, Any]
    """A ``spec.features.FeaturesSpec`` document."""
    dataset: DatasetFiles
    target: str | list[str] | dict[str, str | list[str]] | None
    """What the model shall predict, as ``spec.features.TargetSpec`` has it."""
    seed: int
    publish: bool
    max_parameters: int
    resume: list[str] = []
    """Paths of snapshots to go on from, best first; the first one that can be read is taken. Empty: from the beginning."""
    snapshot_seconds: float = 30.0
    """How often to take a snapshot, where that costs no more than its share of the time."""
    validation_dataset: DatasetFiles | None = None
    """What to validate with, where it is no part of the training data."""
    test_dataset: DatasetFiles | None = None
    """What to measure the result on at the end."""
    start: Start | None = None
    cache_directory: str | None = None
    """Where encoded data is kept from job to job; in ``directory`` if left out."""
    cache_bytes: int = 0


class EvaluateJob(Frame, frozen=True, kw_only=True, tag="evaluate"):
    """Measure a fitted model on a dataset; the output file goes into ``directory``, which exists and is empty."""

    run_id: str
    attempt: int
    directory: str
    model: str
    """Path of a ``model.keras``."""
    plan: dict[str, Any]
    """The ``features.plan.FeaturePlan`` document that it was fitted with."""
    baselines: dict[str, Any] | None
    """The ``training.evaluation.Baseline`` documents of its training data, by the names of its outputs."""
    dataset: DatasetFiles
    batch_size: int
    sample_weight: str | None


class PredictJob(Frame, frozen=True, kw_only=True, tag="predict"):
    """Predict every row of a dataset; the output file goes into ``directory``, which exists and is empty."""

    run_id: str
    attempt: int
    directory: str
    model: str
    """Path of a ``model.keras``."""
    graph: str | None
    """Path of the ``model.onnx`` that answers in its place; None where Keras itself does."""
    plan: dict[str, Any]
    """The ``features.plan.FeaturePlan`` document that it was fitted with."""
    dataset: DatasetFiles
    columns: list[str]
    """Columns or arrays of the dataset that are taken over into the result."""
    format: PredictionFormat
    parts: list[str] = []
    """Paths of what earlier attempts have done, in their order. Empty: from the first row."""
    snapshot_seconds: float = 30.0
    """How often a part is finished, from which another attempt can go on."""


class Stop(Frame, frozen=True, kw_only=True, tag="stop"):
    """End the present fit at the next batch; ``keep`` says which weights to publish."""

    run_id: str
    attempt: int
    keep: Keep


class Suspend(Frame, frozen=True, kw_only=True, tag="suspend"):
    """Take a snapshot at the next batch and end with ``Suspended``: somebody else will go on."""

    run_id: str
    attempt: int


class Ready(Frame, frozen=True, kw_only=True, tag="ready"):
    """TensorFlow is loaded and warm; the trainer takes a job."""

    versions: dict[str, str]
    """Library versions by name: python, tensorflow, keras, numpy, onnxruntime."""
    devices: list[str]
    """``cpu`` and, where TensorFlow sees one, ``gpu``."""


class PhaseStarted(Frame, frozen=True, kw_only=True, tag="phase"):
    """The run is now in this phase."""

    phase: Phase


class Planned(Frame, frozen=True, kw_only=True, tag="planned"):
    """What was chosen for the data, and how much work there is."""

    features: dict[str, str]
    """What becomes of each column or array, in a few plain words."""
    warnings: list[str]
    epochs: int
    steps: int
    """Steps of one epoch."""
    train_rows: int
    validation_rows: int
    parameters: int
    initial_epoch: int
    """Epochs that count as done before the first one."""
    chunk_rows: int | None
    """Rows of a chunk where they are shuffled window by window, because all together are larger than the memory for it; None
    where they are shuffled as a whole."""
    window_chunks: int | None
    """Chunks of a window."""
    input_shapes: list[list[int | None]]
    """Shape of one encoded row of each input."""
    threads: int
    """Threads of one operation: the last bits of its sums depend on their number."""
    versions: dict[str, str]
    """Library versions by name, as in ``Ready``."""
    inexact_reason: str | None = None
    """Why the same request may give other numbers, e.g. on a GPU."""
    adapted_rows: int | None = None
    """Rows that layers measure at once before the fit; None where none does."""


class RowsPlanned(Frame, frozen=True, kw_only=True, tag="rows_planned"):
    """How many rows a batch prediction has, and what is odd about them; sent again once all of them are known."""

    steps: int
    """The number of rows: each is a step."""
    warnings: list[str]
    inexact_reason: str | None = None
    """Why the same request may give other numbers, e.g. on a GPU."""


class Progress(Frame, frozen=True, kw_only=True, tag="progress"):
    """Where the job is; sent a few times a second at most. Epochs and steps count from 1."""

    epoch: int
    step: int
    metrics: dict[str, float]


class EpochEnded(Frame, frozen=True, kw_only=True, tag="epoch"):
    """One row of metrics. ``epoch`` counts from 1."""

    epoch: int
    metrics: dict[str, float]
    seconds: float


class Resumed(Frame, frozen=True, kw_only=True, tag="resumed"):
    """Where an attempt goes on that is not the first, or that continues another run; sent once, before its first progress."""

    from_epoch: int
    """Epochs that are done already; 0 begins anew."""
    from_step: int
    """Steps of the next epoch that are done already."""
    inexact_reason: str | None = None
    """Why the result may differ from that of an undisturbed run, e.g. another processor; None where it is the same."""


class SnapshotTaken(Frame, frozen=True, kw_only=True, tag="snapshot"):
    """The whole state of a fit, or a part of a batch prediction, is in a file, which is the worker's from now on."""

    path: str
    epoch: int
    """Epochs that are done."""
    step: int
    """Steps of the next epoch that are done."""
    seconds: float
    """What it cost the fit."""


class LogLine(Frame, frozen=True, kw_only=True, tag="log"):
    """Something that the owner of the run should know."""

    level: LogLevel
    message: str


class OutputFile(msgspec.Struct, frozen=True, kw_only=True):
    """A file that the trainer left in the job's directory."""

    name: str
    path: str
    media_type: str


class TensorSpec(msgspec.Struct, frozen=True, kw_only=True):
    """One input or output of a served model. ``None`` in ``shape`` is the batch axis or a free length."""

    name: str
    dtype: str
    """A numpy dtype name: ``float32``, ``int32``, ``int64``."""
    shape: list[int | None]


class Parity(msgspec.Struct, frozen=True, kw_only=True):
    """How far the served engine is from Keras on real rows."""

    max_abs_difference: float | None
    rows: int
    agrees: bool
    reason: str | None = None
    """Why the engine cannot be used, when it does not agree or could not be made."""


class Publication(msgspec.Struct, frozen=True, kw_only=True):
    """Everything that a version needs beside its files."""

    engine: Literal["onnx", "keras"]
    parity: Parity
    plan: dict[str, Any]
    """A ``features.plan.FeaturePlan`` document."""
    inputs: list[TensorSpec]
    """The encoded tensors that the engine takes."""
    outputs: list[TensorSpec]
    example: dict[str, Any]
    """A request body for the native ``:predict`` that works: ``{"rows": […]}``."""
    parameters: int


class Finished(Frame, frozen=True, kw_only=True, tag="finished"):
    """The fit is over. ``outcome`` is ``stopped`` after a ``Stop``."""

    outcome: Literal["completed", "stopped"]
    metrics: dict[str, float]
    """The last epoch's metrics."""
    files: list[OutputFile]
    publication: Publication | None
    publish_reason: str | None
    """Why there is no publication, where one was asked for."""


class Suspended(Frame, frozen=True, kw_only=True, tag="suspended"):
    """The fit has stopped after a ``Suspend``; where a snapshot could be taken it was reported before."""


class Failed(Frame, frozen=True, kw_only=True, tag="failed"):
    """The fit cannot go on; the trainer itself is well and takes the next job."""

    type: FailureType
    message: str
    hint: str


Job = FitJob | EvaluateJob | PredictJob
Command = Job | Stop | Suspend
Report = (
    Ready
    | PhaseStarted
    | Planned
    | RowsPlanned
    | Resumed
    | Progress
    | EpochEnded
    | SnapshotTaken
    | LogLine
    | Finished
    | Suspended
    | Failed
)

_encoder = msgspec.json.Encoder()
command_decoder: msgspec.json.Decoder[Command] = msgspec.json.Decoder(Command)
report_decoder: msgspec.json.Decoder[Report] = msgspec.json.Decoder(Report)


def write_frame(stream: BinaryIO, frame: Frame) -> None:
    """Write one frame and flush it. Raises BrokenPipeError when the other side is gone."""
    body = _encoder.encode(frame)
    stream.write(LENGTH.pack(len(body)) + body)
    stream.flush()


def read_frame(stream: BinaryIO, decoder: "msgspec.json.Decoder[T]") -> T | None:
    """Read one frame; None when the other side has closed the pipe. Raises ValueError on a frame that makes no sense."""
    head = stream.read(LENGTH.size)
    if len(head) < LENGTH.size:
        return None
    (length,) = LENGTH.unpack(head)
    if length > MAX_FRAME_BYTES:
        raise ValueError(f"A frame of {length} bytes is over the limit of {MAX_FRAME_BYTES}.")
    body = stream.read(length)
    return decoder.decode(body) if len(body) == length else None
