"""Reads the scores of a run's result from its ``evaluation.json``."""

from typing import Any

import orjson
from sqlalchemy.orm import Session

from service.infra.artifacts import ArtifactStore
from service.runs.result_schemas import EvaluationRead
from service.runs.results import find_result
from service.runs.tables import Run
from service.spec.artifacts import EVALUATION


def read_evaluation(session: Session, store: ArtifactStore, run: Run) -> EvaluationRead:
    """The wire form of the scores. Raises ResultNotReady or ResultNotFound."""
    document: dict[str, Any] = orjson.loads(find_result(session, store, run, EVALUATION, "scores").read_bytes())
    return EvaluationRead.model_validate({name: document.get(name) for name in EvaluationRead.model_fields})
