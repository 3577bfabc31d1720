"""The layer catalogue: one strict class per Keras layer that can be data. Source: https://keras.io/api/layers."""

from service.spec.layers import (
    activations,
    attention,
    augmentation,
    convolution,
    images,
    merging,
    normalization,
    pooling,
    preprocessing,
    recurrent,
    regularization,
    reshaping,
    wrappers,
)
from service.spec.layers.activations import Softmax
from service.spec.layers.core import ActivationLayer, Dense, Embedding
from service.spec.layers.fields import LAYERS, Activation, KernelLayer, Layer, LayerBase

__all__ = [
    "LAYERS", "Activation", "ActivationLayer", "Dense", "Embedding", "KernelLayer", "Layer", "LayerBase", "Softmax",
    "activations", "attention", "augmentation", "convolution", "images", "merging", "normalization", "pooling", "preprocessing",
    "recurrent", "regularization", "reshaping", "wrappers",
]  # fmt: skip
