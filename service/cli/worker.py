"""The worker role, started only where it can work."""

from service.cli.preflight import check_role, tell_of_missing_confinement
from service.infra.logging import configure_logging
from service.settings import Settings
from service.worker.app import run_worker


def run_worker_role(settings: Settings) -> int:
    """Take and fit runs until SIGTERM or SIGINT; the exit code."""
    check_role(settings)
    configure_logging(settings)
    tell_of_missing_confinement()
    return run_worker(settings)
