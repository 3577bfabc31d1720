"""Keyset pages: an opaque token that says after which row the next page begins."""

import base64
import binascii
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

import orjson
from sqlalchemy import Select, tuple_
from sqlalchemy.orm import InstrumentedAttribute, Session

from service.errors import InvalidInput, Problem

Row = TypeVar("Row")


@dataclass(frozen=True)
class PageRequest:
    """Which page a client wants. ``order_by`` is a key of the listing's orders, with ``-`` in front for descending."""

    size: int = 50
    token: str | None = None
    order_by: str | None = None


@dataclass(frozen=True)
class Page(Generic[Row]):
    """Rows of one page and the token of the next; no token means that this is the last one."""

    items: Sequence[Row]
    next_page_token: str | None


@dataclass(frozen=True)
class Order:
    """Columns that sort a listing; the last one is unique, so that pages neither skip nor repeat a row."""

    columns: tuple[InstrumentedAttribute[Any], ...]


def fetch_page(session: Session, query: Select[Row], request: PageRequest, orders: dict[str, Order], default: str) -> Page[Row]:
    """One page of ``query``. Raises InvalidInput on an unknown ``order_by`` or a token that does not fit it."""
    order_by = request.order_by or default
    order = orders.get(order_by.removeprefix("-"))
    if order is None:
        known = ", ".join(f"{name}, -{name}" for name in orders)
        raise InvalidInput(
            "Cannot sort by that.",
            [Problem("?order_by", "Unknown order.", received=order_by[:80], expected=known, fix="Use one of these.")],
        )
    descending = order_by.startswith("-")
    if request.token is not None:
        position = _decode(request.token, order_by, order.columns)
        keys = tuple_(*order.columns)
        query = query.where(keys < tuple_(*position) if descending else keys > tuple_(*position))
    query = query.order_by(*(column.desc() if descending else column.asc() for column in order.columns))
    rows = session.scalars(query.limit(request.size + 1)).all()
    items = rows[: request.size]
    is_last = len(rows) <= request.size
    return Page(items, None if is_last else _encode(order_by, [getattr(items[-1], c.key) for c in order.columns]))


def map_page(page: Page[Row], convert: Callable[[Row], Any]) -> dict[str, Any]:
    """The wire form of a page."""
    return {"items": [convert(row) for row in page.items], "next_page_token": page.next_page_token}


def _encode(order_by: str, position: list[Any]) -> str:
    return base64.urlsafe_b64encode(orjson.dumps([order_by, *position])).decode().rstrip("=")


def _decode(token: str, order_by: str, columns: Sequence[InstrumentedAttribute[Any]]) -> list[Any]:
    try:
        content = orjson.loads(base64.urlsafe_b64decode(token + "=" * (-len(token) % 4)))
        found_order, position = content[0], list[Any](content[1:])
    except (binascii.Error, ValueError, TypeError, LookupError):
        found_order, position = None, []
    is_whole = len(position) == len(columns) and all(map(_may_hold, columns, position))
    if found_order != order_by or not is_whole:
        problem = Problem(
            "?page_token",
            "This token does not belong to this list.",
            received=token[:80],
            expected="the next_page_token of an answer with the same order_by",
            fix="Leave page_token out to begin with the first page.",
        )
        raise InvalidInput("The page token cannot be used.", [problem])
    return position


def _may_hold(column: InstrumentedAttribute[Any], value: Any) -> bool:
    """Whether a database can compare the column with a value, which anybody may have made up."""
    if type(value) is not column.type.python_type:
        return False
    return "\0" not in value if isinstance(value, str) else abs(value) < 2**31
