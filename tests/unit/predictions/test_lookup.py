import asyncio
import threading

import pytest

from service.errors import NotFound, Unavailable
from service.infra.scratch import Scratch
from service.predictions import lookup as lookup_module
from service.predictions.engines import Engines
from service.predictions.lookup import Lookup
from service.serving.sidecar import Sidecar
from service.serving.workbench import Workbench
from service.settings import Settings
from tests.fakes.versions import WORKSPACE, FakeVersions

pytestmark = pytest.mark.anyio
OTHER_WEIGHTS = [[3.0], [4.0]]


class Clock:
    """Seconds that pass when the test says so."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def lookup(versions: FakeVersions, clock: Clock, scratch: Scratch) -> Lookup:
    return Lookup(versions, Engines(Settings(), versions.artifacts, Workbench(), Sidecar(60, scratch)), clock)


async def number_of(lookup: Lookup, selector: int | str | None = None, model: str = "my_model") -> int:
    return (await lookup.find(WORKSPACE, model, selector)).version.number


async def settle() -> None:
    """Let background work go on that needs no more than threads."""
    for _ in range(80):
        await asyncio.sleep(0.005)


async def test_the_source_is_asked_once_for_many_requests(lookup: Lookup, versions: FakeVersions) -> None:
    versions.publish()

    await asyncio.gather(*(number_of(lookup) for _ in range(50)))
    await number_of(lookup)

    assert versions.questions == 1


async def test_an_answer_is_refreshed_in_the_background_before_it_is_stale(
    lookup: Lookup, versions: FakeVersions, clock: Clock
) -> None:
    versions.publish()
    await number_of(lookup)
    clock.now += 0.3

    await number_of(lookup)
    await settle()
    clock.now += 0.2
    await number_of(lookup)

    assert versions.questions == 2


async def test_a_new_version_answers_once_it_is_warm_and_the_old_one_until_then(
    lookup: Lookup, versions: FakeVersions, clock: Clock
) -> None:
    versions.publish()
    await number_of(lookup)
    versions.publish(weights=OTHER_WEIGHTS)
    versions.artifacts.delay_seconds = 0.05
    clock.now += 0.6

    before = await number_of(lookup)
    await settle()

    assert (before, await number_of(lookup)) == (1, 2)


async def test_a_name_that_moved_back_while_loading_stays_where_it_is(
    lookup: Lookup, versions: FakeVersions, clock: Clock
) -> None:
    versions.publish()
    versions.publish(weights=OTHER_WEIGHTS)
    seen = []
    versions.artifacts.delay_seconds = 0.05
    for number in (1, 2, 1):
        versions.aliases["my_model", "production"] = number
        clock.now += 0.6
        seen.append(await number_of(lookup, "production"))
    await settle()

    assert [*seen, await number_of(lookup, "production")] == [1, 1, 1, 1]


async def test_a_version_that_cannot_be_loaded_leaves_the_old_one_in_place_until_it_can(
    lookup: Lookup, versions: FakeVersions, clock: Clock
) -> None:
    versions.publish()
    await number_of(lookup)
    new = versions.publish(weights=OTHER_WEIGHTS)
    content = versions.artifacts.files.pop(new.onnx_sha256 or "")
    seen = []
    for _ in range(2):
        clock.now += 0.6
        await number_of(lookup)
        await settle()
        seen.append(await number_of(lookup))
        versions.artifacts.put(content)

    assert seen == [1, 2]


async def test_two_versions_that_do_not_fit_into_the_cache_together_still_switch(
    versions: FakeVersions, clock: Clock, scratch: Scratch
) -> None:
    lookup = Lookup(
        versions,
        Engines(Settings().model_copy(update={"engine_cache_bytes": 1}), versions.artifacts, Workbench(), Sidecar(60, scratch)),
        clock,
    )
    versions.publish()
    await number_of(lookup)
    versions.publish(weights=OTHER_WEIGHTS)
    clock.now += 0.6

    await number_of(lookup)
    await settle()

    assert await number_of(lookup) == 2


async def test_what_is_missing_is_remembered_for_a_moment_only(lookup: Lookup, versions: FakeVersions, clock: Clock) -> None:
    for _ in range(2):
        with pytest.raises(NotFound):
            await number_of(lookup)
    versions.publish()
    clock.now += 0.5

    assert await number_of(lookup) == 1
    assert versions.questions == 2


async def test_a_deleted_model_is_gone_within_half_a_second(lookup: Lookup, versions: FakeVersions, clock: Clock) -> None:
    versions.publish()
    await number_of(lookup)
    versions.remove("my_model")
    clock.now += 0.5

    with pytest.raises(NotFound):
        await number_of(lookup)


async def test_a_known_version_answers_while_the_source_is_away(lookup: Lookup, versions: FakeVersions, clock: Clock) -> None:
    versions.publish()
    await number_of(lookup)
    versions.is_away = True
    clock.now += 10

    assert await number_of(lookup) == 1
    with pytest.raises(Unavailable):
        await number_of(lookup, model="other")


async def test_made_up_names_do_not_fill_the_memory(
    lookup: Lookup, versions: FakeVersions, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lookup_module, "MAX_ENTRIES", 10)
    for number in range(30):
        with pytest.raises(NotFound):
            await number_of(lookup, model=f"made-up-{number}")

    assert len(lookup._entries) == 10


async def test_a_slow_source_does_not_block_the_event_loop(
    lookup: Lookup, versions: FakeVersions, monkeypatch: pytest.MonkeyPatch
) -> None:
    versions.publish()
    may_answer = threading.Event()
    resolve = versions.resolve

    def resolve_late(workspace_id: str, model: str, selector: int | str | None) -> object:
        assert may_answer.wait(5)
        return resolve(workspace_id, model, selector)

    monkeypatch.setattr(versions, "resolve", resolve_late)
    finding = asyncio.create_task(number_of(lookup))
    await asyncio.sleep(0.02)  # only a free event loop comes back from here

    may_answer.set()
    assert await finding == 1


async def test_a_cancelled_request_does_not_cancel_the_others(lookup: Lookup, versions: FakeVersions) -> None:
    versions.publish()
    versions.artifacts.delay_seconds = 0.05
    first, second = (asyncio.create_task(number_of(lookup)) for _ in range(2))
    await asyncio.sleep(0.01)

    first.cancel()

    assert await second == 1


async def test_after_a_quiet_time_the_first_answer_is_of_the_newest_version(
    lookup: Lookup, versions: FakeVersions, clock: Clock
) -> None:
    versions.publish()
    await number_of(lookup)
    versions.publish(weights=OTHER_WEIGHTS)
    clock.now += 60

    assert await number_of(lookup) == 2
