"""The story of one fit: load, encode, build, fit, measure, publish. Knows files and frames, but no pipe."""

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import keras
import numpy as np

from service.errors import InvalidInput, Problem
from service.spec import artifacts
from service.spec.compile import CompileSpec, LossBase
from service.spec.definition import Definition
from service.spec.features import FeaturesSpec
from service.spec.fit import FitSpec
from service.spec.frames import Finished, FitJob, Phase, PhaseStarted, Planned, Publication, Suspended
from service.training import outputs
from service.training.adapting import adapt, rows_at_once, settle
from service.training.building import build_model, check_outputs, compile_model, load_saved
from service.training.cache import EncodedCache
from service.training.callbacks import Report
from service.training.checks import check_examples
from service.training.environment import inexact_by_nature, keep_sums_in_order, threads, versions
from service.training.examples import Examples, Wanted, encode, encode_rows_of
from service.training.fitting import Fit, Fitted, compile_for_fit, steps_of_epoch
from service.training.hints import hints
from service.training.measuring import Measuring, baselines_of
from service.training.order import WINDOW_CHUNKS, order_of
from service.training.publishing import NotLoadable, publish
from service.training.reading import load
from service.training.resuming import JobSnapshots
from service.training.snapshots import Budget, size_of
from service.training.wishes import StopAsked, SuspendAsked, Wishes

NOTHING_KEPT = "The run was stopped without keeping its weights."


def fit(job: FitJob, report: Report, wishes: Wishes) -> Finished | Suspended:
    """Fit the job's model and leave its files in the job's directory.

    Raises InvalidInput on data that does not do, NotFinite on a loss that is no number, and whatever Keras raises.
    """
    try:
        return Story(job, _Specs.of(job), report, wishes).tell()
    except SuspendAsked:
        return Suspended()
    except StopAsked as stop:
        reason = "The run was stopped while it was not fitting." if stop.keep != "none" else NOTHING_KEPT
        return Finished(outcome="stopped", metrics={}, files=[], publication=None, publish_reason=reason if job.publish else None)


@dataclass(frozen=True)
class _Specs:
    """The documents of a job as typed data."""

    definition: Definition
    compile: CompileSpec
    features: FeaturesSpec
    fit: FitSpec

    @classmethod
    def of(cls, job: FitJob) -> "_Specs":
        return cls(
            Definition.model_validate(job.definition),
            CompileSpec.model_validate(job.compile),
            FeaturesSpec.model_validate(job.features),
            FitSpec.model_validate(job.fit),
        )

    @property
    def losses(self) -> dict[str, LossBase]:
        """The loss of each output of the model, by its name."""
        return self.compile.losses(self.definition.output_names)


@dataclass(frozen=True)
class Story:
    """One fit from its beginning to its end."""

    job: FitJob
    specs: _Specs
    report: Report
    wishes: Wishes

    def tell(self) -> Finished:
        """Do it. Raises what ``fit`` raises, SuspendAsked and StopAsked."""
        examples = self._examples()
        self._begin("building")
        model = self._model(examples)
        self.report(self._planned(examples, model))
        snapshots = JobSnapshots(self.job, self.report)
        fitted = self._fit(model, examples, snapshots)
        return self._finish(model, examples, fitted, snapshots)

    def _begin(self, phase: Phase) -> None:
        self.report(PhaseStarted(phase=phase))

    def _examples(self) -> Examples:
        self._begin("loading")
        dataset = load(self.job.dataset)
        validation = load(self.job.validation_dataset) if self.job.validation_dataset else None
        self.wishes.check(has_weights=bool(self.job.resume))
        self._begin("encoding")
        specs, job = self.specs, self.job
        wanted = Wanted(specs.features, job.target, specs.definition.input_names, specs.losses, specs.fit, job.seed)
        cache = EncodedCache(Path(job.cache_directory or Path(job.directory, "encoded")), job.cache_bytes)
        examples = cache.examples(self._ingredients(), lambda folder: encode(dataset, validation, wanted, folder))
        self.wishes.check(has_weights=bool(job.resume))
        return examples

    def _ingredients(self) -> dict[str, Any]:
        """Everything that decides about the encoded rows."""
        job, fit_spec = self.job, self.specs.fit
        files = [job.dataset, *([job.validation_dataset] if job.validation_dataset else [])]
        return {
            "files": [[file.sha256 or file.files, file.classes] for file in files],
            "features": self.specs.features.model_dump(mode="json"),
            "target": job.target,
            "inputs": self.specs.definition.input_names,
            "losses": {name: loss.model_dump(mode="json") for name, loss in self.specs.losses.items()},
            "split": [fit_spec.validation_split, fit_spec.split, job.seed if fit_spec.split != "last" else None],
            "weights": [fit_spec.class_weight, fit_spec.sample_weight],
        }

    def _model(self, examples: Examples) -> keras.Model:
        keep_sums_in_order(self.specs.definition.holds_graph)
        model = self._build(examples, self.specs.fit.dtype_policy)
        check_outputs(model, examples.targets, [truth.shape[1:] for truth in examples.train.targets])
        check_examples(self.specs.definition, self.specs.compile, model, examples)
        compile_for_fit(model, self.specs.compile, examples.train, self.specs.fit)
        return model

    def _build(self, examples: Examples, dtype_policy: str) -> keras.Model:
        shapes = examples.train.input_shapes
        return build_model(self.specs.definition, shapes, self.job.max_parameters, self.job.seed, dtype_policy)

    def _planned(self, examples: Examples, model: keras.Model) -> Planned:
        train, fit_spec = examples.train, self.specs.fit
        order = order_of(train.rows, train.row_bytes, self.job.seed, fit_spec.shuffle)
        return Planned(
            features=examples.about.chosen,
            warnings=[*examples.about.warnings, *hints(examples, fit_spec)],
            epochs=fit_spec.epochs,
            steps=steps_of_epoch(train.rows, fit_spec),
            train_rows=train.rows,
            validation_rows=examples.validation.rows if examples.validation else 0,
            parameters=int(model.count_params()),
            initial_epoch=fit_spec.initial_epoch,
            chunk_rows=order.chunk_rows,
            window_chunks=WINDOW_CHUNKS if order.chunk_rows else None,
            adapted_rows=self._rows_at_once(model, examples),
            input_shapes=[list(shape) for shape in train.input_shapes],
            threads=threads(),
            versions=versions(),
            inexact_reason=inexact_by_nature(),
        )

    def _fit(self, model: keras.Model, examples: Examples, snapshots: JobSnapshots) -> Fitted:
        """Fit from the best snapshot on, or from where another run has ended, or from the beginning."""
        job, budget = self.job, Budget(self.job.snapshot_seconds, size_of(model))
        tensorboard = Path(job.directory, outputs.LOGS)
        whole = Fit(model, examples, self.specs.fit, job.seed, self.report, self.wishes, snapshots.save, budget, tensorboard)
        state = snapshots.find(whole.check)
        if state is None and job.start is not None:
            take_weights(model, load_saved(Path(job.start.model), Path(job.directory)), job.start.run_id)
        elif state is None:
            self._adapt(model, examples)
        self.wishes.check(has_weights=state is not None)
        self._begin("fitting")
        return whole.run(state)

    def _adapt(self, model: keras.Model, examples: Examples) -> None:
        """Let layers measure the training rows; what an earlier attempt or another run has measured is not measured anew."""
        rows = self._rows_at_once(model, examples)
        if rows is not None:
            adapt(model, self.specs.definition, examples.train, rows, lambda: self.wishes.check(has_weights=False))

    def _rows_at_once(self, model: keras.Model, examples: Examples) -> int | None:
        return rows_at_once(model, self.specs.definition, examples.train, self.specs.fit.batch_size)

    def _finish(self, model: keras.Model, examples: Examples, fitted: Fitted, snapshots: JobSnapshots) -> Finished:
        directory = Path(self.job.directory)
        outputs.write_json(directory / artifacts.PLAN, examples.plan.as_document())
        outputs.write_json(directory / artifacts.HISTORY, outputs.history(fitted.epochs))
        publication, flaw = None, None
        if fitted.stopped != "none":
            try:
                model = self._as_float32(model, examples)
                self._measure(model, examples)
                publication = self._publish(model, examples, fitted, snapshots)
            except StopAsked as stop:
                outputs.forget_weights(directory)
                fitted = replace(fitted, stopped=stop.keep)
            except NotLoadable as error:
                flaw = str(error)
        return Finished(
            outcome="completed" if fitted.stopped is None else "stopped",
            metrics=fitted.epochs[-1].metrics if fitted.epochs else {},
            files=outputs.files(directory),
            publication=publication,
            publish_reason=flaw or self._publish_reason(fitted),
        )

    def _as_float32(self, model: keras.Model, examples: Examples) -> keras.Model:
        """What a mixed policy has fitted keeps its weights in 32 bits, and so it answers in 32 bits from now on."""
        if self.specs.fit.dtype_policy == "float32":
            return model
        twin = self._build(examples, "float32")
        compile_model(twin, self.specs.compile, model.steps_per_execution)
        twin.optimizer.build(twin.trainable_variables)  # Keras does not load a saved model whose optimizer has none
        twin.set_weights(model.get_weights())
        settle(twin)
        return twin

    def _measure(self, model: keras.Model, examples: Examples) -> None:
        """Write the scores on the validation rows and on the test dataset, as far as there are any, and the baseline."""
        self._begin("evaluating")
        job = self.job
        baselines = baselines_of(examples.targets, examples.train.targets)
        measuring = Measuring(model, self.specs.fit.batch_size, examples.targets, baselines, self.wishes)
        document: dict[str, Any] = {"baselines": measuring.baselines_document}
        if examples.validation is not None:
            document["validation"] = measuring.measure(examples.validation)
        if job.test_dataset is not None:
            folder = Path(job.directory, "test")
            folder.mkdir()
            test = encode_rows_of(load(job.test_dataset), examples.plan, self.specs.fit.sample_weight, folder)
            document["test"] = measuring.measure(test)
        outputs.write_json(Path(job.directory, artifacts.EVALUATION), document)

    def _publish(self, model: keras.Model, examples: Examples, fitted: Fitted, snapshots: JobSnapshots) -> Publication | None:
        """Save what was learnt, and make it servable where that is asked for.

        Raises StopAsked when nothing is to be kept, and NotLoadable.
        """
        self._begin("publishing")
        self.wishes.check_kept()
        directory = Path(self.job.directory)
        outputs.save(model, directory)
        if fitted.stopped is None:
            outputs.save_for_others(model, directory, examples, fitted, snapshots.origin)
        self.wishes.check_kept()
        saved, graph = directory / artifacts.MODEL, directory / artifacts.GRAPH
        return publish(model, saved, graph, examples) if self.job.publish else None

    def _publish_reason(self, fitted: Fitted) -> str | None:
        if self.job.publish and fitted.stopped == "none":
            return NOTHING_KEPT
        return fitted.note if self.job.publish else None


def take_weights(model: keras.Model, other: keras.Model, run_id: str) -> None:
    """Give a model the weights of another run's result. Raises InvalidInput where they are of other layers."""
    mine, theirs = model.get_weights(), other.get_weights()
    if [weight.shape for weight in mine] != [weight.shape for weight in theirs]:
        layer = next(
            (layer.name for layer, their in zip(model.layers, other.layers, strict=False) if _shapes(layer) != _shapes(their)),
            model.layers[-1].name,
        )
        message = f"The weights of run '{run_id}' do not fit this model: layer '{layer}' has other shapes."
        raise InvalidInput(message, [Problem("/continue_from", message, fix="Continue a run of the same layers and features.")])
    model.set_weights(theirs)
    settle(model)


def _shapes(layer: keras.layers.Layer) -> list[tuple[int, ...]]:
    return [np.shape(weight) for weight in layer.get_weights()]
