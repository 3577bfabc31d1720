"""The page of the catalogue is what the code says."""

import inspect

from docs.make_catalogue import FAMILIES, LAYERS, PAGE, write_page
from service.spec.activations import ACTIVATIONS
from service.spec.callbacks import CALLBACKS


def test_the_page_is_up_to_date():
    assert write_page() == PAGE.read_text(encoding="utf-8"), "write it again: python docs/make_catalogue.py"


def test_every_class_and_function_is_on_the_page():
    families = [LAYERS, *(family for *_, family in FAMILIES)]
    for name in [*ACTIVATIONS, *(name for family in families for name in family.members)]:
        assert f"\n| `{name}` " in PAGE.read_text(encoding="utf-8"), name


def test_every_class_is_explained_in_a_line_or_two():
    families = [LAYERS, *(family for *_, family in FAMILIES)]
    for cls in (*CALLBACKS, *(cls for family in families for cls in family.members.values())):
        text = " ".join(inspect.getdoc(cls).split())
        assert 20 < len(text) <= 170, cls
        assert text.count(". ") <= 1, cls
