"""What the README says of the settings is so."""

import re
from pathlib import Path

from service.settings import Settings

README = (Path(__file__).parents[3] / "README.md").read_text()


def test_every_setting_has_a_line_in_the_table_and_no_other():
    named = re.findall(r"^\| `([A-Z_]+)` \|", README, re.MULTILINE)
    assert named == [name.upper() for name in Settings.model_fields]


def test_the_documents_that_it_names_are_there():
    for target in re.findall(r"\]\(([\w./-]+)\)", README):
        assert (Path(__file__).parents[3] / target).exists(), target
