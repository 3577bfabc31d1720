"""Ids sort by the time they were made."""

from datetime import timedelta

from service.infra.database import now
from service.infra.ids import first_id, new_id


def test_an_id_sorts_between_where_its_moment_begins_and_where_a_later_one_does() -> None:
    before = first_id("run", now())
    assert before < new_id("run") < first_id("run", now() + timedelta(seconds=1))
