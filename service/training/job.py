"""The story of one fit: load, encode, build, fit, publish. Knows files and frames, but no pipe."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import keras
import msgspec

from service.spec.compile import CompileSpec
from service.spec.definition import Definition
from service.spec.features import FeaturesSpec
from service.spec.fit import FitSpec
from service.spec.frames import Finished, FitJob, OutputFile, Phase, PhaseStarted, Planned, Publication, Suspended
from service.spec.weights import WEIGHTS, WEIGHTS_MEDIA_TYPE
from service.training.building import build_model, check_output
from service.training.callbacks import Report
from service.training.data import Examples, encode, load, steps_of
from service.training.fitting import Fit, Fitted, compile_for_fit
from service.training.publishing import publish
from service.training.resuming import JobSnapshots
from service.training.snapshots import Budget, size_of
from service.training.weights import write_weights
from service.training.wishes import StopAsked, SuspendAsked, Wishes

MODEL, GRAPH, PLAN, HISTORY = "model.keras", "model.onnx", "plan.json", "history.json"
NOTHING_KEPT = "The run was stopped without keeping its weights."
MEDIA_TYPES = {
    MODEL: "application/vnd.keras",
    WEIGHTS: WEIGHTS_MEDIA_TYPE,
    GRAPH: "application/onnx",
    PLAN: "application/json",
    HISTORY: "application/json",
}


def fit(job: FitJob, report: Report, wishes: Wishes) -> Finished | Suspended:
    """Fit the job's model and leave its files in the job's directory.

    Raises InvalidInput on data that does not do, NotFinite on a loss that is no number, and whatever Keras raises.
    """
    try:
        return _fit(job, report, wishes)
    except SuspendAsked:
        return Suspended()
    except StopAsked as stop:
        reason = "The run was stopped while it was not fitting." if stop.keep != "none" else NOTHING_KEPT
        return Finished(outcome="stopped", metrics={}, files=[], publication=None, publish_reason=reason if job.publish else None)


def _fit(job: FitJob, report: Report, wishes: Wishes) -> Finished:
    definition, fit_spec = Definition.model_validate(job.definition), FitSpec.model_validate(job.fit)
    compile_spec, features = CompileSpec.model_validate(job.compile), FeaturesSpec.model_validate(job.features)

    _begin("loading", report)
    dataset = load(job.dataset)
    wishes.check(has_weights=bool(job.resume))
    _begin("encoding", report)
    examples = encode(dataset, features, job.target, compile_spec.loss, fit_spec.validation_split)
    wishes.check(has_weights=bool(job.resume))
    _begin("building", report)
    model = _build(job, definition, examples)
    report(_planned(examples, fit_spec, model))
    compile_for_fit(model, compile_spec, examples.train_rows, fit_spec)
    fitted = _fit_model(job, model, examples, fit_spec, report, wishes)
    return _finish(job, model, examples, fitted, report, wishes)


def _begin(phase: Phase, report: Report) -> None:
    report(PhaseStarted(phase=phase))


def _build(job: FitJob, definition: Definition, examples: Examples) -> keras.Model:
    assert examples.plan.target is not None, "a fitted plan has a target"
    model = build_model(definition, examples.x.shape[1:], job.max_parameters, job.seed)
    check_output(model, examples.plan.target, examples.y.shape[1:])
    return model


def _planned(examples: Examples, fit_spec: FitSpec, model: keras.Model) -> Planned:
    return Planned(
        features=examples.chosen,
        warnings=examples.warnings,
        epochs=fit_spec.epochs,
        steps=steps_of(examples.train_rows, fit_spec.batch_size),
        train_rows=examples.train_rows,
        validation_rows=examples.validation_rows,
        parameters=int(model.count_params()),
    )


def _fit_model(job: FitJob, model: keras.Model, examples: Examples, fit_spec: FitSpec, report: Report, wishes: Wishes) -> Fitted:
    """Fit from the best snapshot on, or from the beginning."""
    snapshots = JobSnapshots(job, report, model.steps_per_execution)
    budget = Budget(job.snapshot_seconds, size_of(model))
    whole = Fit(model, examples, fit_spec, job.seed, report, wishes, snapshots.save, budget)
    state = snapshots.find(whole.check)
    wishes.check(has_weights=state is not None)
    _begin("fitting", report)
    return whole.run(state)


def _finish(job: FitJob, model: keras.Model, examples: Examples, fitted: Fitted, report: Report, wishes: Wishes) -> Finished:
    directory = Path(job.directory)
    _write_json(directory / PLAN, examples.plan.as_document())
    _write_json(directory / HISTORY, _history(fitted))
    publication = None
    if fitted.stopped != "none":
        try:
            publication = _publish(job, model, examples, report, wishes)
        except StopAsked as stop:
            (directory / MODEL).unlink(missing_ok=True)
            (directory / WEIGHTS).unlink(missing_ok=True)
            fitted = replace(fitted, stopped=stop.keep)
    return Finished(
        outcome="completed" if fitted.stopped is None else "stopped",
        metrics=fitted.epochs[-1].metrics if fitted.epochs else {},
        files=_files(directory),
        publication=publication,
        publish_reason=_publish_reason(job, fitted),
    )


def _publish(job: FitJob, model: keras.Model, examples: Examples, report: Report, wishes: Wishes) -> Publication | None:
    """Save the model and make it servable where that is asked for. Raises StopAsked when nothing is to be kept any more."""
    _begin("publishing", report)
    wishes.check_kept()
    saved, graph = Path(job.directory, MODEL), Path(job.directory, GRAPH)
    model.save(saved)
    write_weights(model, Path(job.directory, WEIGHTS))
    wishes.check_kept()
    return publish(model, saved, graph, examples) if job.publish else None


def _publish_reason(job: FitJob, fitted: Fitted) -> str | None:
    if job.publish and fitted.stopped == "none":
        return NOTHING_KEPT
    return fitted.note if job.publish else None


def _history(fitted: Fitted) -> dict[str, Any]:
    """Columns, as Keras's ``History`` has them; null where a metric was no number."""
    names = dict.fromkeys(name for epoch in fitted.epochs for name in epoch.metrics)
    columns = {name: [epoch.metrics.get(name) for epoch in fitted.epochs] for name in names}
    return {"epoch": [epoch.epoch for epoch in fitted.epochs], "metrics": columns}


def _write_json(path: Path, document: dict[str, Any]) -> None:
    path.write_bytes(msgspec.json.encode(document))


def _files(directory: Path) -> list[OutputFile]:
    return [
        OutputFile(name=name, path=str(directory / name), media_type=media_type)
        for name, media_type in MEDIA_TYPES.items()
        if (directory / name).exists()
    ]
