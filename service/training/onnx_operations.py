"""Teaches tf2onnx, the exporter that Keras uses, operations of TensorFlow that it does not know. Imported for its effect."""

from typing import Any

import numpy as np
from tf2onnx.handler import tf_op


def _replace_by_difference(graph: Any, node: Any, function: str, one_first: bool) -> None:
    """Put ``1 - function(x)`` in the place of a node, or ``function(x) - 1``."""
    dtype, shape = graph.get_dtype(node.output[0]), graph.get_shape(node.output[0])
    graph.remove_node(node.name)
    value = graph.make_node(function, node.input, dtypes=[dtype], shapes=[shape]).output[0]
    one = graph.make_const(f"{node.name}_one", np.array(1, np.float32)).output[0]
    terms = [one, value] if one_first else [value, one]
    graph.make_node("Sub", terms, outputs=node.output, dtypes=[dtype], shapes=[shape])


@tf_op("Erfc")
class Erfc:
    """``1 - erf(x)``: what TensorFlow makes GELU of."""

    @classmethod
    def version_9(cls, graph: Any, node: Any, **_: Any) -> None:
        """Put nodes of ONNX in the place of a node."""
        _replace_by_difference(graph, node, "Erf", one_first=True)


@tf_op("Expm1")
class Expm1:
    """``exp(x) - 1``: what Keras makes CELU of."""

    @classmethod
    def version_7(cls, graph: Any, node: Any, **_: Any) -> None:
        """Put nodes of ONNX in the place of a node."""
        _replace_by_difference(graph, node, "Exp", one_first=False)


@tf_op("Bucketize")
class Bucketize:
    """Into which bin a number falls is how many boundaries it has reached: what Discretization asks."""

    @classmethod
    def version_13(cls, graph: Any, node: Any, **_: Any) -> None:
        """Put nodes of ONNX in the place of a node."""
        boundaries = np.array(node.get_attr_value("boundaries"), np.float32)
        dtype, shape = graph.get_dtype(node.output[0]), graph.get_shape(node.output[0])
        graph.remove_node(node.name)
        last = graph.make_const(f"{node.name}_last", np.array([-1], np.int64))
        each = graph.make_node("Unsqueeze", [node.input[0], last.output[0]])
        limits = graph.make_const(f"{node.name}_boundaries", boundaries)
        below = graph.make_node("Less", [each.output[0], limits.output[0]])
        reached = graph.make_node("Not", [below.output[0]])
        counted = graph.make_node("Cast", [reached.output[0]], attr={"to": dtype})
        inputs = [counted.output[0], last.output[0]]
        graph.make_node("ReduceSum", inputs, {"keepdims": 0}, outputs=node.output, dtypes=[dtype], shapes=[shape])
