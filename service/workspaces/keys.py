"""What an API key is made of, and how one is recognised without being stored. Knows no database and no HTTP."""

import hashlib
import hmac
import re
import secrets

MARK = "fs_"
"""Begins every key, so that people, and programs that look for leaked secrets, see what it is."""
NAME_BYTES = 6
SECRET_BYTES = 32
PREFIX_LENGTH = len(MARK) + 2 * NAME_BYTES
_KEY = re.compile(rb"fs_[0-9a-f]{12}_[A-Za-z0-9_-]{43}")


def new_key() -> str:
    """A new key: a prefix that names it, and 256 random bits."""
    return f"{MARK}{secrets.token_hex(NAME_BYTES)}_{secrets.token_urlsafe(SECRET_BYTES)}"


def is_key(text: bytes) -> bool:
    """Whether this has the form of a key."""
    return _KEY.fullmatch(text) is not None


def prefix_of(key: bytes) -> str:
    """The part of a key that is no secret."""
    return key[:PREFIX_LENGTH].decode("ascii")


def digest_of(key: bytes) -> bytes:
    """SHA-256 of a key. A slow hash would add nothing: nobody can guess 256 random bits."""
    return hashlib.sha256(key).digest()


def is_same(key: bytes, sha256: str) -> bool:
    """Whether this is the key with that SHA-256, in hexadecimal; takes equally long whichever digits differ."""
    return hmac.compare_digest(digest_of(key).hex(), sha256)
