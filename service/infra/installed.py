"""Which large libraries this machine has; imports none of them."""

import importlib.util


def has_keras() -> bool:
    """Whether Keras and the TensorFlow that it runs on are installed."""
    return all(importlib.util.find_spec(name) is not None for name in ("keras", "tensorflow"))
