"""How raw rows become tensors and answers become labels: one stored plan, one numpy implementation.

The trainer and the predictor both import it, so that they cannot differ. Knows no Keras, HTTP or database.
"""
