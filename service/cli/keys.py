"""Making, listing and revoking keys from the command line, which needs the database and no running service."""

import ipaddress
from datetime import datetime, timedelta

import typer
from pydantic import ValidationError

from service.cli.preflight import open_database
from service.cli.tables import print_table
from service.errors import FitserveError
from service.infra.database import Database, now
from service.settings import Settings
from service.workspaces import repository, service
from service.workspaces.schemas import KeyCreate
from service.workspaces.tables import ApiKey

TEMPORARY = timedelta(hours=1)
DEFAULT_WORKSPACE = "default"


def run_create(settings: Settings, name: str, scopes: str, workspace: str, days: int | None) -> None:
    """Make a key and print it, alone on standard output, so that a script can take it."""
    request = _read_request(name, scopes, workspace, None if days is None else now() + timedelta(days=days))
    with open_database(settings) as database:
        made = _create(database, workspace, request)
    typer.echo(
        f"Key {made.row.id} of workspace '{workspace}' allows {', '.join(made.row.scopes)}, until {_until(made.row)}. "
        "It is shown only this once:",
        err=True,
    )
    typer.echo(made.key)


def _read_request(name: str, scopes: str, workspace: str, expires_at: datetime | None) -> KeyCreate:
    try:
        KeyCreate(name=workspace)  # a workspace's name looks as a key's
        wanted = [scope.strip() for scope in scopes.split(",")]
        return KeyCreate.model_validate({"name": name, "scopes": wanted, "expires_at": expires_at})
    except ValidationError as error:
        problem = error.errors()[0]
        raise FitserveError(f"This key cannot be made: {str(problem['input'])[:80]!r}: {problem['msg']}.") from error


def _create(database: Database, workspace: str, request: KeyCreate) -> service.NewKey:
    with database.write() as session:
        return service.create(session, service.workspace_named(session, workspace).id, request)


def _until(key: ApiKey) -> str:
    return "it is revoked" if key.expires_at is None else f"{key.expires_at:%Y-%m-%d %H:%M} UTC"


def run_list(settings: Settings) -> None:
    """Print every key of every workspace, without its secret."""
    with open_database(settings) as database, database.read() as session:
        rows = [_describe(key, workspace) for key, workspace in repository.list_all(session)]
    if rows:
        print_table([("ID", "BEGINS WITH", "NAME", "WORKSPACE", "SCOPES", "LAST USED", "ENDS"), *rows])
    else:
        typer.echo("There are no keys. 'fitserve keys create NAME' makes one.")


def _describe(key: ApiKey, workspace: str) -> tuple[str, ...]:
    used = "never" if key.last_used_at is None else f"{key.last_used_at:%Y-%m-%d %H:%M}"
    return key.id, key.prefix, key.name, workspace, ",".join(key.scopes), used, _end_of(key)


def _end_of(key: ApiKey) -> str:
    if key.revoked_at is not None:
        return f"revoked {key.revoked_at:%Y-%m-%d %H:%M}"
    return "never" if key.expires_at is None else f"{key.expires_at:%Y-%m-%d %H:%M}"


def run_revoke(settings: Settings, name: str) -> None:
    """Let the key with this id or beginning open nothing any more."""
    with open_database(settings) as database, database.write() as session:
        key = repository.get_key_anywhere(session, name)
        service.revoke(key)
        typer.echo(f"Key {key.id} ('{key.name}') is revoked: within a second it opens nothing any more.")


def temporary_key(settings: Settings, name: str) -> str | None:
    """A key that ends by itself within the hour; None where the service asks for none."""
    with open_database(settings) as database:
        if not (settings.require_keys or _has_keys(database)):
            return None
        request = KeyCreate(name=name, scopes=["read", "train", "predict"], expires_at=now() + TEMPORARY)
        return _create(database, DEFAULT_WORKSPACE, request).key


def refuse_open_door(settings: Settings, address: str) -> None:
    """Raise FitserveError when other machines could use a service that asks nobody for a key.

    ``address``: the numeric address that it listens on.
    """
    if settings.require_keys or ipaddress.ip_address(address).is_loopback:
        return
    with open_database(settings) as database:
        if _has_keys(database):
            return
    raise FitserveError(
        f"Other machines can reach {address}, and there is no API key yet, so everybody could use everything. Run 'fitserve "
        "keys create NAME' first, set FITSERVE_REQUIRE_KEYS=true, or listen on 127.0.0.1."
    )


def _has_keys(database: Database) -> bool:
    with database.read() as session:
        return repository.has_keys(session)
