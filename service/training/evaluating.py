"""The story of one evaluation: load a fitted model and a dataset, encode it by the model's plan, measure."""

from pathlib import Path

from service.features.plan import read_plan
from service.spec.artifacts import EVALUATION
from service.spec.frames import EvaluateJob, Finished, PhaseStarted, Suspended
from service.training import outputs
from service.training.building import check_outputs, load_saved, reset_keras
from service.training.callbacks import Report
from service.training.examples import encode_rows_of
from service.training.measuring import Measuring, baselines_of, read_baselines
from service.training.reading import load
from service.training.wishes import StopAsked, Wishes

SEED = 0
"""Nothing is random in an evaluation, but Keras shall be as new."""


def evaluate(job: EvaluateJob, report: Report, wishes: Wishes) -> Finished | Suspended:
    """Measure the job's model and leave the scores in the job's directory. Raises InvalidInput, and whatever Keras raises.

    Half an evaluation is none: whatever shall be kept, a stop ends it, and somebody else begins it anew.
    """
    is_unwanted = Wishes(stop=lambda: "none" if wishes.stop() is not None or wishes.suspend() else None)
    try:
        return _evaluate(job, report, is_unwanted)
    except StopAsked:
        if wishes.stop() is None:
            return Suspended()
        return Finished(outcome="stopped", metrics={}, files=[], publication=None, publish_reason=None)


def _evaluate(job: EvaluateJob, report: Report, wishes: Wishes) -> Finished:
    directory, plan = Path(job.directory), read_plan(job.plan)
    report(PhaseStarted(phase="loading"))
    reset_keras(SEED)
    model = load_saved(Path(job.model), directory)
    report(PhaseStarted(phase="encoding"))
    part = encode_rows_of(load(job.dataset), plan, job.sample_weight, directory)
    check_outputs(model, plan.targets, [truth.shape[1:] for truth in part.targets])
    wishes.check_kept()
    report(PhaseStarted(phase="evaluating"))
    baselines = read_baselines(job.baselines, plan.targets) if job.baselines else baselines_of(plan.targets, part.targets)
    measuring = Measuring(model, job.batch_size, plan.targets, baselines, wishes)
    scores = measuring.measure(part)
    outputs.write_json(directory / EVALUATION, {"baselines": measuring.baselines_document, "test": scores})
    metrics = {name: value for name, value in scores["metrics"].items() if value is not None}
    return Finished(outcome="completed", metrics=metrics, files=outputs.files(directory), publication=None, publish_reason=None)
