"""Replaces parameters by their defaults, and conditions by the branch that these choose.

Checks read templates without an account. So they take the values that a deployment without
arguments has; a function that depends on more than that stays as it is.
"""

from collections.abc import Callable, Mapping
from typing import Any

_NO_VALUE = {"Ref": "AWS::NoValue"}
_UNKNOWN = object()


class Settled:
    """The values of one template."""

    def __init__(self, template: Mapping[str, Any], given: Mapping[str, Any]) -> None:
        """``given`` are values of parameters; an expression among them stays unknown."""
        self._conditions: Mapping[str, Any] = template.get("Conditions", {})
        self._functions: Mapping[str, Callable[[Any], Any]] = {
            "Condition": lambda name: self._holds(self._conditions.get(name, _UNKNOWN)),
            "Fn::And": lambda items: _all(self._holds(item) for item in items),
            "Fn::Equals": self._equals,
            "Fn::Not": lambda items: _not(self._holds(items[0])),
            "Fn::Or": lambda items: _not(_all(_not(self._holds(item)) for item in items)),
        }
        self._parameters = {
            name: given.get(name, definition.get("Default"))
            for name, definition in template.get("Parameters", {}).items()
            if not str(definition.get("Type")).startswith("AWS::SSM::")
        }

    def settle(self, value: Any) -> Any:
        """Returns a value with its parameters and conditions replaced where they are known."""
        match value:
            case {"Ref": str(name)} if isinstance(
                default := self._parameters.get(name), str | int | float | bool
            ):
                return default
            case {"Fn::If": [str(name), yes, no]}:
                holds = self._functions["Condition"](name)
                if holds is _UNKNOWN:
                    return value
                return self.settle(yes if holds else no)
            case Mapping():
                items = {key: self.settle(item) for key, item in value.items()}
                return {key: item for key, item in items.items() if item != _NO_VALUE}
            case list():
                return [item for item in map(self.settle, value) if item != _NO_VALUE]
        return value

    def _holds(self, condition: Any) -> Any:
        """Whether a condition holds; _UNKNOWN if that depends on more than defaults."""
        if isinstance(condition, Mapping) and len(condition) == 1:
            ((name, argument),) = condition.items()
            if name in self._functions:
                return self._functions[name](argument)
        return _UNKNOWN

    def _equals(self, operands: Any) -> Any:
        left, right = self.settle(operands)
        if isinstance(left, Mapping | list) or isinstance(right, Mapping | list):
            return _UNKNOWN
        return _text(left) == _text(right)


def _text(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def _all(values: Any) -> Any:
    found = [*values]
    if False in found:
        return False
    return _UNKNOWN if _UNKNOWN in found else True


def _not(value: Any) -> Any:
    return value if value is _UNKNOWN else not value
