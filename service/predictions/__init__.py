"""Predictions: a name becomes a version, the version an engine, the engine an answer, over several wire protocols."""
