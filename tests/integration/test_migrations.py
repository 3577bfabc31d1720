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


OLD_RUN = """
INSERT INTO runs (id, workspace_id, kind, state, phase, model, revision, definition, compile, dataset_id, dataset_files,
                  features, fit, seed, priority, device, wants_version, attempt, failures, owner, lease_until, not_before,
                  last_event, epoch, step, created_at)
VALUES ('{id}', 'ws_default', 'fit', '{state}', 'waiting', 'm', 1, '{{}}', '{{}}', 'ds_1', '{{}}', '{{}}', '{{}}', 1, 0,
        'any', true, 1, 0, {owner}, {lease}, 0, 1, 0, 0, '2026-01-01 00:00:00')
"""


def test_an_upgrade_keeps_the_runs_of_an_older_version(empty_settings: Settings) -> None:
    command.upgrade(alembic_config(empty_settings), "0001")
    engine = create_engine(empty_settings.resolved_database_url)
    with engine.begin() as connection:
        connection.execute(text(OLD_RUN.format(id="run_1", state="queued", owner="NULL", lease="NULL")))
        connection.execute(text(OLD_RUN.format(id="run_2", state="running", owner="'wrk_1'", lease="1")))
        connection.execute(
            text("INSERT INTO epochs (run_id, number, metrics, seconds, created_at) VALUES ('run_2', 1, '{}', 1, '2026-01-01')")
        )
        connection.execute(
            text(
                "INSERT INTO run_artifacts (run_id, name, sha256, size_bytes, media_type) "
                "VALUES ('run_2', 'a', 'b', 7, 'c'), ('run_2', 'd', 'e', 5, 'f')"
            )
        )
    upgrade(empty_settings)
    with engine.connect() as connection:
        kept = connection.execute(text("SELECT id, stored_bytes, counted_epochs FROM runs ORDER BY id")).all()
        assert kept == [("run_1", 0, 0), ("run_2", 12, 0)]
        queued = connection.execute(text("SELECT id, queued_at IS NOT NULL FROM runs ORDER BY id")).all()
        assert [(run_id, bool(waits)) for run_id, waits in queued] == [("run_1", True), ("run_2", False)]
        assert connection.execute(text("SELECT run_id, number FROM run_attempts")).all() == [("run_2", 1)]
        assert connection.execute(text("SELECT run_id, number FROM epochs")).all() == [("run_2", 1)]
    engine.dispose()


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
