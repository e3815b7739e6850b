"""JSONata expressions and variables of state machines.

moto 5.2.5 writes all variables into the text of an expression, and evaluates it in Java, which it
does not bring along.
"""

import hashlib
import json
import math
import random
import re
from collections.abc import Callable
from decimal import Decimal
from functools import cache, cached_property
from typing import Any

from moto.stepfunctions.parser.api import EvaluationFailedEventDetails, HistoryEventType
from moto.stepfunctions.parser.asl.component.common.error_name.failure_event import (
    FailureEvent,
    FailureEventException,
)
from moto.stepfunctions.parser.asl.component.common.error_name.states_error_name import (
    StatesErrorName,
)
from moto.stepfunctions.parser.asl.component.common.error_name.states_error_name_type import (
    StatesErrorNameType,
)
from moto.stepfunctions.parser.asl.component.common.string.string_expression import (
    StringJSONata,
    StringVariableSample,
)
from moto.stepfunctions.parser.asl.eval.event.event_detail import EventDetails
from moto.stepfunctions.parser.asl.utils import json_path

from cdk_rehearsal.sandbox.patching import Patches

_VARIABLE = re.compile(r"\$(?P<name>\w+)(?P<path>.*)", re.DOTALL)
_HASHES = ("MD5", "SHA-1", "SHA-256", "SHA-384", "SHA-512")


class Expressions:
    """Evaluates JSONata expressions, with the functions that Step Functions adds.

    https://docs.aws.amazon.com/step-functions/latest/dg/transforming-data.html
    """

    def __init__(self, new_id: Callable[[], str], chance: random.Random) -> None:
        """``new_id`` and ``chance`` are for the functions ``$uuid`` and ``$random``."""

        def random_number(seed: Any = None) -> float:
            return (chance if seed is None else random.Random(seed)).random()

        self._functions: dict[str, Callable[..., Any]] = {
            "eval": _no_eval,
            "hash": _hash,
            "parse": json.loads,
            "partition": _partition,
            "random": random_number,
            "range": _range,
            "uuid": new_id,
        }

    @cached_property
    def _bindings(self) -> dict[str, Any]:
        from jsonata import Jsonata  # type: ignore[import-untyped]

        return {name: Jsonata.JLambda(each) for name, each in self._functions.items()}

    def patch(self, patches: Patches) -> None:
        """Lets moto's interpreter evaluate expressions and variables here."""

        def evaluate(component: StringJSONata, env: Any) -> None:
            env.stack.append(self.in_state(component.expression, env))

        patches.set(StringJSONata, "_eval_body", evaluate)
        patches.set(StringVariableSample, "_eval_body", _sample)

    def in_state(self, expression: str, env: Any) -> Any:
        """Returns the value of an expression in a state; FailureEventException if it fails."""
        try:
            return self.evaluate(expression, _scope(env))
        except ValueError as error:
            raise _failure(env, str(error)) from None

    def evaluate(self, expression: str, scope: dict[str, Any]) -> Any:
        """Returns the value of an expression; ValueError if it has none, or fails."""
        from jsonata.utils import Utils  # type: ignore[import-untyped]

        values = {k: Utils.NULL_VALUE if v is None else v for k, v in scope.items()}
        try:
            value = parsed(expression).evaluate(None, {**self._bindings, **values})
        except Exception as error:  # noqa: BLE001, whatever the evaluator or a function raises
            raise ValueError(
                f"The JSONata expression '{expression}' threw an error during evaluation: {error}"
            ) from None
        if value is None:
            raise ValueError(f"The JSONata expression '{expression}' returned nothing (undefined).")
        try:
            # Plain JSON, without the evaluator's own kinds of lists and of null.
            return json.loads(json.dumps(Utils.convert_nulls(value), default=_number))
        except TypeError:
            raise ValueError(
                f"The JSONata expression '{expression}' returned an unsupported result type."
            ) from None


@cache
def parsed(expression: str) -> Any:
    """Returns the parsed expression; ValueError if it is none."""
    # The evaluator takes longer to import than most rehearsals need.
    from jsonata import Jsonata
    from jsonata.jexception import JException  # type: ignore[import-untyped]

    try:
        found = Jsonata(expression)
    except JException as error:
        raise ValueError(f"The JSONata expression '{expression}' is invalid: {error}") from None
    found.set_output_convert_nulls(False)
    return found


def _scope(env: Any) -> dict[str, Any]:
    store = env.variable_store
    return {**store._outer_scope, **store._inner_scope, "states": env.states._states_data}


def _sample(component: StringVariableSample, env: Any) -> None:
    """A variable in a JSONPath state, and a path into it: ``$order.lines[0]``."""
    found = _VARIABLE.fullmatch(component.expression)
    scope = _scope(env)
    if found is None or found["name"] not in scope:
        raise RuntimeError(f"there is no variable {component.expression}")
    value = scope[found["name"]]
    if found["path"]:
        value = vars(json_path)["extract_json"](f"${found['path']}", value)
    env.stack.append(json.loads(json.dumps(value)))


def _failure(env: Any, cause: str) -> FailureEventException:
    error = StatesErrorName(typ=StatesErrorNameType.StatesQueryEvaluationError)
    details = EvaluationFailedEventDetails(cause=cause, error=error.error_name)
    event = FailureEvent(
        env=env,
        error_name=error,
        event_type=HistoryEventType.EvaluationFailed,
        event_details=EventDetails(  # type: ignore[typeddict-item]
            evaluationFailedEventDetails=details
        ),
    )
    env.event_manager.add_event(
        context=env.event_history_context,
        event_type=HistoryEventType.EvaluationFailed,
        event_details=event.event_details,
    )
    return FailureEventException(event)


def _number(value: Any) -> Any:
    if isinstance(value, Decimal):
        return int(value) if value == int(value) else float(value)
    raise TypeError(f"{value!r} is no JSON")


def _no_eval(*_: Any) -> Any:
    raise ValueError("Step Functions does not have $eval: use $parse for JSON")


def _hash(content: str, algorithm: str) -> str:
    if algorithm not in _HASHES:
        raise ValueError(f"$hash has no algorithm {algorithm!r}: use {', '.join(_HASHES)}")
    return hashlib.new(algorithm.replace("-", ""), content.encode()).hexdigest()


def _partition(values: list[Any], size: float) -> list[Any]:
    step = int(size)
    return [values[start : start + step] for start in range(0, len(values), step)]


def _range(first: float, last: float, step: float) -> Any:
    if not step:
        raise ValueError("the step of $range must not be 0")
    values = [first + i * step for i in range(math.floor((last - first) / step) + 1)]
    # As of a JSONata sequence, a single value is the value itself.
    return values[0] if len(values) == 1 else values
