"""What the fields of a class are set to, so that every field of every class is tried."""

from typing import Any

from service.spec.base import KerasObject

Document = dict[str, Any]
UNIFORM = {"type": "RandomUniform", "minval": -0.1, "maxval": 0.1, "seed": 3}

FULL: Document = {
    "name": "this_one",
    "trainable": False,
    "seed": 7,
    "data_format": "channels_last",
    "activation": "tanh",
    "recurrent_activation": "hard_sigmoid",
    "use_bias": False,
    "rate": 0.25,
    "dropout": 0.25,
    "recurrent_dropout": 0.125,
    "units": 3,
    "filters": 4,
    "kernel_size": 3,
    "strides": 2,
    "padding": "same",
    "dilation_rate": 1,
    "groups": 1,
    "depth_multiplier": 2,
    "pool_size": 3,
    "keepdims": True,
    "unit_forget_bias": False,
    "reset_after": False,
    "return_sequences": True,
    "go_backwards": True,
    "return_state": False,
    "stateful": False,
    "unroll": False,
    "use_cudnn": False,
    "center": False,
    "scale": False,
    "epsilon": 0.01,
    "value_range": [0, 1],
    "factor": [0.25, 0.5],
    "height_factor": [-0.25, 0.25],
    "width_factor": 0.25,
    "fill_mode": "constant",
    "fill_value": 0.5,
    "interpolation": "nearest",
    "noise_shape": [None, 1],
    "sparse": False,
    "axis": 1,
    "height": 8,
    "width": 10,
    "moving_mean_initializer": "zeros",
    "moving_variance_initializer": "ones",
}
"""What a field of a layer is set to where nothing else is said."""
BY_ENDING = {
    "_initializer": UNIFORM,
    "_regularizer": {"type": "L1L2", "l1": 0.01, "l2": 0.02},
    "_constraint": {"type": "MinMaxNorm", "min_value": 0.1, "rate": 0.5},
}

FULL_ELSEWHERE: Document = {
    "name": "this_one",
    "seed": 7,
    "input_axes": [0],
    "output_axes": [1],
    "axis": -1,
    "reduction": "sum",
    "from_logits": True,
    "label_smoothing": 0.1,
    "gamma": 1.0,
    "threshold": 0.25,
    "thresholds": [0.25, 0.75],
    "ignore_class": 2,
    "learning_rate": {"type": "ExponentialDecay", "initial_learning_rate": 0.1, "decay_steps": 10, "decay_rate": 0.5},
    "beta_1": 0.8,
    "beta_2": 0.9,
    "epsilon": 0.001,
    "momentum": 0.5,
    "weight_decay": 0.01,
    "clipnorm": 1.0,
    "clipvalue": None,
    "global_clipnorm": None,
    "use_ema": True,
    "ema_momentum": 0.9,
    "ema_overwrite_frequency": 2,
    "loss_scale_factor": 2.0,
    "gradient_accumulation_steps": 2,
}
"""What a field of anything but a layer is set to where nothing else is said."""


def full_document(cls: type[KerasObject], required: Document, further: Document) -> Document:
    """A document that sets every field of a class."""
    common = FULL if cls.namespace == "keras.layers" else FULL_ELSEWHERE
    document: Document = {"type": cls.model_fields["type"].default}
    for name in cls.model_fields:
        if name not in cls.no_arguments and name not in required and name not in further:
            document[name] = common[name] if name in common else BY_ENDING[name[name.rindex("_") :]]
    return document | required | further
