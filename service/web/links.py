"""The links of the OpenAPI document: which operations go on with what an answer has made. Knows them by their names alone."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

Json = dict[str, Any]


@dataclass(frozen=True)
class Links:
    """Operations that take the same parts of an answer, which are written as OpenAPI's runtime expressions."""

    meaning: str
    """Which part of the answer is what for the operations."""
    operations: tuple[str, ...]
    """Their operation ids."""
    parameters: Mapping[str, str] = field(default_factory=dict)
    """Parameters of theirs that the answer gives."""
    body: Mapping[str, str] = field(default_factory=dict)
    """Parts of their bodies that the answer gives; the others are for the client to say."""


ID, NAME, MODEL, VERSION, ALIAS = (f"$response.body#/{part}" for part in ("id", "name", "model", "version", "alias"))
RUN_READS = ("read_run", "read_run_metrics", "stream_run_events", "list_run_logs", "list_run_artifacts")
FIT_READS = ("read_run_weights", "read_run_evaluation", "read_run_code")


def _run_made(*more: str) -> tuple[Links, ...]:
    return (
        Links("The `id` of the run is their `run_id`.", (*RUN_READS, *more, "delete_run"), {"run_id": ID}),
        Links("The run's `model` is their `name`.", ("read_model", "list_versions"), {"name": MODEL}),
    )


OF_MODEL = (
    Links(
        "The `name` of the model is theirs.",
        ("read_model", "read_model_code", "list_versions", "set_alias", "predict", "delete_model"),
        {"name": NAME},
    ),
    Links(
        "The model's `name`, and the `ETag` that another change would alter.",
        ("replace_model",),
        {"name": NAME, "If-Match": "$response.header.ETag"},
    ),
    Links(
        "The model as it was stored is what to check, for instance against a dataset.",
        ("check_model",),
        body={"definition": "$response.body#/definition", "compile": "$response.body#/compile"},
    ),
    Links("The `name` is the `model` to fit.", ("create_run",), body={"model": NAME}),
    Links("The `name` is the `model` of the runs.", ("list_runs",), {"model": NAME}),
)
LINKS: dict[str, tuple[Links, ...]] = {
    "create_dataset": (
        Links(
            "The `id` of the dataset is their `dataset_id`.",
            ("read_dataset", "list_dataset_rows", "download_dataset", "delete_dataset"),
            {"dataset_id": ID},
        ),
        Links("The `id` is the `dataset` of the runs.", ("list_runs",), {"dataset": ID}),
        Links(
            "The `id` is the `dataset` to fit on, to measure on, or to predict.",
            ("create_run", "create_evaluation", "create_batch_prediction"),
            body={"dataset": ID},
        ),
    ),
    "create_model": OF_MODEL,
    "replace_model": OF_MODEL,
    "set_alias": (
        Links("The `alias` of this `model`.", ("delete_alias", "predict"), {"name": MODEL, "alias": ALIAS}),
        Links(
            "The alias is the `label` of this `model`.", ("predict_tensorflow_serving_label",), {"name": MODEL, "label": ALIAS}
        ),
        Links("The alias points to this `version`.", ("read_version",), {"name": MODEL, "version": VERSION}),
    ),
    "create_run": _run_made(*FIT_READS, "cancel_run"),
    "create_evaluation": _run_made("read_run_evaluation", "cancel_run"),
    "create_batch_prediction": _run_made("download_batch_prediction", "cancel_run"),
    "cancel_run": _run_made(),
    "read_run": (
        Links("The run's `version`, where it has published one.", ("read_version",), {"name": MODEL, "version": VERSION}),
    ),
    "list_run_artifacts": (
        Links(
            "The first file of the run; the others likewise.",
            ("download_run_artifact",),
            {"run_id": "$request.path.run_id", "name": "$response.body#/items/0/name"},
        ),
    ),
    "read_version": (
        Links("The same version.", ("predict", "delete_version"), {"name": MODEL, "version": VERSION}),
        Links("The version is what the alias shall point to.", ("set_alias",), {"name": MODEL}, {"version": VERSION}),
        Links("The run that it comes from.", ("read_run", *FIT_READS), {"run_id": "$response.body#/run"}),
    ),
    "create_key": (Links("The `id` of the key is their `key_id`.", ("read_key", "delete_key"), {"key_id": ID}),),
}
"""By the operation whose success they go on from."""


def add_links(document: Json) -> None:
    """Write the links into the successes of an OpenAPI document, in place, each under the id of its operation."""
    for operations in document["paths"].values():
        for operation in operations.values():
            links = [link for group in LINKS.get(operation["operationId"], ()) for link in _written(group)]
            if links:
                _success_of(operation)["links"] = dict(links)


def _success_of(operation: Json) -> Json:
    success: Json = next(answer for status, answer in operation["responses"].items() if str(status).startswith("2"))
    return success


def _written(links: Links) -> list[tuple[str, Json]]:
    parts = {"parameters": dict(links.parameters), "requestBody": dict(links.body)}
    taken = {name: part for name, part in parts.items() if part}
    return [(operation, {"operationId": operation, **taken, "description": links.meaning}) for operation in links.operations]
