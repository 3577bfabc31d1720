"""A bare ``model.fit`` on arrays, with all of Keras's defaults; only ``fit`` itself is timed.

Fits two new models in one process: a first fit also pays for what Keras and TensorFlow load late. The last line that it
prints is a JSON object. Usage: ``python keras_fit.py tutorial|large|cnn FOLDER``; the folder has ``x.npy`` and ``y.npy``.
"""

import json
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import keras
import numpy as np
from keras import layers

FITS = 2


def tutorial() -> keras.Model:
    """The tutorial's model."""
    model = keras.Sequential([
        keras.Input((2,)),
        layers.Dense(25, activation="sigmoid"),
        layers.Dense(15, activation="sigmoid"),
        layers.Dense(1, activation="sigmoid"),
    ])  # fmt: skip
    model.compile(loss=keras.losses.BinaryCrossentropy(), optimizer="adam")
    return model


def large() -> keras.Model:
    """Two wide layers on a table of 28 columns."""
    model = keras.Sequential([
        keras.Input((28,)),
        layers.Dense(128, activation="relu"),
        layers.Dense(64, activation="relu"),
        layers.Dense(1, activation="sigmoid"),
    ])  # fmt: skip
    model.compile(loss=keras.losses.BinaryCrossentropy(), optimizer="adam")
    return model


def cnn() -> keras.Model:
    """Two small convolutions on images."""
    model = keras.Sequential([
        keras.Input((28, 28, 1)),
        layers.Conv2D(8, 3, activation="relu"),
        layers.MaxPooling2D(),
        layers.Conv2D(16, 3, activation="relu"),
        layers.MaxPooling2D(),
        layers.Flatten(),
        layers.Dense(10, activation="softmax"),
    ])  # fmt: skip
    model.compile(loss=keras.losses.SparseCategoricalCrossentropy(), optimizer="adam")
    return model


FIT: dict[str, tuple[Callable[[], keras.Model], dict[str, Any]]] = {
    "tutorial": (tutorial, {"epochs": 20}),
    "large": (large, {"epochs": 5, "batch_size": 256}),
    "cnn": (cnn, {"epochs": 2, "batch_size": 64}),
}


def main(name: str, folder: Path) -> None:
    """Fit, and print how long each fit took and how much work it was."""
    x, y = np.load(folder / "x.npy"), np.load(folder / "y.npy")
    build, arguments = FIT[name]
    seconds = []
    for _ in range(FITS):
        model = build()
        began = time.perf_counter()
        model.fit(x, y, **arguments)
        seconds.append(time.perf_counter() - began)
    work = {"parameters": model.count_params(), "steps": int(model.optimizer.iterations)}
    print("\n" + json.dumps({"seconds": seconds, "work": work}))


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]))
