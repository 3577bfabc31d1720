"""Keys on the command line, and the door that stays closed without one."""

import re
from pathlib import Path

import pytest

from service.workspaces.keys import is_key
from tests.unit.cli.test_commands import fitserve, only_line


def test_a_new_key_is_alone_on_standard_output(tmp_path: Path) -> None:
    made = fitserve("keys", "create", "me", "--scopes", "read,predict", "--days", "9", cwd=tmp_path)

    assert made.returncode == 0
    assert is_key(made.stdout.removesuffix("\n").encode())
    assert "workspace 'default'" in made.stderr
    assert "only this once" in made.stderr


def test_keys_are_listed_without_their_secrets_and_stay_when_they_are_revoked(tmp_path: Path) -> None:
    key = fitserve("keys", "create", "me", "--workspace", "team", cwd=tmp_path).stdout.strip()
    revoked = fitserve("keys", "revoke", key[:15], cwd=tmp_path)
    listed = fitserve("keys", "list", cwd=tmp_path).stdout

    assert "is revoked" in revoked.stdout
    assert re.search(rf"^key_\w+  {key[:15]}  me    team       predict,read,train  never      revoked \d", listed, re.MULTILINE)
    assert key[16:] not in listed


def test_a_list_without_keys_says_how_to_make_one(tmp_path: Path) -> None:
    assert "fitserve keys create" in fitserve("keys", "list", cwd=tmp_path).stdout


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        (["create", "me", "--scopes", "everything"], "'everything'"),
        (["create", "a/b"], "'a/b'"),
        (["create", "me", "--workspace", "a b"], "'a b'"),
        (["revoke", "key_1"], "There is no key 'key_1'"),
    ],
)
def test_a_mistake_is_one_line(arguments: list[str], reason: str, tmp_path: Path) -> None:
    assert reason in only_line(fitserve("keys", *arguments, cwd=tmp_path))


@pytest.mark.parametrize("command", [["up"], ["api"], ["api", "--workers", "2"]])
def test_nobody_listens_to_other_machines_without_a_key(command: list[str], tmp_path: Path) -> None:
    fitserve("migrate", cwd=tmp_path)
    line = only_line(fitserve(*command, "--host", "0.0.0.0", "--port", "0", cwd=tmp_path))

    assert line.startswith("fitserve: Other machines can reach 0.0.0.0, and there is no API key yet")
    assert "'fitserve keys create NAME'" in line
