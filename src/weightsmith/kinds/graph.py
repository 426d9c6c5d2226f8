"""Which step of a model feeds which: its modules and functions as a graph, by symbolic tracing."""

import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

import torch
from torch import fx, nn
from torch.nn.utils import parametrize

from weightsmith.errors import InputError
from weightsmith.sources.module import unwrap

Operation = Literal["input", "module", "function", "attribute", "output"]

_FAILURES = (
    ArithmeticError,
    AssertionError,
    AttributeError,
    LookupError,
    NameError,
    RuntimeError,
    TypeError,
    ValueError,
)
"""What a forward method may raise when it is fed stand-ins for tensors."""


@dataclass(eq=False)
class Node:
    """One step of a model.

    Attributes:
        operation: what kind of step it is.
        path: of the module, or of the attribute, in the model; empty for other steps and for the model itself.
        module: the module called; None for other steps.
        function: plain name of the function or method called (`add`, `relu`, `flatten`); empty for other steps.
        target: the function itself, or the method's name; None for other steps.
        arguments: of the call, with nodes in the places of tensors.
        options: its keyword arguments, likewise.
        inputs: the nodes among them, each once, in their order.
        users: the nodes that this one is an input of, in the order of execution.
    """

    operation: Operation
    path: str = ""
    module: nn.Module | None = None
    function: str = ""
    target: Callable[..., Any] | str | None = None
    arguments: tuple[Any, ...] = ()
    options: Mapping[str, Any] = field(default_factory=dict)
    inputs: tuple["Node", ...] = ()
    users: list["Node"] = field(default_factory=list)

    def __repr__(self) -> str:
        return f"Node({self})"

    def __str__(self) -> str:
        return {"module": self.path or "the model", "function": f"{self.function}()", "attribute": self.path}.get(
            self.operation, f"the {self.operation}"
        )


@dataclass(frozen=True, eq=False)
class Graph:
    """The steps of a model in the order of their execution.

    Attributes:
        nodes: all of them.
    """

    nodes: tuple[Node, ...]

    def calls(self, path: str) -> list[Node]:
        """The calls of the module of a path; several where the model uses it several times."""
        return [node for node in self.nodes if node.operation == "module" and node.path == path]

    def only_call(self, path: str) -> Node | None:
        """The one call of a module; None where it is called never or more than once."""
        calls = self.calls(path)
        return calls[0] if len(calls) == 1 else None

    def chain(self, node: Node) -> Iterator[Node]:
        """The steps that follow a node one after the other, up to the first whose result, or input, is not single.

        `linear -> norm -> relu -> linear` gives `norm, relu, linear` for the first layer. It ends before the output,
        and before a step that has other inputs too (a sum, a concatenation).
        """
        while len(node.users) == 1 and len(node.users[0].inputs) == 1 and node.users[0].operation != "output":
            node = node.users[0]
            yield node


def trace(model: nn.Module) -> Graph:
    """The graph of a model.

    Modules of torch and layers of a kind are single steps, all other modules are stepped into. A model that cannot be
    traced symbolically but is an `nn.Sequential` (of others) is taken in its order.

    Args:
        model: any module; wrappers are looked through. Neither run nor changed.

    Raises:
        InputError: the model cannot be traced; with the reason.
    """
    inside = unwrap(model)
    if _is_step(inside):
        return _in_order([("", inside)])
    try:
        with warnings.catch_warnings(), torch.no_grad():
            warnings.simplefilter("ignore")
            traced = _Tracer().trace(inside)
    except _FAILURES as error:
        steps = _sequence(inside, "")
        if steps is None:
            reason = " ".join(str(error).split())[:120] or type(error).__name__
            raise InputError(
                f"{type(inside).__name__} cannot be traced, so which layers follow which is not known ({reason}): "
                "make it an nn.Sequential, or keep control flow and data-dependent shapes out of forward"
            ) from None
        return _in_order(steps)
    return _converted(traced, dict(inside.named_modules(remove_duplicate=False)))


def _is_step(module: nn.Module) -> bool:
    """Whether a module is one step: torch's own, made from its Linear or Dropout, parametrized, or ours."""
    kind = type(module)
    own = kind.__module__.startswith("weightsmith.kinds")
    torchs = kind.__module__.startswith("torch.") and not isinstance(
        module, (nn.Sequential, nn.ModuleList, nn.ModuleDict)
    )
    return own or torchs or isinstance(module, (nn.Linear, nn.Dropout)) or parametrize.is_parametrized(module)


class _Tracer(fx.Tracer):
    def is_leaf_module(self, m: nn.Module, module_qualified_name: str) -> bool:
        return _is_step(m)


def _sequence(module: nn.Module, prefix: str) -> list[tuple[str, nn.Module]] | None:
    """The steps of nested Sequential modules in order; None where there is a module of another sort that has parts."""
    if not isinstance(module, nn.Sequential):
        return [(prefix, module)] if _is_step(module) or not list(module.children()) else None
    steps: list[tuple[str, nn.Module]] = []
    for name, child in module.named_children():
        inside = _sequence(child, f"{prefix}.{name}" if prefix else name)
        if inside is None:
            return None
        steps += inside
    return steps


def _in_order(steps: Sequence[tuple[str, nn.Module]]) -> Graph:
    nodes = [Node("input")]
    for path, module in steps:
        nodes.append(_joined(Node("module", path, module, arguments=(nodes[-1],))))
    nodes.append(_joined(Node("output", arguments=(nodes[-1],))))
    return Graph(tuple(nodes))


def _converted(traced: fx.Graph, modules: Mapping[str, nn.Module]) -> Graph:
    nodes: dict[fx.Node, Node] = {}
    for step in traced.nodes:

        def known(old: fx.Node) -> Node:
            return nodes[old]

        arguments = _replaced(step.args, known)
        options = _replaced(step.kwargs, known)
        target = str(step.target)
        if step.op == "call_module":
            node = Node("module", target, modules[target], arguments=arguments, options=options)
        elif step.op in ("call_function", "call_method"):
            node = Node("function", "", None, _plain_name(step.target), step.target, arguments, options)
        elif step.op == "get_attr":
            node = Node("attribute", target)
        else:
            node = Node("input" if step.op == "placeholder" else "output", arguments=arguments)
        nodes[step] = _joined(node)
    return Graph(tuple(nodes.values()))


def _replaced(value: Any, known: Any) -> Any:
    """Arguments with our nodes in the places of fx's."""
    if isinstance(value, fx.Node):
        return known(value)
    if isinstance(value, (tuple, list)):
        return tuple(_replaced(each, known) for each in value)
    if isinstance(value, dict):
        return {key: _replaced(each, known) for key, each in value.items()}
    return value


def _joined(node: Node) -> Node:
    """The node, entered as a user of those in its arguments."""
    node.inputs = tuple(dict.fromkeys(_nodes_in((node.arguments, tuple(node.options.values())))))
    for before in node.inputs:
        before.users.append(node)
    return node


def _nodes_in(value: Any) -> Iterator[Node]:
    if isinstance(value, Node):
        yield value
    elif isinstance(value, tuple):
        for each in value:
            yield from _nodes_in(each)
    elif isinstance(value, dict):
        yield from _nodes_in(tuple(value.values()))


def _plain_name(target: Any) -> str:
    """`relu` for `torch.relu`, `F.relu` and `Tensor.relu_`; `add` for `+` and `+=`."""
    name = target if isinstance(target, str) else str(getattr(target, "__name__", target))
    name = name.strip("_")
    return {"iadd": "add", "imul": "mul", "isub": "sub", "itruediv": "truediv", "concat": "cat"}.get(name, name)
