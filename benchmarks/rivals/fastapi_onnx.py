"""What a good engineer writes in ten minutes: FastAPI, pydantic and onnxruntime.

``/predict`` runs in a thread, as FastAPI's documentation advises for work that blocks; ``/predict_inline`` saves the
thread, and every other request waits meanwhile.
Usage: ``python fastapi_onnx.py PORT MODEL.onnx``.
"""

import sys

import numpy as np
import onnxruntime
import uvicorn
from fastapi import FastAPI
from pydantic import BaseModel

app = FastAPI()
options = onnxruntime.SessionOptions()
options.intra_op_num_threads = options.inter_op_num_threads = 1
session = onnxruntime.InferenceSession(sys.argv[2], options, providers=["CPUExecutionProvider"])
input_name = session.get_inputs()[0].name


class Request(BaseModel):
    """Rows of numbers."""

    instances: list[list[float]]


class Response(BaseModel):
    """One list of outputs per row."""

    predictions: list[list[float]]


@app.post("/predict")
def predict(request: Request) -> Response:
    """Outputs of the model."""
    x = np.array(request.instances, dtype=np.float32)
    (y,) = session.run(None, {input_name: x})
    return Response(predictions=y.tolist())


@app.post("/predict_inline")
async def predict_inline(request: Request) -> Response:
    """The same on the event loop."""
    return predict(request)


if __name__ == "__main__":
    uvicorn.run(app, port=int(sys.argv[1]), log_level="warning", access_log=False)
