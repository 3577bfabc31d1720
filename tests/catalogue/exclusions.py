"""What of Keras's public API is no data, and why."""

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
    "R2Score": {"num_regressors": "Keras compares it with the number of rows, which no compiled fit can do"},
    "Muon": {"exclude_layers": "patterns that are searched in names: a hostile one takes for ever"},
}
OTHER_DEFAULTS: dict[str, dict[str, str]] = {
    "Discretization": {"bin_boundaries": "required: finding them from the data is the feature plan's task"},
    "CategoryEncoding": {"num_tokens": "required by Keras too, which says so later"},
}
