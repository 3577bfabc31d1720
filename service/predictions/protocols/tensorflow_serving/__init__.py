"""TensorFlow Serving's REST protocol under ``/v1``, so that its clients only change the address.

Source: ``http_rest_api_handler.cc`` and ``json_tensor.cc`` of TensorFlow Serving, and its REST API guide. For a model
of a table, which TensorFlow Serving does not know, a row is an object of raw columns, or a list of them in order.
"""

from service.predictions.protocols.tensorflow_serving.endpoints import TensorFlowServing

__all__ = ["TensorFlowServing"]
