"""``fitserve gc``: deletes files that nothing refers to, once."""

import typer

from service.cli.preflight import check_role
from service.infra.artifacts import make_artifact_store
from service.infra.database import Database, make_engine
from service.infra.scratch import remove_dead
from service.runs.garbage import collect_garbage
from service.settings import Settings


def run_collect(settings: Settings, age_hours: float | None, is_dry_run: bool) -> None:
    """Collect garbage and say how much there was. Raises FitserveError."""
    check_role(settings)
    age_seconds = settings.gc_age_seconds if age_hours is None else age_hours * 3600
    database = Database(make_engine(settings))
    try:
        collected = collect_garbage(database, make_artifact_store(settings), age_seconds, is_dry_run)
    finally:
        database.close()
    if not is_dry_run:
        remove_dead(settings.scratch_folder)
    verb = "Would delete" if is_dry_run else "Deleted"
    typer.echo(
        f"{verb} {collected.files} files ({collected.size_bytes / 1024**2:.1f} MiB) "
        f"that are older than {age_seconds / 3600:g} hours and that nothing refers to."
    )
