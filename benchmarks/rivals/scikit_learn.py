"""scikit-learn's MLPClassifier on the same arrays, for the same epochs; only ``fit`` itself is timed.

The last line that it prints is a JSON object. Usage: ``python scikit_learn.py tutorial|large FOLDER``.
"""

import json
import sys
import time
import warnings
from pathlib import Path
from typing import Any

import numpy as np
from sklearn.exceptions import ConvergenceWarning
from sklearn.neural_network import MLPClassifier

SETTINGS: dict[str, dict[str, Any]] = {
    "tutorial": {"hidden_layer_sizes": (25, 15), "activation": "logistic", "batch_size": 32, "max_iter": 20},
    "large": {"hidden_layer_sizes": (128, 64), "activation": "relu", "batch_size": 256, "max_iter": 5},
}


def main(name: str, folder: Path) -> None:
    """Fit once, and print how long it took and how much work it was."""
    x, y = np.load(folder / "x.npy"), np.load(folder / "y.npy").ravel()
    settings = SETTINGS[name]
    epochs, batch_size = settings["max_iter"], settings["batch_size"]
    # Without a penalty, as in the other models; a loss that stands still must not end the fit.
    model = MLPClassifier(solver="adam", alpha=0.0, early_stopping=False, n_iter_no_change=epochs + 1, **settings)
    warnings.simplefilter("ignore", ConvergenceWarning)
    began = time.perf_counter()
    model.fit(x, y)
    seconds = time.perf_counter() - began
    parameters = sum(array.size for array in [*model.coefs_, *model.intercepts_])
    work = {"parameters": parameters, "steps": model.n_iter_ * -(-len(x) // batch_size)}
    print(json.dumps({"seconds": [seconds], "work": work}))


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]))
