"""The typed definition of what to train: plain data in Keras's words. Knows no Keras, HTTP or database."""
