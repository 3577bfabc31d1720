"""Statistics of a column that comes batch by batch, in bounded memory."""

from collections import Counter
from collections.abc import Iterator
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from service.infra.moments import Moments

Array = np.ndarray[Any, Any]

MAX_CATEGORIES = 50
MAX_CELL_CHARACTERS = 100
MAX_COUNTED_VALUES = 1000
MOST_FREQUENT = 10
SKETCH_HASHES = 65_536
ALL_SKETCHES_HASHES = 8 * 1024 * 1024
MIN_SKETCH_HASHES = 1024
TEXTS_AT_ONCE = 8192
HASH_SPACE = 2.0**64


class DistinctCounter:
    """How many different values there are: exact up to ``size``, beyond that estimated.

    Keeps the ``size`` smallest hashes (k minimum values; Bar-Yossef et al. 2002, Beyer et al. 2007); the relative error of
    an estimate is about ``1/sqrt(size)``: 0.4 % for 65,536.
    """

    def __init__(self, size: int) -> None:
        self._size = size
        self._kept = np.empty(0, dtype=np.uint64)
        self._waiting: list[Array] = []
        self._is_exact = True

    def add(self, hashes: Array) -> None:
        """Count values by their hashes, of uint64."""
        if not self._is_exact:
            hashes = hashes[hashes < self._kept[-1]]
        if len(hashes):
            self._waiting.append(hashes)
        if sum(map(len, self._waiting)) >= self._size:
            self._merge()

    def _merge(self) -> None:
        if not self._waiting:
            return
        merged = np.concatenate([self._kept, *self._waiting])
        merged.sort()  # np.unique hashes, which takes ten times as long
        is_first = np.concatenate([[True], merged[1:] != merged[:-1]])
        distinct = merged[is_first]
        self._is_exact = self._is_exact and len(distinct) <= self._size
        self._kept, self._waiting = distinct[: self._size], []

    @property
    def is_over(self) -> bool:
        """Whether it is known already that there are more than ``size``."""
        return not self._is_exact

    @property
    def is_exact(self) -> bool:
        """Whether the number is counted, and not estimated."""
        self._merge()
        return self._is_exact

    @property
    def count(self) -> int:
        """The number of different values."""
        if self.is_exact:
            return len(self._kept)
        return round((self._size - 1) / (float(self._kept[-1]) / HASH_SPACE))


class Order:
    """Whether values that come in parts only rise, or only fall."""

    def __init__(self) -> None:
        self._rises = self._falls = True
        self._last: pa.Scalar | None = None

    def add(self, present: pa.ChunkedArray) -> None:
        """Look at the next values, one at least; most columns need no second look."""
        if not (self._rises or self._falls):
            return
        values = present.cast(pa.int8()) if pa.types.is_boolean(present.type) else present
        if self._last is not None:
            self._compare(self._last, values[0])
        self._compare(values.slice(0, len(values) - 1), values.slice(1))
        self._last = values[len(values) - 1]

    def _compare(self, earlier: Any, later: Any) -> None:
        self._rises = self._rises and pc.all(pc.less_equal(earlier, later)).as_py() is not False
        self._falls = self._falls and pc.all(pc.greater_equal(earlier, later)).as_py() is not False

    @property
    def word(self) -> str | None:
        """``rising``, ``falling``, or None."""
        return "rising" if self._rises else "falling" if self._falls else None


class ColumnMeasure:
    """Everything that a dataset tells of one column."""

    def __init__(self, name: str, kind: pa.DataType, columns: int) -> None:
        self._name = name
        self._kind = kind
        self._nulls = 0
        self._distinct = DistinctCounter(min(SKETCH_HASHES, max(MIN_SKETCH_HASHES, ALL_SKETCHES_HASHES // columns)))
        self._counts: Counter[Any] | None = None if pa.types.is_floating(kind) or pa.types.is_temporal(kind) else Counter()
        self._moments = Moments()
        self._first: Any = None
        self._last: Any = None
        self._order = Order()

    def add(self, column: pa.ChunkedArray) -> None:
        """Measure a part of the column."""
        self._nulls += column.null_count
        present = column.drop_null()
        if not len(present):
            return
        self._order.add(present)
        if pa.types.is_temporal(self._kind):
            self._add_extremes(present)
        if pa.types.is_integer(self._kind) or pa.types.is_floating(self._kind):
            self._moments.add(present.to_numpy())
        self._count_values(present)

    def _add_extremes(self, present: pa.ChunkedArray) -> None:
        extremes = pc.min_max(present).as_py()
        self._first = extremes["min"] if self._first is None else min(self._first, extremes["min"])
        self._last = extremes["max"] if self._last is None else max(self._last, extremes["max"])

    def _count_values(self, present: pa.ChunkedArray) -> None:
        if self._counts is not None:
            counted = pc.value_counts(present)
            values = counted.field("values")
            self._distinct.add(_hashes(values))
            if len(values) <= MAX_COUNTED_VALUES:
                self._counts.update(dict(zip(values.to_pylist(), counted.field("counts").to_pylist(), strict=True)))
            if len(values) > MAX_COUNTED_VALUES or len(self._counts) > MAX_COUNTED_VALUES:
                self._counts = None
            return
        # Hashing a number costs less than looking it up; a text has to be a Python object to be hashed.
        is_cheap = self._distinct.is_over and not pa.types.is_string(self._kind)
        self._distinct.add(_hashes(present if is_cheap else pc.unique(present)))

    def describe(self) -> dict[str, Any]:
        """The column as ``ColumnRead`` has it."""
        kind, distinct = self._type(), self._distinct.count
        found: dict[str, Any] = {"name": self._name, "type": kind, "nulls": self._nulls, "distinct": distinct}
        if not self._distinct.is_exact:
            found["distinct_is_estimate"] = True
        if distinct > 1 and self._order.word is not None:
            found["order"] = self._order.word
        if self._moments.count:
            found |= self._moments.describe()
        if self._first is not None:
            found |= {"min": self._first.isoformat(), "max": self._last.isoformat()}
        if self._counts:
            frequent = sorted(self._counts.items(), key=lambda item: -item[1])[:MOST_FREQUENT]
            found["most_frequent"] = [[_shorten(value), count] for value, count in frequent]
        return found

    def _type(self) -> str:
        if pa.types.is_boolean(self._kind):
            return "boolean"
        if pa.types.is_integer(self._kind):
            return "integer"
        if pa.types.is_floating(self._kind) or pa.types.is_null(self._kind):
            return "number"
        if pa.types.is_temporal(self._kind):
            return "datetime"
        return "category" if self._distinct.count <= MAX_CATEGORIES else "text"


def _hashes(values: pa.Array | pa.ChunkedArray) -> Array:
    """64 bits of each value that differ for different values, and look random (splitmix64; Steele et al. 2014)."""
    if pa.types.is_string(values.type):
        raw = np.fromiter(map(hash, _texts(values)), dtype=np.int64, count=len(values)).view(np.uint64)
    elif pa.types.is_floating(values.type):
        raw = (values.to_numpy(zero_copy_only=False).astype(np.float64) + 0.0).view(np.uint64)  # -0.0 is 0.0
    elif pa.types.is_temporal(values.type):
        integers = values.cast(pa.int32() if pa.types.is_date32(values.type) else pa.int64())
        raw = integers.to_numpy(zero_copy_only=False).astype(np.int64).view(np.uint64)
    else:
        raw = values.to_numpy(zero_copy_only=False).astype(np.int64).view(np.uint64)
    mixed = raw + np.uint64(0x9E3779B97F4A7C15)
    mixed = (mixed ^ (mixed >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    mixed = (mixed ^ (mixed >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return mixed ^ (mixed >> np.uint64(31))


def _texts(values: pa.Array | pa.ChunkedArray) -> Iterator[str]:
    """Each text as a Python object, which takes several times its room: not all of them at once."""
    for start in range(0, len(values), TEXTS_AT_ONCE):
        yield from values.slice(start, TEXTS_AT_ONCE).to_pylist()


def _shorten(value: Any) -> Any:
    return value[:MAX_CELL_CHARACTERS] if isinstance(value, str) else value
