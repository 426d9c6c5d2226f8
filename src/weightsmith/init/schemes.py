"""The table of schemes: what a name in a recipe or a mapping stands for."""

import inspect
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

import torch
from torch import Tensor

from weightsmith.errors import InputError
from weightsmith.init.functions import (
    constant_,
    dirac_,
    eye_,
    kaiming_normal_,
    kaiming_std,
    kaiming_uniform_,
    lecun_normal_,
    lecun_std,
    lecun_uniform_,
    normal_,
    ones_,
    orthogonal_,
    sparse_,
    truncated_normal_,
    uniform_,
    xavier_normal_,
    xavier_std,
    xavier_uniform_,
    zeros_,
)
from weightsmith.init.gains import calculate_gain
from weightsmith.names import choose

Needs = Literal["fans", "matrix", "nothing"]


@dataclass(frozen=True)
class Scheme:
    """One way for a weight to start.

    Attributes:
        name: its name in recipes and mappings.
        function: fills a tensor in place; its keyword arguments, but for the generator, are the scheme's options.
        needs: `fans` where the spread follows from the layer's size, `matrix` where the weight is filled as a matrix,
            `nothing` where every element is on its own.
        gain: whether the activation that follows belongs into the spread.
        description: one line.
        paper: author and year, empty where there is none.
        defaults: options that differ from the function's own defaults.
        aliases: other names that are understood.
    """

    name: str
    function: Callable[..., Tensor]
    needs: Needs
    gain: bool
    description: str
    paper: str = ""
    defaults: Mapping[str, float] = field(default_factory=dict)
    aliases: tuple[str, ...] = ()

    @property
    def draws(self) -> bool:
        """Whether the scheme is random."""
        return "generator" in inspect.signature(self.function).parameters

    @property
    def options(self) -> tuple[str, ...]:
        """Names of the options it takes."""
        return tuple(
            name for name in inspect.signature(self.function).parameters if name not in ("tensor", "generator")
        )

    def fill(self, tensor: Tensor, options: Mapping[str, Any], generator: torch.Generator) -> None:
        """Fill a tensor in place, drawing from the generator where the scheme is random."""
        randomness = {"generator": generator} if self.draws else {}
        self.function(tensor, **{**self.defaults, **options}, **randomness)

    def completed(self, options: Mapping[str, Any]) -> dict[str, Any]:
        """The options with every default filled in.

        Raises:
            InputError: an option the scheme does not take, or one it needs and did not get.
        """
        for option in options:
            choose(option, self.options, f"option of scheme '{self.name}'")
        parameters = inspect.signature(self.function).parameters
        own = {name: parameters[name].default for name in self.options}
        complete = {**own, **self.defaults, **options}
        for name, value in complete.items():
            if value is inspect.Parameter.empty:
                raise InputError(f"scheme '{self.name}' needs the option '{name}'")
        return complete


SCHEMES: dict[str, Scheme] = {
    scheme.name: scheme
    for scheme in (
        Scheme(
            "xavier_uniform",
            xavier_uniform_,
            "fans",
            True,
            "uniform, variance 2 / (fan_in + fan_out): the middle between forward and backward",
            "Glorot & Bengio 2010",
            aliases=("glorot_uniform",),
        ),
        Scheme(
            "xavier_normal",
            xavier_normal_,
            "fans",
            True,
            "normal, variance 2 / (fan_in + fan_out): the middle between forward and backward",
            "Glorot & Bengio 2010",
            aliases=("glorot_normal",),
        ),
        Scheme(
            "he_normal",
            kaiming_normal_,
            "fans",
            True,
            "normal, variance gain^2 / fan_in: keeps the signal through rectifiers",
            "He et al. 2015",
            aliases=("kaiming_normal",),
        ),
        Scheme(
            "he_uniform",
            kaiming_uniform_,
            "fans",
            True,
            "uniform, variance gain^2 / fan_in: keeps the signal through rectifiers",
            "He et al. 2015",
            aliases=("kaiming_uniform",),
        ),
        Scheme(
            "lecun_normal",
            lecun_normal_,
            "fans",
            False,
            "normal, variance 1 / fan_in: for SELU and linear layers",
            "LeCun et al. 1998",
        ),
        Scheme(
            "lecun_uniform",
            lecun_uniform_,
            "fans",
            False,
            "uniform, variance 1 / fan_in: for SELU and linear layers",
            "LeCun et al. 1998",
        ),
        Scheme(
            "normal",
            normal_,
            "nothing",
            False,
            "normal with a mean and standard deviation of your choice",
            defaults={"std": 0.05},
            aliases=("random_normal",),
        ),
        Scheme(
            "uniform",
            uniform_,
            "nothing",
            False,
            "uniform between a and b",
            defaults={"a": -0.05, "b": 0.05},
            aliases=("random_uniform",),
        ),
        Scheme(
            "truncated_normal",
            truncated_normal_,
            "nothing",
            False,
            "normal cut at `bound` standard deviations: no outliers",
            defaults={"std": 0.05},
            aliases=("trunc_normal",),
        ),
        Scheme(
            "orthogonal",
            orthogonal_,
            "matrix",
            True,
            "random orthogonal matrix: keeps the length of every signal",
            "Saxe et al. 2013",
        ),
        Scheme("identity", eye_, "matrix", False, "the identity matrix, for square linear layers", aliases=("eye",)),
        Scheme("dirac", dirac_, "matrix", False, "the identity of convolutions, group by group"),
        Scheme(
            "sparse",
            sparse_,
            "matrix",
            False,
            "normal with a share of every column at zero",
            "Martens 2010",
            defaults={"sparsity": 0.9},
        ),
        Scheme("zeros", zeros_, "nothing", False, "all zero"),
        Scheme("ones", ones_, "nothing", False, "all one"),
        Scheme("constant", constant_, "nothing", False, "one value everywhere"),
    )
}


RULES = ("auto", "kept")
"""What may stand for a scheme and takes no options: chosen weight by weight, or left as it is."""


def find_scheme(name: str) -> Scheme:
    """The scheme of a name or alias, with or without torch's closing underscore.

    Raises:
        InputError: no such scheme; suggests the closest.
    """
    plain = name.removesuffix("_")
    for scheme in SCHEMES.values():
        if plain == scheme.name or plain in scheme.aliases:
            return scheme
    every = [*RULES, *SCHEMES, *(alias for scheme in SCHEMES.values() for alias in scheme.aliases)]
    return SCHEMES[choose(plain, every, "scheme")]


def spread(scheme: Scheme, block: Tensor, options: Mapping[str, Any]) -> tuple[float | None, float | None]:
    """Gain and standard deviation of what the scheme draws for one block `(out, in, *kernel)`; None where undefined.

    Args:
        scheme: an entry of `SCHEMES`.
        block: its shape counts, not its values; may be on the meta device.
        options: as `Scheme.completed` gives them.
    """
    match scheme.name:
        case "xavier_uniform" | "xavier_normal":
            return options["gain"], options["gain"] * xavier_std(block)
        case "he_normal" | "he_uniform":
            std = kaiming_std(block, **options)
            name, a = options["nonlinearity"], options["a"]
            return calculate_gain(name, a if name == "leaky_relu" else a or None), std
        case "lecun_normal" | "lecun_uniform":
            return 1.0, lecun_std(block)
        case "orthogonal":
            longer = max(block.size(0), block[0].numel())
            return options["gain"], options["gain"] / math.sqrt(longer)
        case "normal":
            return None, options["std"]
        case "uniform":
            return None, (options["b"] - options["a"]) / math.sqrt(12)
        case "truncated_normal":
            return None, options["std"] * _truncation(options["bound"])
        case "zeros" | "ones" | "constant":
            return None, 0.0
        case _:
            return None, None


def _truncation(bound: float) -> float:
    """Standard deviation of a standard normal cut at `bound` on both sides."""
    mass = math.erf(bound / math.sqrt(2))
    density = math.exp(-0.5 * bound**2) / math.sqrt(2 * math.pi)
    return math.sqrt(max(0.0, 1 - 2 * bound * density / mass))
