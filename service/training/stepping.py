"""What Keras's loop calls for every execution: some steps of training, or of measuring, in one TensorFlow function.

Keras's own function takes a batch at a time from a ``tf.data`` iterator, and runs past the end of an epoch whose steps are no
multiple of ``steps_per_execution``. These take blocks of batches, which end where the epoch does.
"""

from collections.abc import Callable, Iterator
from typing import Any

import keras
import tensorflow as tf

from service.training.examples import Part
from service.training.feeding import Block

Step = Callable[[tuple[Any, ...]], Any]
Logs = dict[str, Any]
BlockFunction = Callable[..., Logs]
"""Does one step for each batch of a block, and gives the metrics so far."""


def nothing() -> tf.data.Dataset:
    """Stands where Keras wants data: its functions that would read it are replaced by these."""
    return tf.data.Dataset.range(1).repeat()


def train_function(run: BlockFunction, executions: Iterator[list[Block]]) -> Callable[[Any], Logs]:
    """To be the ``train_function`` of a compiled and built model: takes the next execution's blocks, whatever Keras gives it."""

    def train(_: Any) -> Logs:
        logs: Logs = {}
        for block in next(executions):
            logs = run(*block)
        return logs

    return train


def test_function(
    model: keras.Model, part: Part, batch_size: int, begin: Callable[[], Iterator[Block]]
) -> tuple[Callable[[Any], Logs], Callable[[], None]]:
    """To be the ``test_function`` of a model, and what is to be called before every evaluation.

    ``begin`` gives the blocks of one evaluation.
    """
    run = block_function(model, model.test_step, part, batch_size)
    blocks: Iterator[Block] = iter(())

    def restart() -> None:
        nonlocal blocks
        blocks = begin()

    def test(_: Any) -> Logs:
        logs: Logs = run(*next(blocks))
        return logs

    return test, restart


def block_function(model: keras.Model, step: Step, part: Part, batch_size: int) -> BlockFunction:
    """A function of a block that does one step for each of its batches; the last batch may be smaller."""
    if model.jit_compile:
        step = tf.function(step, jit_compile=True, reduce_retracing=True)
    signature = [tf.TensorSpec((None, *array.shape[1:]), array.dtype) for array in part.arrays]

    def run(*block: Any) -> Logs:
        steps = -(-tf.shape(block[0])[0] // batch_size)

        def one_step(number: Any) -> tuple[Any]:
            rows = slice(number * batch_size, (number + 1) * batch_size)
            step(part.as_keras_takes([array[rows] for array in block]))
            return (number + 1,)

        tf.while_loop(lambda number: number < steps, one_step, (tf.constant(0),), parallel_iterations=1)
        logs: Logs = model.get_metrics_result()
        return logs

    # A concrete one is called faster, and a trainer that makes many of them is not warned of tracing too often.
    function: BlockFunction = tf.function(run, input_signature=signature, autograph=False).get_concrete_function()
    return function
