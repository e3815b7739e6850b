"""Sabotage: an application without one of the things that keep it from losing or doubling."""

import json
import shutil
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cdk_rehearsal import RehearsalError


@dataclass(frozen=True)
class Edit:
    """A change of one module of the handlers: `old`, which stands there once, becomes `new`."""

    module: str
    old: str
    new: str


@dataclass(frozen=True)
class Sabotage:
    """What is taken away, from the handlers' code or from the templates' resources."""

    name: str
    says: str
    edits: tuple[Edit, ...] = ()
    weaken: Callable[[str, dict[str, Any]], bool] | None = None
    """Weakens a resource, by its type and properties; says whether there was something to do."""

    def apply(self, assembly: Path, copy: Path) -> Path:
        """Writes a copy of an assembly that lacks it. Raises RehearsalError if it had it not."""
        shutil.copytree(assembly, copy, dirs_exist_ok=True)
        if self.edits:
            _edit(copy, self.edits)
        if self.weaken is not None and not sum(_weaken(copy, self.weaken)):
            raise RehearsalError(f"{self.name}: the templates have nothing to take away")
        return copy


def _edit(assembly: Path, edits: Sequence[Edit]) -> None:
    """Gives an assembly changed packages of its own, in place of those that hold the modules."""
    left = set(edits)
    for path in assembly.glob("*.assets.json"):
        manifest = json.loads(path.read_bytes())
        for name, asset in manifest["files"].items():
            package = assembly / asset["source"].get("path", "")
            meant = [edit for edit in edits if (package / edit.module).is_file()]
            if meant:
                asset["source"]["path"] = _changed(package, assembly / f"sabotaged.{name}", meant)
                left -= {*meant}
        path.write_text(json.dumps(manifest), encoding="utf-8")
    for edit in left:
        raise RehearsalError(f"no package of {assembly} holds {edit.module}")


def _changed(package: Path, copy: Path, edits: Sequence[Edit]) -> str:
    """Copies a package, changes its modules, and returns the name of the copy."""
    if copy.exists():  # Stacks have packages in common.
        return copy.name
    # Bytecode would run in place of what is changed.
    shutil.copytree(package, copy, ignore=shutil.ignore_patterns("__pycache__"))
    for edit in edits:
        module = copy / edit.module
        text = module.read_text(encoding="utf-8")
        if text.count(edit.old) != 1:
            raise RehearsalError(
                f"{edit.module} has {text.count(edit.old)} times the text that is to be changed: "
                f"adapt the sabotage to\n{edit.old}"
            )
        module.write_text(text.replace(edit.old, edit.new), encoding="utf-8")
    return copy.name


def _weaken(assembly: Path, weaken: Callable[[str, dict[str, Any]], bool]) -> Iterator[int]:
    for path in assembly.glob("*.template.json"):
        template = json.loads(path.read_bytes())
        resources = template.get("Resources", {}).values()
        yield sum(weaken(each["Type"], each.get("Properties", {})) for each in resources)
        path.write_text(json.dumps(template), encoding="utf-8")


def _no_partial_response(type_: str, properties: dict[str, Any]) -> bool:
    if type_ != "AWS::Lambda::EventSourceMapping":
        return False
    return properties.pop("FunctionResponseTypes", None) is not None


def _no_parking(type_: str, properties: dict[str, Any]) -> bool:
    match type_:
        case "AWS::SQS::Queue" | "AWS::SNS::Subscription":
            return properties.pop("RedrivePolicy", None) is not None
        case "AWS::Events::Rule":
            taken = [each.pop("DeadLetterConfig", None) for each in properties["Targets"]]
            return any(taken)
        case "AWS::Scheduler::Schedule":
            return properties["Target"].pop("DeadLetterConfig", None) is not None
        case "AWS::Lambda::EventSourceMapping":
            return properties.pop("DestinationConfig", None) is not None
    return False


_TRANSACTION = "lambdas/eventing/transaction.py"
_STOCK = "lambdas/inventory/stock_store.py"
_RESERVATION = "lambdas/inventory/domain.py"
_PAYMENTS = "lambdas/payments/payment_store.py"

_ALL = (
    Sabotage(
        "inbox",
        "the inbox key is written without its condition",
        (
            Edit(
                _TRANSACTION,
                "self.create(\n            (inbox_key, inbox_key),",
                "self.put(\n            (inbox_key, inbox_key),",
            ),
        ),
    ),
    Sabotage(
        "outbox",
        "events are written to the outbox after the transaction, not in it",
        (
            Edit(
                _TRANSACTION,
                'self.put((key[0], sort_key), item, label="outbox")',
                'vars(self).setdefault("later", []).append({"pk": key[0], "sk": sort_key, **item})',
            ),
            Edit(
                _TRANSACTION,
                "aws.dynamodb().transact_write_items(TransactItems=self._operations)\n",
                "aws.dynamodb().transact_write_items(TransactItems=self._operations)\n"
                '                for item in vars(self).get("later", []):\n'
                "                    aws.dynamodb().put_item(\n"
                "                        TableName=self._settings.table_name,\n"
                "                        Item=to_attributes(item),\n"
                "                    )\n",
            ),
        ),
    ),
    Sabotage(
        "relay",
        "the relay does not look whether the bus took every entry",
        (Edit("lambdas/eventing/relay.py", 'if response["FailedEntryCount"]:', "if False:"),),
    ),
    Sabotage(
        "compensation",
        "stock that was put back is put back again when asked again",
        (
            Edit(
                _RESERVATION,
                "self.becomes(*events, taken=0, state=State.RELEASED)",
                "self.becomes(*events, state=State.RELEASED)",
            ),
            Edit(
                _STOCK,
                "if not reservation.taken:",
                'if not reservation.taken or (_ and reservation.state == "released"):',
            ),
        ),
    ),
    Sabotage(
        "partial-response",
        "no event source mapping reads which entries of a batch failed",
        weaken=_no_partial_response,
    ),
    Sabotage(
        "dead-letters",
        "no edge has a dead-letter queue or on-failure destination",
        weaken=_no_parking,
    ),
    Sabotage(
        "idempotency-key",
        "a payment that is resumed asks the provider with another key",
        (
            Edit(
                _PAYMENTS,
                "payment, _ = _payments.change(\n        order.order_id, Payment.check,",
                "payment, begun = _payments.change(\n        order.order_id, Payment.check,",
            ),
            Edit(
                _PAYMENTS,
                "_ask(order, provider)\n",
                '_ask(order, provider, "" if begun else "-again")\n',
            ),
            Edit(
                _PAYMENTS,
                "def _ask(order: OrderPlaced, provider: PaymentProvider) -> bool:",
                "def _ask(order, provider, suffix):",
            ),
            Edit(
                _PAYMENTS,
                "provider.authorize(\n            order.order_id,",
                "provider.authorize(\n            order.order_id + suffix,",
            ),
        ),
    ),
)
SABOTAGES = {each.name: each for each in _ALL}
"""Every sabotage by its name."""
