"""How people refer to rules: by code (`WS203`), by the start of codes (`WS2`) or by name (`zero-rows`)."""

from collections.abc import Sequence

from weightsmith.errors import InputError
from weightsmith.names import printable, suggestion
from weightsmith.rules.catalog import RULES
from weightsmith.rules.rule import Rule


def find_rule(given: str) -> Rule:
    """The one rule of a code (`WS101`) or name.

    Raises:
        InputError: no rule is called that.
    """
    for rule in RULES.values():
        if given.lower() in (rule.name, rule.code.lower()):
            return rule
    raise _unknown(given)


def find_rules(given: str) -> list[Rule]:
    """The rules of a code, of the start of codes, or of a name; at least one.

    Raises:
        InputError: no rule is called that.
    """
    found = [
        rule
        for rule in RULES.values()
        if rule.name == given.lower() or (given.upper().startswith("WS") and rule.code.startswith(given.upper()))
    ]
    if not found:
        raise _unknown(given)
    return found


def choose_rules(select: Sequence[str], ignore: Sequence[str]) -> list[Rule]:
    """The rules to apply, in the order of their codes: those selected, or all of them, less those ignored.

    Raises:
        InputError: something given refers to no rule, or no rule is left.
    """
    wanted = {rule.code for given in select for rule in find_rules(given)} or set(RULES)
    unwanted = {rule.code for given in ignore for rule in find_rules(given)}
    chosen = [rule for code, rule in RULES.items() if code in wanted and code not in unwanted]
    if not chosen:
        raise InputError(f"ignoring {printable(', '.join(ignore))} leaves no rule to apply: select more or ignore less")
    return chosen


def _unknown(given: str) -> InputError:
    close = suggestion(given, [rule.name for rule in RULES.values()])
    return InputError(f"no rule is called '{printable(given)}'{close} (weightsmith explain lists them all)")
