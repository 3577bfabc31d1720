"""Keeps spreadsheets from computing what a CSV file only says. Source: OWASP, CSV injection."""

import re

FORMULA = r"^[=+\-@\t\r]"
"""How a text begins that a spreadsheet would compute."""
_FORMULA = re.compile(FORMULA)


def harmless(text: str) -> str:
    """The text, behind an apostrophe where it begins like a formula."""
    return f"'{text}" if _FORMULA.match(text) else text
