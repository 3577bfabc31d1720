"""The Open Inference Protocol V2 over HTTP, with its binary tensor extension, under ``/v2``.

Source: the Open Inference Protocol specification (HTTP/REST) and the binary data extension, which Triton, KServe and their
clients speak. For a model of a table each raw column is a tensor of shape ``(rows,)`` or ``(rows, 1)``.
"""

from service.predictions.protocols.open_inference.endpoints import OpenInference

__all__ = ["OpenInference"]
