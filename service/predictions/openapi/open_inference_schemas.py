"""Describes the Open Inference Protocol under ``/v2``: its documents, and examples of them."""

from service.predictions.openapi.parts import COLUMNS_EXAMPLE, Json, ref

DATATYPE: Json = {
    "description": "`BOOL`, `UINT8` to `UINT64`, `INT8` to `INT64`, `FP16`, `FP32`, `FP64`, or `BYTES` for texts.",
    "type": "string",
}
NAME: Json = {"description": "Name of the tensor.", "type": "string"}
SHAPE: Json = {"description": "Its shape; the number of rows first.", "type": "array", "items": {"type": "integer"}}
DATA: Json = {
    "description": "The values in row-major order, as one list or as nested ones; null is a missing number or text.",
    "type": "array",
    "items": {},
}
_INPUTS = [{"name": name, "shape": [2], "datatype": "FP64", "data": values} for name, values in COLUMNS_EXAMPLE.items()]
_SIZE: Json = {
    "description": "`binary_data_size`: how many bytes behind the JSON part are this tensor, where it has no `data`.",
    "type": "object",
}
_WANTED: Json = {"parameters": {"binary_data_output": True}}
EXAMPLES: Json = {
    "table": {"summary": "Columns of a table", "value": {"id": "1", "inputs": _INPUTS}},
    "bytes": {"summary": "The answer as bytes", "value": {"inputs": _INPUTS, **_WANTED}},
}
ANSWER_EXAMPLE: Json = {
    "model_name": "my_model",
    "model_version": "1",
    "id": "1",
    "outputs": [{"name": "species", "datatype": "FP32", "shape": [2, 2], "data": [0.97, 0.03, 0.02, 0.98]}],
}


def _described(name: str, datatype: str, shape: list[int]) -> Json:
    return {"name": name, "datatype": datatype, "shape": shape}


SCHEMAS: Json = {
    "InferenceServer": {
        "description": "The server.",
        "type": "object",
        "properties": {
            "name": {"description": "Always `fitserve`.", "type": "string"},
            "version": {"description": "Version of Fitserve.", "type": "string"},
            "extensions": {
                "description": "What it speaks beside the protocol itself.",
                "type": "array",
                "items": {"type": "string"},
            },
        },
        "example": {"name": "fitserve", "version": "0.1.0", "extensions": ["binary_tensor_data"]},
    },
    "InferenceLiveness": {
        "description": "A sign of life.",
        "type": "object",
        "properties": {"live": {"description": "Always true.", "type": "boolean"}},
        "example": {"live": True},
    },
    "InferenceReadiness": {
        "description": "Whether predictions can be answered.",
        "type": "object",
        "properties": {"ready": {"description": "Always true; else the answer is an error.", "type": "boolean"}},
        "example": {"ready": True},
    },
    "InferenceModelReadiness": {
        "description": "Whether a version can answer.",
        "type": "object",
        "properties": {
            "name": {"description": "Name of the model.", "type": "string"},
            "ready": {"description": "Always true; else the answer is an error.", "type": "boolean"},
        },
        "example": {"name": "my_model", "ready": True},
    },
    "InferenceIndexRequest": {
        "description": "Which versions are wanted.",
        "type": "object",
        "properties": {
            "ready": {"description": "Whether only versions that can answer are wanted.", "type": "boolean", "default": False}
        },
    },
    "InferenceIndexEntry": {
        "description": "A version, and whether it can answer.",
        "type": "object",
        "properties": {
            "name": {"description": "Name of the model.", "type": "string"},
            "version": {"description": "Number of the version.", "type": "string"},
            "state": {"description": "`READY` when it answers, else `UNAVAILABLE`.", "type": "string"},
            "reason": {"description": "Why it does not answer; empty when it does.", "type": "string"},
        },
        "example": {"name": "my_model", "version": "1", "state": "READY", "reason": ""},
    },
    "InferenceTensor": {
        "description": "An input or output of a model.",
        "type": "object",
        "properties": {
            "name": NAME,
            "datatype": DATATYPE,
            "shape": {**SHAPE, "description": "Its shape; -1 is any size, such as the number of rows."},
        },
    },
    "InferenceModel": {
        "description": "What a version takes and gives.",
        "type": "object",
        "properties": {
            "name": {"description": "Name of the model.", "type": "string"},
            "versions": {"description": "The version that is meant.", "type": "array", "items": {"type": "string"}},
            "platform": {"description": "What runs the model: `onnxruntime_onnx` or `tensorflow_keras`.", "type": "string"},
            "inputs": {
                "description": "The tensors that a request must have: the columns of a table, or the arrays.",
                "type": "array",
                "items": ref("InferenceTensor"),
            },
            "outputs": {"description": "The tensors of an answer.", "type": "array", "items": ref("InferenceTensor")},
        },
        "example": {
            "name": "my_model",
            "versions": ["1"],
            "platform": "onnxruntime_onnx",
            "inputs": [_described(name, "FP64", [-1]) for name in COLUMNS_EXAMPLE],
            "outputs": [_described("species", "FP32", [-1, 2])],
        },
    },
    "InferenceInput": {
        "description": "A tensor of a request.",
        "type": "object",
        "additionalProperties": False,
        "required": ["name", "shape", "datatype"],
        "properties": {
            "name": NAME,
            "shape": {**SHAPE, "description": "Its shape, the number of rows first; for a column `[rows]` or `[rows, 1]`."},
            "datatype": DATATYPE,
            "data": DATA,
            "parameters": _SIZE,
        },
    },
    "InferenceWanted": {
        "description": "An output that is wanted.",
        "type": "object",
        "additionalProperties": False,
        "required": ["name"],
        "properties": {
            "name": NAME,
            "parameters": {"description": "`binary_data`: whether it shall come as bytes.", "type": "object"},
        },
    },
    "InferenceRequest": {
        "description": "The inputs, and optionally which outputs are wanted.",
        "type": "object",
        "additionalProperties": False,
        "required": ["inputs"],
        "properties": {
            "id": {"description": "Any text; the answer has it too.", "type": "string", "maxLength": 1024},
            "inputs": {"description": "One tensor for every input.", "type": "array", "items": ref("InferenceInput")},
            "outputs": {
                "description": "The outputs that are wanted; all where it is left out.",
                "type": "array",
                "items": ref("InferenceWanted"),
            },
            "parameters": {
                "description": "`binary_data_output`: whether outputs come as bytes, where they do not say it themselves.",
                "type": "object",
            },
            "model_name": {"description": "Ignored; the path says which model is meant."},
            "model_version": {"description": "Ignored; the path says which version is meant."},
        },
    },
    "InferenceOutput": {
        "description": "A tensor of an answer.",
        "type": "object",
        "properties": {
            "name": NAME,
            "shape": SHAPE,
            "datatype": DATATYPE,
            "data": {**DATA, "description": "The values in row-major order; null is a number that is not a number (NaN)."},
            "parameters": _SIZE,
        },
    },
    "InferenceAnswer": {
        "description": "The outputs, and which version made them.",
        "type": "object",
        "properties": {
            "model_name": {"description": "Name of the model.", "type": "string"},
            "model_version": {"description": "Number of the version that answered.", "type": "string"},
            "id": {"description": "That of the request, where it had one.", "type": "string"},
            "outputs": {"description": "The outputs that were wanted.", "type": "array", "items": ref("InferenceOutput")},
        },
    },
}
