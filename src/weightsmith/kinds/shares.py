"""Shares, such as of zeros or of a training, checked."""

from numbers import Real

from weightsmith.errors import InputError


def check_sparsity(value: object) -> None:
    """Refuse what is no share of zeros from 0 up to below 1.

    Raises:
        InputError: naming it.
    """
    if not isinstance(value, Real) or isinstance(value, bool):
        raise InputError(f"sparsity is a share, a number, not {value!r}")
    if not 0 <= float(value) < 1:
        raise InputError(f"sparsity is a share of zeros from 0 up to below 1, not {value}")


def check_share(value: object, name: str) -> None:
    """Refuse what is no number from 0 to 1.

    Raises:
        InputError: naming the option.
    """
    if not isinstance(value, Real) or isinstance(value, bool):
        raise InputError(f"{name} is a share, a number, not {value!r}")
    if not 0 <= float(value) <= 1:
        raise InputError(f"{name} is a share from 0 to 1, not {value}")
