"""The HTTP operations on datasets."""

import os
from contextlib import ExitStack
from typing import Annotated, Any, get_args

import anyio
import anyio.to_thread
from fastapi import Path as PathParameter
from fastapi import Query, Request, Response
from starlette.background import BackgroundTask

from service.datasets import repository, service
from service.datasets.schemas import (
    DatasetFromArrays,
    DatasetFromNamedArrays,
    DatasetFromRows,
    DatasetPage,
    DatasetRead,
    FileFormat,
    RowsPage,
)
from service.datasets.service import ARRAYS_TYPE, TABLE_TYPE, DatasetService
from service.datasets.tables import Dataset
from service.datasets.uploads import receive_upload
from service.errors import InvalidInput, Problem, Unavailable
from service.infra.cursors import map_page
from service.infra.disk import is_full_disk
from service.web.downloads import Download, file_answers
from service.web.parameters import PageSize
from service.web.routing import PageOf, ReadSession, WriteSession, database_of, headers_of, make_router, problems
from service.workspaces.auth import CurrentWorkspace

router = make_router("datasets")
_parsers = anyio.CapacityLimiter(os.cpu_count() or 1)
"""Uploads that are parsed at the same time; each of them takes a processor and memory of its own."""
DatasetId = Annotated[
    str, PathParameter(max_length=80, description="Id of the dataset.", examples=["ds_01a20b40037677bf83159b06b0d2da20"])
]

UPLOAD_FORM = {
    "type": "object",
    "required": ["file"],
    "properties": {
        "file": {
            "type": "string",
            "format": "binary",
            "description": "CSV (comma, tab, semicolon or bar; with a header line), JSON (an array of objects), JSON Lines, "
            "Parquet, NPY, NPZ, or a ZIP of images in one folder per class. Text files may be gzipped.",
        },
        "name": {
            "type": "string",
            "description": "A name for people; the file's name if left out.",
            "example": "digits",
        },
        "target": {
            "type": "string",
            "description": "Column or array that models shall predict; a run may choose another.",
            "example": "digit",
        },
        "format": {
            "type": "string",
            "enum": list(get_args(FileFormat)),
            "description": "What the file is, where it should not be recognised by its content and name.",
            "example": "csv",
        },
        "image_size": {
            "type": "string",
            "description": "Height and width that all images are resized to.",
            "example": "64x64",
        },
    },
}
ROWS_EXAMPLE = {
    "name": "flowers",
    "target": "species",
    "rows": [
        {"sepal_length": 5.1, "sepal_width": 3.5, "petal_length": 1.4, "petal_width": 0.2, "species": "setosa"},
        {"sepal_length": 6.3, "sepal_width": 3.3, "petal_length": 6.0, "petal_width": 2.5, "species": "virginica"},
        {"sepal_length": 4.9, "sepal_width": 3.0, "petal_length": 1.4, "petal_width": 0.2, "species": "setosa"},
        {"sepal_length": 5.8, "sepal_width": 2.7, "petal_length": 5.1, "petal_width": 1.9, "species": "virginica"},
        {"sepal_length": 4.7, "sepal_width": 3.2, "petal_length": 1.3, "petal_width": 0.2, "species": "setosa"},
        {"sepal_length": 7.1, "sepal_width": 3.0, "petal_length": 5.9, "petal_width": 2.1, "species": "virginica"},
    ],
}
ARRAYS_EXAMPLE = {"name": "xor", "x": [[0, 0], [0, 1], [1, 0], [1, 1]], "y": [0, 1, 1, 0]}
NAMED_EXAMPLE = {
    "name": "prices",
    "target": "price",
    "arrays": {"rooms": [[2, 1], [3, 2], [4, 2]], "price": [250.0, 340.5, 410.0]},
}
UPLOAD_BODY = {
    "required": True,
    "content": {
        "application/json": {
            "schema": {
                "anyOf": [
                    {"$ref": "#/components/schemas/DatasetFromRows"},
                    {"$ref": "#/components/schemas/DatasetFromArrays"},
                    {"$ref": "#/components/schemas/DatasetFromNamedArrays"},
                ]
            },
            "examples": {
                "rows": {"summary": "A table as rows", "value": ROWS_EXAMPLE},
                "arrays": {"summary": "Arrays, as fit(x, y) takes them", "value": ARRAYS_EXAMPLE},
                "named": {"summary": "Arrays by name", "value": NAMED_EXAMPLE},
            },
        },
        "multipart/form-data": {"schema": UPLOAD_FORM},
    },
}
DOCUMENTED_SCHEMAS = (DatasetFromRows, DatasetFromArrays, DatasetFromNamedArrays)
"""Schemas that the OpenAPI document needs although no endpoint's signature names them."""


def _service_of(request: Request) -> DatasetService:
    datasets: DatasetService = request.app.state.datasets
    return datasets


@router.post(
    "/datasets",
    status_code=201,
    responses={**problems(413, 415, 422), **headers_of(201, "Location")},
    openapi_extra={"requestBody": UPLOAD_BODY},
)
async def create_dataset(request: Request, response: Response, workspace_id: CurrentWorkspace) -> DatasetRead:
    """Upload a dataset: a file as multipart form, or rows or arrays as JSON."""
    datasets = _service_of(request)
    try:
        with datasets.receiving_folder() as folder:
            upload = await receive_upload(request, folder, request.app.state.settings.max_body_bytes)
            dataset = await anyio.to_thread.run_sync(_create, request, datasets, workspace_id, upload, limiter=_parsers)
    except OSError as error:
        if not is_full_disk(error):
            raise
        raise Unavailable("There is no room left on the disk of the service.", retry_after_seconds=60) from error
    response.headers["Location"] = f"/api/datasets/{dataset.id}"
    return dataset


def _create(request: Request, datasets: DatasetService, workspace_id: str, upload: service.Upload) -> DatasetRead:
    prepared = datasets.prepare(upload)
    with database_of(request).write() as session:
        return _read(datasets.create(session, workspace_id, prepared))


@router.get("/datasets", responses=problems(422))
def list_datasets(session: ReadSession, workspace_id: CurrentWorkspace, page: PageOf) -> DatasetPage:
    """List datasets, newest first unless `order_by` is `created_at`, `name` or `-name`."""
    return DatasetPage(**map_page(repository.list_page(session, workspace_id, page), _read))


@router.get("/datasets/{dataset_id}", responses=problems(404))
def read_dataset(session: ReadSession, workspace_id: CurrentWorkspace, dataset_id: DatasetId) -> DatasetRead:
    """Read a dataset's schema and statistics."""
    return _read(repository.get(session, workspace_id, dataset_id))


@router.get("/datasets/{dataset_id}/rows", responses=problems(404, 422))
def list_dataset_rows(
    request: Request,
    session: ReadSession,
    workspace_id: CurrentWorkspace,
    dataset_id: DatasetId,
    page_size: PageSize = 50,
    page_token: Annotated[
        str | None, Query(max_length=20, description="`next_page_token` of the page before.", examples=["50"])
    ] = None,
) -> RowsPage:
    """Look at the rows of a dataset."""
    dataset = repository.get(session, workspace_id, dataset_id)
    if page_token is not None and not page_token.isdecimal():
        problem = Problem("?page_token", "This token does not belong to this list.", page_token, "a next_page_token")
        raise InvalidInput("The page token cannot be used.", [problem])
    start = min(int(page_token or 0), dataset.rows)
    rows = _service_of(request).read_rows(dataset, start, page_size)
    following = start + len(rows)
    return RowsPage(items=rows, next_page_token=str(following) if following < dataset.rows else None)


@router.get(
    "/datasets/{dataset_id}/content",
    response_class=Download,
    responses={
        **problems(404, 416),
        **file_answers("Parquet for a table, NPZ for arrays.", TABLE_TYPE, ARRAYS_TYPE),
    },
)
def download_dataset(request: Request, session: ReadSession, workspace_id: CurrentWorkspace, dataset_id: DatasetId) -> Download:
    """Download a dataset: Parquet for a table, NPZ for arrays."""
    dataset = repository.get(session, workspace_id, dataset_id)
    with ExitStack() as stack:
        path, media_type, name = stack.enter_context(_service_of(request).open_content(dataset))
        clean_up = BackgroundTask(stack.pop_all().close)
    return Download(path, media_type=media_type, filename=name, background=clean_up)


@router.delete("/datasets/{dataset_id}", status_code=204, responses=problems(404, 409))
def delete_dataset(session: WriteSession, workspace_id: CurrentWorkspace, dataset_id: DatasetId) -> None:
    """Delete a dataset that no queued or running run needs."""
    service.delete(session, workspace_id, dataset_id)


def _read(dataset: Dataset) -> DatasetRead:
    fields: dict[str, Any] = {name: getattr(dataset, name) for name in DatasetRead.model_fields}
    return DatasetRead.model_validate(fields, strict=False)
