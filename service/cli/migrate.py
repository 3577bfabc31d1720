"""Bringing the database up to date, and saying what was done."""

import typer

from service.cli.preflight import prepare_data_dir
from service.infra.migrations import upgrade
from service.settings import Settings


def run_migrate(settings: Settings) -> None:
    """Upgrade the configured database and print from which revision to which."""
    if settings.is_embedded:
        prepare_data_dir(settings.data_dir)
    before, after = upgrade(settings)
    if before == after:
        typer.echo(f"The database is up to date, at revision {after}.")
    else:
        typer.echo(f"The database went from {before or 'empty'} to revision {after}.")
