"""Arguments for everything but layers."""

from tests.catalogue.documents import Document

Case = tuple[Document, Document]
"""Required arguments, and further ones for the full document."""
OPTIMIZERS: dict[str, Case] = {
    "Adadelta": ({}, {"rho": 0.9}),
    "Adafactor": (
        {},
        {"beta_2_decay": -0.7, "epsilon_1": 1e-20, "epsilon_2": 0.01, "clip_threshold": 2.0, "relative_step": False},
    ),
    "Adagrad": ({}, {"initial_accumulator_value": 0.2}),
    "Adam": ({}, {"amsgrad": True}),
    "AdamW": ({}, {"amsgrad": True}),
    "Adamax": ({}, {}),
    "Ftrl": (
        {},
        {
            "learning_rate_power": -0.25,
            "initial_accumulator_value": 0.2,
            "l1_regularization_strength": 0.01,
            "l2_regularization_strength": 0.02,
            "l2_shrinkage_regularization_strength": 0.03,
            "beta": 0.1,
        },
    ),
    "Lamb": ({}, {}),
    "Lion": ({}, {}),
    "Muon": (
        {},
        {
            "adam_beta_1": 0.8,
            "adam_beta_2": 0.9,
            "adam_weight_decay": 0.01,
            "adam_lr_ratio": 0.5,
            "exclude_embeddings": False,
            "muon_a": 3.5,
            "muon_b": -4.5,
            "muon_c": 2.0,
            "ns_steps": 3,
            "nesterov": False,
            "rms_rate": 0.1,
        },
    ),
    "Nadam": ({}, {}),
    "RMSprop": ({}, {"centered": True, "rho": 0.8}),
    "SGD": ({}, {"nesterov": True}),
    "ScheduleFreeAdamW": ({}, {"warmup_steps": 2}),
}
SCHEDULES: dict[str, Case] = {
    "CosineDecay": ({"initial_learning_rate": 0.1, "decay_steps": 10}, {"alpha": 0.1, "warmup_target": 0.2, "warmup_steps": 2}),
    "CosineDecayRestarts": ({"initial_learning_rate": 0.1, "first_decay_steps": 10}, {"t_mul": 1.5, "m_mul": 0.5, "alpha": 0.1}),
    "ExponentialDecay": ({"initial_learning_rate": 0.1, "decay_steps": 10, "decay_rate": 0.5}, {"staircase": True}),
    "InverseTimeDecay": ({"initial_learning_rate": 0.1, "decay_steps": 10, "decay_rate": 0.5}, {"staircase": True}),
    "PiecewiseConstantDecay": ({"boundaries": [2, 5], "values": [0.3, 0.2, 0.1]}, {}),
    "PolynomialDecay": (
        {"initial_learning_rate": 0.1, "decay_steps": 10},
        {"end_learning_rate": 0.01, "power": 2.0, "cycle": True},
    ),
}
INITIALIZERS: dict[str, Case] = {
    "Constant": ({}, {"value": 0.5}),
    "Identity": ({}, {"gain": 2.0}),
    "Ones": ({}, {}),
    "Orthogonal": ({}, {"gain": 2.0}),
    "RandomNormal": ({}, {"mean": 0.5, "stddev": 0.1}),
    "RandomUniform": ({}, {"minval": 0.0, "maxval": 0.1}),
    "STFT": ({}, {"side": "imag", "window": "hamming", "scaling": "spectrum", "periodic": True}),
    "TruncatedNormal": ({}, {"mean": 0.5, "stddev": 0.1}),
    "VarianceScaling": ({}, {"scale": 2.0, "mode": "fan_avg", "distribution": "uniform"}),
    "Zeros": ({}, {}),
    **{f"{who}{how}": ({}, {}) for who in ("Glorot", "He", "Lecun") for how in ("Normal", "Uniform")},
}
REGULARIZERS: dict[str, Case] = {
    "L1": ({}, {"l1": 0.2}),
    "L1L2": ({}, {"l1": 0.2, "l2": 0.1}),
    "L2": ({}, {"l2": 0.2}),
    "OrthogonalRegularizer": ({}, {"factor": 0.2, "mode": "columns"}),
}
CONSTRAINTS: dict[str, Case] = {
    "MaxNorm": ({}, {"max_value": 1.5}),
    "MinMaxNorm": ({}, {"min_value": 0.5, "max_value": 1.5, "rate": 0.5}),
    "NonNeg": ({}, {}),
    "UnitNorm": ({}, {}),
}
LOSSES: dict[str, Case] = {
    "BinaryCrossentropy": ({}, {}),
    "BinaryFocalCrossentropy": ({}, {"apply_class_balancing": True, "alpha": 0.5}),
    "CategoricalCrossentropy": ({}, {}),
    "CategoricalFocalCrossentropy": ({}, {"alpha": [0.25, 0.5, 0.25]}),
    "CategoricalGeneralizedCrossEntropy": ({}, {"q": 0.25}),
    "CosineSimilarity": ({}, {}),
    "Dice": ({}, {"axis": [1]}),
    "Huber": ({}, {"delta": 0.5}),
    "SparseCategoricalCrossentropy": ({}, {"ignore_class": -1}),
    "Tversky": ({}, {"alpha": 0.25, "beta": 0.75, "axis": [1]}),
    **{name: ({}, {}) for name in ("CategoricalHinge", "Hinge", "KLDivergence", "LogCosh", "Poisson", "SquaredHinge")},
    **{f"Mean{name}Error": ({}, {}) for name in ("Absolute", "AbsolutePercentage", "Squared", "SquaredLogarithmic")},
}
METRICS: dict[str, tuple[str, Document, Document]] = {
    "AUC": (
        "binary",
        {},
        {
            "num_thresholds": 4,
            "curve": "PR",
            "summation_method": "majoring",
            "thresholds": [0.25, 0.5],
            "multi_label": True,
            "num_labels": 1,
            "label_weights": [2.0],
        },
    ),
    **{f"{truth}{kind}": ("binary", {}, {}) for truth in ("True", "False") for kind in ("Positives", "Negatives")},
    "BinaryAccuracy": ("binary", {}, {}),
    "BinaryCrossentropy": ("binary", {}, {}),
    "BinaryIoU": ("binary", {}, {"target_class_ids": [1]}),
    "CategoricalAccuracy": ("one_hot", {}, {}),
    "CategoricalCrossentropy": ("one_hot", {}, {}),
    "CategoricalHinge": ("one_hot", {}, {}),
    "F1Score": ("one_hot", {}, {"average": "macro"}),
    "FBetaScore": ("one_hot", {}, {"average": "weighted", "beta": 2.0}),
    "Hinge": ("binary", {}, {}),
    "IoU": ("index", {"num_classes": 3, "target_class_ids": [0, 2], "sparse_y_pred": False}, {"sparse_y_true": True}),
    "KLDivergence": ("one_hot", {}, {}),
    "MeanIoU": ("index", {"num_classes": 3, "sparse_y_pred": False}, {"sparse_y_true": True}),
    "OneHotIoU": ("one_hot", {"num_classes": 3, "target_class_ids": [0, 2]}, {"sparse_y_pred": False}),
    "OneHotMeanIoU": ("one_hot", {"num_classes": 3}, {"sparse_y_pred": False}),
    "Precision": ("one_hot", {}, {"top_k": 2, "class_id": 1}),
    "PrecisionAtRecall": ("binary", {"recall": 0.5}, {"num_thresholds": 4, "class_id": 0}),
    "R2Score": ("number", {}, {"class_aggregation": "variance_weighted_average"}),
    "Recall": ("one_hot", {}, {"top_k": 2, "class_id": 1}),
    "RecallAtPrecision": ("binary", {"precision": 0.5}, {"num_thresholds": 4, "class_id": 0}),
    "SensitivityAtSpecificity": ("binary", {"specificity": 0.5}, {"num_thresholds": 4, "class_id": 0}),
    "SparseCategoricalAccuracy": ("index", {}, {}),
    "SparseCategoricalCrossentropy": ("index", {}, {"ignore_class": -1}),
    "SparseTopKCategoricalAccuracy": ("index", {"k": 2}, {"from_sorted_ids": False}),
    "SpecificityAtSensitivity": ("binary", {"sensitivity": 0.5}, {"num_thresholds": 4, "class_id": 0}),
    "SquaredHinge": ("binary", {}, {}),
    "TopKCategoricalAccuracy": ("one_hot", {"k": 2}, {}),
    **{
        name: ("number", {}, {})
        for name in (
            "ConcordanceCorrelation", "CosineSimilarity", "LogCoshError", "MeanAbsoluteError", "MeanAbsolutePercentageError",
            "MeanSquaredError", "MeanSquaredLogarithmicError", "PearsonCorrelation", "Poisson", "RootMeanSquaredError",
        )
    },
}  # fmt: skip
