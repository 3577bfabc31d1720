"""What must hold before a role starts: a data folder that can be written, a database in the form that we expect."""

import os
import tempfile
from pathlib import Path

from service.errors import FitserveError
from service.infra.migrations import check_schema, current_revision, upgrade
from service.settings import Settings


def check_role(settings: Settings) -> None:
    """Raise FitserveError with one line when an API or a worker could not work here."""
    prepare_data_dir(settings.data_dir)
    check_schema(settings)


def prepare_data_dir(folder: Path) -> None:
    """Make the folder if it is missing. Raises FitserveError when it cannot be made or written."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as error:
        reason = os.strerror(error.errno) if error.errno else str(error)
        raise FitserveError(
            f"The data folder {str(folder)!r} cannot be written: {reason}. Choose another with --data-dir."
        ) from error


def prepare_database(settings: Settings) -> None:
    """Give a new embedded database its tables; any other must be in the right form already."""
    if settings.is_embedded and current_revision(settings) is None:
        upgrade(settings)
    check_schema(settings)
