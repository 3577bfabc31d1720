"""What of Keras's public API is no data, and why; and documents for what is."""

from typing import Any

from service.spec.base import KerasObject

EVERYWHERE = {
    "dtype": "the dtype policy of the fit decides",
    "kwargs": "what every layer takes is offered by name: name and trainable",
    "args": "a base class",
}
LORA = "adapts weights that a model has already, and a definition has none"
QUANTIZATION = "makes a fitted model smaller, and a definition is not fitted"
INITIAL_WEIGHTS = "weights come from another run"
NO_WORD = "a definition has no word for the second use of a layer in another way"

EXCLUDED_CLASSES: dict[str, dict[str, str]] = {
    "keras.layers": {
        "Layer": "a base class",
        "Wrapper": "a base class",
        "InputLayer": "implied by the shape of the data",
        "InputSpec": "no layer: a layer's note about its inputs",
        "Lambda": "holds code",
        "TFSMLayer": "loads a program from a file",
        "TorchModuleWrapper": "holds an object of another library",
        "FlaxLayer": "holds an object of another library",
        "JaxLayer": "holds code",
        "StringLookup": "the feature plan keeps vocabularies; Keras would read one from a path",
        "IntegerLookup": "the feature plan keeps vocabularies; Keras would read one from a path",
        "TextVectorization": "the feature plan keeps vocabularies; Keras would read one from a path",
        "Hashing": "the feature plan encodes categories",
        "HashedCrossing": "the feature plan encodes categories; it takes two columns of text",
        "MaxNumBoundingBoxes": "its input is a dictionary of images and boxes",
        "MixUp": "mixes targets too, and a layer of a model sees its input only",
        "CutMix": "mixes targets too, and a layer of a model sees its input only",
        "ReversibleEmbedding": NO_WORD,
    },
    "keras.initializers": {"Initializer": "a base class"},
    "keras.regularizers": {"Regularizer": "a base class"},
    "keras.constraints": {"Constraint": "a base class"},
    "keras.optimizers": {
        "Optimizer": "a base class",
        "LossScaleOptimizer": "Keras puts it around the optimizer itself where the dtype policy is mixed_float16",
        "MultiOptimizer": "maps optimizers to layers that are objects",
        "OptimizerMap": "maps optimizers to layers that are objects",
    },
    "keras.optimizers.schedules": {"LearningRateSchedule": "a base class"},
    "keras.losses": {
        "Loss": "a base class",
        "CTC": "its target is a text of any length, which is no column of a table and no array",
        "Circle": "its output is a place in space, whose size does not follow from the target",
    },
    "keras.metrics": {
        "Metric": "a base class",
        "MeanMetricWrapper": "holds a function",
        "Mean": "no metric of a model: it takes no targets",
        "Sum": "no metric of a model: it takes no targets",
        "Accuracy": "asks whether outputs equal the target, which probabilities never do; `accuracy` chooses a right one",
    },
}
EXCLUDED_ACTIVATIONS = {"threshold": "has two numbers to set, and the name of a function has no place for them"}
EXCLUDED_ARGUMENTS: dict[str, dict[str, str]] = {
    "Dense": {"lora_rank": LORA, "lora_alpha": LORA, "quantization_config": QUANTIZATION},
    "EinsumDense": {
        "lora_rank": LORA,
        "lora_alpha": LORA,
        "quantization_config": QUANTIZATION,
        "gptq_unpacked_column_size": QUANTIZATION,
    },
    "Embedding": {"lora_rank": LORA, "lora_alpha": LORA, "quantization_config": QUANTIZATION, "weights": INITIAL_WEIGHTS},
    "Bidirectional": {"weights": INITIAL_WEIGHTS},
    "Discretization": {
        "num_bins": "boundaries that are found from data: the feature plan's task",
        "epsilon": "how exactly boundaries are found from data",
    },
    "Muon": {"exclude_layers": "patterns that are searched in names: a hostile one takes for ever"},
}
OTHER_DEFAULTS: dict[str, dict[str, str]] = {
    "Normalization": {
        "mean": "required: finding it from the data is the feature plan's task",
        "variance": "required: finding it from the data is the feature plan's task",
    },
    "Discretization": {"bin_boundaries": "required: finding them from the data is the feature plan's task"},
    "CategoryEncoding": {"num_tokens": "required by Keras too, which says so later"},
}

Document = dict[str, Any]
SEQUENCE, IMAGE, VOLUME, FILM = [6, 4], [12, 12, 3], [6, 6, 6, 2], [3, 8, 8, 2]
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
"""What a field is set to where nothing else is said, so that every field of every class is tried."""
BY_ENDING = {
    "_initializer": UNIFORM,
    "_regularizer": {"type": "L1L2", "l1": 0.01, "l2": 0.02},
    "_constraint": {"type": "MinMaxNorm", "min_value": 0.1, "rate": 0.5},
}

# By class: the shape of one row that the layer takes, its required arguments, and further arguments for the full document.
LAYERS: dict[str, tuple[list[int], Document, Document]] = {
    "Activation": ([4], {"activation": "gelu"}, {}),
    "ActivityRegularization": ([4], {}, {"l1": 0.1, "l2": 0.2}),
    **{f"Adaptive{kind}Pooling1D": (SEQUENCE, {"output_size": 3}, {}) for kind in ("Average", "Max")},
    **{f"Adaptive{kind}Pooling2D": (IMAGE, {"output_size": [3, 4]}, {}) for kind in ("Average", "Max")},
    **{f"Adaptive{kind}Pooling3D": (VOLUME, {"output_size": 2}, {}) for kind in ("Average", "Max")},
    "AlphaDropout": ([4], {"rate": 0.25}, {}),
    "AugMix": (IMAGE, {}, {"num_chains": 2, "chain_depth": 1, "alpha": 0.5, "all_ops": False}),
    "AutoContrast": (IMAGE, {}, {}),
    **{f"{kind}Pooling1D": (SEQUENCE, {"pool_size": 2}, {}) for kind in ("Average", "Max")},
    **{f"{kind}Pooling2D": (IMAGE, {"pool_size": [2, 3]}, {"strides": [2, 1]}) for kind in ("Average", "Max")},
    **{f"{kind}Pooling3D": (VOLUME, {"pool_size": 2}, {}) for kind in ("Average", "Max")},
    "BatchNormalization": (
        [4],
        {},
        {
            "momentum": 0.9,
            "renorm": True,
            "renorm_clipping": {"rmax": 3.0, "dmax": 5.0},
            "renorm_momentum": 0.9,
            "synchronized": True,
        },
    ),
    "Bidirectional": (
        SEQUENCE,
        {"layer": {"type": "LSTM", "units": 3}},
        {
            "layer": {"type": "GRU", "units": 3, "name": "there"},
            "backward_layer": {"type": "GRU", "units": 3, "go_backwards": True, "name": "back"},
            "merge_mode": "sum",
        },
    ),
    "CategoryEncoding": ([4], {"num_tokens": 5}, {"output_mode": "count"}),
    "CenterCrop": (IMAGE, {"height": 8, "width": 10}, {}),
    "ContrastLimitedAdaptiveHistogramEqualization": (IMAGE, {}, {"clip_limit": 2.0, "tile_grid_size": [4, 3]}),
    "Conv1D": (SEQUENCE, {"filters": 2, "kernel_size": 3}, {"padding": "causal", "groups": 2}),
    "Conv2D": (IMAGE, {"filters": 2, "kernel_size": [3, 2]}, {"strides": 1, "dilation_rate": 2}),
    "Conv3D": (VOLUME, {"filters": 2, "kernel_size": 2}, {"kernel_size": [2, 2, 1], "strides": [1, 2, 1]}),
    "Conv1DTranspose": (SEQUENCE, {"filters": 2, "kernel_size": 3}, {"output_padding": 1}),
    "Conv2DTranspose": (IMAGE, {"filters": 2, "kernel_size": 3}, {"output_padding": [1, 0]}),
    "Conv3DTranspose": (VOLUME, {"filters": 2, "kernel_size": 2}, {"output_padding": 1}),
    "ConvLSTM1D": ([3, 8, 2], {"filters": 2, "kernel_size": 3}, {}),
    "ConvLSTM2D": (FILM, {"filters": 2, "kernel_size": 3}, {"strides": [2, 1]}),
    "ConvLSTM3D": ([3, 4, 4, 4, 1], {"filters": 2, "kernel_size": 2}, {}),
    "Cropping1D": (SEQUENCE, {}, {"cropping": [2, 1]}),
    "Cropping2D": (IMAGE, {}, {"cropping": [[2, 1], [0, 3]]}),
    "Cropping3D": (VOLUME, {}, {"cropping": [1, 2, 0]}),
    "Dense": ([4], {"units": 3}, {}),
    "DepthwiseConv1D": (SEQUENCE, {"kernel_size": 3}, {}),
    "DepthwiseConv2D": (IMAGE, {"kernel_size": 3}, {}),
    "Discretization": ([4], {"bin_boundaries": [0.0, 0.5]}, {"output_mode": "one_hot", "trainable": True}),
    "Dropout": ([4], {"rate": 0.25}, {}),
    "ELU": ([4], {}, {"alpha": 0.5}),
    "EinsumDense": (SEQUENCE, {"equation": "abc,cd->abd", "output_shape": [None, 3]}, {"bias_axes": "d"}),
    "Embedding": ([4], {"input_dim": 5, "output_dim": 3}, {"mask_zero": True}),
    "Equalization": (IMAGE, {}, {"bins": 16}),
    "Flatten": (SEQUENCE, {}, {}),
    "GRU": (SEQUENCE, {"units": 3}, {}),
    "GaussianDropout": ([4], {"rate": 0.25}, {}),
    "GaussianNoise": ([4], {"stddev": 0.5}, {}),
    **{f"Global{kind}Pooling1D": (SEQUENCE, {}, {}) for kind in ("Average", "Max")},
    **{f"Global{kind}Pooling2D": (IMAGE, {}, {}) for kind in ("Average", "Max")},
    **{f"Global{kind}Pooling3D": (VOLUME, {}, {}) for kind in ("Average", "Max")},
    "GroupNormalization": (SEQUENCE, {"groups": 2}, {"groups": 3}),
    "Identity": ([4], {}, {}),
    "LSTM": (SEQUENCE, {"units": 3}, {}),
    "LayerNormalization": (SEQUENCE, {}, {"axis": [1, 2]}),
    "LeakyReLU": ([4], {}, {"negative_slope": 0.1}),
    "Masking": (SEQUENCE, {}, {"mask_value": -1.0}),
    "MelSpectrogram": (
        [64],
        {"fft_length": 16, "sequence_stride": 8, "num_mel_bins": 4},
        {
            "sequence_length": 12,
            "window": "hamming",
            "sampling_rate": 8000,
            "min_freq": 10.0,
            "max_freq": 3000.0,
            "power_to_db": False,
            "top_db": 60.0,
            "mag_exp": 1.0,
            "min_power": 1e-6,
            "ref_power": 2.0,
        },
    ),
    "Normalization": (
        SEQUENCE,
        {"mean": 1.0, "variance": 4.0},
        {"axis": -1, "mean": [1.0, 2.0, 3.0, 4.0], "variance": [1.0] * 4, "invert": True},
    ),
    "PReLU": (IMAGE, {}, {"shared_axes": [1, 2]}),
    "Permute": (SEQUENCE, {"dims": [2, 1]}, {}),
    "Pipeline": (
        IMAGE,
        {"layers": ["RandomFlip"]},
        {
            "trainable": True,
            "layers": [
                {"type": "Rescaling", "scale": 0.5, "name": "half"},
                {"type": "RandomRotation", "factor": 0.1, "name": "turn"},
            ]
        },
    ),
    "RMSNormalization": (SEQUENCE, {}, {"axis": [-1]}),
    "RNN": (
        SEQUENCE,
        {"cell": {"type": "LSTMCell", "units": 3}},
        {
            "cell": [{"type": "GRUCell", "units": 3, "name": "low"}, {"type": "SimpleRNNCell", "units": 2, "name": "high"}],
            "zero_output_for_mask": True,
        },
    ),
    "RandAugment": (IMAGE, {}, {"num_ops": 1}),
    "RandomBrightness": (IMAGE, {"factor": 0.25}, {}),
    "RandomColorDegeneration": (IMAGE, {"factor": 0.25}, {}),
    "RandomColorJitter": (
        IMAGE,
        {},
        {"brightness_factor": 0.1, "contrast_factor": 0.2, "saturation_factor": [0.25, 0.5], "hue_factor": 0.1},
    ),
    "RandomContrast": (IMAGE, {"factor": 0.25}, {}),
    "RandomCrop": (IMAGE, {"height": 8, "width": 10, "seed": 5}, {}),
    "RandomElasticTransform": (IMAGE, {}, {"scale": 0.5}),
    "RandomErasing": (IMAGE, {}, {"scale": [0.1, 0.2]}),
    "RandomFlip": (IMAGE, {}, {"mode": "vertical"}),
    "RandomGaussianBlur": (IMAGE, {}, {"kernel_size": [3, 5], "sigma": [0.25, 1.0]}),
    "RandomGrayscale": (IMAGE, {}, {"factor": 0.25}),
    "RandomHue": (IMAGE, {"factor": 0.25}, {}),
    "RandomInvert": (IMAGE, {}, {}),
    "RandomPerspective": (IMAGE, {}, {"scale": 0.5}),
    "RandomPosterization": (IMAGE, {"factor": 4}, {"factor": [2, 6]}),
    "RandomRotation": (IMAGE, {"factor": 0.25}, {}),
    "RandomSaturation": (IMAGE, {"factor": 0.25}, {}),
    "RandomSharpness": (IMAGE, {"factor": 0.25}, {}),
    "RandomShear": (IMAGE, {}, {"x_factor": 0.25, "y_factor": [0.1, 0.2]}),
    "RandomTranslation": (IMAGE, {"height_factor": 0.25, "width_factor": 0.25}, {}),
    "RandomZoom": (IMAGE, {"height_factor": 0.25}, {}),
    "ReLU": ([4], {}, {"max_value": 6.0, "negative_slope": 0.1, "threshold": 0.5}),
    "RepeatVector": ([4], {"n": 3}, {}),
    "Rescaling": (IMAGE, {"scale": 0.5}, {"scale": [0.5, 0.25, 1.0], "offset": [1.0, 2.0, 3.0]}),
    "Reshape": (SEQUENCE, {"target_shape": [4, -1]}, {}),
    "Resizing": (
        IMAGE,
        {"height": 8, "width": 10},
        {"crop_to_aspect_ratio": False, "pad_to_aspect_ratio": True, "antialias": True},
    ),
    "STFTSpectrogram": (
        [64, 2],
        {"frame_length": 16},
        {
            "mode": "magnitude",
            "frame_step": 4,
            "fft_length": 16,
            "window": "hamming",
            "periodic": True,
            "scaling": "spectrum",
            "expand_dims": True,
        },
    ),
    "SeparableConv1D": (SEQUENCE, {"filters": 2, "kernel_size": 3}, {}),
    "SeparableConv2D": (IMAGE, {"filters": 2, "kernel_size": 3}, {}),
    "SimpleRNN": (SEQUENCE, {"units": 3}, {}),
    "Softmax": (SEQUENCE, {}, {"axis": [1, 2]}),
    "Solarization": (IMAGE, {}, {"addition_factor": 0.25, "threshold_factor": [0.1, 0.5]}),
    "SpatialDropout1D": (SEQUENCE, {"rate": 0.25}, {"trainable": True}),
    "SpatialDropout2D": (IMAGE, {"rate": 0.25}, {"trainable": True}),
    "SpatialDropout3D": (VOLUME, {"rate": 0.25}, {"trainable": True}),
    "SpectralNormalization": (
        [4],
        {"layer": {"type": "Dense", "units": 3}},
        {"layer": {"type": "Dense", "units": 3, "name": "inner"}, "power_iterations": 2},
    ),
    "TimeDistributed": (
        SEQUENCE,
        {"layer": {"type": "Dense", "units": 3}},
        {"layer": {"type": "Dense", "units": 3, "name": "inner"}},
    ),
    "UnitNormalization": (SEQUENCE, {}, {"axis": [1, 2]}),
    "UpSampling1D": (SEQUENCE, {}, {"size": 3}),
    "UpSampling2D": (IMAGE, {}, {"size": [2, 3], "interpolation": "bilinear"}),
    "UpSampling3D": (VOLUME, {}, {"size": [1, 2, 3]}),
    "ZeroPadding1D": (SEQUENCE, {}, {"padding": [2, 1]}),
    "ZeroPadding2D": (IMAGE, {}, {"padding": [[2, 1], [0, 3]]}),
    "ZeroPadding3D": (VOLUME, {}, {"padding": 1}),
}
JOINING: dict[str, tuple[list[int], Document, Document]] = {
    **{name: (SEQUENCE, {}, {}) for name in ("Add", "Subtract", "Multiply", "Average", "Maximum", "Minimum")},
    "Concatenate": (SEQUENCE, {}, {}),
    "Dot": (SEQUENCE, {"axes": 2}, {"axes": [1, 1], "normalize": True}),
    "Attention": (SEQUENCE, {}, {"use_scale": True, "score_mode": "concat"}),
    "AdditiveAttention": (SEQUENCE, {}, {"use_scale": False}),
    "MultiHeadAttention": (
        SEQUENCE,
        {"num_heads": 2, "key_dim": 3},
        {
            "value_dim": 5,
            "output_shape": 6,
            "attention_axes": [1],
            "sliding_window": 3,
            "flash_attention": False,
            "use_gate": True,
        },
    ),
    "GroupQueryAttention": (
        SEQUENCE,
        {"head_dim": 3, "num_query_heads": 4, "num_key_value_heads": 2},
        {"sliding_window": 3, "flash_attention": False, "use_gate": True},
    ),
}
CELLS: dict[str, Document] = {
    "SimpleRNNCell": {"units": 3},
    "LSTMCell": {"units": 3},
    "GRUCell": {"units": 3},
    "StackedRNNCells": {
        "cells": [{"type": "LSTMCell", "units": 3, "name": "low"}, {"type": "GRUCell", "units": 2, "name": "high"}]
    },
}


def full_document(cls: type[KerasObject], required: Document, further: Document) -> Document:
    """A document that sets every field of a class."""
    document: Document = {}
    for name in cls.model_fields:
        ending = next((value for end, value in BY_ENDING.items() if name.endswith(end)), None)
        document[name] = cls.model_fields["type"].default if name == "type" else FULL.get(name, ending)
    return document | required | further
