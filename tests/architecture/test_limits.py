"""Limits of AWS: each constant and the page it cites are listed, with the day of the check."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from datetime import date

from workspace.isolation import PROJECT

TABLE = "docs/reference/limits.md"
ROWS = PROJECT / "packages/cdk-rehearsal/src/cdk_rehearsal/limits.toml"
FOLDERS = ("lambdas", "stacks", "packages/cdk-rehearsal/src", "tools")

_PAGE = re.compile(r"https://docs\.aws\.amazon\.com/[^\s\"')>;]+")
_ROW = re.compile(r"\| `(\S+)` \| `(.+?)` \| (\S+) \| (\S+) \|")


def _text_about(node: ast.stmt, following: ast.stmt | None, lines: list[str]) -> str:
    """The comment above a statement, the statement itself, and the docstring below it."""
    first = node.lineno - 1
    while first and lines[first - 1].lstrip().startswith("#"):
        first -= 1
    last = node.end_lineno
    match following:
        case ast.Expr(value=ast.Constant(value=str())):
            last = following.end_lineno
    return "\n".join(lines[first:last])


def _holds_number(value: ast.expr) -> bool:
    return any(
        isinstance(part, ast.Constant) and type(part.value) in {int, float}
        for part in ast.walk(value)
    )


def _cited(source: str) -> Iterator[tuple[str, str, str]]:
    """Name, value and page of each constant with a number, once for each page of AWS it cites."""
    lines = source.splitlines()
    tree = ast.parse(source)
    classes = (each for each in ast.walk(tree) if isinstance(each, ast.ClassDef))
    scopes: list[ast.Module | ast.ClassDef] = [tree, *classes]
    for scope in scopes:
        for node, following in zip(scope.body, [*scope.body[1:], None], strict=True):
            match node:
                case ast.Assign(targets=[ast.Name(id=name)], value=value):
                    pass
                case ast.AnnAssign(target=ast.Name(id=name), value=ast.expr() as value):
                    pass
                case _:
                    continue
            if _holds_number(value):
                shown = ast.unparse(value).splitlines()[0][:60]
                for page in _PAGE.findall(_text_about(node, following, lines)):
                    yield name, shown, page.rstrip(".,:")


def _constants() -> set[tuple[str, str, str]]:
    found = set()
    for folder in FOLDERS:
        for file in sorted((PROJECT / folder).rglob("*.py")):
            place = file.relative_to(PROJECT).as_posix()
            for name, value, page in _cited(file.read_text(encoding="utf-8")):
                found.add((f"{place}:{name}", value.replace("|", "\\|"), page))
    return found


def _listed() -> dict[tuple[str, str, str], date]:
    text = (PROJECT / TABLE).read_text(encoding="utf-8")
    return {
        (place, value, page): date.fromisoformat(day)
        for place, value, page, day in _ROW.findall(text)
    }


def test_each_constant_that_cites_a_page_of_aws_is_listed_with_the_day_it_was_read() -> None:
    constants, listed = _constants(), _listed()
    assert len(constants) > 30
    missing = [f"| `{p}` | `{v}` | {u} | YYYY-MM-DD |" for p, v, u in constants - listed.keys()]
    assert not missing, f"read the pages, and add to {TABLE}:\n" + "\n".join(sorted(missing))
    gone = [place for place, _, _ in listed.keys() - constants]
    assert not gone, f"{TABLE} lists constants that have changed or are gone: {sorted(gone)}"


def test_limits_that_the_package_enforces_are_in_its_table_and_not_in_its_code() -> None:
    package = "packages/cdk-rehearsal/src"
    named = re.compile(r"MAX|MOST|LIMIT|LONGEST|LARGEST|HIGHEST|DEFAULT")
    outside = {
        place
        for place, _, _ in _constants()
        if place.startswith(package) and named.search(place.rpartition(":")[2])
    }
    assert not outside, f"move them to {package}/cdk_rehearsal/limits.toml: {sorted(outside)}"


def test_no_day_lies_in_the_future() -> None:
    days = [*_listed().values()]
    days += [
        date.fromisoformat(day)
        for day in re.findall(r"^read = (\S+)$", ROWS.read_text(encoding="utf-8"), re.MULTILINE)
    ]
    assert len(days) > 150
    assert max(days) <= date.today()  # noqa: DTZ011 - a day, wherever the test runs


def test_a_page_in_a_comment_or_docstring_counts_and_a_text_without_a_number_does_not() -> None:
    source = (
        "# https://docs.aws.amazon.com/a.html\nA = 1\n"
        'B: int = 2\n"""See https://docs.aws.amazon.com/b.html."""\n'
        'C = "x"  # https://docs.aws.amazon.com/c.html\n'
        "# https://docs.aws.amazon.com/f.html, https://docs.aws.amazon.com/g.html\nG = (1, 2)\n"
        "class D:\n    e = 3.0  # https://docs.aws.amazon.com/e.html\n"
        "F = 4\n"
    )
    assert list(_cited(source)) == [
        ("A", "1", "https://docs.aws.amazon.com/a.html"),
        ("B", "2", "https://docs.aws.amazon.com/b.html"),
        ("G", "(1, 2)", "https://docs.aws.amazon.com/f.html"),
        ("G", "(1, 2)", "https://docs.aws.amazon.com/g.html"),
        ("e", "3.0", "https://docs.aws.amazon.com/e.html"),
    ]
