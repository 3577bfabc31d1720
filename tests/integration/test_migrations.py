"""The migrations make what the tables say, on both databases, and take it away again."""

import pytest
from alembic import command
from alembic.util.exc import CommandError
from sqlalchemy import create_engine, inspect, text

from service.infra.database import Database
from service.infra.migrations import (
    SchemaMismatch,
    alembic_config,
    check_schema,
    current_revision,
    downgrade,
    head_revision,
    upgrade,
)
from service.settings import Settings
from service.workspaces.tables import DEFAULT_WORKSPACE_ID, Workspace


def test_an_empty_database_is_brought_to_the_newest_revision(empty_settings: Settings) -> None:
    assert current_revision(empty_settings) is None
    assert upgrade(empty_settings) == (None, head_revision())
    check_schema(empty_settings)


def test_a_second_upgrade_changes_nothing(settings: Settings) -> None:
    assert upgrade(settings) == (head_revision(), head_revision())


def test_the_tables_are_those_that_the_code_declares(settings: Settings) -> None:
    try:
        command.check(alembic_config(settings))
    except CommandError as difference:
        pytest.fail(str(difference))


def test_a_downgrade_to_the_start_leaves_nothing(settings: Settings) -> None:
    downgrade(settings, "base")
    engine = create_engine(settings.resolved_database_url)
    assert set(inspect(engine).get_table_names()) <= {"alembic_version"}
    engine.dispose()
    assert current_revision(settings) is None


def test_an_upgrade_works_again_after_a_downgrade(settings: Settings) -> None:
    downgrade(settings, "base")
    upgrade(settings)
    check_schema(settings)


def test_the_default_workspace_is_there(database: Database) -> None:
    with database.read() as session:
        assert session.get_one(Workspace, DEFAULT_WORKSPACE_ID).name == "default"


def test_an_empty_database_is_refused_with_the_command_that_helps(empty_settings: Settings) -> None:
    with pytest.raises(SchemaMismatch, match="fitserve migrate"):
        check_schema(empty_settings)


def test_a_database_of_a_newer_version_is_refused_and_left_alone(settings: Settings, database: Database) -> None:
    with database.write() as session:
        session.execute(text("UPDATE alembic_version SET version_num = 'from_the_future'"))
    with pytest.raises(SchemaMismatch, match="newer version of Fitserve"):
        upgrade(settings)
    assert current_revision(settings) == "from_the_future"
