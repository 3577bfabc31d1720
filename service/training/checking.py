"""Starts the checker, ``python -m service.training.checking BYTES SECONDS``: one dry build after the other.

``BYTES`` is the address space that it may use beyond what Keras has taken, ``SECONDS`` the time without work after which
it ends. It cannot write files.
"""

import gc
import os
import resource
import select
import signal
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import BinaryIO

from service.infra.confinement import confine
from service.infra.parent import die_with_parent
from service.spec.check_frames import OUT_OF_MEMORY, CheckerReady, CheckJob, check_job_decoder
from service.spec.frames import Frame, read_frame, write_frame
from service.training.__main__ import prepare_environment, take_over_standard_output


def main() -> None:
    """Serve until standard input closes, or nothing comes for long."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches the whole terminal group; the API decides for us
    pipe = take_over_standard_output()
    die_with_parent(os.getppid(), signal.SIGKILL)
    confine([tempfile.gettempdir()])
    prepare_environment()
    from service.training.building import reset_keras  # loads Keras, which reads the environment once
    from service.training.dry_build import dry_build

    reset_keras(seed=0)
    dry_build(WARM_UP)
    gc.freeze()  # looking through Keras's own objects would cost each check a third of a second
    _limit(int(sys.argv[1]))
    try:
        _serve(sys.stdin.buffer, pipe, dry_build, idle_seconds=float(sys.argv[2]))
    except (MemoryError, SystemError):  # CPython says SystemError where it has no memory even for the exception
        os._exit(OUT_OF_MEMORY)
    os._exit(0)  # a normal exit takes TensorFlow a while, in which a check might still come


WARM_UP = CheckJob(
    definition={"layers": [{"type": "Dense", "units": 1}]},
    compile={"optimizer": {"type": "SGD"}, "loss": {"type": "MeanSquaredError"}},
    input_shapes=[[1]],
)


def _serve(jobs: BinaryIO, pipe: BinaryIO, build: Callable[[CheckJob], Frame], idle_seconds: float) -> None:
    write_frame(pipe, CheckerReady())
    while select.select([jobs], [], [], idle_seconds)[0]:  # nothing is buffered: a job comes after the last answer only
        job = read_frame(jobs, check_job_decoder)
        if job is None:
            return
        write_frame(pipe, build(job))
        gc.collect()


def _limit(more_bytes: int) -> None:
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))
    if sys.platform == "linux":  # elsewhere the deadline alone holds
        size = _address_space_bytes() + more_bytes
        resource.setrlimit(resource.RLIMIT_AS, (size, size))


def _address_space_bytes() -> int:
    """Source: proc_pid_statm(5), the first number, in pages."""
    return int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()


if __name__ == "__main__":
    main()
