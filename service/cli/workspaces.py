"""Showing and setting quotas from the command line, which needs the database and no running service."""

from collections.abc import Mapping
from typing import get_args

from service.cli.preflight import open_database
from service.cli.tables import print_table
from service.settings import Settings
from service.usage.repository import Use, read_use
from service.workspaces import repository, service
from service.workspaces.quotas import QuotaName, Quotas

NAMES: tuple[QuotaName, ...] = get_args(QuotaName)


def run_list(settings: Settings) -> None:
    """Print every workspace with what it uses."""
    defaults = Quotas.of(settings)
    with open_database(settings) as database, database.read() as session:
        uses = [read_use(session, workspace.id, defaults) for workspace in repository.list_workspaces(session)]
    print_table([("WORKSPACE", *(_head(name) for name in NAMES)), *map(_describe, uses)])


def _describe(use: Use) -> tuple[str, ...]:
    return use.workspace, *(f"{_used(use, name)} of {_limit(use, name)}" for name in NAMES)


def run_quota(settings: Settings, name: str, own: Mapping[str, int], is_reset: bool) -> None:
    """Set a workspace's own numbers, if there are any to set, and print what it may use then."""
    with open_database(settings) as database, database.write() as session:
        workspace = repository.get_workspace_named(session, name)
        service.set_quotas(workspace, own, is_reset)
        session.flush()
        use, numbers = read_use(session, workspace.id, Quotas.of(settings)), workspace.quotas
    rows = [(_head(quota), _used(use, quota), _limit(use, quota), _source(quota, numbers)) for quota in NAMES]
    print_table([("QUOTA", "USED", "LIMIT", "SET BY"), *rows])


def _head(name: QuotaName) -> str:
    return name.replace("_", " ").upper()


def _used(use: Use, name: QuotaName) -> str:
    return "-" if name == "requests_per_minute" else str(getattr(use, name))


def _limit(use: Use, name: QuotaName) -> str:
    return str(use.limits.limit_of(name) or "no limit")


def _source(name: QuotaName, own: Mapping[str, int]) -> str:
    return "this workspace" if name in own else f"FITSERVE_MAX_{name.upper()}"
