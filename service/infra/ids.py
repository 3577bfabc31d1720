"""Identifiers: a prefix that says what it is, and a UUIDv7 that sorts by time of creation."""

import uuid_utils


def new_id(prefix: str) -> str:
    """A new id such as ``run_019364…``: prefix, underscore, 32 hexadecimal digits."""
    return f"{prefix}_{uuid_utils.uuid7().hex}"
