"""What ``fitserve`` offers and how it explains itself. What a command does is in the module it names.

Each command imports its module when it is called: the supervisor, the API and the worker then load only what they need,
and ``fitserve --help`` answers at once.
"""

from pathlib import Path
from typing import Annotated

import typer

from service.cli import key_commands, workspace_commands
from service.cli.lineage import follow_parent
from service.cli.options import DataDir, Host, LogLevel, Port, Slots, Workers, environment_of, errors_in_one_line, read_settings
from service.settings import Settings

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
    help="Fit Keras models and serve them over HTTP.\n\n"
    "New here? 'fitserve demo' shows everything once; 'fitserve up' runs the service on this machine.",
    epilog="Every setting can also be given as an environment variable FITSERVE_<NAME> or in a file named .env.",
)

app.add_typer(key_commands.app, name="keys")
app.add_typer(workspace_commands.app, name="workspaces")


@app.callback()
def begin() -> None:
    """Prepare what every command needs."""
    follow_parent()


@app.command()
def up(
    host: Host = None,
    port: Port = None,
    workers: Workers = None,
    data_dir: DataDir = None,
    slots: Slots = None,
    log_level: LogLevel = None,
) -> None:
    """Run the whole service on this machine: the API and a worker, until Ctrl-C.

    Nothing else is needed: data, the database and trained models are kept in the data folder.
    """
    from service.cli.up import run_up

    overrides = {
        "host": host,
        "port": port,
        "workers": workers,
        "data_dir": data_dir,
        "slots": slots,
        "log_level": log_level,
    }
    with errors_in_one_line():
        raise typer.Exit(run_up(read_settings(overrides), environment_of(overrides)))


@app.command()
def api(
    host: Host = None,
    port: Port = None,
    workers: Workers = None,
    data_dir: DataDir = None,
    log_level: LogLevel = None,
) -> None:
    """Run only the HTTP API, which accepts work and answers predictions but trains nothing.

    For deployments where API and workers run on different machines or in different containers.
    """
    overrides = {"host": host, "port": port, "workers": workers, "data_dir": data_dir, "log_level": log_level}
    with errors_in_one_line():
        raise typer.Exit(_run_api_role(read_settings(overrides), environment_of(overrides)))


def _run_api_role(settings: Settings, environment: dict[str, str]) -> int:
    if settings.workers > 1:
        from service.cli.api_processes import run_api_processes

        return run_api_processes(settings, environment)
    from service.infra.metrics import count_together

    count_together()
    from service.cli.api import run_api  # after the line above, since importing it makes metrics

    return run_api(settings)


@app.command()
def worker(data_dir: DataDir = None, slots: Slots = None, log_level: LogLevel = None) -> None:
    """Run only a worker, which takes queued runs and fits them. Start as many as you have machines."""
    from service.cli.worker import run_worker_role

    overrides = {"data_dir": data_dir, "slots": slots, "log_level": log_level}
    with errors_in_one_line():
        raise typer.Exit(run_worker_role(read_settings(overrides)))


@app.command()
def migrate(data_dir: DataDir = None, log_level: LogLevel = None) -> None:
    """Bring the database to the form that this version of Fitserve needs. Run it once after every update."""
    from service.cli.migrate import run_migrate

    with errors_in_one_line():
        run_migrate(read_settings({"data_dir": data_dir, "log_level": log_level}))


@app.command()
def gc(
    data_dir: DataDir = None,
    older_than_hours: Annotated[
        float | None, typer.Option(min=0, help="Only files at least this old (default: 24; a younger one may be in use soon).")
    ] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only say what would be deleted.")] = False,
) -> None:
    """Delete files that nothing refers to. Running services do this by themselves, every hour."""
    from service.cli.collect import run_collect

    with errors_in_one_line():
        run_collect(read_settings({"data_dir": data_dir}), older_than_hours, dry_run)


@app.command()
def backup(
    archive: Annotated[Path, typer.Argument(help="The file to write, e.g. fitserve.tar; it must not exist yet.")],
    data_dir: DataDir = None,
) -> None:
    """Write the embedded database and all files into one archive, while the service runs."""
    from service.cli.backup import run_backup

    with errors_in_one_line():
        run_backup(read_settings({"data_dir": data_dir}), archive)


@app.command()
def restore(
    archive: Annotated[Path, typer.Argument(help="An archive that 'fitserve backup' has written.")],
    data_dir: DataDir = None,
) -> None:
    """Bring a backup back into an empty data folder: all of it, or nothing."""
    from service.cli.backup import run_restore

    with errors_in_one_line():
        run_restore(read_settings({"data_dir": data_dir}), archive)


@app.command()
def demo(
    data_dir: DataDir = None,
    port: Port = None,
    keep: Annotated[
        bool, typer.Option("--keep", envvar="KEEP", help="Leave the service running afterwards, to try it by hand.")
    ] = False,
) -> None:
    """Show everything once: start the service, upload data, fit a model, watch it learn, predict, stop.

    The model tells handwritten zeros from ones and is trained in about a minute.
    """
    from service.cli.demo import run_demo

    with errors_in_one_line():
        settings = read_settings({"data_dir": data_dir, "port": port})
        raise typer.Exit(run_demo(settings, is_port_chosen=port is not None, keep=keep))
