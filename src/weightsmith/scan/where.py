"""The language of `--where`: conditions over the columns of a table, parsed by Python's grammar and never run by it.

`std > 0.1 and role == 'linear'`, `0.5 <= sparsity < 1`, `role in ('conv', 'linear')`, `not matches(name, 'encoder.*')`,
`max_abs / rms > 20`. Comparisons with a missing value or NaN are false, whichever way they point.
"""

import ast
import math
import operator
from collections.abc import Callable, Collection
from typing import Any, Final

from weightsmith.errors import InputError
from weightsmith.names import matches, printable, suggestion
from weightsmith.scan.table import COLUMNS, RANKS, Row

Condition = Callable[[Row], bool]
_Term = Callable[[Row], Any]

LONGEST: Final = 1000
"""Characters; longer ones could nest deeper than Python's parser goes."""

_COMPARISONS: Final[dict[type[ast.cmpop], Callable[[Any, Any], bool]]] = {
    ast.Eq: operator.eq,
    ast.NotEq: operator.ne,
    ast.Lt: operator.lt,
    ast.LtE: operator.le,
    ast.Gt: operator.gt,
    ast.GtE: operator.ge,
    ast.In: lambda value, among: value in among,
    ast.NotIn: lambda value, among: value not in among,
}
_ARITHMETIC: Final[dict[type[ast.operator], Callable[[float, float], float]]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
    ast.Mod: operator.mod,
}
_SIGNS: Final[dict[type[ast.unaryop], Callable[[float], float]]] = {ast.USub: operator.neg, ast.UAdd: operator.pos}


def where(text: str, columns: Collection[str] = COLUMNS) -> tuple[Condition, set[str]]:
    """Understand a condition.

    Args:
        text: comparisons, `and`, `or`, `not`, `in`, arithmetic (`+ - * / %`), column names, numbers, texts, lists,
            `abs(x)` and `matches(text, 'pattern')`.
        columns: names that it may use.

    Returns:
        The condition, and the columns that it uses.

    Raises:
        InputError: it is no such condition, or names another column; the condition itself, where texts meet numbers.
    """
    shown = printable(text[:80])
    if len(text) > LONGEST:
        raise InputError(f"the condition '{shown}...' is longer than {LONGEST} characters")
    try:
        tree = ast.parse(text.strip(), mode="eval")
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        raise InputError(
            f"cannot understand '{shown}': write conditions such as \"std > 0.1 and role == 'linear'\""
        ) from None
    used: set[str] = set()
    nested = InputError(f"the condition '{shown}...' is nested too deeply")
    try:
        term = _Compiler(shown, columns, used).term(tree.body)
    except RecursionError:
        raise nested from None

    def condition(row: Row) -> bool:
        try:
            return bool(term(row))
        except TypeError:
            raise InputError(f"'{shown}' compares or computes with texts and numbers at once") from None
        except RecursionError:
            raise nested from None

    return condition, used


class _Compiler:
    """Turns the nodes of a condition into functions of a row; every kind of node that is not named here is refused."""

    def __init__(self, shown: str, columns: Collection[str], used: set[str]) -> None:
        self._shown = shown
        self._columns = columns
        self._used = used
        self._kinds: dict[type[ast.expr], Callable[[Any], _Term]] = {
            ast.BoolOp: self._junction,
            ast.UnaryOp: self._unary,
            ast.BinOp: self._arithmetic,
            ast.Compare: self._comparison,
            ast.Name: self._column,
            ast.Constant: self._constant,
            ast.Tuple: self._several,
            ast.List: self._several,
            ast.Call: self._call,
        }

    def term(self, node: ast.expr) -> _Term:
        kind = self._kinds.get(type(node))
        if kind is None:
            raise self._refused(ast.unparse(node))
        return kind(node)

    def _refused(self, what: str) -> InputError:
        return InputError(f"'{printable(what[:60])}' cannot be used in the condition '{self._shown}'")

    def _junction(self, node: ast.BoolOp) -> _Term:
        parts = [self.term(value) for value in node.values]
        decide = all if isinstance(node.op, ast.And) else any
        return lambda row: decide(part(row) for part in parts)

    def _unary(self, node: ast.UnaryOp) -> _Term:
        inner = self.term(node.operand)
        if isinstance(node.op, ast.Not):
            return lambda row: not inner(row)
        sign = _SIGNS.get(type(node.op))
        if sign is None:
            raise self._refused(ast.unparse(node))
        return lambda row: _computed(sign, inner(row))

    def _arithmetic(self, node: ast.BinOp) -> _Term:
        compute = _ARITHMETIC.get(type(node.op))
        if compute is None:
            raise self._refused(ast.unparse(node))
        left, right = self.term(node.left), self.term(node.right)
        return lambda row: _computed(compute, left(row), right(row))

    def _comparison(self, node: ast.Compare) -> _Term:
        terms = [self.term(part) for part in (node.left, *node.comparators)]
        tests = [_COMPARISONS.get(type(op)) for op in node.ops]
        known = [test for test in tests if test is not None]
        if len(known) < len(tests):
            raise self._refused(ast.unparse(node))

        def compare(row: Row) -> bool:
            found = [term(row) for term in terms]
            return all(
                not _missing(left) and not _missing(right) and test(left, right)
                for left, right, test in zip(found, found[1:], known, strict=False)
            )

        return compare

    def _column(self, node: ast.Name) -> _Term:
        name = node.id
        if name not in self._columns:
            hint = "; it needs --rank" if name in RANKS else suggestion(name, self._columns)
            hint = hint or f"; texts are written in quotes: '{name}'"
            raise InputError(f"the condition '{self._shown}' names '{name}', which is no column{hint}")
        self._used.add(name)
        return lambda row: tuple(row[name]) if isinstance(row[name], list) else row[name]

    def _constant(self, node: ast.Constant) -> _Term:
        value = node.value
        if not isinstance(value, int | float | str):
            raise self._refused(ast.unparse(node))
        if isinstance(value, int) and abs(value) > 2**1000:  # beyond what becomes a float
            raise self._refused(ast.unparse(node))
        return lambda _: value

    def _several(self, node: ast.Tuple | ast.List) -> _Term:
        terms = [self.term(part) for part in node.elts]
        return lambda row: tuple(term(row) for term in terms)

    def _call(self, node: ast.Call) -> _Term:
        name = node.func.id if isinstance(node.func, ast.Name) else ""
        terms = [self.term(part) for part in node.args]
        if name == "abs" and len(terms) == 1 and not node.keywords:
            return lambda row: _computed(abs, terms[0](row))
        if name == "matches" and len(terms) == 2 and not node.keywords:
            return lambda row: _matches(terms[0](row), terms[1](row))
        raise self._refused(ast.unparse(node))


def _missing(value: Any) -> bool:
    return value is None or (isinstance(value, float) and math.isnan(value))


def _matches(text: Any, pattern: Any) -> bool:
    if text is None:
        return False
    if not isinstance(text, str) or not isinstance(pattern, str):
        raise TypeError
    return matches(text, pattern)


def _computed(compute: Callable[..., float], *numbers: Any) -> float | None:
    """The result on floats; None where a number is missing or there is no result."""
    if any(number is None for number in numbers):
        return None
    if not all(isinstance(number, int | float) for number in numbers):
        raise TypeError
    try:
        return compute(*map(float, numbers))
    except (ZeroDivisionError, OverflowError):
        return None
