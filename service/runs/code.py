"""Reads from a run's row what its script has to do, and what became of the run that the script does not repeat."""

from collections.abc import Iterator
from dataclasses import dataclass

import msgspec
from sqlalchemy.orm import Session

from service.runs.errors import ResultNotFound, ScriptNotReady
from service.runs.tables import Run, RunArtifact
from service.spec.artifacts import ENCODED
from service.spec.callbacks import EarlyStopping
from service.spec.compile import CompileSpec
from service.spec.definition import Definition
from service.spec.fit import FitSpec
from service.spec.frames import Planned
from service.spec.run_script import Recipe, run_script

MAX_MESSAGE_CHARACTERS = 300


@dataclass(frozen=True)
class Beginning:
    """Where a script begins."""

    initial_epoch: int
    starts_from: str | None
    """Id of the run whose weights it begins with."""
    difference: str | None = None
    """What the run did otherwise."""


def script_of(session: Session, run: Run) -> str:
    """The Keras script of a run. Raises ScriptNotReady, or ResultNotFound where there can be none."""
    plan, beginning = _plan_of(run), _beginning(session, run)
    has_data = session.get(RunArtifact, (run.id, ENCODED)) is not None
    return run_script(
        Recipe(
            run_id=run.id,
            model=run.model,
            definition=Definition.model_validate(run.definition),
            compile=CompileSpec.model_validate(run.compile),
            fit=FitSpec.model_validate(run.fit),
            seed=run.seed,
            plan=plan,
            initial_epoch=beginning.initial_epoch,
            starts_from=beginning.starts_from,
            differences=[*([beginning.difference] if beginning.difference else []), *_differences(run, plan)],
            notes=[] if has_data else [_why_no_data(run)],
        )
    )


def _plan_of(run: Run) -> Planned:
    if run.kind != "fit":
        raise ResultNotFound(run.id, "script", f"it is a run of kind '{run.kind}', which fits no model")
    if run.plan is not None:
        return _read_plan(run)
    if not run.is_terminal:
        raise ScriptNotReady(run.id, run.state)
    cause = f" ({(run.failure or {}).get('type')})" if run.state == "failed" else ""
    raise ResultNotFound(run.id, "script", f"it was over{cause} before its data was loaded")


def _read_plan(run: Run) -> Planned:
    try:
        return msgspec.convert(run.plan, Planned)
    except msgspec.ValidationError as error:
        raise ResultNotFound(run.id, "script", "it was planned by an earlier version of Fitserve, which noted less") from error


def _beginning(session: Session, run: Run) -> Beginning:
    """A run that goes on with the state of another one is as that one asked for more epochs, so it begins where that one did."""
    start = run.sources.get("start")
    if start is None or start["take"] == "weights":
        return Beginning(FitSpec.model_validate(run.fit).initial_epoch, start["run"] if start else None)
    earlier = session.get(Run, start["run"])
    if earlier is not None and run.inexact_reason is None and _came_to_its_end(earlier):
        return _beginning(session, earlier)
    difference = f"went on with the whole state of run '{start['run']}', while the script has its weights alone"
    return Beginning(run.attempts[0].from_epoch, start["run"], difference)


def _came_to_its_end(run: Run) -> bool:
    """Whether it has surely done all its epochs; where a callback has ended it, one that were asked for more would end, too."""
    fit = FitSpec.model_validate(run.fit)
    return run.epoch == fit.epochs and not any(isinstance(spec, EarlyStopping) for spec in fit.callbacks)


def _differences(run: Run, plan: Planned) -> Iterator[str]:
    if run.inexact_reason is not None:
        yield run.inexact_reason.removeprefix("It ").removesuffix(".")
    done = f"after epoch {_epochs_done(run, plan)} of {plan.epochs}, while the script goes on to the end"
    if run.state == "cancelled":
        yield f"was cancelled {done}"
    if run.state == "failed":
        failure = run.failure or {}
        yield f"failed {done} ({failure.get('type')}: {str(failure.get('message'))[:MAX_MESSAGE_CHARACTERS]})"


def _epochs_done(run: Run, plan: Planned) -> int:
    return run.epoch if run.step >= plan.steps else max(run.epoch - 1, 0)


def _why_no_data(run: Run) -> str:
    if not run.is_terminal:
        return f"The run is {run.state}: its file {ENCODED} is there once it has succeeded."
    why = "did not succeed" if run.state != "succeeded" else "left none"
    return f"There is no file {ENCODED} of this run, since it {why}: take that of a run with the same data, features and split."
