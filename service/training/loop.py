"""The trainer's life: get warm, say so, then one job after the other. No job can end it."""

import gc
import os
import sys
import traceback
from collections.abc import Callable
from typing import BinaryIO

import tensorflow as tf
from tensorflow.python.framework import ops

from service.spec.frames import EvaluateJob, Failed, Finished, FitJob, Frame, Job, PredictJob, Ready, Suspended, write_frame
from service.training.commands import Commands
from service.training.environment import devices, set_threads, versions
from service.training.evaluating import evaluate
from service.training.failures import describe_failure
from service.training.job import fit
from service.training.predicting import predict
from service.training.warmup import warm_up
from service.training.wishes import Wishes


def serve(commands: Commands, pipe: BinaryIO, threads: int) -> None:
    """Report ``Ready`` and run jobs for ever; ``threads`` is TensorFlow's, 0 leaves its own choice."""
    report = reporter(pipe)
    configure(threads)
    warm_up()
    gc.freeze()  # TensorFlow's own objects stay: looking through them would cost each job half a second
    report(Ready(versions=versions(), devices=devices()))
    for job in commands.jobs():
        report(run(job, report, commands))
        release()


def run(job: Job, report: Callable[[Frame], None], commands: Commands) -> Finished | Suspended | Failed:
    """One job to its end, which is a frame whatever happens."""
    try:
        return _do(job, report, commands.wishes(job))
    except Exception as error:
        traceback.print_exc(file=sys.stderr)
        return describe_failure(error)


def _do(job: Job, report: Callable[[Frame], None], wishes: Wishes) -> Finished | Suspended:
    match job:
        case FitJob():
            return fit(job, report, wishes)
        case EvaluateJob():
            return evaluate(job, report, wishes)
        case PredictJob():
            return predict(job, report, wishes)


def release() -> None:
    """Let go of everything that a job has made: its model, its optimizer and its graphs, which refer to each other.

    TensorFlow keeps the gradients of a graph for ever where they are not its own, as when an optimizer adds them up over
    devices, and with them the graph and all weights.
    """
    registered = ops.gradient_registry._registry
    for name in [name for name in registered if name.startswith("CustomGradient-")]:
        del registered[name]
    gc.collect()


def configure(threads: int) -> None:
    """Settings of the whole process, made before TensorFlow does anything."""
    set_threads(threads)
    gpus = tf.config.list_physical_devices("GPU")
    for gpu in gpus:
        tf.config.experimental.set_memory_growth(gpu, True)
    if not gpus:  # there, some operations would refuse to run, and the sums would not be the same all the same
        tf.config.experimental.enable_op_determinism()


def reporter(pipe: BinaryIO) -> Callable[[Frame], None]:
    """A function that writes a frame, and ends the process when nobody listens any more."""

    def report(frame: Frame) -> None:
        try:
            write_frame(pipe, frame)
        except BrokenPipeError:
            os._exit(0)

    return report
