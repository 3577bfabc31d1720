"""Starts the checker, ``python -m service.training.checking BYTES``: one dry build after the other, in little memory.

``BYTES`` is the address space that it may use beyond what Keras has taken. It cannot write files, and sees no GPU.
"""

import gc
import os
import resource
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import BinaryIO

from service.infra.parent import die_with_parent
from service.spec.check_frames import OUT_OF_MEMORY, CheckerReady, CheckJob, check_job_decoder
from service.spec.frames import Frame, read_frame, write_frame
from service.training.__main__ import prepare_environment, take_over_standard_output


def main() -> None:
    """Serve until standard input closes."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches the whole terminal group; the API decides for us
    pipe = take_over_standard_output()
    die_with_parent(os.getppid(), signal.SIGKILL)
    prepare_environment()
    from service.training.building import reset_keras  # loads Keras, which reads the environment once
    from service.training.dry_build import dry_build

    reset_keras(seed=0)
    dry_build(WARM_UP)
    gc.freeze()  # looking through Keras's own objects would cost each check a third of a second
    _limit(int(sys.argv[1]))
    _serve(sys.stdin.buffer, pipe, dry_build)


WARM_UP = CheckJob(
    definition={"layers": [{"type": "Dense", "units": 1}]},
    compile={"optimizer": {"type": "SGD"}, "loss": {"type": "MeanSquaredError"}},
    input_shape=[1],
)


def _serve(jobs: BinaryIO, pipe: BinaryIO, build: Callable[[CheckJob], Frame]) -> None:
    write_frame(pipe, CheckerReady())
    while (job := read_frame(jobs, check_job_decoder)) is not None:
        try:
            checked = build(job)
        except MemoryError:
            os._exit(OUT_OF_MEMORY)  # nothing that needs memory can be relied on from here
        write_frame(pipe, checked)
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
