"""Functional models as data, small ones of every shape that a graph may have."""

from typing import Any

Document = dict[str, Any]


def dense(name: str, inbound: list[Any], units: int = 4, activation: str | None = "tanh", **more: Any) -> Document:
    layer: Document = {"type": "Dense", "name": name, "inbound": inbound, "units": units}
    return layer | ({"activation": activation} if activation else {}) | more


def joined(kind: str, name: str, *inbound: str) -> Document:
    return {"type": kind, "name": name, "inbound": list(inbound)}


def graph(inputs: list[Document], layers: list[Document], *outputs: str) -> Document:
    return {"inputs": inputs, "layers": layers, "outputs": list(outputs)}


A, B = {"name": "a", "shape": [4]}, {"name": "b", "shape": [5]}
WORDS = {"name": "words", "shape": [6], "dtype": "int32"}
EMBEDDING = {"type": "Embedding", "input_dim": 10, "output_dim": 4, "name": "vectors", "inbound": ["words"]}
ANSWER = {"units": 1, "activation": None}

GRAPHS: dict[str, Document] = {
    "a row": graph([A], [dense("h", ["a"]), dense("answer", ["h"], **ANSWER)], "answer"),
    "a skip": graph(
        [A], [dense("h", ["a"]), dense("g", ["h"]), joined("Add", "sum", "h", "g"), dense("answer", ["sum"], **ANSWER)], "answer"
    ),
    "two inputs": graph(
        [A, B], [dense("h", ["a"]), joined("Concatenate", "both", "h", "b"), dense("answer", ["both"], **ANSWER)], "answer"
    ),
    "two outputs": graph(
        [A],
        [dense("h", ["a"]), dense("answer", ["h"], **ANSWER), dense("kind", ["h"], 3, "softmax")],
        "answer",
        "kind",
    ),
    "a shared layer": graph(
        [A, {"name": "c", "shape": [4]}],
        [
            dense("twin", [["a"], ["c"]]),
            joined("Subtract", "gap", "twin", "twin:1"),
            dense("answer", ["gap"], **ANSWER),
        ],
        "answer",
    ),
    "a nested graph": graph(
        [A],
        [
            {
                "type": "Functional",
                "name": "inner",
                "inbound": ["a"],
                **graph(
                    [{"name": "p", "shape": [4]}],
                    [dense("h", ["p"]), {"type": "Dropout", "rate": 0.25, "name": "drop", "inbound": ["h"]}],
                    "drop",
                    "h",
                ),
            },
            joined("Add", "sum", "inner", "inner:0:1"),
            dense("answer", ["sum"], **ANSWER),
        ],
        "answer",
    ),
    "a nested row that is shared": graph(
        [A, {"name": "c", "shape": [4]}],
        [
            {
                "type": "Sequential",
                "name": "encoder",
                "inbound": [["a"], ["c"]],
                "layers": [{"type": "Dense", "units": 6, "activation": "relu"}, {"type": "BatchNormalization"}],
            },
            {"type": "Dot", "axes": -1, "name": "likeness", "inbound": ["encoder", "encoder:1"]},
            dense("answer", ["likeness"], **ANSWER),
        ],
        "answer",
    ),
    "a memory that is handed on": graph(
        [WORDS],
        [
            EMBEDDING | {"mask_zero": True},
            {"type": "LSTM", "units": 3, "return_state": True, "name": "reader", "inbound": ["vectors"]},
            {"type": "LSTM", "units": 3, "name": "writer", "inbound": ["vectors", "reader:0:1", "reader:0:2"]},
            dense("answer", ["writer"], **ANSWER),
        ],
        "answer",
    ),
    "a transformer": graph(
        [WORDS],
        [
            EMBEDDING,
            {
                "type": "MultiHeadAttention",
                "num_heads": 2,
                "key_dim": 2,
                "use_causal_mask": True,
                "name": "look",
                "inbound": ["vectors", "vectors"],
            },
            joined("Add", "sum", "vectors", "look"),
            {"type": "LayerNormalization", "name": "scaled", "inbound": ["sum"]},
            {"type": "TimeDistributed", "name": "each", "inbound": ["scaled"], "layer": {"type": "Dense", "units": 3}},
            {"type": "GlobalAveragePooling1D", "name": "mean", "inbound": ["each"]},
            dense("answer", ["mean"], **ANSWER),
        ],
        "answer",
    ),
    "names that Python has": graph(
        [{"name": "class", "shape": [4]}],
        [dense("x", ["class"]), dense("model", ["x"]), dense("a.b-c", ["model"]), dense("all", ["a.b-c"], **ANSWER)],
        "all",
    ),
}
