"""Starts the sidecar, ``python -m service.training.sidecar THREADS``: it answers for models that only Keras can run.

``THREADS`` is TensorFlow's number of threads; 0 leaves its own choice.
"""

import os
import signal
import sys
import tempfile

from service.infra.confinement import confine
from service.infra.parent import die_with_parent
from service.spec.frames import write_frame
from service.spec.sidecar_frames import SidecarReady
from service.training.__main__ import prepare_environment, take_over_standard_output


def main() -> None:
    """Serve until standard input closes."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches the whole terminal group; the API decides for us
    pipe = take_over_standard_output()
    die_with_parent(os.getppid(), signal.SIGKILL)
    confine([tempfile.gettempdir()])
    prepare_environment()
    from service.training.answering import serve  # loads TensorFlow, which reads the environment once
    from service.training.environment import set_threads

    set_threads(int(sys.argv[1]))
    write_frame(pipe, SidecarReady())
    serve(sys.stdin.buffer, pipe)
    os._exit(0)  # a normal exit takes TensorFlow a while


if __name__ == "__main__":
    main()
