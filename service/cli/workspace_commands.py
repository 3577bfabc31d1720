"""``fitserve workspaces``: what its commands offer and how they explain themselves."""

from typing import Annotated, Any

import typer

from service.cli.options import DataDir, errors_in_one_line, read_settings

app = typer.Typer(no_args_is_help=True, help="Show what workspaces use, and set what each of them may use.")
MAX_NUMBER = 2**53
"""Beyond it JSON's numbers are no longer exact."""


def _limit(what: str) -> Any:
    return typer.Option(min=0, max=MAX_NUMBER, help=f"{what}; 0 is no limit.")


@app.command("list")
def list_(data_dir: DataDir = None) -> None:
    """Show what every workspace uses of each quota, and how much it may use."""
    from service.cli.workspaces import run_list

    with errors_in_one_line():
        run_list(read_settings({"data_dir": data_dir}))


@app.command()
def quota(
    name: Annotated[str, typer.Argument(help="Name of the workspace.")],
    stored_bytes: Annotated[int | None, _limit("Bytes of datasets, files of runs and versions, and snapshots")] = None,
    queued_runs: Annotated[int | None, _limit("Runs that wait")] = None,
    running_runs: Annotated[int | None, _limit("Runs that are fitted; more of them wait")] = None,
    epoch_rows: Annotated[int | None, _limit("Epochs times rows of the fits of 24 hours")] = None,
    requests_per_minute: Annotated[int | None, _limit("Requests in a minute, predictions included")] = None,
    reset: Annotated[bool, typer.Option("--reset", help="First forget the numbers that it has of its own.")] = False,
    data_dir: DataDir = None,
) -> None:
    """Give a workspace numbers of its own in place of the settings, and show them; services follow within a second."""
    from service.cli.workspaces import run_quota

    numbers = {
        "stored_bytes": stored_bytes,
        "queued_runs": queued_runs,
        "running_runs": running_runs,
        "epoch_rows": epoch_rows,
        "requests_per_minute": requests_per_minute,
    }
    own = {quota: number for quota, number in numbers.items() if number is not None}
    with errors_in_one_line():
        run_quota(read_settings({"data_dir": data_dir}), name, own, reset)
