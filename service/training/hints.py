"""What a fit can do with its rows, but is most likely not meant. Knows no Keras."""

from collections.abc import Iterator

import numpy as np

from service.features.answers import label_text
from service.features.plan import Target
from service.infra.npy import release_pages
from service.spec.fit import FitSpec
from service.training.examples import Array, Examples

MIN_ROWS = 20
"""Fewer rows may be sorted by chance."""
BLOCK_ROWS = 65_536
MAX_NAMED = 5


def hints(examples: Examples, fit: FitSpec) -> Iterator[str]:
    """A sentence for everything about the order of the rows that is worth a second look."""
    for target, truth in zip(examples.targets, examples.train.targets, strict=True):
        if not fit.shuffle and len(truth) >= MIN_ROWS and _is_sorted(target, truth):
            yield (
                f"The training rows are sorted by the target '{target.name}', and shuffle is false: a batch sees hardly more "
                "than one value. Set shuffle to true."
            )
    if examples.validation is not None and fit.validation_dataset is None and fit.split == "last":
        for target, truth, kept_out in zip(examples.targets, examples.train.targets, examples.validation.targets, strict=True):
            unseen = _unseen_classes(target, truth, kept_out)
            if unseen:
                names = ", ".join(f"'{name[:40]}'" for name in unseen[:MAX_NAMED])
                yield (
                    f"The last rows, which are kept out to validate with, have classes of '{target.name}' that no training row "
                    f"has: {names}. Are the rows sorted? Set split to stratified or random."
                )


def _is_sorted(target: Target, truth: Array) -> bool:
    """Whether the numbers, or the places of the classes, only rise or only fall; not where all are the same."""
    rises = falls = True
    last = first = None
    for values in _values(target, truth):
        following = values if last is None else np.concatenate([[last], values])
        rises = rises and bool((following[1:] >= following[:-1]).all())
        falls = falls and bool((following[1:] <= following[:-1]).all())
        first, last = values[0] if first is None else first, values[-1]
        if not (rises or falls):
            return False
    return first != last


def _unseen_classes(target: Target, truth: Array, kept_out: Array) -> list[str]:
    if target.classes is None:
        return []
    seen, asked = (set().union(*(np.unique(block).tolist() for block in _values(target, part))) for part in (truth, kept_out))
    return [label_text(target.classes[int(place)]) for place in sorted(asked - seen)]


def _values(target: Target, truth: Array) -> Iterator[Array]:
    """One number for each row: the place of its class, or the number itself; nothing where a row has several."""
    if target.encoding != "one_hot" and truth.size != len(truth):
        return
    for start in range(0, len(truth), BLOCK_ROWS):
        block = truth[start : start + BLOCK_ROWS]
        yield block.argmax(axis=1) if target.encoding == "one_hot" else np.asarray(block).reshape(-1)
        release_pages([truth])
