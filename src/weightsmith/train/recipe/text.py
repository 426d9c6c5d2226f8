"""Reading and writing a recipe's YAML: plain values only, no tags, no aliases, no duplicate keys."""

import re
from typing import Any

import yaml
from yaml.events import AliasEvent
from yaml.nodes import MappingNode, Node, ScalarNode

from weightsmith.errors import InputError

_RESOLVERS = (
    ("tag:yaml.org,2002:null", r"null|Null|NULL|~|", "nN~"),
    ("tag:yaml.org,2002:bool", r"true|True|TRUE|false|False|FALSE", "tTfF"),
    ("tag:yaml.org,2002:int", r"[-+]?[0-9]+", "-+0123456789"),
    ("tag:yaml.org,2002:float", r"[-+]?(?:\.[0-9]+|[0-9]+(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?", "-+.0123456789"),
    ("tag:yaml.org,2002:float", r"[-+]?\.(?:inf|Inf|INF)|\.(?:nan|NaN|NAN)", "-+."),
)
"""The core schema of YAML 1.2: unlike PyYAML's 1.1, it reads `1e-3` as a number and `no` as a word."""

_MOST_DIGITS = 100
"""More than any field needs, and fewer than Python refuses to convert."""


class _Loader(yaml.SafeLoader):
    yaml_implicit_resolvers: dict[str, Any] = {}  # noqa: RUF012 - the attribute that PyYAML's resolver reads

    def compose_node(self, parent: Node | None, index: Any) -> Node | None:
        if self.check_event(AliasEvent):
            raise yaml.MarkedYAMLError(problem="aliases are not supported", problem_mark=self._place())
        return super().compose_node(parent, index)

    def _place(self) -> yaml.Mark:
        mark: yaml.Mark = self.peek_event().start_mark  # type: ignore[no-untyped-call]
        return mark

    def construct_mapping(self, node: MappingNode, deep: bool = False) -> dict[Any, Any]:
        seen: set[str] = set()
        for key, _ in node.value:
            name = self.construct_object(key, deep=True)
            if not isinstance(name, str):
                raise yaml.MarkedYAMLError(problem=f"key {name!r} is not text", problem_mark=key.start_mark)
            if name in seen:
                raise yaml.MarkedYAMLError(problem=f"duplicate key '{name}'", problem_mark=key.start_mark)
            seen.add(name)
        return super().construct_mapping(node, deep)


class _Dumper(yaml.SafeDumper):
    yaml_implicit_resolvers: dict[str, Any] = {}  # noqa: RUF012 - as above

    def ignore_aliases(self, data: Any) -> bool:
        return True


def _decimal(loader: _Loader, node: ScalarNode) -> int:
    """A whole number; a leading zero does not make it octal."""
    if len(node.value) > _MOST_DIGITS:
        raise yaml.MarkedYAMLError(problem=f"a number of {len(node.value)} digits", problem_mark=node.start_mark)
    return int(node.value)


def _text(dumper: _Dumper, value: str) -> ScalarNode:
    """Text, in quotes and escaped where PyYAML would otherwise write a line break that it does not read back."""
    style = None if value.isprintable() else '"'
    return dumper.represent_scalar("tag:yaml.org,2002:str", value, style=style)


_Loader.add_constructor("tag:yaml.org,2002:int", _decimal)
_Dumper.add_representer(str, _text)
for _tag, _pattern, _first in _RESOLVERS:
    for _class in (_Loader, _Dumper):
        _class.add_implicit_resolver(
            _tag, re.compile(f"^(?:{_pattern})$"), [*_first, ""] if "|~|" in _pattern else [*_first]
        )


def parse(text: str, where: str) -> Any:
    """The plain value that a YAML document holds; None for an empty one.

    Args:
        text: the document.
        where: what to call it in messages.

    Raises:
        InputError: one line with the line's number.
    """
    try:
        return yaml.load(text, Loader=_Loader)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        line = f", line {mark.line + 1}" if mark else ""
        raise InputError(f"{where}{line}: {_problem(error)}") from None
    except yaml.reader.ReaderError as error:
        line = f", line {text.count(chr(10), 0, error.position) + 1}"
        raise InputError(f"{where}{line}: character {error.character!r} is not allowed in YAML") from None
    except RecursionError:
        raise InputError(f"{where}: nested too deeply") from None


def dump(value: Any) -> str:
    """A plain value as YAML that `parse` reads back."""
    return yaml.dump(value, Dumper=_Dumper, sort_keys=False, default_flow_style=False, allow_unicode=True, width=120)


def _problem(error: yaml.MarkedYAMLError) -> str:
    problem = " ".join((error.problem or error.context or "not YAML").split())
    if "could not determine a constructor for the tag" in problem:
        tag = problem.split("tag ")[-1]
        return f"tag {tag} is not allowed: a recipe holds plain values only"
    return problem
