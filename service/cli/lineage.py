"""Who started whom: a process that ``fitserve`` starts ends with the process that started it."""

import os
from collections.abc import Mapping

from service.infra.parent import die_with_parent

PARENT_VARIABLE = "FITSERVE_PARENT_PID"


def child_environment(extra: Mapping[str, str]) -> dict[str, str]:
    """This process's environment for a ``python -m`` child that shall end with this process."""
    # Without the last one Python looks for modules in the user's present folder first.
    return {**os.environ, **extra, PARENT_VARIABLE: str(os.getpid()), "PYTHONSAFEPATH": "1"}


def follow_parent() -> None:
    """End with the parent, if the environment names one. The name is not passed on to children."""
    parent = os.environ.pop(PARENT_VARIABLE, "")
    if parent.isdecimal():
        die_with_parent(int(parent))
