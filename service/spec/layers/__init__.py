"""The layer catalogue: one strict class per Keras layer that can be data. Source: https://keras.io/api/layers."""

from service.spec.activations import Activation
from service.spec.layers import (
    activations,
    attention,
    augmentation,
    convolution,
    images,
    merging,
    models,
    normalization,
    pooling,
    preprocessing,
    recurrent,
    regularization,
    reshaping,
    wrappers,
)
from service.spec.layers.activations import LeakyReLU, ReLU, Softmax
from service.spec.layers.core import ActivationLayer, Dense, Embedding
from service.spec.layers.fields import LAYERS, KernelLayer, Layer, LayerBase
from service.spec.layers.normalization import BatchNormalization
from service.spec.layers.recurrent import LSTM
from service.spec.layers.regularization import Dropout
from service.spec.layers.reshaping import Flatten

__all__ = [
    "LAYERS", "LSTM", "Activation", "ActivationLayer", "BatchNormalization", "Dense", "Dropout", "Embedding", "Flatten",
    "KernelLayer", "Layer", "LayerBase", "LeakyReLU", "ReLU", "Softmax", "activations", "attention", "augmentation",
    "convolution", "images", "merging", "models", "normalization", "pooling", "preprocessing", "recurrent", "regularization",
    "reshaping", "wrappers",
]  # fmt: skip
