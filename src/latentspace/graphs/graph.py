"""A graph of ONNX operators that is written down by hand: names, constants and nodes, and the file they become."""

from __future__ import annotations

from types import ModuleType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from latentspace.errors import OptionError

#: versions of the operators that a graph is made of, and of the file it is kept in
OPSET, ML_OPSET, IR = 20, 3, 9
#: what names inside a graph begin with, so that no column of the user's is called like one
INSIDE = "/latentspace/"


def needs(name: str) -> ModuleType:
    """The package `name`. Raises OptionError with the line that installs it where it is missing."""
    import importlib

    try:
        return importlib.import_module(name)
    except ImportError as failure:
        raise OptionError(
            f"This needs the package {name.partition('.')[0]}: pip install 'latentspace[export]'."
        ) from failure


class Graph:
    """Operators in the order in which they run; every call gives the name of what comes out.

    >>> graph = Graph()
    >>> x = graph.input("x", np.float32, ["n", 2])
    >>> graph.output("y", graph("Mul", x, np.float32(2)), np.float32, ["n", 2])
    >>> [node.op_type for node in graph.model().graph.node]
    ['Mul', 'Identity']
    """

    def __init__(self) -> None:
        self._helper = needs("onnx.helper")
        self._arrays = needs("onnx.numpy_helper")
        self._nodes: list[Any] = []
        self._constants: list[Any] = []
        self._inputs: list[Any] = []
        self._outputs: list[Any] = []
        self._count = 0

    def __call__(self, op: str, *inputs: Any, outputs: int = 1, domain: str = "", **attributes: Any) -> Any:
        """Add an operator; arrays and numbers among `inputs` become constants. Gives one name, or a list."""
        names = [value if isinstance(value, str) else self.constant(value) for value in inputs]
        made = [self._name(op) for _ in range(outputs)]
        self._nodes.append(self._helper.make_node(op, names, made, name=made[0], domain=domain, **attributes))
        return made if outputs > 1 else made[0]

    def constant(self, value: Any) -> str:
        """An array, or a number of NumPy's with its own type, as a constant."""
        name = self._name("constant")
        array = np.asarray(value)
        if array.dtype.kind == "U":
            array = array.astype(object)
        self._constants.append(self._arrays.from_array(array, name))
        return name

    def input(self, name: str, dtype: Any, shape: list[Any] | None, default: Any = None) -> str:
        """Declare an input, of any shape where that is None; with `default` it may be left out."""
        self._inputs.append(self._helper.make_tensor_value_info(name, self._type(dtype), shape))
        if default is not None:
            self._constants.append(self._arrays.from_array(np.asarray(default, dtype), name))
        return name

    def output(self, name: str, value: str, dtype: Any, shape: list[Any]) -> None:
        """Declare what comes out."""
        self._nodes.append(self._helper.make_node("Identity", [value], [name], name=self._name("Identity")))
        self._outputs.append(self._helper.make_tensor_value_info(name, self._type(dtype), shape))

    def include(self, model: Any, value: str) -> str:
        """The nodes of another model of one input and one output, fed with `value`; gives its output's name."""
        self._count += 1
        prefix = f"{INSIDE}{self._count}/"
        inner = model.graph
        renamed = {inner.input[0].name: value, "": ""}
        for node in inner.node:
            copy = self._helper.make_node(
                node.op_type,
                [renamed.get(name, prefix + name) for name in node.input],
                [prefix + name if name else "" for name in node.output],
                name=prefix + (node.name or node.output[0]),
                domain=node.domain,
            )
            copy.attribute.extend(node.attribute)
            self._nodes.append(copy)
        for constant in inner.initializer:
            own = type(constant)()
            own.CopyFrom(constant)
            own.name = prefix + constant.name
            self._constants.append(own)
        return prefix + str(inner.output[0].name)

    def model(self, facts: dict[str, str] | None = None) -> Any:
        """The whole as an onnx ModelProto, with `facts` as its metadata."""
        graph = self._helper.make_graph(
            self._nodes, "latentspace", self._inputs, self._outputs, self._constants
        )
        opsets = [self._helper.make_opsetid("", OPSET), self._helper.make_opsetid("ai.onnx.ml", ML_OPSET)]
        model = self._helper.make_model(
            graph, opset_imports=opsets, ir_version=IR, producer_name="latentspace"
        )
        self._helper.set_model_props(model, facts or {})
        return model

    def _name(self, op: str) -> str:
        self._count += 1
        return f"{INSIDE}{op}_{self._count}"

    def _type(self, dtype: Any) -> int:
        if dtype is str:
            return int(needs("onnx").TensorProto.STRING)
        return int(self._helper.np_dtype_to_tensor_dtype(np.dtype(dtype)))


def cast(graph: Graph, value: str, dtype: Any) -> str:
    """`value` in another number type."""
    name: str = graph("Cast", value, to=graph._type(dtype))
    return name


def table(array: Any) -> NDArray[np.float64]:
    """A sequence of numbers as a row (1, k) of float64."""
    return np.asarray(array, np.float64)[None, :]
