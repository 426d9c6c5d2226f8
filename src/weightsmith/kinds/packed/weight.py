"""`PackedWeight`: the weight of a packed layer, in the form that its kernel reads and in no other."""

from collections.abc import Callable
from typing import Any, Self

import torch
from torch import Tensor, nn

from weightsmith.errors import SourceError
from weightsmith.kinds.packed.forms import FORMS, array, fast_forms, form_on, part_names, tensor
from weightsmith.kinds.packed.operators import unpack
from weightsmith.packing import Encoded, check_encoded


class PackedWeight(nn.Module):
    """A weight that was packed.

    Its `state_dict` has the tensors of a packed file (`bits` and `scale`, ...); in memory it has the form that the
    kernel reads on the CPU, and one that torch decodes elsewhere. Bits and scales keep their types whatever `.to()`
    asks for.

    Args:
        encoded: what to hold.
        fast: name of the form to hold on the CPU; by default the likeliest of `fast_forms`.

    Raises:
        SourceError: parts that do not fit together.
    """

    def __init__(self, encoded: Encoded, fast: str | None = None) -> None:
        super().__init__()
        check_encoded(encoded)
        self.layout = encoded.layout
        self.values = encoded.values
        self.fast = fast or fast_forms(encoded)[0]
        self.form = ""
        self._names: tuple[str, ...] = ()
        self._ready: tuple[Tensor | None, Any] | None = None
        self._hold(encoded, torch.empty(0).device)

    @property
    def shape(self) -> tuple[int, ...]:
        """Of the weight itself."""
        return self.layout.shape

    @property
    def parts(self) -> list[Tensor]:
        """The tensors of the form."""
        return [self._buffers[name] for name in self._names]  # type: ignore[misc]

    def ready(self) -> Any:
        """What the kernel takes in place of the parts, kept until they are replaced."""
        first = self._buffers[self._names[0]]
        if self._ready is None or self._ready[0] is not first:
            self._ready = first, FORMS[self.form].ready(self.parts, self.shape)
        return self._ready[1]

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_ready": None}  # copies have parts of their own

    @property
    def device(self) -> torch.device:
        """Where the parts are."""
        place: torch.device = self.parts[0].device
        return place

    @property
    def nbytes(self) -> int:
        """Bytes that it takes in memory."""
        return sum(part.nbytes for part in self.parts)

    def runs_on(self, inputs: Tensor) -> bool:
        """Whether a kernel can take these inputs."""
        return inputs.is_cpu and not FORMS[self.form].plain

    def dense(self) -> Tensor:
        """float32[shape], where the parts are."""
        form = FORMS[self.form]
        return form.dense(self.parts, self.shape) if form.plain else unpack(self.parts, self.form, self.shape)

    def encoded(self) -> Encoded:
        """The weight as it is in a file, on the CPU."""
        parts = [part.cpu() for part in self.parts]
        return FORMS[self.form].encode(parts, self.layout, self.values)

    def become(self, fast: str) -> Self:
        """Hold another form on the CPU from now on."""
        encoded, place = self.encoded(), self.device
        self.fast = fast
        self._hold(encoded, place)
        return self

    def _hold(self, encoded: Encoded, place: torch.device) -> None:
        self.form = form_on(place, encoded.layout, self.fast)
        self._keep([part.to(place) for part in FORMS[self.form].reside(encoded)])

    def _keep(self, parts: list[Tensor]) -> None:
        for name in self._names[len(parts) :]:
            delattr(self, name)
        self._names = tuple(f"part_{index}" for index in range(len(parts)))
        for name, part in zip(self._names, parts, strict=True):
            self.register_buffer(name, part, persistent=False)

    def _apply(self, fn: Callable[[Tensor], Tensor], recurse: bool = True) -> Self:
        here = self.device
        place = fn(torch.empty(0, device=here)).device
        if place.type == here.type or here.type == "meta":
            self._keep([_kept_type(fn, part) for part in self.parts])
        else:
            self._hold(self.encoded(), place)
        return self

    def _save_to_state_dict(self, destination: dict[str, Any], prefix: str, keep_vars: bool) -> None:
        if self.form == "stored":
            named = dict(zip(part_names(self.layout, self.values), self.parts, strict=False))
        else:
            named = {name: tensor(part).to(self.device) for name, part in self.encoded().tensors.items()}
        destination.update({prefix + name: part for name, part in named.items()})

    def _load_from_state_dict(
        self,
        state_dict: dict[str, Any],
        prefix: str,
        local_metadata: dict[str, Any],
        strict: bool,
        missing_keys: list[str],
        unexpected_keys: list[str],
        error_msgs: list[str],
    ) -> None:
        names = part_names(self.layout, self.values)
        given = {key.removeprefix(prefix): value for key, value in state_dict.items() if key.startswith(prefix)}
        missing = [name for name in names if name not in given and name != "scale"]
        missing_keys += [prefix + name for name in missing]
        unexpected_keys += [prefix + name for name in given if strict and name not in names]
        if missing:
            return
        parts = {name: given[name] for name in names if name in given}
        place = self.device
        if place.type == "meta" and local_metadata.get("assign_to_params_buffers", False):
            place = parts[names[0]].device
        try:
            encoded = Encoded(self.layout.format, self.shape, _arrays(parts), self.layout.alphabet)
            check_encoded(encoded)
        except (SourceError, NotImplementedError) as error:  # the latter where the values are on the meta device
            error_msgs.append(f"'{prefix.removesuffix('.')}' {error}")
            return
        self._hold(encoded, place)

    def extra_repr(self) -> str:
        """Format and shape, for printed models."""
        scale = {"binary": f" {self.layout.alphabet}", "ternary": ""}.get(self.layout.format, f" {self.values}")
        return f"{self.layout.format}{scale}, shape={self.shape}, form={self.form}"


def _kept_type(fn: Callable[[Tensor], Tensor], part: Tensor) -> Tensor:
    moved = fn(part)
    return moved if moved.dtype == part.dtype else part.to(moved.device)


def _arrays(parts: dict[str, Tensor]) -> dict[str, Any]:
    return {name: array(part.cpu()) for name, part in parts.items()}
