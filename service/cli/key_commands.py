"""``fitserve keys``: what its commands offer and how they explain themselves."""

from typing import Annotated

import typer

from service.cli.options import DataDir, errors_in_one_line, read_settings

app = typer.Typer(no_args_is_help=True, help="Make, list and revoke API keys. From the first one on, every request needs one.")


@app.command()
def create(
    name: Annotated[str, typer.Argument(help="A name for people: who uses the key, or what for.")],
    scopes: Annotated[
        str, typer.Option(help="What it allows, with commas: read, train, predict, admin (all, and the workspace's keys).")
    ] = "read,train,predict",
    workspace: Annotated[str, typer.Option(help="Workspace whose data it opens; made when it is first named.")] = "default",
    days: Annotated[int | None, typer.Option(min=1, max=36500, help="Days until it ends by itself (default: never).")] = None,
    data_dir: DataDir = None,
) -> None:
    """Make a key and print it, this once."""
    from service.cli.keys import run_create

    with errors_in_one_line():
        run_create(read_settings({"data_dir": data_dir}), name, scopes, workspace, days)


@app.command("list")
def list_(data_dir: DataDir = None) -> None:
    """Show every key without its secret: what it allows, when it was last used, when it ends."""
    from service.cli.keys import run_list

    with errors_in_one_line():
        run_list(read_settings({"data_dir": data_dir}))


@app.command()
def revoke(
    key: Annotated[str, typer.Argument(help="Id of the key, or how it begins, as 'fitserve keys list' shows them.")],
    data_dir: DataDir = None,
) -> None:
    """Let a key open nothing any more; running services notice within a second."""
    from service.cli.keys import run_revoke

    with errors_in_one_line():
        run_revoke(read_settings({"data_dir": data_dir}), key)
