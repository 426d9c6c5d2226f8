"""A scan by layer: weights merged by the path of their module, and the tree of all modules with subtotals."""

import math
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import reduce

from weightsmith.scan.summary import Scan, Summary
from weightsmith.scan.table import COLUMNS, Row, counted_once, row
from weightsmith.weight import WeightInfo

_SEPARATORS = "./"


def layer_of(name: str) -> str:
    """Path of the module that owns a weight: everything before the last dot or slash; the name itself without one."""
    cut = max(name.rfind(separator) for separator in _SEPARATORS)
    return name[:cut] if cut > 0 else name


def layers(scan: Scan, columns: tuple[str, ...] = COLUMNS) -> list[Row]:
    """One row per layer, in the order of their first weights: statistics of all its values together.

    Tied weights belong to the layer of the first. `shape`, `ndim` and `bits` describe one weight alone and are None
    where a layer has several; `role` and `dtype` are then those that occur, joined by `+`.
    """
    members: dict[str, list[Summary]] = {}
    for summary in counted_once(scan.summaries):
        members.setdefault(layer_of(summary.name), []).append(summary)
    return [_merged(path, some, columns) for path, some in members.items()]


def _merged(path: str, members: list[Summary], columns: tuple[str, ...]) -> Row:
    sketches = [summary.sketch for summary in members if summary.sketch is not None]
    sketch = reduce(lambda one, other: one.merge(other), sketches) if sketches else None
    first = members[0].info
    reasons = [summary.reason for summary in members if summary.reason]
    info = WeightInfo(path, (sum(summary.info.size for summary in members),), first.dtype, first.role)
    nbytes = sum(summary.nbytes for summary in members)
    bits = members[0].effective_bits if len(members) == 1 else None
    found = row(Summary(info, nbytes, sketch, bits, None, reasons[0] if reasons else None), columns)
    described = {
        "shape": list(first.shape) if len(members) == 1 else None,
        "ndim": len(first.shape) if len(members) == 1 else None,
        "dtype": "+".join(dict.fromkeys(summary.info.dtype for summary in members)),
        "role": "+".join(dict.fromkeys(summary.info.role for summary in members)),
    }
    return {**found, **{name: value for name, value in described.items() if name in found}}


@dataclass
class Node:
    """A module in the tree, with what lies in it and below it; tied weights count where they come first.

    Attributes:
        name: last part of its path.
        weights: number of weights.
        elements: number of values.
        bytes: bytes that they take.
        sum_of_squares: of all finite values.
        zeros: number of exact zeros.
        non_finite: number of NaN and Inf.
        unread: number of weights without statistics.
        children: modules and weights in it, by name, in the order of the source.
        summary: the weight, where it is one.
    """

    name: str
    weights: int = 0
    elements: int = 0
    bytes: int = 0
    sum_of_squares: float = 0.0
    zeros: int = 0
    non_finite: int = 0
    unread: int = 0
    children: "dict[str, Node]" = field(default_factory=dict)
    summary: Summary | None = None

    @property
    def norm(self) -> float:
        """Euclidean norm of all finite values."""
        return math.sqrt(self.sum_of_squares)

    def add(self, summary: Summary) -> None:
        """Count a weight."""
        self.weights += 1
        self.elements += summary.info.size
        self.bytes += summary.nbytes
        if summary.sketch is None:
            self.unread += 1
            return
        self.sum_of_squares += summary.sketch.sum_of_squares
        self.zeros += summary.sketch.zeros
        self.non_finite += summary.sketch.non_finite

    def walk(self, depth: int = 0) -> "Iterator[tuple[int, Node]]":
        """This node and all below it, with their depth, in the order of the source; no recursion, however deep."""
        waiting = [(depth, self)]
        while waiting:
            level, node = waiting.pop()
            yield level, node
            waiting.extend((level + 1, child) for child in reversed(node.children.values()))


def modules(root: Node) -> list[Row]:
    """The modules of a tree as rows, each with the path of its names; the root's path is empty."""
    found: list[Row] = []
    path: list[str] = []
    for depth, node in root.walk():
        path[max(depth - 1, 0) :] = [node.name] if depth else []
        if node.children:
            found.append(
                {
                    "path": list(path),
                    "weights": node.weights,
                    "elements": node.elements,
                    "bytes": node.bytes,
                    "l2": node.norm,
                    "zeros": node.zeros,
                    "non_finite": node.non_finite,
                    "unread": node.unread,
                }
            )
    return found


def _parts(name: str) -> list[str]:
    """Names of the modules above a weight and its own; the names that TFLite joins by `;` are one."""
    head, separator, rest = name.partition(";")
    parts = re.split("[./]", head)
    parts[-1] += separator + rest
    return parts


def tree(scan: Scan) -> Node:
    """The root of all modules."""
    root = Node("")
    for summary in counted_once(scan.summaries):
        node = root
        node.add(summary)
        for part in _parts(summary.name):
            node = node.children.setdefault(part, Node(part))
            node.add(summary)
        node.summary = summary
    return root
