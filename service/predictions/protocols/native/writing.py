"""Writes predictions: as a JSON object, as a line of JSON for each row, or as CSV."""

import json
from collections.abc import Callable

import numpy as np
import orjson

from service.features.answers import to_answers, to_columns
from service.predictions.http import Answer
from service.predictions.protocols.native.csv_rows import write_csv
from service.predictions.protocols.native.media import MediaType
from service.predictions.service import Outcome

WARNINGS_HEADER = b"fitserve-warnings"
MAX_HEADER_WARNINGS = 5
MAX_HEADER_CHARACTERS = 300


def write_json(outcome: Outcome) -> Answer:
    """The body ``{model, version, predictions, warnings}``."""
    version = outcome.servable.version
    body = orjson.dumps(
        {
            "model": version.model,
            "version": version.number,
            "predictions": to_answers(outcome.servable.plan, outcome.outputs),
            "warnings": _warnings_of(outcome),
        },
        option=orjson.OPT_SERIALIZE_NUMPY,
    )
    return Answer(body)


def write_lines(outcome: Outcome) -> Answer:
    """The prediction of each row on a line of its own; warnings come in a header."""
    answers = to_answers(outcome.servable.plan, outcome.outputs)
    body = b"".join(orjson.dumps(answer, option=orjson.OPT_APPEND_NEWLINE) for answer in answers)
    return Answer(body, media_type="application/x-ndjson", headers=_warnings_header(outcome))


def write_table(outcome: Outcome) -> Answer:
    """A header line, then the prediction of each row; warnings come in a header."""
    columns = to_columns(outcome.servable.plan, outcome.outputs)
    return Answer(write_csv(columns), media_type="text/csv; charset=utf-8", headers=_warnings_header(outcome))


def _warnings_of(outcome: Outcome) -> list[str]:
    if all(np.isfinite(output).all() for output in outcome.outputs):
        return outcome.warnings
    return [*outcome.warnings, "The model gave numbers that are not finite; they are null here."]


def _warnings_header(outcome: Outcome) -> list[tuple[bytes, bytes]]:
    """The first warnings as a JSON list in ASCII, since a header holds nothing else."""
    warnings = [warning[:MAX_HEADER_CHARACTERS] for warning in _warnings_of(outcome)[:MAX_HEADER_WARNINGS]]
    return [(WARNINGS_HEADER, json.dumps(warnings).encode("ascii"))] if warnings else []


WRITERS: dict[MediaType, Callable[[Outcome], Answer]] = {
    "application/json": write_json,
    "application/x-ndjson": write_lines,
    "text/csv": write_table,
}
