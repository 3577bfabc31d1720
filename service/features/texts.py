"""Texts to numbers by their lower-case words."""

import re
from collections import Counter
from itertools import islice

import numpy as np

from service.features.plan import TextColumn
from service.features.raw import Array, present_in

MAX_WORD_CHARACTERS = 40
MAX_COUNTED_WORDS = 200_000
"""Different words that are counted at a time; the rarer half is forgotten beyond that."""
UNKNOWN_TOKEN, FIRST_TOKEN = 1, 2
_WORD = re.compile(r"[^\W_]+(?:['’][^\W_]+)*")


def most_frequent_words(values: Array, most: int) -> list[str]:
    """The words of a raw column that come most often, the most frequent first, and equally frequent ones by alphabet."""
    counts: Counter[str] = Counter()
    for text in present_in(values):
        counts.update(word for word in _WORD.findall(text.lower()) if len(word) <= MAX_WORD_CHARACTERS)
        if len(counts) > MAX_COUNTED_WORDS:
            counts = Counter(dict(counts.most_common(MAX_COUNTED_WORDS // 2)))
    return sorted(counts, key=lambda word: (-counts[word], word))[:most]


def write_text(column: TextColumn, values: Array, out: Array) -> None:
    """Fill ``out``, zeros of shape ``(rows, column.width)``."""
    if column.encoding == "tokens":
        _write_tokens(column, values, out)
    else:
        _write_multi_hot(column, values, out)


def _write_multi_hot(column: TextColumn, values: Array, out: Array) -> None:
    place_of = {word: place for place, word in enumerate(column.vocabulary, start=1)}
    rows: list[int] = []
    places: list[int] = []
    for row, text in enumerate(values):
        found = {place_of.get(word, 0) for word in _WORD.findall((text or "").lower())}
        rows.extend([row] * len(found))
        places.extend(found)
    out[np.array(rows, dtype=np.intp), np.array(places, dtype=np.intp)] = 1.0


def _write_tokens(column: TextColumn, values: Array, out: Array) -> None:
    token_of = {word: token for token, word in enumerate(column.vocabulary, start=FIRST_TOKEN)}
    for row, text in enumerate(values):
        words = islice(_WORD.finditer((text or "").lower()), column.length)
        tokens = [token_of.get(word.group(), UNKNOWN_TOKEN) for word in words]
        out[row, : len(tokens)] = tokens
