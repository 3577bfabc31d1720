"""Tokens of pages, which anybody may make up."""

import base64
from typing import Any

import orjson
import pytest
from sqlalchemy import create_engine, select
from sqlalchemy.orm import Session

from service.errors import InvalidInput
from service.infra.cursors import Order, PageRequest, fetch_page
from service.runs.tables import Run

ORDERS = {"created_at": Order((Run.id,)), "priority": Order((Run.priority, Run.id))}


def token(*content: Any) -> str:
    return base64.urlsafe_b64encode(orjson.dumps(content)).decode().rstrip("=")


@pytest.mark.parametrize(
    ("order_by", "made_up"),
    [
        ("created_at", token("created_at", 5)),
        ("created_at", token("created_at", "a\0b")),
        ("created_at", token("created_at", None)),
        ("created_at", token("created_at", ["run_1"])),
        ("created_at", token("created_at", "run_1", "run_2")),
        ("created_at", token("created_at")),
        ("created_at", token("-created_at", "run_1")),
        ("created_at", token()),
        ("created_at", "W10"),
        ("created_at", "é"),
        ("priority", token("priority", "high", "run_1")),
        ("priority", token("priority", True, "run_1")),
        ("priority", token("priority", 1.5, "run_1")),
        ("priority", token("priority", 2**63 - 1, "run_1")),
    ],
)
def test_a_token_that_no_page_gave_is_refused_before_the_database_sees_it(order_by: str, made_up: str) -> None:
    with Session(create_engine("sqlite://")) as session, pytest.raises(InvalidInput) as caught:
        fetch_page(session, select(Run), PageRequest(10, made_up, order_by), ORDERS, "created_at")

    assert caught.value.problems[0].pointer == "?page_token"
