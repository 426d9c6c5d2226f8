"""Statistics computed where a weight lives, with torch operations, and brought over without making the device wait.

Used for weights on an accelerator, and for types that the compiled kernels do not read (float64, complex).
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from time import perf_counter
from typing import Any

import torch
from torch import Tensor

Receive = Callable[[list[float]], None]

_CudaEvent: Any = torch.cuda.Event  # torch leaves it untyped

_PLACES = 1024
"""Numbers of a page."""

_CHUNK = 1 << 24
"""Values worked on at once, so that doubles of a large weight do not crowd out what is being trained."""


def capturing() -> bool:
    """Whether operations are recorded for later and not carried out: by `torch.compile`, or into a CUDA graph."""
    if torch.compiler.is_compiling():
        return True
    in_use: bool = torch.cuda.is_initialized()  # type: ignore[no-untyped-call]
    return in_use and torch.cuda.is_current_stream_capturing()


def real(tensor: Tensor) -> Tensor:
    """The tensor flattened; complex values as pairs of real ones, integers as they are."""
    values = tensor.detach()
    if values.is_complex():
        values = torch.view_as_real(values.resolve_conj())
    return values.reshape(-1)


def weight_statistics(after: Tensor, before: Tensor) -> Tensor:
    """The numbers of `kernels.step.StepStatistics`, in its order, as a float64 tensor `[6]` on the weight's device."""
    chunks = zip(torch.split(real(after), _CHUNK), torch.split(real(before), _CHUNK), strict=True)
    return torch.stack([_chunk_statistics(new.double(), old.double()) for new, old in chunks]).sum(0)


def _chunk_statistics(new: Tensor, old: Tensor) -> Tensor:
    new_finite, old_finite = new.isfinite(), old.isfinite()
    flips = (torch.sign(new) * torch.sign(old) < 0).sum()
    zeros = (new == 0).sum()
    new, old = torch.where(new_finite, new, 0.0), torch.where(old_finite, old, 0.0)
    change = torch.where(new_finite & old_finite, new - old, 0.0)
    numbers = (new.dot(new), change.dot(change), old.dot(old), flips, zeros, (~new_finite).sum())
    return torch.stack([number.double() for number in numbers])


def squared_norm(tensor: Tensor) -> Tensor:
    """Sum of squares of the finite values and the number of the others, as a float64 tensor `[2]` on the device."""
    return torch.stack([_chunk_norm(values.double()) for values in torch.split(real(tensor), _CHUNK)]).sum(0)


def _chunk_norm(values: Tensor) -> Tensor:
    finite = values.isfinite()
    values = torch.where(finite, values, 0.0)
    return torch.stack([values.dot(values), (~finite).sum().double()])


def joined(parts: Sequence[Tensor]) -> Tensor:
    """All values in one row of doubles, on an accelerator where one of the parts is: the way there needs no waiting."""
    home = next((part.device for part in parts if not part.is_cpu), parts[0].device)
    return torch.cat([part.reshape(-1).double().to(home, non_blocking=True) for part in parts])


class Copy:
    """A tensor on its way from an accelerator to the host; queued behind the work that made it, nobody waits."""

    def __init__(self, tensor: Tensor) -> None:
        values = tensor.detach()
        self._host = torch.empty(values.shape, dtype=values.dtype, pin_memory=True)
        self._host.copy_(values, non_blocking=True)
        self._event = _CudaEvent()
        self._event.record(torch.cuda.current_stream(values.device))

    @property
    def arrived(self) -> bool:
        """Whether the values are there, so that `read` need not wait."""
        return bool(self._event.query())

    def read(self) -> Tensor:
        """The values on the host; waits for those that are not there yet."""
        self._event.synchronize()
        return self._host


class Page:
    """Single numbers on their way to the host, each by one small copy to its own place: half the time of a kernel.

    Args:
        like: a tensor on a GPU; the numbers have its type and come from its device.
    """

    def __init__(self, like: Tensor) -> None:
        self._device = like.device
        self._numbers = torch.empty(_PLACES, dtype=like.dtype, pin_memory=True)
        self._places = self._numbers.unbind()
        self._receivers: list[Receive] = []

    def __len__(self) -> int:
        return len(self._receivers)

    @property
    def full(self) -> bool:
        """Whether there is no place left."""
        return len(self._receivers) == _PLACES

    def put(self, number: Tensor, receive: Receive) -> None:
        """Send what a tensor `[]` holds now."""
        self._places[len(self._receivers)].copy_(number, non_blocking=True)
        self._receivers.append(receive)

    def seal(self) -> Callable[[], None]:
        """What hands the numbers on, having waited for those that are not there yet."""
        event = _CudaEvent()
        event.record(torch.cuda.current_stream(self._device))

        def deliver() -> None:
            event.synchronize()
            for receive, number in zip(self._receivers, self._numbers.double().tolist(), strict=False):
                receive([number])

        return deliver


class Deferred:
    """Small results that wait on an accelerator for their journey to the host, in batches, so that nobody waits.

    Args:
        charge: called with an activity and the seconds the device spent on it, once they are known.
    """

    def __init__(self, charge: Callable[[str, float], None]) -> None:
        self._charge = charge
        self._waiting: list[tuple[Tensor, Receive]] = []
        self._pages: dict[tuple[torch.device, torch.dtype], list[Page]] = {}
        self._spans: list[tuple[str, float, Any, Any]] = []
        self._under_way: Callable[[], None] | None = None

    def __len__(self) -> int:
        return len(self._waiting) + sum(len(page) for pages in self._pages.values() for page in pages)

    def add_number(self, tensor: Tensor, receive: Receive) -> None:
        """Have `receive` called later with the single number that a tensor holds now, whatever it holds then."""
        number = tensor.detach().reshape(())
        if not number.is_cuda or number.is_complex():
            self.add(number.to(torch.float64, copy=True), receive)
            return
        pages = self._pages.setdefault((number.device, number.dtype), [])
        if not pages or pages[-1].full:
            pages.append(Page(number))
        pages[-1].put(number, receive)

    def add(self, tensor: Tensor, receive: Receive) -> None:
        """Have `receive` called later with the values of a tensor, which nobody may change any more."""
        self._waiting.append((tensor, receive))

    @contextmanager
    def timing(self, activity: str, device: torch.device) -> Iterator[None]:
        """Charge what the device spends on the block beyond the host's time, which the host's own clock charges.

        A host that is ahead of its device only launches: the work takes the time of the device. A device that has to
        wait for its host takes the time of the host.
        """
        if device.type != "cuda":
            yield
            return
        stream = torch.cuda.current_stream(device)
        start, end = _CudaEvent(enable_timing=True), _CudaEvent(enable_timing=True)
        start.record(stream)
        began = perf_counter()
        try:
            yield
        finally:
            end.record(stream)
            self._spans.append((activity, perf_counter() - began, start, end))

    def exchange(self) -> None:
        """Deliver the batch sent by the last call, which has arrived by now, and send what has come up since."""
        arrived, self._under_way = self._under_way, None
        if arrived is not None:
            arrived()
        if len(self):
            self._under_way = self._send()

    def drain(self) -> None:
        """Deliver everything, waiting for it."""
        while self._under_way is not None or len(self):
            self.exchange()

    def _send(self) -> Callable[[], None]:
        waiting, self._waiting = self._waiting, []
        spans, self._spans = self._spans, []
        pages, self._pages = self._pages, {}
        numbers = [page.seal() for one in pages.values() for page in one]
        results = self._results(waiting) if waiting else None

        def deliver() -> None:
            for each in numbers:
                each()
            if results is not None:
                results()
            for activity, on_host, start, end in spans:
                end.synchronize()
                self._charge(activity, max(start.elapsed_time(end) / 1000 - on_host, 0.0))

        return deliver

    @staticmethod
    def _results(waiting: list[tuple[Tensor, Receive]]) -> Callable[[], None]:
        together = joined([tensor for tensor, _ in waiting])
        copy = Copy(together) if together.is_cuda else None

        def deliver() -> None:
            host = together if copy is None else copy.read()
            values, at = host.tolist(), 0
            for tensor, receive in waiting:
                receive(values[at : at + tensor.numel()])
                at += tensor.numel()

        return deliver
