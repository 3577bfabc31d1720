"""Finds servable versions in the database."""

from collections.abc import Sequence

import msgspec

from service.infra.database import Database
from service.models import repository as models
from service.models.tables import Model, Version
from service.predictions.versions import ListedVersion, Selector, ServableVersion
from service.spec.artifacts import GRAPH, MODEL
from service.spec.frames import TensorSpec


class DatabaseVersionSource:
    """The versions of the ``models`` tables."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def resolve(self, workspace_id: str, model: str, selector: Selector) -> ServableVersion:
        """The version that is meant. Raises NotFound or Unavailable."""
        with self._database.read() as session:
            found = models.get(session, workspace_id, model)
            return _servable(found, models.resolve_version(session, found, selector))

    def list_versions(self, workspace_id: str) -> Sequence[ListedVersion]:
        """All versions of a workspace. Raises Unavailable."""
        with self._database.read() as session:
            return [
                ListedVersion(model, number, engine, parity.get("reason"))
                for model, number, engine, parity in models.list_all_versions(session, workspace_id)
            ]


def _servable(model: Model, version: Version) -> ServableVersion:
    return ServableVersion(
        model=model.name,
        number=version.number,
        engine=version.engine,
        reason=version.parity.get("reason"),
        plan=version.plan,
        inputs=msgspec.convert(version.inputs, list[TensorSpec]),
        outputs=msgspec.convert(version.outputs, list[TensorSpec]),
        example=version.example,
        onnx_sha256=version.files.get(GRAPH, {}).get("sha256"),
        keras_sha256=version.files.get(MODEL, {}).get("sha256"),
    )
