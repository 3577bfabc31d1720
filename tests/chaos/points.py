"""Runs ``fitserve`` with named points at which the process can be killed. The service itself knows nothing of them.

A point is a commit, a file's rename or a message to the broker, before or after it, in a function of the service:
``worker: before commit in attempts.claim``. The process that comes to the point named in the file ``armed`` deletes that
file and kills itself with SIGKILL. All points that are passed are noted in the file ``seen``.
"""

import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from types import FrameType
from typing import Any

import celery
from sqlalchemy import Engine, event
from sqlalchemy.orm import Session

import service
from service.cli import app

FOLDER = Path(os.environ["CHAOS_FOLDER"])
ARMED, SEEN = FOLDER / "armed", FOLDER / "seen"
SERVICE = str(Path(service.__file__).parent)
PLUMBING = ("infra/database.py", "web/routing.py", "infra/cursors.py")
"""Files whose functions do something for somebody else, whose name says more."""
ROLE = sys.argv[1]

_seen: set[str] = set()


def pass_point(what: str) -> None:
    """Note that this process is here; be killed if it shall be."""
    place = f"{what} in {_place()}"
    point = f"{ROLE}: {place}"
    if point not in _seen:
        _seen.add(point)
        with SEEN.open("a") as file:
            file.write(f"{point}\n")
    try:
        if ARMED.read_text() in (point, f"any: {place}"):
            ARMED.unlink()
            os.kill(os.getpid(), signal.SIGKILL)
    except FileNotFoundError:
        pass


def _place() -> str:
    frame: FrameType | None = sys._getframe(2)
    while frame is not None:
        file = frame.f_code.co_filename
        if file.startswith(SERVICE) and not file.endswith(PLUMBING):
            name = frame.f_code.co_qualname if sys.version_info >= (3, 11) else frame.f_code.co_name
            return f"{Path(file).stem}.{name.split('.<locals>')[0]}"
        frame = frame.f_back
    return "request"


def around(function: Callable[..., Any], what: str) -> Callable[..., Any]:
    """The function, with a point before and after it."""

    def wrapped(*arguments: Any, **named: Any) -> Any:
        pass_point(f"before {what}")
        result = function(*arguments, **named)
        pass_point(f"after {what}")
        return result

    return wrapped


event.listen(Engine, "commit", lambda connection: pass_point("before commit"))
event.listen(Session, "after_commit", lambda session: pass_point("after commit"))
os.replace = around(os.replace, "rename")
os.rename = around(os.rename, "rename")
celery.Celery.send_task = around(celery.Celery.send_task, "send")

app()
