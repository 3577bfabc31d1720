"""The listening socket and its way from parent to child."""

import os
import socket
import sys

import pytest

from service.cli.listening import (
    SIBLINGS_VARIABLE,
    SOCKET_VARIABLE,
    base_url,
    handed_over,
    inherited_siblings,
    open_listener,
    share_address,
)
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


def test_one_process_has_the_listener_to_itself() -> None:
    with open_listener("127.0.0.1", 0) as listener:
        assert share_address(listener, 1) == [listener]


@pytest.mark.skipif(sys.platform != "linux", reason="other systems do not spread connections over sockets")
def test_processes_share_an_address_that_nobody_else_can_take() -> None:
    with open_listener("127.0.0.1", 0) as listener:
        shared = share_address(listener, 3)
        assert {socket.getsockname() for socket in shared} == {listener.getsockname()}
        with pytest.raises(FitserveError, match="is taken by another program"):
            open_listener(*listener.getsockname())
        for sibling in shared[1:]:
            sibling.close()


def test_the_sockets_of_others_come_from_the_parent_once(monkeypatch: pytest.MonkeyPatch) -> None:
    with open_listener("127.0.0.1", 0) as own, open_listener("127.0.0.1", 0) as first, open_listener("127.0.0.1", 0) as second:
        copies = [socket.socket(fileno=os.dup(sibling.fileno())) for sibling in (first, second)]
        monkeypatch.setenv(SIBLINGS_VARIABLE, handed_over(own, copies)[SIBLINGS_VARIABLE])
        for copy in copies:
            copy.detach()
        inherited = inherited_siblings()
        assert [sibling.getsockname() for sibling in inherited] == [first.getsockname(), second.getsockname()]
        for sibling in inherited:
            sibling.close()
    assert inherited_siblings() == []
