from datetime import UTC, date, datetime
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet
import pytest

from service.errors import InvalidInput
from service.features.plan import FeaturePlan
from service.spec.compile import BinaryCrossentropy, MeanSquaredError
from service.spec.features import FeaturesSpec
from service.training import encoder
from service.training.encoder import Encoder
from service.training.reading import Arrays, Table
from tests.planning import encode_one, plan_arrays, plan_table

DATES = [date(2026, 1, 1), None, date(1955, 2, 3), date(2026, 1, 4)]
MOMENTS = [datetime(2026, 1, 1, 10, tzinfo=UTC), datetime(2026, 1, 1, 11, 30, 1, tzinfo=UTC), None, None]
TEXTS = ["it rains", None, "it shines", "rain or shine"]


def stored_table(folder: Path) -> Table:
    columns = {
        "day": pa.array(DATES, pa.date32()),
        "local": pa.array(MOMENTS, pa.timestamp("ns")),
        "zoned": pa.array(MOMENTS, pa.timestamp("us", tz="Europe/Rome")),
        "said": TEXTS,
        "y": [1.0, 2.0, 3.0, 4.0],
    }
    pyarrow.parquet.write_table(pa.table(columns), folder / "table.parquet")
    return Table(folder / "table.parquet")


def planned(table: Table) -> FeaturePlan:
    features = FeaturesSpec.model_validate({"columns": {"said": {"type": "text"}}})
    return plan_table(table.columns, features, "y", MeanSquaredError(), np.ones(table.rows, bool)).plan


def test_dates_of_a_stored_table_come_back_as_texts_that_encode_alike(tmp_path):
    table = stored_table(tmp_path)
    plan = planned(table)
    (block,) = Encoder(plan, None).encode(table)
    rows = Encoder(plan, None).raw_rows(block.raw, np.arange(4))
    assert rows[0] == {"day": "2026-01-01", "local": "2026-01-01T10:00", "zoned": "2026-01-01T10:00", "said": "it rains"}
    assert rows[1]["day"] is None
    assert rows[2]["zoned"] is None
    assert encode_one(plan, rows)[0].tobytes() == block.arrays[0].tobytes()


def test_a_wide_table_is_encoded_a_few_rows_at_a_time(tmp_path, monkeypatch):
    table = stored_table(tmp_path)
    (whole,) = Encoder(planned(table), None).encode(table)
    monkeypatch.setattr(encoder, "ENCODED_BYTES", 3 * 4 * whole.arrays[0].shape[1])
    first, second = Encoder(planned(table), None).encode(table)
    assert (first.start, second.start) == (0, 3)
    for place in (0, 1):
        assert np.concatenate([first.arrays[place], second.arrays[place]]).tolist() == whole.arrays[place].tolist()


def test_labels_other_than_zeros_and_ones_are_refused_with_their_row():
    arrays = {"x": np.zeros((3, 2)), "y": np.array([[0, 1], [1, 0], [1, 1]])}
    plan = plan_arrays(arrays, FeaturesSpec(), "y", BinaryCrossentropy(), np.ones(3, bool)).plan
    (block,) = Encoder(plan, None).encode(Arrays(arrays))
    assert block.arrays[1].tolist() == arrays["y"].tolist()
    with pytest.raises(InvalidInput, match="something else than zeros and ones in row 1"):
        list(Encoder(plan, None).encode(Arrays({**arrays, "y": np.array([[0, 1], [0.5, 1]])})))
