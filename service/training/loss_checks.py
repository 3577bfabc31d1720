"""Refuses losses that Keras would make small without sense: by what the model ends with, by the target, by their settings."""

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np

from service.errors import InvalidInput, Problem
from service.spec.activations import ONE_OF_SEVERAL, YES_OR_NO
from service.spec.endings import Ending
from service.training.truths import CLAIMS, Output, extremes, is_true


class Want(NamedTuple):
    """What a loss wants of a target's numbers, and the mend where they are others."""

    claims: tuple[str, ...]
    """Of which one must be true."""
    fix: str


SHARES = Want(
    ("shares or less",),
    "Give rows that add up to 1; where several labels of a row may be true, use BinaryCrossentropy with sigmoid.",
)
MASK = Want(("parts",), "Scale the target to 0 and 1, e.g. divide it by its largest value.")
TARGETS: dict[str, Want] = {
    **dict.fromkeys(("CategoricalCrossentropy", "CategoricalFocalCrossentropy", "KLDivergence"), SHARES),
    "CategoricalHinge": Want(("one-hot rows", "signs"), "Give rows with a single 1, or each row the name of its class."),
    **dict.fromkeys(("Dice", "Tversky"), MASK),
    "Poisson": Want(("never negative",), "Give counts from 0 on, or use MeanSquaredError."),
    "MeanSquaredLogarithmicError": Want(
        ("never negative",), "Use MeanSquaredError, or add a number to the target so that none is negative."
    ),
    "MeanAbsolutePercentageError": Want(("never 0",), "Use MeanAbsoluteError, or leave out the rows where the target is 0."),
}
"""What losses want of the target: others they cut off, or become no number, or one that means nothing."""
WHY: dict[str, str] = {
    "MeanAbsolutePercentageError": "a difference from 0 is endlessly many percent",
    "MeanSquaredLogarithmicError": "it counts negative numbers as 0",
    "Poisson": "counts are never negative",
}


def check_loss(output: Output) -> None:
    """Raise InvalidInput, with the place of the loss and the mend, where it says nothing about the target as it is set."""
    for message, received, fix in (*_target_problems(output), *_setting_problems(output)):
        raise InvalidInput(f"{message} {fix}", [Problem(output.loss_pointer, message, received, fix=fix)])


def check_ending(output: Output, ending: Ending, name: str) -> None:
    """Raise InvalidInput, with the place of the layer called ``name`` and the mend, where the loss misreads its answers."""
    for message, fix in _ending_problems(output, ending, name):
        raise InvalidInput(f"{message} {fix}", [Problem(ending.pointer, message, ending.function, fix=fix)])


# Targets and settings


def _target_problems(output: Output) -> Iterator[tuple[str, str, str]]:
    loss = output.loss.type
    want = TARGETS.get(loss)
    for truth in output.truths:
        if want is not None and not any(is_true(claim, truth) for claim in want.claims):
            low, high = extremes(truth)
            words = " or ".join(CLAIMS[claim].words for claim in want.claims)
            why = f": {WHY[loss]}" if loss in WHY else ""
            message = f"Loss {loss} is for {words}{why}. Target '{output.target.name}' has others, from {low:.4g} to {high:.4g}."
            yield message, f"{low:.4g} to {high:.4g}", want.fix


def _setting_problems(output: Output) -> Iterator[tuple[str, str, str]]:
    loss, shape = output.loss, output.truth.shape
    axis, alpha = getattr(loss, "axis", -1), getattr(loss, "alpha", None)
    if loss.answers == "shares" and axis not in (-1, 1):
        yield f"Loss {loss.type} has axis={axis}, but the classes lie along the last.", str(axis), "Leave axis out."
    if loss.answers == "directions" and -len(shape) <= axis < len(shape) and shape[axis] == 1:
        message = (
            f"Loss {loss.type} compares the directions of rows, but target '{output.target.name}' has a single number in each."
        )
        yield message, "1 number", "Use MeanSquaredError, or predict several numbers together."
    if isinstance(alpha, list) and len(alpha) not in (1, output.units):
        message = f"Loss {loss.type} has {len(alpha)} numbers in alpha, but there are {output.units} classes."
        yield message, str(len(alpha)), "Give one number for each class, or one for all."


# What the model ends with


def _ending_problems(output: Output, ending: Ending, name: str) -> Iterator[tuple[str, str]]:
    if output.loss.answers in ("probabilities", "shares"):
        problems = _logit_problems if getattr(output.loss, "from_logits", False) else _probability_problems
        yield from problems(output, ending, name)
    elif output.loss.answers == "scores":
        yield from _one_sign_problems(output, ending, name)
    elif output.loss.answers == "masks" and not ending.are_probabilities:
        message = f"Loss {output.loss.type} wants answers from 0 to 1, but layer '{name}' ends with {ending.function}."
        yield message, "Give it the activation sigmoid."
    elif output.loss.answers == "rates" and ending.low < 0:
        message = (
            f"Loss {output.loss.type} takes the logarithm of the answers, which must not be negative, but layer '{name}' ends "
            f"with {ending.function}."
        )
        yield message, "Give it the activation exponential or softplus."
    if output.has_numbers:
        yield from _range_problems(output, ending, name)


def _probability_problems(output: Output, ending: Ending, name: str) -> Iterator[tuple[str, str]]:
    loss, is_of_shares = output.loss.type, output.loss.answers == "shares"
    if not ending.are_probabilities:
        wanted = "softmax" if is_of_shares else "sigmoid"
        mend = ", or set from_logits to true in the loss" if hasattr(output.loss, "from_logits") else ""
        message = f"Loss {loss} wants probabilities, but layer '{name}' ends with {ending.function}."
        yield message, f"Give it the activation {wanted}{mend}."
    elif is_of_shares and ending.function in YES_OR_NO:
        message = f"Loss {loss} wants probabilities that add up to 1, but layer '{name}' ends with {ending.function}."
        yield message, "Give it the activation softmax."
    elif not is_of_shares and ending.function in ONE_OF_SEVERAL and not is_true("shares", output.truth):
        message = (
            f"Layer '{name}' ends with {ending.function}, so its answers add up to 1, but several labels of a row may be true, "
            "or none."
        )
        yield message, "Give it the activation sigmoid."


def _logit_problems(output: Output, ending: Ending, name: str) -> Iterator[tuple[str, str]]:
    if ending.are_probabilities:
        message = (
            f"Loss {output.loss.type} has from_logits=true, but layer '{name}' ends with {ending.function}, so its outputs are "
            "no logits."
        )
        yield message, "Leave out from_logits, or let the last layer have no activation."
    elif output.loss.answers == "probabilities":
        yield from _one_sign_problems(output, ending, name)


def _one_sign_problems(output: Output, ending: Ending, name: str) -> Iterator[tuple[str, str]]:
    if ending.have_one_sign:
        numbers = "scores" if output.loss.answers == "scores" else "logits"
        message = (
            f"Layer '{name}' ends with {ending.function}: its {numbers} have one sign only, so it always answers the same class."
        )
        yield message, "Let it have no activation."


def _range_problems(output: Output, ending: Ending, name: str) -> Iterator[tuple[str, str]]:
    low, high = ending.low, ending.high
    if output.loss.answers == "directions":
        low, high = (bound and bound * np.inf for bound in (low, high))  # of any length
    least, most = extremes(output.truth)
    if least < low or most > high:
        message = (
            f"Target '{output.target.name}' goes from {least:.4g} to {most:.4g}, but layer '{name}' ends with "
            f"{ending.function}, which answers only from {low:g} to {high:g}."
        )
        yield message, "Leave the last activation out, or scale the target."
