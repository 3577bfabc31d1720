"""The options that commands share, the settings that come of them, and errors as one line instead of a traceback."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any, Literal

import typer
from pydantic import ValidationError

from service.errors import FitserveError, Unavailable
from service.settings import Settings

EXIT_CONFIGURATION = 78
"""EX_CONFIG of sysexits.h: starting again will not help until somebody changes the configuration."""
EXIT_UNAVAILABLE = 75
"""EX_TEMPFAIL of sysexits.h: something that we need is away; starting again later may help."""

Host = Annotated[str | None, typer.Option(help="Address to listen on; 0.0.0.0 lets other machines in (default: 127.0.0.1).")]
Port = Annotated[int | None, typer.Option(help="Port to listen on; 0 takes a free one (default: 8000).")]
DataDir = Annotated[Path | None, typer.Option(help="Folder for everything that is stored (default: .fitserve).")]
Workers = Annotated[int | None, typer.Option(help="How many API processes answer, all at the one address (default: 1).")]
Slots = Annotated[int | None, typer.Option(help="How many runs the worker fits at the same time (default: 1).")]
LogLevel = Annotated[
    Literal["debug", "info", "warning", "error"] | None,
    typer.Option(help="The least severe log line to write (default: info)."),
]


def read_settings(overrides: Mapping[str, Any]) -> Settings:
    """The settings of the environment, with those given on the command line (not None) in their place.

    Raises FitserveError with one line that names every setting with an impossible value.
    """
    given = {name: value for name, value in overrides.items() if value is not None}
    try:
        return Settings(**given)
    except ValidationError as error:
        raise FitserveError("; ".join(_describe(problem, given) for problem in error.errors())) from error


def _describe(problem: Mapping[str, Any], given: Mapping[str, Any]) -> str:
    name = str(problem["loc"][0])
    source = f"--{name.replace('_', '-')}" if name in given else f"FITSERVE_{name.upper()}"
    received = "that" if name.endswith("_url") else repr(str(problem["input"]))  # an address may hold a password
    return f"{source} cannot be {received}: {problem['msg']}."


def environment_of(overrides: Mapping[str, Any]) -> dict[str, str]:
    """The command line's overrides as environment variables, so that child processes see the same settings."""
    return {f"FITSERVE_{name.upper()}": str(value) for name, value in overrides.items() if value is not None}


@contextmanager
def errors_in_one_line() -> Iterator[None]:
    """Turn an error that is meant for people into one line on standard error and exit code 78, or 75 for an outage."""
    try:
        yield
    except Unavailable as error:
        typer.echo(f"fitserve: {error.message}", err=True)
        raise typer.Exit(EXIT_UNAVAILABLE) from None
    except FitserveError as error:
        typer.echo(f"fitserve: {error.message}", err=True)
        raise typer.Exit(EXIT_CONFIGURATION) from None
