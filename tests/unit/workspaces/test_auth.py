"""What a request brings, and what it needs."""

import pytest

from service.workspaces.auth import key_in, needed_scope
from service.workspaces.errors import MissingScope
from service.workspaces.states import Caller


@pytest.mark.parametrize(
    ("headers", "key"),
    [
        ([], b""),
        ([(b"authorization", b"Bearer one")], b"one"),
        ([(b"authorization", b"bearer  one ")], b"one"),
        ([(b"x-api-key", b"two")], b"two"),
        ([(b"x-api-key", b"two"), (b"authorization", b"Bearer one")], b"one"),
        ([(b"authorization", b"Basic dXNlcjpwYXNz"), (b"x-api-key", b"two")], b"two"),
        ([(b"authorization", b"Bearer")], b""),
    ],
)
def test_a_key_comes_as_bearer_token_or_in_its_own_header(headers: list[tuple[bytes, bytes]], key: bytes) -> None:
    assert key_in({"type": "http", "headers": headers}) == key


@pytest.mark.parametrize(
    ("method", "path", "scope"),
    [
        ("GET", "/api/runs", "read"),
        ("HEAD", "/api/runs", "read"),
        ("POST", "/api/runs", "train"),
        ("DELETE", "/api/datasets/ds_1", "train"),
        ("GET", "/api/no/such/path", "read"),
        ("GET", "/api/keys", "admin"),
        ("DELETE", "/api/keys/key_1", "admin"),
        ("GET", "/metrics", "admin"),
        ("GET", "/livez", None),
        ("GET", "/readyz", None),
        ("GET", "/docs", None),
        ("GET", "/openapi.json", None),
    ],
)
def test_method_and_path_say_what_a_key_must_allow(method: str, path: str, scope: str | None) -> None:
    assert needed_scope(method, path) == scope


def test_a_scope_allows_itself_and_admin_allows_all() -> None:
    Caller("ws_1", frozenset({"train"})).require("train")
    Caller("ws_1", frozenset({"admin"})).require("predict")
    with pytest.raises(MissingScope, match="'read'"):
        Caller("ws_1", frozenset({"train"})).require("read")
