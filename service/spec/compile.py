"""What ``model.compile`` takes, as data. Source: https://keras.io/api/models/model_training_apis."""

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Annotated, Any, NamedTuple

from pydantic import BeforeValidator, Discriminator, Field, Tag

from service.errors import Problem
from service.spec.base import ObjectName, Spec, suggest
from service.spec.losses import (
    BinaryCrossentropy,
    CategoricalCrossentropy,
    Loss,
    LossBase,
    MeanSquaredError,
    SparseCategoricalCrossentropy,
)
from service.spec.metrics import AccuracyByLoss, Metric, MetricBase
from service.spec.optimizers import Optimizer

__all__ = [
    "AccuracyByLoss", "BinaryCrossentropy", "CategoricalCrossentropy", "CompileSpec", "Loss", "LossBase", "MeanSquaredError",
    "Metric", "MetricBase", "NamedMetric", "Optimizer", "SparseCategoricalCrossentropy", "metric_names", "named_metrics",
]  # fmt: skip

MAX_METRICS = 32


def _form_of_loss(value: Any) -> str:
    return "by_output" if isinstance(value, dict) and not {"type", "class_name"} & value.keys() else "one"


def _form_of_metrics(value: Any) -> str:
    return "by_output" if isinstance(value, dict) else "one"


def _in_a_list(value: Any) -> Any:
    """Keras takes a single metric without a list around it, too."""
    return value if isinstance(value, list) else [value]


LossByOutput = Annotated[dict[ObjectName, Loss], Field(min_length=1, max_length=64)]
Metrics = Annotated[list[Metric], Field(max_length=MAX_METRICS), BeforeValidator(_in_a_list)]
MetricsByOutput = Annotated[dict[ObjectName, Metrics], Field(max_length=64)]


@dataclass(frozen=True)
class KerasArguments:
    """What ``model.compile`` is given; objects by the names of outputs where there are several."""

    loss: LossBase | dict[str, LossBase]
    metrics: list[MetricBase] | dict[str, list[MetricBase]]
    loss_weights: dict[str, float] | None


class CompileSpec(Spec):
    """The arguments of `model.compile`: how to learn, what to make small, what to watch."""

    optimizer: Optimizer
    """The rule by which the weights are changed, by name or with its settings."""
    loss: Annotated[Annotated[Loss, Tag("one")] | Annotated[LossByOutput, Tag("by_output")], Discriminator(_form_of_loss)]
    """The number that `fit` makes small. For a model with several outputs an object with a loss for each output, by its name;
    or one loss for all of them."""
    metrics: Annotated[
        Annotated[list[Metric], Field(max_length=MAX_METRICS), Tag("one")] | Annotated[MetricsByOutput, Tag("by_output")],
        Discriminator(_form_of_metrics),
    ] = []
    """Further numbers to report after every epoch; for a model with several outputs an object with lists, by the output's
    name."""
    loss_weights: Annotated[dict[ObjectName, Annotated[float, Field(ge=0, le=1e9)]], Field(max_length=64)] | None = None
    """How much the loss of each output counts in the sum, by the output's name; 1 where one is left out."""
    jit_compile: bool = False
    """Whether to compile with XLA; it takes time at the start and pays off only for long runs on a GPU. Keras does not do it
    where results are exact, which is on every CPU."""

    def losses(self, outputs: Sequence[str]) -> dict[str, LossBase]:
        """The loss of each output. Raises KeyError where one has none."""
        return {name: self.loss[name] if isinstance(self.loss, dict) else self.loss for name in outputs}

    def metrics_of(self, output: str) -> list[MetricBase]:
        """The metrics of an output."""
        return self.metrics.get(output, []) if isinstance(self.metrics, dict) else self.metrics

    def loss_pointer(self, output: str) -> str:
        """Where the loss of an output stands."""
        return f"/compile/loss/{output}" if isinstance(self.loss, dict) else "/compile/loss"

    def metric_pointer(self, output: str, place: int) -> str:
        """Where a metric of an output stands."""
        return f"/compile/metrics/{output}/{place}" if isinstance(self.metrics, dict) else f"/compile/metrics/{place}"

    def keras_arguments(self, outputs: Sequence[str]) -> KerasArguments:
        """What ``model.compile`` is given for a model with these outputs."""
        losses = self.losses(outputs)
        if len(outputs) == 1:
            return KerasArguments(losses[outputs[0]], self.metrics_of(outputs[0]), None)
        weights = None if self.loss_weights is None else {name: self.loss_weights.get(name, 1.0) for name in outputs}
        metrics = {name: self.metrics_of(name) for name in outputs}
        return KerasArguments(
            losses if isinstance(self.loss, dict) else self.loss, metrics if any(metrics.values()) else [], weights
        )

    def output_problems(self, outputs: Sequence[str]) -> list[Problem]:
        """What does not go with a model that has these outputs."""
        return list(self._output_problems(list(outputs)))

    def _output_problems(self, outputs: list[str]) -> Iterator[Problem]:
        named = {"loss": self.loss, "metrics": self.metrics, "loss_weights": self.loss_weights}
        for part, value in named.items():
            for name in value if isinstance(value, dict) else ():
                if name not in outputs:
                    message = f"The model has no output '{name}'."
                    fix = suggest(name, outputs) if outputs != ["output"] else "A Sequential has one output, without a name."
                    yield Problem(f"/compile/{part}/{name}", message, name, f"one of: {', '.join(outputs)}", fix)
        missing = [name for name in outputs if isinstance(self.loss, dict) and name not in self.loss]
        if missing:
            yield Problem("/compile/loss", f"Output '{missing[0]}' has no loss.", None, "a loss for each output", "Add it.")
        if len(outputs) > 1 and isinstance(self.metrics, list) and self.metrics:
            fix = f'Name the output: {{"{outputs[0]}": [...]}}.'
            yield Problem(
                "/compile/metrics", "The model has several outputs, and nothing says which to watch.", "a list", fix=fix
            )


class NamedMetric(NamedTuple):
    """A metric by the name that it has in an epoch's row."""

    name: str
    output: str
    metric: MetricBase


def metric_names(spec: CompileSpec, outputs: Sequence[str]) -> list[str]:
    """The names of losses of single outputs and of metrics in an epoch's row."""
    losses = [f"{output}_loss" for output in outputs] if len(outputs) > 1 else []
    return [*losses, *(named.name for named in named_metrics(spec, outputs))]


def named_metrics(spec: CompileSpec, outputs: Sequence[str]) -> list[NamedMetric]:
    """Every metric with its name; Keras numbers those that would have the same."""
    counts: Counter[str] = Counter()
    found = []
    for output in outputs:
        for metric in spec.metrics_of(output):
            name = f"{output}_{metric.column}" if len(outputs) > 1 else metric.column
            found.append(NamedMetric(f"{name}_{counts[name]}" if counts[name] else name, output, metric))
            counts[name] += 1
    return found
