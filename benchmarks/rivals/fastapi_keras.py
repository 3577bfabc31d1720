"""What most people write first: FastAPI, pydantic and ``model.predict`` of Keras.

Usage: ``python fastapi_keras.py PORT MODEL.keras``.
"""

import sys

import keras
import numpy as np
import uvicorn
from fastapi import FastAPI
from pydantic import BaseModel

app = FastAPI()
model = keras.models.load_model(sys.argv[2])


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
    return Response(predictions=model.predict(x, verbose=0).tolist())


if __name__ == "__main__":
    uvicorn.run(app, port=int(sys.argv[1]), log_level="warning", access_log=False)
