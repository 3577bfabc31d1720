"""What must hold before a role starts: a data folder that can be written, a database in the form that we expect."""

import fcntl
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from service.errors import FitserveError
from service.infra.confinement import missing
from service.infra.database import Database, make_engine
from service.infra.logging import get_logger
from service.infra.migrations import check_schema, current_revision, upgrade
from service.settings import Settings

log = get_logger(__name__)


def check_role(settings: Settings) -> None:
    """Raise FitserveError with one line when an API or a worker could not work here."""
    prepare_data_dir(settings.data_dir)
    check_schema(settings)


def tell_of_missing_confinement() -> None:
    """Say in the log, once for each process, why the kernel does not keep its children to themselves, or not wholly."""
    if reason := missing():
        log.warning("children.not_confined", reason=reason)


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
    if settings.is_embedded:
        with _one_at_a_time(settings.data_dir / "migrate.lock"):
            if current_revision(settings) is None:
                upgrade(settings)
    check_schema(settings)


@contextmanager
def open_database(settings: Settings) -> Iterator[Database]:
    """The database of a command that needs no running service; made where it is the embedded one and missing."""
    if settings.is_embedded:
        prepare_data_dir(settings.data_dir)
    prepare_database(settings)
    database = Database(make_engine(settings))
    try:
        yield database
    finally:
        database.close()


@contextmanager
def _one_at_a_time(lock: Path) -> Iterator[None]:
    """Make other processes that come here with the same lock file wait; the kernel frees it if we are killed."""
    with lock.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield
