"""The trainer: a process that fits Keras models for a worker, one at a time. Knows no runs, database or queue.

Nothing imports this package; it is started as ``python -m service.training`` and speaks ``spec.frames`` over its pipes.
"""
