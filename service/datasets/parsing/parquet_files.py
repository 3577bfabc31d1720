"""Reads Parquet files batch by batch; what they say of their own size is not believed."""

from typing import Any

import pyarrow as pa
import pyarrow.parquet

from service.datasets.parsing.request import ParseRequest
from service.datasets.parsing.table_writer import TableWriter
from service.datasets.parsing.unpacking import unpacked
from service.errors import MalformedInput
from service.infra.disk import is_full_disk

BATCH_CELLS = 1_000_000
MAX_BATCH_ROWS = 65_536
DAMAGED = (
    pa.ArrowInvalid,
    pa.ArrowNotImplementedError,
    pa.ArrowKeyError,
    pa.ArrowIndexError,
    pa.ArrowTypeError,
    UnicodeError,
    OSError,
)


def parse_parquet(request: ParseRequest) -> dict[str, Any]:
    """Store a Parquet file as a table. Raises InvalidInput or MalformedInput."""
    path = unpacked(request)
    try:
        with pa.parquet.ParquetFile(path, memory_map=False) as file:
            return _store(file, request)
    except DAMAGED as error:
        if is_full_disk(error):
            raise
        raise MalformedInput("The Parquet file is damaged, cut off or of a kind that cannot be read.") from error


def _store(file: pa.parquet.ParquetFile, request: ParseRequest) -> dict[str, Any]:
    rows, schema = file.metadata.num_rows, file.schema_arrow
    request.check_rows(rows)
    request.check_columns(file.metadata.num_columns)
    request.check_cells(rows * len(schema))
    writer = TableWriter(request, schema)
    budget = request.budget()
    for batch in file.iter_batches(max(1, min(MAX_BATCH_ROWS, BATCH_CELLS // len(schema)))):
        table = _without_dictionaries(pa.Table.from_batches([batch]))
        budget.take(table.nbytes)
        writer.write(table)
    return writer.finish()


def _without_dictionaries(table: pa.Table) -> pa.Table:
    """The values themselves, which may be much larger than their places in a dictionary."""
    fields = [field.with_type(field.type.value_type) if pa.types.is_dictionary(field.type) else field for field in table.schema]
    return table.cast(pa.schema(fields))
