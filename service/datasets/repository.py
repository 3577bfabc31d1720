"""Questions about datasets that the database answers."""

from collections.abc import Iterator

from sqlalchemy import delete, func, select
from sqlalchemy.orm import Session

from service.datasets.errors import DatasetNotFound
from service.datasets.tables import Dataset, DatasetHold
from service.infra.cursors import Order, Page, PageRequest, fetch_page

ORDERS = {
    "created_at": Order((Dataset.id,)),  # ids are UUIDv7, which sort by creation
    "name": Order((Dataset.name, Dataset.id)),
}


def get(session: Session, workspace_id: str, dataset_id: str, lock: bool = False) -> Dataset:
    """The dataset, locked against deletion if asked. Raises DatasetNotFound."""
    query = select(Dataset).where(Dataset.id == dataset_id, Dataset.workspace_id == workspace_id)
    dataset = session.scalar(query.with_for_update() if lock else query)
    if dataset is None:
        raise DatasetNotFound(dataset_id)
    return dataset


def list_page(session: Session, workspace_id: str, request: PageRequest) -> Page[Dataset]:
    """One page of a workspace's datasets, newest first by default."""
    query = select(Dataset).where(Dataset.workspace_id == workspace_id)
    return fetch_page(session, query, request, ORDERS, default="-created_at")


def count_bytes(session: Session, workspace_id: str) -> int:
    """Bytes of all datasets of a workspace."""
    return int(session.scalar(select(func.sum(Dataset.size_bytes)).where(Dataset.workspace_id == workspace_id)) or 0)


def hold(session: Session, dataset_id: str, holder: str) -> None:
    """Keep the dataset from being deleted until ``holder`` releases it."""
    session.add(DatasetHold(dataset_id=dataset_id, holder=holder))


def release(session: Session, holder: str) -> None:
    """Let go of whatever ``holder`` keeps."""
    session.execute(delete(DatasetHold).where(DatasetHold.holder == holder))


def list_holders(session: Session, dataset_id: str) -> list[str]:
    """Who keeps the dataset."""
    return list(session.scalars(select(DatasetHold.holder).where(DatasetHold.dataset_id == dataset_id).limit(5)))


def list_files(session: Session) -> Iterator[str]:
    """SHA-256 of every file of every dataset."""
    for files in session.scalars(select(Dataset.files).execution_options(yield_per=1000)):
        yield from (file["sha256"] for file in files.values())
