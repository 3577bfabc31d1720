"""Log lines: stable event names with fields, for people or for machines."""

import logging
import sys
from typing import Any

import structlog

from service.infra.telemetry import add_trace_id
from service.settings import Settings


def configure_logging(settings: Settings) -> None:
    """Send the logs of this process, also those of libraries, to standard error in the configured form."""
    shared: list[Any] = [
        structlog.contextvars.merge_contextvars,
        add_trace_id,
        structlog.stdlib.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
    ]
    is_json = settings.log_format == "json"
    renderer: Any = structlog.processors.JSONRenderer() if is_json else _console_renderer()
    structlog.configure(
        processors=[*shared, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
        cache_logger_on_first_use=True,
    )
    handler = logging.StreamHandler(sys.stderr)
    finish = [structlog.stdlib.ProcessorFormatter.remove_processors_meta, renderer]
    if is_json:
        finish.insert(1, structlog.processors.format_exc_info)
    handler.setFormatter(structlog.stdlib.ProcessorFormatter(foreign_pre_chain=shared, processors=finish))
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(settings.log_level.upper())
    for noisy in ("celery", "kombu", "httpx", "alembic", "uvicorn.access"):
        logging.getLogger(noisy).setLevel("WARNING")


def _console_renderer() -> structlog.dev.ConsoleRenderer:
    # The default formatter prints all local variables, secrets among them.
    return structlog.dev.ConsoleRenderer(colors=False, exception_formatter=structlog.dev.plain_traceback)


def get_logger(name: str) -> structlog.stdlib.BoundLogger:
    """The logger of a module."""
    logger: structlog.stdlib.BoundLogger = structlog.get_logger(name)
    return logger
