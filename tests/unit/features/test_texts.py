import numpy as np
import pytest

from service.errors import InvalidInput
from service.features import texts
from service.features.plan import FeaturePlan, TableInput, TextColumn
from service.features.texts import most_frequent_words
from tests.planning import encode_one

WORDS = ["good", "day"]
MULTI_HOT = TextColumn(column="said", vocabulary=WORDS, encoding="multi_hot")
TOKENS = TextColumn(column="said", vocabulary=WORDS, encoding="tokens", length=3)


def encoded(column: TextColumn, text: str | None) -> list[float]:
    plan = FeaturePlan(inputs=[TableInput(name="input", columns=[column])], targets=[])
    return encode_one(plan, [{"said": text}])[0][0].tolist()


@pytest.mark.parametrize(
    ("text", "places", "tokens"),
    [
        ("Good day, good DAY!", [0, 1, 1], [2, 3, 2]),
        ("a good one", [1, 1, 0], [1, 2, 1]),
        ("day", [0, 0, 1], [3, 0, 0]),
        ("…", [0, 0, 0], [0, 0, 0]),
        (None, [0, 0, 0], [0, 0, 0]),
    ],
)
def test_texts_become_words_that_are_in_them_or_their_numbers(text, places, tokens):
    assert encoded(MULTI_HOT, text) == places
    assert encoded(TOKENS, text) == tokens


@pytest.mark.parametrize("value", [1, True, ["good"], {}])
def test_what_is_no_text_is_refused_where_it_stands(value):
    with pytest.raises(InvalidInput) as caught:
        encoded(MULTI_HOT, value)
    (problem,) = caught.value.problems
    assert (problem.pointer, problem.message, problem.expected) == ("/rows/0/said", "This is no text.", "a text")


def test_the_most_frequent_words_come_first_and_equals_by_alphabet():
    column = np.array(["b a", None, "B c d", "don't", "x" * 41], dtype=object)
    assert most_frequent_words(column, 10) == ["b", "a", "c", "d", "don't"]
    assert most_frequent_words(column, 2) == ["b", "a"]


def test_counting_forgets_rare_words_rather_than_filling_the_memory(monkeypatch):
    monkeypatch.setattr(texts, "MAX_COUNTED_WORDS", 10)
    column = np.array([f"often rare{i}" for i in range(100)], dtype=object)
    found = most_frequent_words(column, 100)
    assert found[0] == "often"
    assert len(found) <= 10
