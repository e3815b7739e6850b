"""What an EventBridge target gets of an event: a part of it, or a transformed text."""

import json
import re
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, cast

from cdk_rehearsal.limits import LIMITS
from cdk_rehearsal.patterns import PatternError

_MISSING = object()
_PATH_STEP = re.compile(r"\.(?P<name>[\w/-]+|\*)|\[(?P<index>\d+|\*)\]", re.ASCII)
_PLACEHOLDER = re.compile(r"<([^<>]+)>")
_PREDEFINED = frozenset(
    {
        "aws.events.rule-arn",
        "aws.events.rule-name",
        "aws.events.event.ingestion-time",
        "aws.events.event",
        "aws.events.event.json",
    }
)
_EVENTS = frozenset({"aws.events.event", "aws.events.event.json"})


class JsonPath:
    """A path in the subset of JSONPath that EventBridge takes: names, indices and wildcards.

    https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-transform-target-input.html
    """

    def __init__(self, text: str) -> None:
        self._steps = list[str | int]()
        position = 1
        while text.startswith("$") and position < len(text):
            step = _PATH_STEP.match(text, position)
            if step is None:
                break
            index = step["index"]
            self._steps.append(step["name"] or (index if index == "*" else int(index)))
            position = step.end()
        if position != len(text) or not text.startswith("$"):
            raise PatternError(
                f"{text!r} is not a JSON path that EventBridge takes: use $.name, [0] and *"
            )
        self._many = "*" in self._steps

    @property
    def is_compound(self) -> bool:
        """Whether the path selects an object or array in all events."""
        return self._many or self._steps in ([], ["detail"], ["resources"])

    def select(self, document: Any, default: Any = None) -> Any:
        """The value at the path, a list of values if it has a wildcard, or the default."""
        found = [document]
        for step in self._steps:
            found = [child for node in found for child in _children(node, step)]
        if self._many:
            return found
        return found[0] if found else default


def _children(node: Any, step: str | int) -> Sequence[Any]:
    if step == "*":
        if isinstance(node, dict):
            return list(node.values())
        return node if isinstance(node, list) else []
    if isinstance(step, int):
        return node[step : step + 1] if isinstance(node, list) else []
    return [node[step]] if isinstance(node, dict) and step in node else []


class InputTransformer:
    """The input transformer of a rule's target.

    Rules: https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-transform-target-input.html
    Raises PatternError on construction if EventBridge would refuse it.
    """

    def __init__(self, paths_map: Mapping[str, str] | None, template: str) -> None:
        paths = paths_map or {}
        if len(paths) > LIMITS["events.input_paths"]:
            raise PatternError(f"{len(paths)} input paths: at most {LIMITS['events.input_paths']}")
        if not 1 <= len(template) <= LIMITS["events.template_characters"]:
            raise PatternError(
                f"an input template has 1 to {LIMITS['events.template_characters']} characters"
            )
        reserved = [name for name in paths if name.lower().startswith("aws.")]
        if reserved:
            raise PatternError(f"input path {reserved[0]!r}: names that begin with AWS. are taken")
        self._paths = {name: JsonPath(path) for name, path in paths.items()}
        self._pieces = _pieces(template)
        for _, name, _ in self._pieces:
            if name is not None and name not in self._paths and name not in _PREDEFINED:
                raise PatternError(f"input template uses <{name}>, which no input path defines")
        self._is_json = template.lstrip()[:1] in {"{", "["}

    def apply(
        self, event: Mapping[str, Any], *, rule_arn: str, rule_name: str, ingestion_time: float
    ) -> str:
        """The text that the target gets. The ingestion time is in epoch seconds.

        Raises PatternError for an object or array in a text of a JSON template, as EventBridge
        does not deliver that event. A template that is a text itself takes it, without its quotes.
        Tests of https://github.com/localstack/localstack recorded both on AWS, in
        ``tests/aws/services/events/test_events_inputs.py``.
        """
        filled = list[str]()
        for literal, name, quoted in self._pieces:
            filled.append(literal)
            if name is None:
                continue
            if name in self._paths:
                value = self._paths[name].select(event, _MISSING)
            else:
                value = _predefined(name, event, rule_arn, rule_name, ingestion_time)
            if self._is_json and quoted and isinstance(value, dict | list):
                raise PatternError(
                    f"the input template has quotation marks around <{name}>, which is an "
                    f"{'object' if isinstance(value, dict) else 'array'}: write <{name}> without "
                    "them"
                )
            filled.append(_in_string(value) if quoted else _as_value(value))
        text = "".join(filled)
        return _minified(text) if self._is_json else text

    def undeliverable(self) -> list[str]:
        """Returns the variables that no event can have as they stand here: objects in texts."""
        return [
            name
            for _, name, quoted in self._pieces
            if name is not None and self._is_json and quoted and self._is_compound(name)
        ]

    def _is_compound(self, name: str) -> bool:
        """Whether a variable is an object or array in all events."""
        path = self._paths.get(name)
        return name in _EVENTS if path is None else path.is_compound


def _pieces(template: str) -> list[tuple[str, str | None, bool]]:
    """Literal text, the variable after it, and whether that stands inside of a JSON string."""
    pieces = list[tuple[str, str | None, bool]]()
    position, quotes = 0, 0
    for found in _PLACEHOLDER.finditer(template):
        literal = template[position : found.start()]
        quotes += len(re.findall(r'(?<!\\)(?:\\\\)*"', literal))
        pieces.append((literal, found[1], quotes % 2 == 1))
        position = found.end()
    pieces.append((template[position:], None, False))
    return pieces


def _predefined(
    name: str, event: Mapping[str, Any], rule_arn: str, rule_name: str, ingestion_time: float
) -> Any:
    if name == "aws.events.rule-arn":
        return rule_arn
    if name == "aws.events.rule-name":
        return rule_name
    if name == "aws.events.event.ingestion-time":
        moment = datetime.fromtimestamp(ingestion_time, UTC)
        return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")
    if name == "aws.events.event":
        return {key: value for key, value in event.items() if key != "detail"}
    return dict(event)


def _in_string(value: Any) -> str:
    # Text goes in as it is: EventBridge does not escape what it takes out of the event. Objects
    # and arrays lose their quotes, which would end the string.
    if value is _MISSING:
        return ""
    if isinstance(value, str):
        return value
    return _compact(value).replace('"', "")


def _as_value(value: Any) -> str:
    return '""' if value is _MISSING else _compact(value)


def _minified(text: str) -> str:
    # Unescaped text from the event can make the document invalid; EventBridge passes that on.
    try:
        return _compact(json.loads(text))
    except ValueError:
        return text


def _compact(value: Any) -> str:
    return json.dumps(value, separators=(",", ":"), ensure_ascii=False)


def target_input(
    target: Mapping[str, Any],
    event: Mapping[str, Any],
    *,
    transformer: InputTransformer | None = None,
    rule_arn: str = "",
    rule_name: str = "",
    ingestion_time: float = 0.0,
) -> str:
    """What a rule's target receives: the event, Input, InputPath's part or the transformed text.

    Takes a target as in PutTargets, and its compiled transformer if the caller keeps one:
    https://docs.aws.amazon.com/eventbridge/latest/APIReference/API_PutTargets.html
    Raises PatternError if the target names several inputs, or its path selects nothing.
    """
    kinds = [kind for kind in ("Input", "InputPath", "InputTransformer") if target.get(kind)]
    if len(kinds) > 1:
        raise PatternError(f"target {target.get('Id')}: {' and '.join(kinds)} exclude each other")
    if not kinds:
        return _compact(event)
    if kinds == ["Input"]:
        return cast(str, target["Input"])
    if kinds == ["InputPath"]:
        part = JsonPath(target["InputPath"]).select(event, _MISSING)
        if part is _MISSING:
            raise PatternError(
                f"target {target.get('Id')}: {target['InputPath']} selects nothing in the event"
                f" {event.get('id')}"
            )
        return _compact(part)
    definition = target["InputTransformer"]
    transformer = transformer or InputTransformer(
        definition.get("InputPathsMap"), definition["InputTemplate"]
    )
    return transformer.apply(
        event, rule_arn=rule_arn, rule_name=rule_name, ingestion_time=ingestion_time
    )
