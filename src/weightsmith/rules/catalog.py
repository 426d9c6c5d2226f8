"""All rules, by code: WS1xx for how weights move, WS2xx for what their values are."""

from types import ModuleType

from weightsmith.rules import (
    dead_units,
    duplicate_rows,
    exploding_gradients,
    heavy_outliers,
    large_updates,
    learning_rate_too_high,
    loss_plateau,
    non_finite_weights,
    overfitting,
    saturated_units,
    small_updates,
    underfitting,
    unsuited_init,
    vanishing_gradients,
    zero_rows,
)
from weightsmith.rules.finding import Severity
from weightsmith.rules.rule import Rule

_MODULES: tuple[tuple[str, Severity, ModuleType], ...] = (
    ("WS101", "warning", exploding_gradients),
    ("WS102", "warning", vanishing_gradients),
    ("WS103", "warning", large_updates),
    ("WS104", "warning", small_updates),
    ("WS105", "warning", dead_units),
    ("WS106", "warning", saturated_units),
    ("WS107", "warning", unsuited_init),
    ("WS108", "warning", overfitting),
    ("WS109", "warning", underfitting),
    ("WS110", "warning", loss_plateau),
    ("WS111", "warning", learning_rate_too_high),
    ("WS201", "error", non_finite_weights),
    ("WS202", "warning", heavy_outliers),
    ("WS203", "warning", zero_rows),
    ("WS204", "warning", duplicate_rows),
)

RULES: dict[str, Rule] = {
    code: Rule(
        code=code,
        name=module.__name__.rpartition(".")[2].replace("_", "-"),
        severity=severity,
        documentation=module.__doc__,
        look=module.look,
    )
    for code, severity, module in _MODULES
}
