"""The first thing that a sandboxed child runs: ``python -m service.infra.sandboxed MODULE BYTES`` confines itself, then runs it.

``BYTES`` is the address space that it may use. It may write in the folder that it was started in.
"""

import os
import resource
import runpy
import signal
import sys

from service.infra.confinement import confine
from service.infra.hiding import hide_pandas
from service.infra.parent import die_with_parent


def main(module: str, memory_bytes: int) -> None:
    """Run a module as if it were the program."""
    die_with_parent(os.getppid(), signal.SIGKILL)
    confine([os.getcwd()])
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    if sys.platform == "linux":  # elsewhere the deadline alone holds
        resource.setrlimit(resource.RLIMIT_AS, (memory_bytes, memory_bytes))
    hide_pandas()
    runpy.run_module(module, run_name="__main__", alter_sys=True)


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]))
