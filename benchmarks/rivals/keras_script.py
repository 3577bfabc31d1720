"""The script that a person writes for the tutorial's model; it is timed as a whole, from starting Python to its end."""

import numpy as np
import tensorflow as tf

random = np.random.default_rng(1)
X = random.normal(size=(1000, 2)).astype("float32")
y = (X[:, :1] * X[:, 1:] > 0).astype("float32")

model = tf.keras.Sequential([
    tf.keras.Input((2,)),
    tf.keras.layers.Dense(25, activation="sigmoid", name="layer1"),
    tf.keras.layers.Dense(15, activation="sigmoid", name="layer2"),
    tf.keras.layers.Dense(1, activation="sigmoid", name="layer3"),
])  # fmt: skip
model.compile(loss=tf.keras.losses.BinaryCrossentropy(), optimizer="adam")
model.fit(X, y, epochs=20)
model.save("my_model.keras")
