"""Plans and tensors of models with one input and one output, which most tests are about."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from service.features.fitting import FittedPlan, fit_array_plan, fit_table_plan
from service.features.plan import FeaturePlan, TableInput
from service.features.requests import RequestEncoder
from service.features.roles import assign_roles
from service.spec.compile import LossBase
from service.spec.definition import INPUT, OUTPUT
from service.spec.features import FeaturesSpec, TargetSpec

Array = np.ndarray[Any, Any]


def plan_table(
    columns: Mapping[str, Array], features: FeaturesSpec, target: TargetSpec | None, loss: LossBase, training: Array
) -> FittedPlan:
    roles = assign_roles("table", list(columns), [INPUT], [OUTPUT], target, features.inputs)
    return fit_table_plan(columns, features, roles, {OUTPUT: loss}, training)


def plan_arrays(
    arrays: Mapping[str, Array], features: FeaturesSpec, target: TargetSpec | None, loss: LossBase, training: Array
) -> FittedPlan:
    roles = assign_roles("arrays", list(arrays), [INPUT], [OUTPUT], target, features.inputs)
    return fit_array_plan(arrays, features, roles, {OUTPUT: loss}, training)


def table_of(plan: FeaturePlan) -> TableInput:
    (table,) = plan.table_inputs
    return table


def encode_one(plan: FeaturePlan, rows: list[Any], **keywords: Any) -> tuple[Array, list[str]]:
    (tensor,), warnings = RequestEncoder(plan).encode_rows(rows, **keywords)
    return tensor, warnings
