"""Fitserve's own predictions: raw rows in, values or labels with probabilities out, every mistake with its place.

Rows come and go as JSON, as JSON Lines or as CSV.
"""

from service.predictions.protocols.native.endpoints import Native

__all__ = ["Native"]
