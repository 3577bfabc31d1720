"""``python -m service.cli`` is the same as ``fitserve``."""

from service.cli import app

app()
