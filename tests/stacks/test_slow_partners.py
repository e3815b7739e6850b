"""A function has time for the slowest answers of the partners that it calls, for a whole batch.

What a handler calls is read from its code and from the functions of its context's store. How long a
call takes at most is derived from the timeouts of the clients.
"""

import ast
import inspect
from collections.abc import Iterator, Mapping
from importlib import import_module
from types import ModuleType

import pytest

from cdk_rehearsal import Assembly, Resource
from lambdas.notifications import webhook
from lambdas.payments import stripe_provider
from lambdas.shipping import easypost_carrier
from tests.support.handlers import handler_of

LONGEST_S: Mapping[str, Mapping[str, float]] = {
    "carrier": easypost_carrier.LONGEST_S,
    "provider": stripe_provider.LONGEST_S,
    "webhook": {"post": webhook.TOTAL_S},
}
"""The longest time of each call, in seconds, by the name under which handlers know the partner."""

OWN_WORK_S = 3.0
"""Time for a cold start, for secrets and for the function's own table."""


def called_in(module: ModuleType, names: set[str] | None = None) -> Iterator[tuple[str, str]]:
    """The partners' operations that some functions of a module (default: all) call, each once."""
    tree = ast.parse(inspect.getsource(module))
    functions = {node.name: node for node in tree.body if isinstance(node, ast.FunctionDef)}
    waiting, seen = list(functions if names is None else names), set[str]()
    while waiting:
        name = waiting.pop()
        if name in seen or name not in functions:
            continue
        seen.add(name)
        for node in ast.walk(functions[name]):
            if isinstance(node, ast.Name):
                waiting.append(node.id)
            if isinstance(node, ast.Attribute):
                owner = node.value.func if isinstance(node.value, ast.Call) else node.value
                if isinstance(owner, ast.Name) and node.attr in LONGEST_S.get(owner.id, {}):
                    yield owner.id, node.attr


def calls_of(function: Resource) -> set[tuple[str, str]]:
    """The partners' operations that a function may call while it handles one message."""
    module = import_module(function.properties["Handler"].rpartition(".")[0])
    calls = set(called_in(module))
    for name, used in vars(module).items():
        if isinstance(used, ModuleType) and name.endswith("_store"):
            names = {
                node.attr
                for node in ast.walk(ast.parse(inspect.getsource(module)))
                if isinstance(node, ast.Attribute)
                and isinstance(node.value, ast.Name)
                and node.value.id == name
            }
            calls |= set(called_in(used, names))
    return calls


def longest_s(function: Resource) -> float:
    """The longest time that partners take for one message."""
    return sum(LONGEST_S[partner][operation] for partner, operation in calls_of(function))


def batch_sizes(shop: Assembly) -> dict[str, int]:
    """The largest batch of each function that a queue or stream invokes, by path."""
    return {
        shop.referred(mapping.stack, mapping.properties["FunctionName"]).path: mapping.properties[
            "BatchSize"
        ]
        for mapping in shop.of_type("AWS::Lambda::EventSourceMapping")
    }


EXPECTED = {
    "Notifications/CallWebhook/Function": {("webhook", "post")},
    "Payments/AuthorizePayment": {("provider", "open"), ("provider", "authorize")},
    "Payments/CapturePayment/Function": {("provider", "capture")},
    "Payments/RefundClosedOrder/Function": {("provider", "release")},
    "Payments/RefundPayment": {("provider", "release")},
    "Payments/RefundReturnedOrder": {("provider", "release")},
    "Payments/TakeProviderEvent": {("provider", "order_of")},
    "Shipping/RecallShipment/Function": {("carrier", "recall")},
    "Shipping/RequestShipment/Function": {
        ("carrier", "open"),
        ("carrier", "buy"),
        ("carrier", "recall"),
    },
    "Shipping/TakeCarrierEvent": {("carrier", "order_of")},
}


def test_the_calls_of_handlers_are_found_in_their_code(shop: Assembly) -> None:
    found = {
        function.path: calls
        for function in shop.of_type("AWS::Lambda::Function")
        if (calls := calls_of(function))
    }
    assert found == EXPECTED


@pytest.mark.parametrize("stage", ["dev", "prod"])
def test_a_batch_of_the_slowest_calls_ends_before_the_timeout(
    templates: Mapping[str, Assembly], stage: str
) -> None:
    shop = templates[stage]
    sizes = batch_sizes(shop)
    for function in shop.of_type("AWS::Lambda::Function"):
        needed = sizes.get(function.path, 1) * longest_s(function)
        if needed:
            timeout = function.properties["Timeout"]
            assert needed + OWN_WORK_S < timeout, (
                f"{function.path} of stage {stage} may wait {needed} seconds for its partner, and "
                f"ends after {timeout}: use smaller batches or a longer timeout"
            )


def test_every_function_that_may_reach_a_partner_is_checked(shop: Assembly) -> None:
    """Whoever gets the address of a partner's key or table is among the functions above."""
    for function in shop.of_type("AWS::Lambda::Function"):
        handler = handler_of(function)
        source = inspect.getsource(import_module(handler.__module__))
        asks = any(f"import {role}\n" in source for role in ("carrier", "provider"))
        assert not asks or function.path in EXPECTED, function
