"""The story of one fit: load, encode, build, fit, publish. Knows files and frames, but no pipe."""

from pathlib import Path
from typing import Any

import keras
import msgspec

from service.spec.compile import CompileSpec
from service.spec.definition import Definition
from service.spec.features import FeaturesSpec
from service.spec.fit import FitSpec
from service.spec.frames import Finished, FitJob, OutputFile, Phase, PhaseStarted, Planned
from service.training.building import build_model, check_output
from service.training.callbacks import Report, ShouldStop
from service.training.data import Examples, encode, load, steps_of
from service.training.fitting import Fitted, fit_model
from service.training.publishing import publish

MODEL, GRAPH, PLAN, HISTORY = "model.keras", "model.onnx", "plan.json", "history.json"
MEDIA_TYPES = {
    MODEL: "application/vnd.keras",
    GRAPH: "application/onnx",
    PLAN: "application/json",
    HISTORY: "application/json",
}


def fit(job: FitJob, report: Report, should_stop: ShouldStop) -> Finished:
    """Fit the job's model and leave its files in the job's directory.

    Raises InvalidInput on data that does not do, NotFinite on a loss that is no number, and whatever Keras raises.
    """
    definition, fit_spec = Definition.model_validate(job.definition), FitSpec.model_validate(job.fit)
    compile_spec, features = CompileSpec.model_validate(job.compile), FeaturesSpec.model_validate(job.features)

    _begin("loading", report)
    dataset = load(job.dataset)
    _begin("encoding", report)
    examples = encode(dataset, features, job.target, compile_spec.loss, fit_spec.validation_split)
    _begin("building", report)
    model = _build(job, definition, examples)
    report(_planned(examples, fit_spec, model))
    _begin("fitting", report)
    fitted = fit_model(model, compile_spec, examples, fit_spec, job.seed, report, should_stop)
    return _finish(job, model, examples, fitted, report)


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


def _finish(job: FitJob, model: keras.Model, examples: Examples, fitted: Fitted, report: Report) -> Finished:
    directory = Path(job.directory)
    _write_json(directory / PLAN, examples.plan.as_document())
    _write_json(directory / HISTORY, _history(fitted))
    publication = None
    if fitted.stopped != "none":
        _begin("publishing", report)
        model.save(directory / MODEL)
        if job.publish:
            publication = publish(model, directory / MODEL, directory / GRAPH, examples)
    return Finished(
        outcome="completed" if fitted.stopped is None else "stopped",
        metrics=fitted.epochs[-1].metrics if fitted.epochs else {},
        files=_files(directory),
        publication=publication,
        publish_reason=_publish_reason(job, fitted),
    )


def _publish_reason(job: FitJob, fitted: Fitted) -> str | None:
    if job.publish and fitted.stopped == "none":
        return "The run was stopped without keeping its weights."
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
