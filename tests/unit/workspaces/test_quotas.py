"""What a workspace may use, and how it is told that this is too much."""

import pytest

from service.settings import Settings
from service.workspaces.errors import QUOTA_WORDS, QuotaExceeded
from service.workspaces.quotas import Quotas


def never() -> int:
    raise AssertionError("what has no limit need not be counted")


def quotas(**own: int) -> Quotas:
    return Quotas.of(Settings()).with_own(own)


def test_the_settings_say_what_holds_where_a_workspace_has_no_number_of_its_own() -> None:
    found = Quotas.of(Settings(max_stored_bytes=5, max_queued_runs=6)).with_own({"stored_bytes": 7})
    assert (found.stored_bytes, found.queued_runs) == (7, 6)


def test_what_has_no_limit_is_not_even_counted() -> None:
    quotas().require("epoch_rows", never, 10**15)


def test_what_needs_nothing_is_let_in_though_everything_is_used_up() -> None:
    quotas(epoch_rows=1).require("epoch_rows", never, 0)


def test_a_quota_may_be_used_up_to_its_limit() -> None:
    quotas(stored_bytes=100).require("stored_bytes", lambda: 60, 40)
    with pytest.raises(QuotaExceeded, match="60 of 100 bytes are used, and this needs 41 more"):
        quotas(stored_bytes=100).require("stored_bytes", lambda: 60, 41)


def test_a_refusal_says_when_to_come_back() -> None:
    for retry_after, expected in ((None, QUOTA_WORDS["queued_runs"].retry_after_seconds), (lambda: 7, 7)):
        with pytest.raises(QuotaExceeded) as refusal:
            quotas(queued_runs=1).require("queued_runs", lambda: 1, retry_after=retry_after)
        assert refusal.value.retry_after_seconds == expected


def test_every_quota_has_words() -> None:
    assert QUOTA_WORDS.keys() == vars(quotas()).keys()
