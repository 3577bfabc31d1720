"""The listening socket and its way from parent to child."""

import os
import socket

import pytest

from service.cli.listening import SOCKET_VARIABLE, base_url, handed_over, open_listener
from service.errors import FitserveError


def test_port_zero_takes_a_free_one() -> None:
    with open_listener("127.0.0.1", 0) as listener:
        assert base_url(listener) == f"http://127.0.0.1:{listener.getsockname()[1]}"


def test_a_socket_on_every_address_is_reached_on_this_machine() -> None:
    with open_listener("0.0.0.0", 0) as listener:
        assert base_url(listener).startswith("http://127.0.0.1:")


def test_a_socket_of_the_parent_is_used_whatever_the_settings_say(monkeypatch: pytest.MonkeyPatch) -> None:
    with open_listener("127.0.0.1", 0) as parents:
        copy = socket.socket(fileno=os.dup(parents.fileno()))
        monkeypatch.setenv(SOCKET_VARIABLE, handed_over(copy)[SOCKET_VARIABLE])
        copy.detach()
        with open_listener("192.0.2.1", 1) as childs:
            assert childs.getsockname() == parents.getsockname()
    assert SOCKET_VARIABLE not in os.environ


def test_a_name_that_is_no_address_is_one_line() -> None:
    with pytest.raises(FitserveError) as failure:
        open_listener("no..name", 0)
    assert "\n" not in failure.value.message
    assert "--host" in failure.value.message
