"""Tells a full disk from other errors."""

import errno

FULL = (errno.ENOSPC, errno.EDQUOT)


def is_full_disk(error: BaseException) -> bool:
    """Whether an exception, or what it came from, says that there is no room. TensorFlow says it in words only."""
    cause = error.__cause__ or error.__context__
    is_meant = getattr(error, "errno", None) in FULL or "No space left on device" in str(error)
    return is_meant or (cause is not None and is_full_disk(cause))
