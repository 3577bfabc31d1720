"""What is remembered of a key, and for how long."""

import asyncio
from datetime import timedelta

import pytest

from service.errors import Unavailable
from service.infra.database import now
from service.workspaces.authenticator import REFRESH_AFTER_SECONDS, STALE_AFTER_SECONDS, Authenticator
from service.workspaces.errors import NotIdentified
from service.workspaces.keys import new_key
from service.workspaces.states import Caller
from tests.fakes.keys import FakeKeys

pytestmark = pytest.mark.anyio
KEY = new_key().encode()
CALLER = Caller("ws_1", frozenset({"read"}), "key_1")


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


class Clock:
    """A clock that a test moves."""

    def __init__(self) -> None:
        self.seconds = 100.0

    def __call__(self) -> float:
        return self.seconds


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def keys() -> FakeKeys:
    return FakeKeys("ws_1", {KEY: CALLER})


@pytest.fixture
def authenticator(keys: FakeKeys, clock: Clock) -> Authenticator:
    return Authenticator(keys, clock)


async def settle(keys: FakeKeys, questions: int) -> None:
    """Wait until the source has been asked so often."""
    while len(keys.questions) < questions:
        await asyncio.sleep(0.001)
    await asyncio.sleep(0.01)


async def test_a_key_is_asked_for_once_and_then_known_at_once(authenticator: Authenticator, keys: FakeKeys) -> None:
    assert authenticator.recall(KEY) is None

    assert await authenticator.identify(KEY) == CALLER

    assert authenticator.recall(KEY) == CALLER
    assert keys.questions == [KEY]


async def test_many_requests_with_a_new_key_ask_once(authenticator: Authenticator, keys: FakeKeys) -> None:
    callers = await asyncio.gather(*(authenticator.identify(KEY) for _ in range(50)))

    assert set(callers) == {CALLER}
    assert keys.questions == [KEY]


async def test_a_revoked_key_is_refused_before_a_second_is_over(
    authenticator: Authenticator, keys: FakeKeys, clock: Clock
) -> None:
    await authenticator.identify(KEY)
    keys.callers.clear()

    clock.seconds += STALE_AFTER_SECONDS

    assert STALE_AFTER_SECONDS < 1
    assert authenticator.recall(KEY) is None
    with pytest.raises(NotIdentified):
        await authenticator.identify(KEY)


async def test_a_key_in_use_is_asked_for_again_beside_its_requests(
    authenticator: Authenticator, keys: FakeKeys, clock: Clock
) -> None:
    await authenticator.identify(KEY)
    clock.seconds += REFRESH_AFTER_SECONDS

    assert authenticator.recall(KEY) is None
    assert await authenticator.identify(KEY) == CALLER
    await settle(keys, questions=2)

    assert authenticator.recall(KEY) == CALLER


@pytest.mark.parametrize(
    "text",
    [b"", b"secret", b"fs_short", b"fs_\xff" + KEY[4:], KEY + b"\n", KEY[:-1]],
    ids=["empty", "word", "short", "no ASCII", "line", "cut"],  # the key itself is another in every process
)
async def test_what_has_not_the_form_of_a_key_counts_as_none(authenticator: Authenticator, keys: FakeKeys, text: bytes) -> None:
    with pytest.raises(NotIdentified):
        await authenticator.identify(text)

    assert keys.questions == [b""]


async def test_a_known_key_goes_on_through_an_outage(authenticator: Authenticator, keys: FakeKeys, clock: Clock) -> None:
    await authenticator.identify(KEY)
    keys.is_away = True
    clock.seconds += 10

    assert await authenticator.identify(KEY) == CALLER


async def test_an_unknown_key_is_not_let_in_by_an_outage(authenticator: Authenticator, keys: FakeKeys) -> None:
    keys.is_away = True

    with pytest.raises(Unavailable):
        await authenticator.identify(KEY)


async def test_a_key_that_expires_during_an_outage_ends(authenticator: Authenticator, keys: FakeKeys, clock: Clock) -> None:
    keys.callers[KEY] = Caller("ws_1", frozenset(), "key_1", expires_at=now() - timedelta(seconds=1))
    await authenticator.identify(KEY)
    keys.is_away = True
    clock.seconds += 10

    with pytest.raises(Unavailable):
        await authenticator.identify(KEY)


async def test_a_use_is_noted_where_the_last_note_is_old(authenticator: Authenticator, keys: FakeKeys, clock: Clock) -> None:
    keys.callers[KEY] = Caller("ws_1", frozenset(), "key_1", is_use_due=True)
    await authenticator.identify(KEY)
    while not keys.noted:
        await asyncio.sleep(0.001)
    keys.callers[KEY] = CALLER
    clock.seconds += 10
    await authenticator.identify(KEY)
    await asyncio.sleep(0.01)

    assert keys.noted == ["key_1"]


async def test_keys_that_are_made_up_do_not_fill_the_memory(
    authenticator: Authenticator, keys: FakeKeys, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("service.workspaces.authenticator.MAX_ENTRIES", 2)
    await authenticator.identify(KEY)
    for _ in range(3):
        with pytest.raises(NotIdentified):
            await authenticator.identify(new_key().encode())

    assert authenticator.recall(KEY) is None
    assert await authenticator.identify(KEY) == CALLER
