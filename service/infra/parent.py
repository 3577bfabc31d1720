"""Ends this process with its parent, so that a killed supervisor or worker leaves nothing behind."""

import ctypes
import os
import signal
import sys

PR_SET_PDEATHSIG = 1


def die_with_parent(parent_pid: int, with_signal: signal.Signals = signal.SIGTERM) -> None:
    """Ask the kernel to send ``with_signal`` when the thread that started us ends (Linux only; elsewhere nothing).

    Source: prctl(2), PR_SET_PDEATHSIG.
    """
    if sys.platform != "linux":
        return
    ctypes.CDLL(None, use_errno=True).prctl(PR_SET_PDEATHSIG, with_signal)
    if os.getppid() != parent_pid:  # the parent went before the request took hold
        os.kill(os.getpid(), with_signal)
