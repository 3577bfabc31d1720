"""Lets a library that others would load, and nothing here needs, seem not to be installed."""

import sys
from collections.abc import Sequence
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec
from types import ModuleType

PANDAS = "pandas"
"""pyarrow and Keras load it wherever it is: for longer than a small upload takes, and for a fifth of the start of Keras."""


class _Hidden(MetaPathFinder):
    def find_spec(self, fullname: str, path: Sequence[str] | None = None, target: ModuleType | None = None) -> ModuleSpec | None:
        if fullname == PANDAS:
            raise ModuleNotFoundError(f"{PANDAS} is hidden from this process.", name=PANDAS)
        return None


def hide_pandas() -> None:
    """Spare this process the time and the memory of pandas."""
    sys.meta_path.insert(0, _Hidden())
