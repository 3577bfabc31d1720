"""Metrics as data: numbers to watch beside the loss. Source: https://keras.io/api/metrics."""

from service.spec.metrics import classification, overlap, regression, surprise
from service.spec.metrics.classification import AccuracyByLoss
from service.spec.metrics.fields import METRICS, Metric, MetricBase

__all__ = ["METRICS", "AccuracyByLoss", "Metric", "MetricBase", "classification", "overlap", "regression", "surprise"]
