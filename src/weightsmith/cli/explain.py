"""`weightsmith explain`: the documentation of a rule."""

from typing import Annotated

import typer

from weightsmith.cli.options import JsonOption, console, print_json


def explain(
    code: Annotated[
        str | None, typer.Argument(help="A rule's code or name, such as WS101.", show_default=False)
    ] = None,
    *,
    as_json: JsonOption = False,
) -> None:
    """Say what a rule looks for, why it matters, what to do, and what can be set; without CODE, list all rules.

    Examples: `weightsmith explain WS101`, `weightsmith explain`
    """
    from weightsmith.rules import RULES, calibration, find_rule
    from weightsmith.rules import explain as documentation

    if code is None:
        rules = [{"code": rule.code, "name": rule.name, "summary": rule.summary} for rule in RULES.values()]
        if as_json:
            print_json(rules=rules)
        else:
            for rule in rules:
                typer.echo(f"{rule['code']}  {rule['name']:<28} {rule['summary']}")
        return
    text = documentation(code)
    if as_json:
        found = find_rule(code)
        print_json(
            code=found.code,
            name=found.name,
            severity=found.severity,
            applies=found.applies,
            thresholds=dict(found.thresholds),
            calibration=calibration(found.code),
            documentation=text,
        )
        return
    out = console()
    if not out.is_terminal:  # Markdown is text already; laid out for a screen it would be padded
        typer.echo(text)
        return
    from rich.markdown import Markdown

    out.print(Markdown(text))
