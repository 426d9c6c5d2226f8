"""`export_onnx`: packed models for other runtimes, with one bit for a weight where standard operators can unpack it."""

import copy
import io
import os
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from weightsmith.errors import InputError, MissingExtraError
from weightsmith.kinds.packed.folding import FoldedNorm
from weightsmith.kinds.packed.layer import Layer
from weightsmith.kinds.packed.substitute import substitute
from weightsmith.kinds.packed.xnor import XnorLayer
from weightsmith.names import printable
from weightsmith.packing import Array, Encoded, decode
from weightsmith.sources.module import unwrap

OPSET = 18
"""The first in which bits can be shifted and masked in every integer type."""


def export_onnx(packed: nn.Module, path: str | os.PathLike[str], sample: object) -> list[str]:
    """Write a packed model as ONNX, opset 18, in standard operators alone.

    Binary weights keep one bit each and ternary ones two: the graph itself shifts and masks them apart. Sparse weights
    are values with their positions, where that is smaller than dense. Activations are float32, whatever the packed
    model rounds. The batch, the first dimension of inputs and outputs, stays free.

    Args:
        packed: what `pack` returned.
        path: of the file; an existing one is replaced.
        sample: one batch: a tensor, or a tuple of arguments.

    Returns:
        One line for each packed weight: how the file holds it.

    Raises:
        InputError: a layer that no standard operator can hold, by name, or a model that torch cannot export.
        MissingExtraError: onnx is not installed.
    """
    onnx = _onnx()
    if not isinstance(packed, nn.Module):
        raise InputError(f"only a torch.nn.Module can be exported, not a {type(packed).__name__}")
    model = copy.deepcopy(unwrap(packed)).eval().cpu().float()
    for name, module in model.named_modules():
        if isinstance(module, XnorLayer):
            raise InputError(
                f"'{printable(name)}' multiplies bits with bits, for which ONNX has no operator: "
                "unpack the model, or pack it with `keep` for the layers behind binary activations"
            )
    weights = {
        f"{name}.weight" if name else "weight": module.weight.encoded()
        for name, module in model.named_modules()
        if isinstance(module, Layer)
    }
    graph = _exported(onnx, _dense(model), sample)
    lines = [_hold(onnx, graph.graph, name, encoded) for name, encoded in weights.items()]
    onnx.checker.check_model(graph)
    _write(Path(path), graph.SerializeToString())
    return lines


def _onnx() -> Any:
    try:
        import onnx
        import onnx.checker
        import onnx.numpy_helper
    except ImportError:
        raise MissingExtraError("exporting to ONNX needs onnx: pip install onnx") from None
    return onnx


def _dense(model: nn.Module) -> nn.Module:
    layers: dict[int, nn.Module] = {}
    for module in model.modules():
        if isinstance(module, Layer):
            layers[id(module)] = module.dense().eval()
        elif isinstance(module, FoldedNorm):
            layers[id(module)] = nn.Identity()
    return substitute(model, layers)


def _exported(onnx: Any, model: nn.Module, sample: object) -> Any:
    arguments = tuple(sample) if isinstance(sample, (tuple, list)) else (sample,)
    if not arguments or not all(isinstance(each, Tensor) and each.dim() for each in arguments):
        raise InputError("the sample to export with is a tensor with a batch dimension, or a tuple of them")
    arguments = tuple(each.cpu() for each in arguments)
    names = [f"input_{index}" if index else "input" for index in range(len(arguments))]
    buffer = io.BytesIO()
    try:
        with warnings.catch_warnings(), torch.no_grad():
            warnings.simplefilter("ignore")  # of the tracing exporter, which needs no further package
            torch.onnx.export(
                model,
                arguments,
                buffer,  # type: ignore[arg-type]  # files too, and this way nothing is half written
                dynamo=False,
                opset_version=OPSET,
                do_constant_folding=False,
                input_names=names,
                output_names=["output"],
                dynamic_axes={name: {0: "batch"} for name in (*names, "output")},
            )
    except Exception as error:  # noqa: BLE001  # the exporter raises whatever it meets
        reason = printable((str(error).splitlines() or [type(error).__name__])[0])
        raise InputError(f"torch cannot export this {type(model).__name__}: {reason}") from None
    return onnx.load_from_string(buffer.getvalue())


def _hold(onnx: Any, graph: Any, name: str, encoded: Encoded) -> str:
    """Put a packed weight in the place of a dense one of that name."""
    shown = printable(name)
    dense = next((each for each in graph.initializer if each.name == name), None)
    if dense is None:
        return f"{shown}: dense, as torch merged it with what follows"
    graph.initializer.remove(dense)
    if encoded.format in ("binary", "ternary"):
        nodes = _unpacking(onnx, graph, name, encoded)
        line = f"{shown}: {encoded.format}, {'1 bit' if encoded.format == 'binary' else '2 bits'} a weight"
    else:
        values = decode(encoded)
        places = np.flatnonzero(values)
        if 8 * places.size >= 4 * values.size:
            graph.initializer.append(onnx.numpy_helper.from_array(values, name))
            return f"{shown}: dense, smaller than values with their positions"
        nodes = _scattering(onnx, graph, name, values, places)
        line = f"{shown}: sparse, {places.size} values with their positions"
    for index, node in enumerate(nodes):
        graph.node.insert(index, node)
    return line


def _scattering(onnx: Any, graph: Any, name: str, values: Array, places: Array) -> list[Any]:
    """Nodes that put the values of a weight where they belong; few runtimes read ONNX's own sparse initializers."""
    parts = {
        "values": values.reshape(-1)[places],
        "places": places.astype(np.int32 if values.size < 1 << 31 else np.int64),
        "size": np.array([values.size], np.int64),
        "dimensions": np.array(values.shape, np.int64),
    }
    for part, array in parts.items():
        graph.initializer.append(onnx.numpy_helper.from_array(array, f"{name}.{part}"))
    steps = (
        ("ConstantOfShape", ["size"], "zeros"),
        ("ScatterElements", ["zeros", "places", "values"], "flat"),
        ("Reshape", ["flat", "dimensions"], ""),
    )
    return [
        onnx.helper.make_node(
            operator,
            [f"{name}.{each}" for each in inputs],
            [f"{name}.{output}" if output else name],
            name=f"{name}/{operator}",
        )
        for operator, inputs, output in steps
    ]


def _unpacking(onnx: Any, graph: Any, name: str, encoded: Encoded) -> list[Any]:
    """Nodes that compute a weight from its bits."""
    nodes: list[Any] = []

    def constant(part: str, values: Array) -> str:
        graph.initializer.append(onnx.numpy_helper.from_array(values, f"{name}.{part}"))
        return f"{name}.{part}"

    def add(operator: str, part: str, *inputs: str, **attributes: Any) -> str:
        found = name if not part else f"{name}.{part}"
        nodes.append(onnx.helper.make_node(operator, inputs, [found], name=f"{found}/{operator}", **attributes))
        return found

    rows, columns = encoded.matrix
    shifts, one = constant("shifts", np.arange(8, dtype=np.uint8)), constant("one", np.ones(1, np.uint8))
    last, flat = constant("last", np.array([2], np.int64)), constant("flat", np.array([rows, -1], np.int64))
    start, stop, axis = (
        constant(part, np.array([value], np.int64)) for part, value in (("start", 0), ("stop", columns), ("axis", 1))
    )

    def plane(part: str) -> str:
        bits = add("Unsqueeze", f"{part}.apart", constant(part, np.ascontiguousarray(encoded.tensors[part])), last)
        shifted = add(
            "BitwiseAnd", f"{part}.each", add("BitShift", f"{part}.shifted", bits, shifts, direction="RIGHT"), one
        )
        whole = add("Slice", f"{part}.columns", add("Reshape", f"{part}.rows", shifted, flat), start, stop, axis)
        return add("Cast", f"{part}.floats", whole, to=onnx.TensorProto.FLOAT)

    if encoded.format == "ternary":
        found = add("Sub", "values", plane("plus"), plane("minus"))
    else:
        found = plane("bits")
        if encoded.alphabet == "signs":
            twice = add("Mul", "twice", found, constant("two", np.full(1, 2, np.float32)))
            found = add("Sub", "values", twice, constant("unit", np.ones(1, np.float32)))
    if "scale" in encoded.tensors:
        scale = encoded.tensors["scale"].reshape(-1, 1)
        found = add("Mul", "scaled", found, constant("scale", np.ascontiguousarray(scale)))
    add("Reshape", "", found, constant("shape", np.array(encoded.shape, np.int64)))
    return nodes


def _write(path: Path, content: bytes) -> None:
    """Whole or not at all."""
    beside = path.with_name(f"{path.name}.{os.getpid()}.part")
    try:
        beside.write_bytes(content)
        beside.replace(path)
    except OSError as error:
        beside.unlink(missing_ok=True)
        raise InputError(f"{printable(str(path))} cannot be written: {error.strerror or error}") from None
