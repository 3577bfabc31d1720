"""Fits Keras models and serves them over REST."""

from importlib.metadata import version

__version__ = version("fitserve")
