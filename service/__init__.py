"""Fits Keras models and serves them over REST."""
