"""The rules of composite alarms: states of other alarms, combined.

https://docs.aws.amazon.com/AmazonCloudWatch/latest/APIReference/API_PutCompositeAlarm.html
https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/alarm-combining.html
"""

import re
from collections.abc import Callable
from math import ceil

STATES = ("ALARM", "OK", "INSUFFICIENT_DATA")
_TOKEN = re.compile(r'"[^"]*"|[(),]|[^\s(),"]+')


class InvalidRule(Exception):
    """The rule cannot be evaluated; the message says why."""


def holds(rule: str, state_of: Callable[[str], str]) -> bool:
    """Whether a rule holds. `state_of` returns the state of an alarm by its name or ARN."""
    parser = _Parser(rule, state_of)
    result = parser.any_of()
    parser.expect("")
    return result


class _Parser:
    """Evaluates while it reads: both sides of each operator, so that all of a rule is checked."""

    def __init__(self, rule: str, state_of: Callable[[str], str]) -> None:
        self._tokens = [*_TOKEN.findall(rule), ""]
        self._state_of = state_of

    def any_of(self) -> bool:
        result = self._all_of()
        while self._tokens[0] == "OR":
            self._take()
            result = self._all_of() or result
        return result

    def _all_of(self) -> bool:
        result = self._one()
        while self._tokens[0] == "AND":
            self._take()
            result = self._one() and result
        return result

    def _one(self) -> bool:
        match self._take():
            case "NOT":
                return not self._one()
            case "(":
                result = self.any_of()
                self.expect(")")
            case ("TRUE" | "FALSE") as word:
                return word == "TRUE"
            case "AT_LEAST":
                result = self._at_least()
            case word if word in STATES:
                self.expect("(")
                result = self._state_of(self._name()) == word
                self.expect(")")
            case word:
                raise InvalidRule(f"{word or 'the end'} is unexpected in the rule of the alarm")
        return result

    def _at_least(self) -> bool:
        """Reads `(2, ALARM, (a, b, c))`, where a share such as 50% or `NOT ALARM` may stand."""
        self.expect("(")
        wanted = self._take()
        self.expect(",")
        negated = self._tokens[0] == "NOT" and self._take()
        state = self._take()
        if state not in STATES or not re.fullmatch(r"\d+%?", wanted):
            raise InvalidRule(f"AT_LEAST({wanted}, {state}, …) has no such number or state")
        self.expect(",")
        self.expect("(")
        names = [self._name()]
        while self._tokens[0] == ",":
            self._take()
            names.append(self._name())
        self.expect(")")
        self.expect(")")
        found = sum((self._state_of(name) == state) != bool(negated) for name in names)
        number = int(wanted.removesuffix("%"))
        return found >= (ceil(len(names) * number / 100) if wanted.endswith("%") else number)

    def _name(self) -> str:
        return self._take().strip('"')

    def _take(self) -> str:
        return self._tokens.pop(0) if len(self._tokens) > 1 else ""

    def expect(self, token: str) -> None:
        """Reads a token, or the end. Raises InvalidRule if something else comes."""
        found = self._take()
        if found != token:
            raise InvalidRule(f"the rule of the alarm has {found or 'no more'} before {token!r}")
