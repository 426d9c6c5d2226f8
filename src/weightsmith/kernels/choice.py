"""Which kernels run: those made for the processor, or plain ones with the same results."""

import os

from weightsmith.errors import InputError


def plain() -> bool:
    """Whether `WEIGHTSMITH_KERNELS` asks for plain kernels.

    Raises:
        InputError: it is neither empty nor `plain`.
    """
    wanted = os.environ.get("WEIGHTSMITH_KERNELS")
    if wanted and wanted != "plain":
        raise InputError(f"WEIGHTSMITH_KERNELS is '{wanted}': give 'plain', or leave it out for the fastest")
    return bool(wanted)
