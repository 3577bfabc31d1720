"""Reads JSON strictly: nothing that a client did not mean is let through, and nothing makes the parser fail."""

import json
from typing import Any

import orjson

from service.errors import InvalidInput, MalformedInput, Problem
from service.features.raw import escape, first_repeated
from service.spec.nesting import CONTAINERS, children_of, is_deeper_than
from service.web.numeric_json import load_arrays, refuse_many_brackets

MIN_BYTES = 512
"""From this size on a text of numbers is read faster otherwise than with all that strictness takes."""
MAX_DEPTH = 64


def parse_rows(body: bytes, max_depth: int = MAX_DEPTH) -> Any:
    """As ``parse_strict``, but the list in the outermost field ``rows`` is an array where it holds nothing but numbers."""
    arrays = load_arrays(body, lambda path: path == ("rows",), MIN_BYTES)
    return parse_strict(body, max_depth) if arrays is None or _has_zero_character(body) else arrays


def parse_strict(body: bytes, max_depth: int = MAX_DEPTH, max_values: int | None = None) -> Any:
    """The value of a JSON text; ``max_values`` bounds the members of its lists and objects together.

    Raises MalformedInput on what is no JSON (also NaN, infinities, numbers beyond a double, lone surrogates, text that is
    not UTF-8), and InvalidInput on too many brackets or values, duplicate keys, zero characters, or more than ``max_depth``
    brackets inside each other.
    """
    refuse_many_brackets(body)
    try:
        value = orjson.loads(body)
    except orjson.JSONDecodeError as error:
        raise MalformedInput(f"The body is not valid JSON: {error.msg} (line {error.lineno}, column {error.colno}).") from error
    if max_values is not None:
        _refuse_many_values(value, max_values)
    if is_deeper_than(value, max_depth):
        problem = Problem("", "Too many brackets inside each other.", expected=f"a depth of at most {max_depth}")
        raise InvalidInput("The body is nested too deeply.", [problem])
    if _has_zero_character(body):
        _refuse_zero_characters(value)
    _duplicate_finder.decode(body.decode())
    return value


def _has_zero_character(body: bytes) -> bool:
    return b"\\" in body and rb"\u0000" in body  # a single character is looked for far faster


def _refuse_many_values(value: Any, most: int) -> None:
    count, waiting = 0, [value]
    while waiting:
        item = waiting.pop()
        count += len(item) if type(item) in CONTAINERS else 0
        if count > most:
            problem = Problem("", "It holds too many values.", f"more than {most}", f"at most {most}")
            raise InvalidInput("The body holds too many values.", [problem])
        waiting += children_of(item)


def _refuse_zero_characters(value: Any, pointer: str = "") -> None:
    """PostgreSQL's text has no place for U+0000."""
    if isinstance(value, dict):
        for key, child in value.items():
            _refuse_zero_characters(key, pointer)
            _refuse_zero_characters(child, f"{pointer}/{escape(key)}")
    elif isinstance(value, list):
        for index, child in enumerate(value):
            _refuse_zero_characters(child, f"{pointer}/{index}")
    elif isinstance(value, str) and "\0" in value:
        problem = Problem(pointer, "A text holds the character U+0000.", repr(value)[:80], fix="Leave that character out.")
        raise InvalidInput("The body has a zero character.", [problem])


def _refuse_duplicates(pairs: list[tuple[str, Any]]) -> None:
    key = first_repeated(key for key, _ in pairs)
    if key is not None:
        problem = Problem("", f"The key '{key[:80]}' stands twice in one object.", fix="Keep one of them.")
        raise InvalidInput("The body has a duplicate key.", [problem])


_duplicate_finder = json.JSONDecoder(object_pairs_hook=_refuse_duplicates)
