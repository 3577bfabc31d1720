"""What a model takes, as named tensors: one for every raw column of a table, or one for every array."""

from dataclasses import dataclass

from service.features.encoding import columns_of
from service.features.plan import CategoryColumn, FeaturePlan, NumberColumn, UsedColumn


@dataclass(frozen=True)
class RawInput:
    """One named tensor of a request."""

    name: str
    dtype: str
    """A numpy dtype name, or ``str`` for texts."""
    shape: tuple[int, ...]
    """The shape of one row: ``()`` for a column of a table."""


def raw_inputs(plan: FeaturePlan) -> list[RawInput]:
    """The tensors that ``RequestEncoder.encode_tensors`` takes, in the plan's order."""
    if plan.is_of_table:
        return [RawInput(column.column, _dtype_of(column), ()) for column in columns_of(plan)]
    return [RawInput(entry.name, entry.dtype, tuple(entry.shape)) for entry in plan.array_inputs]


def _dtype_of(column: UsedColumn) -> str:
    """The type that holds every value that the training rows had."""
    if isinstance(column, NumberColumn):
        return "bool" if column.is_boolean else "float64"
    if not isinstance(column, CategoryColumn):
        return "str"
    types = set(map(type, column.vocabulary))
    if types == {bool}:
        return "bool"
    if types == {int}:
        return "int64"
    return "float64" if types and types <= {int, float} else "str"
