"""What can be wrong with a dataset."""

from service.errors import Conflict, NotFound


class DatasetNotFound(NotFound):
    """No dataset with this id."""

    def __init__(self, dataset_id: str) -> None:
        super().__init__(f"There is no dataset '{dataset_id[:80]}'. GET /api/datasets lists them.")


class DatasetInUse(Conflict):
    """A queued or running run needs the dataset."""

    def __init__(self, dataset_id: str, holders: list[str]) -> None:
        super().__init__(
            f"Dataset '{dataset_id}' is in use by {', '.join(holders)}. Wait until they end, or cancel them, then delete it."
        )
