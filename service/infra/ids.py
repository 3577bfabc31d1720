"""Identifiers: a prefix that says what it is, and a UUIDv7 that sorts by time of creation."""

from datetime import datetime

import uuid_utils


def new_id(prefix: str) -> str:
    """A new id such as ``run_019364…``: prefix, underscore, 32 hexadecimal digits."""
    return f"{prefix}_{uuid_utils.uuid7().hex}"


def first_id(prefix: str, moment: datetime) -> str:
    """Where ids begin that are made from a moment on: whatever ``new_id`` makes then sorts after it."""
    return f"{prefix}_{int(moment.timestamp() * 1000):012x}"
