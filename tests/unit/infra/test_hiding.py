"""pandas is hidden from the processes that read uploads and run Keras, as if it were not installed."""

import subprocess
import sys

PROGRAM = """
import sys
from service.infra.hiding import hide_pandas
hide_pandas()
import pyarrow
pyarrow.array([1, 2])
try:
    import pandas
except ImportError:
    print(sorted(name for name in sys.modules if name.startswith("pandas")))
"""


def test_who_asks_for_it_hears_that_it_is_not_there() -> None:
    done = subprocess.run([sys.executable, "-c", PROGRAM], capture_output=True, text=True, timeout=60, check=True)
    assert done.stdout == "[]\n"
