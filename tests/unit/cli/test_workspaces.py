"""Quotas on the command line."""

import re
from pathlib import Path

import pytest

from tests.unit.cli.test_commands import fitserve, only_line


def test_workspaces_are_listed_with_what_they_use_and_may_use(tmp_path: Path) -> None:
    fitserve("keys", "create", "me", "--workspace", "team", cwd=tmp_path)
    fitserve("workspaces", "quota", "team", "--queued-runs", "7", cwd=tmp_path)

    listed = fitserve("workspaces", "list", cwd=tmp_path).stdout

    assert re.search(r"^default +0 of no limit +0 of 20000 ", listed, re.MULTILINE)
    assert re.search(r"^team +0 of no limit +0 of 7 ", listed, re.MULTILINE)


def test_own_numbers_are_added_to_those_that_are_there_until_they_are_reset(tmp_path: Path) -> None:
    fitserve("workspaces", "quota", "default", "--stored-bytes", "1000", cwd=tmp_path)
    both = fitserve("workspaces", "quota", "default", "--epoch-rows", "50", cwd=tmp_path).stdout
    only = fitserve("workspaces", "quota", "default", "--reset", "--requests-per-minute", "0", cwd=tmp_path).stdout

    assert re.search(r"^STORED BYTES +0 +1000 +this workspace$", both, re.MULTILINE)
    assert re.search(r"^EPOCH ROWS +0 +50 +this workspace$", both, re.MULTILINE)
    assert re.search(r"^STORED BYTES +0 +no limit +FITSERVE_MAX_STORED_BYTES$", only, re.MULTILINE)
    assert re.search(r"^REQUESTS PER MINUTE +- +no limit +this workspace$", only, re.MULTILINE)


@pytest.mark.parametrize(
    ("arguments", "reason"), [(["quota", "nobody"], "There is no workspace 'nobody'"), (["quota", "a/b"], "'a/b'")]
)
def test_an_unknown_workspace_is_one_line(arguments: list[str], reason: str, tmp_path: Path) -> None:
    assert reason in only_line(fitserve("workspaces", *arguments, cwd=tmp_path))
