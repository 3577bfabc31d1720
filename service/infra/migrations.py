"""Brings the database's schema to the one that this version of the code needs, and tells when it is another."""

from pathlib import Path

from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy.exc import SQLAlchemyError

import service
from service.errors import Conflict, Unavailable
from service.infra.database import make_engine
from service.settings import Settings

PACKAGE = Path(service.__file__).parent


class SchemaMismatch(Conflict):
    """The database has another schema than this version of the code."""


def migrations_folder() -> Path:
    """The scripts: inside the package where it is installed from a wheel, else at the top of the checkout."""
    packed = PACKAGE / "_migrations"
    return packed if packed.exists() else PACKAGE.parent / "migrations"


def alembic_config(settings: Settings) -> Config:
    """Alembic's configuration; there is no ``alembic.ini``."""
    config = Config()
    config.set_main_option("script_location", str(migrations_folder()))
    config.attributes["settings"] = settings
    return config


def head_revision() -> str:
    """The revision that this version of the code needs."""
    config = Config()
    config.set_main_option("script_location", str(migrations_folder()))
    head = ScriptDirectory.from_config(config).get_current_head()
    assert head is not None, "there is a first migration"
    return head


def current_revision(settings: Settings) -> str | None:
    """The database's revision; None for an empty one. Raises Unavailable when it cannot be reached."""
    engine = make_engine(settings)
    try:
        with engine.connect() as connection:
            return MigrationContext.configure(connection).get_current_revision()
    except SQLAlchemyError as error:
        raise Unavailable("The database does not answer. Check FITSERVE_DATABASE_URL and FITSERVE_DATA_DIR.") from error
    finally:
        engine.dispose()


def upgrade(settings: Settings) -> tuple[str | None, str]:
    """Bring the database to the newest revision; returns the revision before and after. Raises SchemaMismatch or Unavailable."""
    before = current_revision(settings)
    if before is not None and not _is_known(before):
        raise SchemaMismatch(_newer(before))
    command.upgrade(alembic_config(settings), "head")
    return before, head_revision()


def downgrade(settings: Settings, revision: str) -> None:
    """Take the database back to an earlier revision, or to ``base``."""
    command.downgrade(alembic_config(settings), revision)


def check_schema(settings: Settings) -> None:
    """Raises SchemaMismatch, with one line that says what to do, unless the database is at the revision of this code."""
    found, wanted = current_revision(settings), head_revision()
    if found == wanted:
        return
    if found is None:
        raise SchemaMismatch("The database is empty. Run 'fitserve migrate' first.")
    if _is_known(found):
        raise SchemaMismatch(
            f"The database is at revision {found}, this version needs {wanted}. Make a backup, then run 'fitserve migrate'."
        )
    raise SchemaMismatch(_newer(found))


def _is_known(revision: str) -> bool:
    config = Config()
    config.set_main_option("script_location", str(migrations_folder()))
    return any(script.revision == revision for script in ScriptDirectory.from_config(config).walk_revisions())


def _newer(revision: str) -> str:
    return f"The database is at revision {revision}, which this version does not know. Install the newer version of Fitserve."
