"""Every setting of the service, read from ``FITSERVE_*`` environment variables or a ``.env`` file."""

from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field
from pydantic_settings import BaseSettings, SettingsConfigDict

MEBIBYTE = 1024 * 1024


class Settings(BaseSettings):
    """The defaults run the embedded stack: SQLite, a broker and artifacts in ``data_dir``, nothing else to install."""

    model_config = SettingsConfigDict(env_prefix="FITSERVE_", env_file=".env", extra="ignore", use_attribute_docstrings=True)

    data_dir: Path = Path(".fitserve")
    """Folder that holds everything the embedded stack writes."""
    database_url: Annotated[str, Field(pattern=r"^(postgresql\+psycopg://.+|sqlite:////?.+)?$")] = ""
    """SQLAlchemy URL, e.g. ``postgresql+psycopg://user:password@host/name``; empty means SQLite in ``data_dir``."""
    broker_url: Annotated[str, Field(pattern=r"^(rediss?://.+)?$")] = ""
    """Celery broker, e.g. ``redis://:password@host:6379/0``; empty means a folder in ``data_dir``."""
    artifacts_url: Annotated[str, Field(pattern=r"^((file|s3|gs|az|abfss?)://.+)?$")] = ""
    """Object store, e.g. ``s3://bucket/prefix``; empty means a folder in ``data_dir``."""

    host: str = "127.0.0.1"
    """Address that the API binds to."""
    port: Annotated[int, Field(ge=0, le=65535)] = 8000
    """Port that the API binds to; 0 takes a free one."""
    trusted_hosts: Annotated[str, Field(pattern=r"^((\*|(\*\.)?[A-Za-z0-9._-]+)(,(\*\.)?[A-Za-z0-9._-]+)*)?$")] = ""
    """Names that requests may be for, e.g. ``models.example.com,*.example.net``, beside addresses and names without a dot,
    which always are; ``*`` means any."""
    cors_origins: Annotated[str, Field(pattern=r"^(https?://[^\s,/*]+(,https?://[^\s,/*]+)*)?$")] = ""
    """Origins whose pages may ask from a browser, e.g. ``https://example.com,http://localhost:3000``; empty means none."""
    workers: Annotated[int, Field(ge=1, le=256)] = 1
    """API processes that answer, all at that address."""
    require_keys: bool = False
    """Whether every request needs an API key even before the first one exists; once one exists, it always does."""
    log_format: Literal["console", "json"] = "console"
    """How log lines are written: for people or for machines."""
    log_level: Literal["debug", "info", "warning", "error"] = "info"
    """The least severe log line that is written."""

    trainer_module: Annotated[str, Field(pattern=r"^[A-Za-z_][\w.]*$")] = "service.training"
    """Python module that a worker starts as its trainer: whatever speaks the frames of ``service.spec.frames``."""
    slots: Annotated[int, Field(ge=1, le=64)] = 1
    """Runs that one worker fits at the same time, each in a trainer process of its own."""
    trainer_threads: Annotated[int, Field(ge=0, le=1024)] = 0
    """Threads of one trainer's TensorFlow; 0 divides the machine's cores among the slots."""
    trainer_max_runs: Annotated[int, Field(ge=1)] = 100
    """Runs after which a trainer process is replaced by a fresh one."""
    trainer_memory_bytes: Annotated[int, Field(ge=0)] = 0
    """Memory (resident set) that one trainer may use before it is stopped; 0 leaves it to the machine."""
    snapshot_seconds: Annotated[float, Field(gt=0)] = 30.0
    """How often the state of a fit is saved, so that another attempt can go on from there."""
    encoded_cache_bytes: Annotated[int, Field(ge=0)] = 8192 * MEBIBYTE
    """Encoded training data that is kept on this machine for the next run on the same data; what was not used longest goes."""
    lease_seconds: Annotated[float, Field(gt=0)] = 60.0
    """How long a worker owns a run without a sign of life."""
    heartbeat_seconds: Annotated[float, Field(gt=0)] = 10.0
    """How often a worker renews its leases."""
    sweep_seconds: Annotated[float, Field(gt=0)] = 5.0
    """How often every process looks for runs whose worker is gone."""
    max_attempts: Annotated[int, Field(ge=1)] = 3
    """Attempts of a run that may be lost before it has failed for good."""
    retry_delay_seconds: Annotated[float, Field(ge=0)] = 5.0
    """How long a run waits in the queue after a lost attempt."""
    no_progress_seconds: Annotated[float, Field(gt=0)] = 600.0
    """How long a trainer may be silent before it counts as stuck and is killed."""
    cancel_grace_seconds: Annotated[float, Field(ge=0)] = 30.0
    """How long a cancelled trainer may take to stop and save before it is killed."""
    run_timeout_seconds: Annotated[float, Field(gt=0)] = 24 * 3600.0
    """Longest time that all attempts of a run may take when the request names none."""
    max_run_timeout_seconds: Annotated[float, Field(gt=0, le=30 * 24 * 3600)] = 30 * 24 * 3600.0
    """Longest such time that a request may name."""
    max_queued_runs: Annotated[int, Field(ge=1)] = 20_000
    """Runs of one workspace that may wait at the same time."""
    max_running_runs: Annotated[int, Field(ge=1)] = 1000
    """Runs of one workspace that are fitted at the same time; more of them wait."""
    max_stored_bytes: Annotated[int, Field(ge=0)] = 0
    """Bytes that one workspace may keep in datasets, files of runs and versions, and snapshots; 0 leaves it to the disk."""
    max_epoch_rows: Annotated[int, Field(ge=0)] = 0
    """Epochs times rows of the fits that one workspace may have accepted within 24 hours; 0 is no limit."""
    max_requests_per_minute: Annotated[int, Field(ge=0)] = 0
    """Requests that one workspace may send in a minute, predictions included; 0 is no limit, and costs nothing."""
    gc_seconds: Annotated[float, Field(gt=0)] = 3600.0
    """How often every process looks for files that nothing refers to."""
    gc_age_seconds: Annotated[float, Field(gt=0)] = 24 * 3600.0
    """Age from which a file that nothing refers to is deleted; longer than the longest upload or publishing."""
    max_epochs: Annotated[int, Field(ge=1, le=1_000_000)] = 1_000_000
    """Most epochs of one run."""
    max_layers: Annotated[int, Field(ge=1, le=900)] = 900
    """Most layers of a model, those of models inside it too."""
    max_parameters: Annotated[int, Field(ge=1)] = 200_000_000
    """Largest number of parameters that a model may have."""
    max_activation_bytes: Annotated[int, Field(ge=1)] = 16 * 1024 * MEBIBYTE
    """Largest size that the outputs of all layers of a model may have together, for one batch."""
    check_seconds: Annotated[float, Field(gt=0)] = 10.0
    """Longest time that Keras may take to build a model on trial."""
    check_memory_bytes: Annotated[int, Field(ge=64 * MEBIBYTE)] = 1024 * MEBIBYTE
    """Address space that building a model on trial may take beyond what Keras itself needs."""

    max_connections: Annotated[int, Field(ge=1)] = 800
    """Connections that one API process holds; beyond them those go first whose clients let it wait."""
    max_api_requests: Annotated[int, Field(ge=1, le=1024)] = 256
    """Requests of the control plane that one API process lets in at once; more of them are answered 503."""
    max_waiting_requests: Annotated[int, Field(ge=1)] = 256
    """Requests that may wait for the event loop of one API process; more of them are answered 503."""
    overload_wait_seconds: Annotated[float, Field(ge=0)] = 0.003
    """While more is asked than can be answered, about how long a request may wait for the event loop, and for its batch."""
    head_timeout_seconds: Annotated[float, Field(gt=0)] = 10.0
    """Longest time that a client may take to send address and headers of a request."""
    body_timeout_seconds: Annotated[float, Field(gt=0)] = 30.0
    """Longest time that a client may take to send a body, and one second more for each 8 KiB of it."""
    answer_timeout_seconds: Annotated[float, Field(gt=0)] = 60.0
    """Longest time that a client may take nothing of an answer that is on its way."""
    max_head_bytes: Annotated[int, Field(ge=1024)] = 64 * 1024
    """Largest address and headers of a request, together; what comes along in one read is not counted."""
    max_body_bytes: Annotated[int, Field(ge=1024)] = 8 * MEBIBYTE
    """Largest JSON body of a request."""
    max_json_depth: Annotated[int, Field(ge=16, le=500)] = 64
    """Most brackets inside each other in a JSON body under ``/api``."""
    max_json_values: Annotated[int, Field(ge=1000)] = 100_000
    """Most values of a JSON body under ``/api``, rows and arrays of data aside."""
    max_upload_bytes: Annotated[int, Field(ge=1024)] = 1024 * MEBIBYTE
    """Largest dataset upload."""
    max_columns: Annotated[int, Field(ge=1)] = 10_000
    """Most columns of a table."""
    max_rows: Annotated[int, Field(ge=1)] = 50_000_000
    """Most rows of a dataset."""
    max_cells: Annotated[int, Field(ge=1)] = 2_000_000_000
    """Most cells of a table (rows times columns), or numbers of all arrays."""
    max_unpacked_bytes: Annotated[int, Field(ge=MEBIBYTE)] = 16 * 1024 * MEBIBYTE
    """Most bytes that a compressed upload may hold."""
    max_expansion: Annotated[int, Field(ge=1)] = 200
    """How many times its own size a compressed upload may hold, beyond 64 MiB."""
    parse_timeout_seconds: Annotated[float, Field(gt=0)] = 120.0
    """Longest time that reading an upload may take."""
    parse_memory_bytes: Annotated[int, Field(ge=128 * MEBIBYTE)] = 4096 * MEBIBYTE
    """Address space of the process that reads an upload."""
    max_predict_rows: Annotated[int, Field(ge=1)] = 100_000
    """Most rows of one prediction request."""
    max_page_size: Annotated[int, Field(ge=1, le=200)] = 200
    """Most items of one page of a list."""
    max_wait_seconds: Annotated[int, Field(ge=0)] = 60
    """Longest ``Prefer: wait`` of a request."""
    max_event_streams: Annotated[int, Field(ge=1)] = 200
    """Event streams and waiting requests that one API process holds open."""
    max_workspace_streams: Annotated[int, Field(ge=1)] = 100
    """How many of these one workspace may hold, so that it leaves some to the others."""
    predict_threads: Annotated[int, Field(ge=0, le=1024)] = 0
    """Threads for predictions that are too long for the event loop; 0 takes one for each core."""
    engine_threads: Annotated[int, Field(ge=1, le=1024)] = 1
    """Threads that work together on one call of a model; more than one helps large models when few requests come at once."""
    batch_rows: Annotated[int, Field(ge=1)] = 256
    """Most rows of several requests that run together, where a model gains from it; 1 keeps every request apart."""
    max_waiting_predictions: Annotated[int, Field(ge=0)] = 64
    """Long predictions of one API process that may wait for a thread; more of them are answered 429."""
    predict_timeout_seconds: Annotated[float, Field(gt=0)] = 30.0
    """Longest time that a prediction may take once its body has been read; then it is answered 504."""
    engine_cache_bytes: Annotated[int, Field(ge=MEBIBYTE)] = 1024 * MEBIBYTE
    """Bytes of model files that one API process keeps loaded."""
    keras_threads: Annotated[int, Field(ge=0, le=1024)] = 0
    """Threads of the TensorFlow that answers for versions without ONNX; 0 leaves it its own choice."""
    keras_seconds: Annotated[float, Field(gt=0)] = 60.0
    """Longest time that Keras may take to answer one prediction before its process is ended."""
    drain_seconds: Annotated[float, Field(ge=0)] = 2.0
    """How long an API that was sent SIGTERM goes on answering while ``/readyz`` already says no."""
    shutdown_grace_seconds: Annotated[int, Field(ge=1)] = 20
    """How long a stopping process may take to finish what it has begun."""

    @property
    def resolved_database_url(self) -> str:
        """The database to use: the one named, or the embedded SQLite file."""
        return self.database_url or f"sqlite:///{self.data_dir.absolute() / 'fitserve.db'}"

    @property
    def scratch_folder(self) -> Path:
        """Where the processes of this machine keep what is needed only while something goes on."""
        return self.data_dir.absolute() / "scratch"

    @property
    def encoded_cache_folder(self) -> Path:
        """Where the trainers of this machine keep encoded data: the only folder that all of them may write to."""
        return self.data_dir.absolute() / "cache" / "encoded"

    @property
    def is_embedded(self) -> bool:
        """Whether the database is the SQLite file in ``data_dir``, which no other machine can reach."""
        return not self.database_url
