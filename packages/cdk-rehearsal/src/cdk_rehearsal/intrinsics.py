"""Resolves CloudFormation's intrinsic functions, conditions and pseudo parameters.

Reference: https://docs.aws.amazon.com/AWSCloudFormation/latest/TemplateReference/intrinsic-function-reference.html
"""

import base64
import re
from collections.abc import Callable
from typing import Any

from cdk_rehearsal.assembly import Stack
from cdk_rehearsal.errors import UnsupportedTemplateError
from cdk_rehearsal.stand_ins import LISTS, SSM_PARAMETER

NO_VALUE = object()
_DYNAMIC = re.compile(r"\{\{resolve:([^{}]+)\}\}")
_PLACEHOLDER = re.compile(r"\$\{(!?[^{}]*)\}")


class Resolver:
    """Resolves the values of one stack's template.

    ``ref`` and ``get_att`` answer for resources by logical id, ``import_value`` for other stacks'
    exports. ``parameter`` and ``dynamic`` return given values of parameters and of dynamic
    references such as ``ssm:/shop/price:1``, or None.
    """

    def __init__(
        self,
        stack: Stack,
        *,
        account: str,
        region: str,
        ref: Callable[[str], str],
        get_att: Callable[[str, str], Any],
        import_value: Callable[[str], Any],
        parameter: Callable[[str], Any] = lambda name: None,
        dynamic: Callable[[str], str | None] = lambda reference: None,
    ) -> None:
        self._stack = stack
        self._ref_resource = ref
        self._get_att_resource = get_att
        self._given_parameter = parameter
        self._dynamic = dynamic
        self._pseudo = {
            "AWS::AccountId": account,
            "AWS::NotificationARNs": [],
            "AWS::NoValue": NO_VALUE,
            "AWS::Partition": "aws",
            "AWS::Region": region,
            "AWS::StackId": stack.arn(account, region),
            "AWS::StackName": stack.name,
            "AWS::URLSuffix": "amazonaws.com",
        }
        self._conditions: dict[str, bool] = {}
        self._functions: dict[str, Callable[[Any, str], Any]] = {
            "Ref": self._name,
            "Condition": lambda name, where: self.condition(str(name)),
            "Fn::And": lambda items, where: all(self.resolve(item, where) for item in items),
            "Fn::Base64": self._base64,
            "Fn::Equals": self._equals,
            "Fn::FindInMap": self._find_in_map,
            "Fn::GetAZs": self._zones,
            "Fn::GetAtt": self._get_att,
            "Fn::If": self._if,
            "Fn::ImportValue": lambda name, where: import_value(str(self.resolve(name, where))),
            "Fn::Join": self._join,
            "Fn::Not": lambda items, where: not self.resolve(items[0], where),
            "Fn::Or": lambda items, where: any(self.resolve(item, where) for item in items),
            "Fn::Select": self._select,
            "Fn::Split": self._split,
            "Fn::Sub": self._sub,
        }

    def resolve(self, value: Any, where: str) -> Any:
        """Returns ``value`` with all functions in it resolved; ``where`` is used in errors."""
        if isinstance(value, dict):
            if len(value) == 1:
                name, argument = next(iter(value.items()))
                function = self._functions.get(name)
                if function is not None and not (
                    name == "Condition" and not isinstance(argument, str)
                ):
                    return function(argument, where)
                if name.startswith("Fn::"):
                    raise UnsupportedTemplateError(
                        f"stack {self._stack.name}, {where}: the function {name} is unknown"
                    )
            resolved = {key: self.resolve(item, where) for key, item in value.items()}
            return {key: item for key, item in resolved.items() if item is not NO_VALUE}
        if isinstance(value, list):
            items = [self.resolve(item, where) for item in value]
            return [item for item in items if item is not NO_VALUE]
        return self._resolved_text(value, where) if isinstance(value, str) else value

    def _resolved_text(self, text: str, where: str) -> str:
        """Replaces dynamic references.

        https://docs.aws.amazon.com/AWSCloudFormation/latest/UserGuide/dynamic-references.html
        """

        def replace(match: re.Match[str]) -> str:
            value = self._dynamic(match[1])
            if value is None:
                raise UnsupportedTemplateError(
                    f"stack {self._stack.name}, {where}: the dynamic reference {match[1]} has no "
                    f"value: give it as values[{match[1]!r}]"
                )
            return value

        return _DYNAMIC.sub(replace, text) if "{{resolve:" in text else text

    def condition(self, name: str) -> bool:
        """Returns whether the template's condition ``name`` holds."""
        if name not in self._conditions:
            definition = self._stack.template.get("Conditions", {}).get(name)
            if definition is None:
                raise UnsupportedTemplateError(
                    f"stack {self._stack.name}: there is no condition {name}"
                )
            self._conditions[name] = bool(self.resolve(definition, f"condition {name}"))
        return self._conditions[name]

    def _name(self, name: str, where: str) -> Any:
        if name in self._pseudo:
            return self._pseudo[name]
        parameter = self._stack.template.get("Parameters", {}).get(name)
        if parameter is not None:
            value = self._given_parameter(name)
            if value is None and not parameter["Type"].startswith(SSM_PARAMETER):
                value = parameter.get("Default")
            if value is None:
                raise UnsupportedTemplateError(
                    f"stack {self._stack.name}, {where}: parameter {name} has no default: give "
                    f"its value as values[{name!r}]"
                )
            is_list = parameter["Type"].startswith(LISTS)
            return value.split(",") if is_list and isinstance(value, str) else value
        return self._ref_resource(name)

    def _get_att(self, argument: Any, where: str) -> Any:
        logical_id, attribute = (
            argument.split(".", 1) if isinstance(argument, str) else (argument[0], argument[1])
        )
        return self._get_att_resource(logical_id, str(self.resolve(attribute, where)))

    def _join(self, argument: Any, where: str) -> str:
        delimiter, items = argument
        joined = str(delimiter).join(_text(item) for item in self.resolve(items, where))
        return self._resolved_text(joined, where)

    def _split(self, argument: Any, where: str) -> list[str]:
        delimiter, text = argument
        return str(self.resolve(text, where)).split(delimiter)

    def _select(self, argument: Any, where: str) -> Any:
        index, items = self.resolve(argument, where)
        return items[int(index)]

    def _sub(self, argument: Any, where: str) -> str:
        text, variables = (argument, {}) if isinstance(argument, str) else argument

        def replace(match: re.Match[str]) -> str:
            name = match[1]
            if name.startswith("!"):
                return "${" + name[1:] + "}"
            if name in variables:
                return _text(self.resolve(variables[name], where))
            if "." in name:
                return _text(self._get_att(name, where))
            return _text(self._name(name, where))

        return self._resolved_text(_PLACEHOLDER.sub(replace, text), where)

    def _if(self, argument: Any, where: str) -> Any:
        name, when_true, when_false = argument
        return self.resolve(when_true if self.condition(name) else when_false, where)

    def _find_in_map(self, argument: Any, where: str) -> Any:
        mapping, first, second = (self.resolve(item, where) for item in argument[:3])
        try:
            return self._stack.template["Mappings"][mapping][first][second]
        except KeyError:
            if len(argument) > 3:
                return self.resolve(argument[3]["DefaultValue"], where)
            raise UnsupportedTemplateError(
                f"stack {self._stack.name}, {where}: nothing in mapping {mapping} at "
                f"{first}.{second}"
            ) from None

    def _zones(self, argument: Any, where: str) -> list[str]:
        """Three zones, as most regions have at least.

        https://docs.aws.amazon.com/global-infrastructure/latest/regions/aws-availability-zones.html
        """
        region = self.resolve(argument, where) or self._pseudo["AWS::Region"]
        return [f"{region}{zone}" for zone in "abc"]

    def _equals(self, argument: Any, where: str) -> bool:
        left, right = self.resolve(argument, where)
        return _text(left) == _text(right)

    def _base64(self, argument: Any, where: str) -> str:
        return base64.b64encode(str(self.resolve(argument, where)).encode()).decode()


def _text(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    return str(value)
