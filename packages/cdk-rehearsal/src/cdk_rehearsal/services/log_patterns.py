"""CloudWatch Logs: filter patterns.

https://docs.aws.amazon.com/AmazonCloudWatch/latest/logs/FilterAndPatternSyntax.html
"""

import json
import re
from collections.abc import Callable
from functools import cache
from typing import Any

Matcher = Callable[[str], bool]
_Condition = Callable[[Any], bool]

_TERM = re.compile(r'\s*([?-]?)(?:"((?:[^"\\]|\\.)*)"|%([^%]+)%|([^\s"%]+))')
_TOKEN = re.compile(
    r"""\s*(?:(?P<end>$)
    |(?P<operator>&&|\|\||[()]|!=|<=|>=|=|<|>)
    |(?P<selector>\$[\w.\-\[\]*'"@:/]*)
    |"(?P<quoted>(?:[^"\\]|\\.)*)"
    |%(?P<regex>[^%]+)%
    |(?P<word>[^\s()=!<>&|"%]+))""",
    re.VERBOSE,
)
_STEP = re.compile(r"""\.?(?:\[(\d+|\*)\]|\[?['"]([^'"]+)['"]\]?|([^.\[\]'"]+))""")
_COMPARISONS: dict[str, Callable[[float, float], bool]] = {
    "=": lambda found, wanted: found == wanted,
    "!=": lambda found, wanted: found != wanted,
    "<": lambda found, wanted: found < wanted,
    "<=": lambda found, wanted: found <= wanted,
    ">": lambda found, wanted: found > wanted,
    ">=": lambda found, wanted: found >= wanted,
}


class InvalidPattern(Exception):
    """A pattern that CloudWatch Logs refuses, or that the rehearsal does not support."""


@cache
def log_filter(pattern: str | None) -> Matcher:
    """Returns what decides whether a log event's message matches a pattern.

    Raises InvalidPattern for a malformed pattern, and for one of space-delimited fields, which the
    rehearsal does not support.
    """
    text = (pattern or "").strip()
    if text.startswith("["):
        raise InvalidPattern("the rehearsal does not support patterns of space-delimited fields")
    if text.startswith("{"):
        if not text.endswith("}"):
            raise InvalidPattern("a JSON pattern has to end with }")
        return _of_json(_Parser(text[1:-1]).parse())
    return _of_terms(text)


def _of_terms(text: str) -> Matcher:
    """All plain terms, at least one optional term (?), and no excluded term (-).

    Optional terms are ignored beside others.
    """
    terms: dict[str, list[re.Pattern[str]]] = {"": [], "?": [], "-": []}
    position = 0
    while position < len(text):
        found = _TERM.match(text, position)
        if found is None:
            raise InvalidPattern(f"malformed term at {text[position:]!r}")
        sign, quoted, regex, word = found.groups()
        terms[sign].append(_regex(regex) if regex else _phrase(word or _unescaped(quoted)))
        position = found.end()
    wanted, optional, excluded = terms[""], terms["?"], terms["-"]

    def matches(message: str) -> bool:
        if any(term.search(message) for term in excluded):
            return False
        if wanted or excluded:
            return all(term.search(message) for term in wanted)
        return not optional or any(term.search(message) for term in optional)

    return matches


def _phrase(text: str) -> re.Pattern[str]:
    """A phrase between characters that are part of no word."""
    before = r"(?<!\w)" if re.match(r"\w", text) else ""
    after = r"(?!\w)" if re.search(r"\w$", text) else ""
    return re.compile(before + re.escape(text) + after)


def _regex(text: str) -> re.Pattern[str]:
    try:
        return re.compile(text)
    except re.error as error:
        raise InvalidPattern(f"malformed regular expression %{text}%: {error}") from None


def _unescaped(text: str) -> str:
    return re.sub(r"\\(.)", r"\1", text)


def _of_json(condition: _Condition) -> Matcher:
    def matches(message: str) -> bool:
        try:
            document = json.loads(message)
        except ValueError:
            return False
        return isinstance(document, dict) and condition(document)

    return matches


class _Parser:
    """Parses the conditions between braces.

    https://docs.aws.amazon.com/AmazonCloudWatch/latest/logs/matching-terms-json-log-events.html
    """

    def __init__(self, text: str) -> None:
        self._tokens: list[tuple[str, str]] = []
        position = 0
        while not self._tokens or self._tokens[-1][0] != "end":
            found = _TOKEN.match(text, position)
            if found is None:
                raise InvalidPattern(f"malformed condition at {text[position:]!r}")
            self._tokens.append((str(found.lastgroup), found[str(found.lastgroup)]))
            position = found.end()

    def parse(self) -> _Condition:
        condition = self._alternatives()
        kind, text = self._tokens[0]
        if kind != "end":
            raise InvalidPattern(f"unexpected {text!r}")
        return condition

    def _take(self, *texts: str) -> str | None:
        kind, text = self._tokens[0]
        if kind in ("operator", "word") and text in texts:
            del self._tokens[0]
            return text
        return None

    def _alternatives(self) -> _Condition:
        conditions = [self._conjunction()]
        while self._take("||"):
            conditions.append(self._conjunction())
        return lambda document: any(condition(document) for condition in conditions)

    def _conjunction(self) -> _Condition:
        conditions = [self._condition()]
        while self._take("&&"):
            conditions.append(self._condition())
        return lambda document: all(condition(document) for condition in conditions)

    def _condition(self) -> _Condition:
        if self._take("("):
            inner = self._alternatives()
            if not self._take(")"):
                raise InvalidPattern("a ) is missing")
            return inner
        kind, selector = self._tokens.pop(0)
        if kind != "selector":
            raise InvalidPattern(f"a selector such as $.level is expected instead of {selector!r}")
        values = _selected(selector)
        if self._take("IS"):
            word = self._take("TRUE", "FALSE", "NULL")
            if word is None:
                raise InvalidPattern("IS is followed by TRUE, FALSE or NULL")
            wanted = {"TRUE": True, "FALSE": False, "NULL": None}[word]
            return lambda document: any(value is wanted for value in values(document))
        if self._take("NOT"):
            if not self._take("EXISTS"):
                raise InvalidPattern("NOT is followed by EXISTS")
            return lambda document: not values(document)
        if self._take("EXISTS"):
            return lambda document: bool(values(document))
        return self._comparison(values)

    def _comparison(self, values: Callable[[Any], list[Any]]) -> _Condition:
        operator = self._take(*_COMPARISONS)
        kind, text = self._tokens.pop(0)
        if operator is None or kind not in ("quoted", "word", "regex"):
            raise InvalidPattern("a selector is followed by an operator and a value")
        if kind == "word" and (number := _number(text)) is not None:
            compare = _COMPARISONS[operator]
            return lambda document: any(
                compare(found, number)
                for found in map(_number, values(document))
                if found is not None
            )
        if operator not in ("=", "!="):
            raise InvalidPattern(f"texts are compared with = and !=, not with {operator}")
        if kind == "regex":
            search = _regex(text).search
        else:
            parts = (_unescaped(text) if kind == "quoted" else text).split("*")
            search = re.compile(".*".join(map(re.escape, parts)), re.DOTALL).fullmatch
        return lambda document: any(
            (search(_text(value)) is not None) == (operator == "=") for value in values(document)
        )


def _selected(selector: str) -> Callable[[Any], list[Any]]:
    """Returns what finds all values of a selector such as ``$.a.b[0].c`` in a document."""
    steps: list[str | int | None] = []
    position = 1
    while position < len(selector):
        found = _STEP.match(selector, position)
        if found is None:
            raise InvalidPattern(f"malformed selector {selector}")
        index, quoted, name = found.groups()
        steps.append((None if index == "*" else int(index)) if index else quoted or name)
        position = found.end()
    if not steps:
        raise InvalidPattern("a selector names a field, as in $.level")

    def values(document: Any) -> list[Any]:
        found = [document]
        for step in steps:
            if isinstance(step, str):
                found = [each[step] for each in found if isinstance(each, dict) and step in each]
            else:
                arrays = [each for each in found if isinstance(each, list)]
                taken = slice(None) if step is None else slice(step, step + 1)
                found = [item for array in arrays for item in array[taken]]
        return found

    return values


def _number(value: Any) -> float | None:
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        return None
    try:
        return float(value)
    except ValueError:
        return None


def _text(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value)
