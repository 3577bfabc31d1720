"""How deep lists and objects stand inside each other."""

from typing import Any

CONTAINERS = (dict, list)


def is_deeper_than(value: Any, levels: int) -> bool:
    """Whether more than so many brackets stand inside each other; looks level by level, since recursion has an end."""
    level = [value]
    for _ in range(levels):
        level = [child for item in level for child in children_of(item)]
        if not level:
            return False
    return True


def children_of(item: Any) -> list[Any]:
    """The lists and objects in a list or an object that have anything in them."""
    values = item.values() if type(item) is dict else item if type(item) is list else ()
    return [child for child in values if child and type(child) in CONTAINERS]
