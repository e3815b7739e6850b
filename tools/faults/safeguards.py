"""Safeguards that the matrix needs: it must find violations if one is removed."""

import json
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from cdk_rehearsal import RehearsalError
from cdk_rehearsal.weakening import remove, weaken


@dataclass(frozen=True)
class SourceEdit:
    """A change in a module of the handlers. `old` occurs once there."""

    module: str
    old: str
    new: str


@dataclass(frozen=True)
class Safeguard:
    """A safeguard in the handlers' code or in the templates."""

    name: str
    says: str
    """The application without the safeguard."""
    edits: tuple[SourceEdit, ...] = ()
    properties: tuple[tuple[str, str], ...] = ()
    """The types and properties that hold the safeguard in the templates."""

    def remove(self, assembly: Path, copy: Path) -> Path:
        """Copies an assembly without the safeguard. Raises RehearsalError if it has none."""
        shutil.copytree(assembly, copy, dirs_exist_ok=True)
        if self.edits:
            _edit(copy, self.edits)
        if self.properties and not _strip(copy, self.properties):
            raise RehearsalError(f"{self.name}: no template has it any more: adapt safeguards.py")
        return copy


def _edit(assembly: Path, edits: Sequence[SourceEdit]) -> None:
    """Replaces the packages that hold the modules by changed copies."""
    left = set(edits)
    for path in assembly.glob("*.assets.json"):
        manifest = json.loads(path.read_bytes())
        for name, asset in manifest["files"].items():
            package = assembly / asset["source"].get("path", "")
            meant = [edit for edit in edits if (package / edit.module).is_file()]
            if meant:
                asset["source"]["path"] = _changed(package, assembly / f"changed.{name}", meant)
                left -= {*meant}
        path.write_text(json.dumps(manifest), encoding="utf-8")
    for edit in left:
        raise RehearsalError(f"no package of {assembly} has {edit.module}")


def _changed(package: Path, copy: Path, edits: Sequence[SourceEdit]) -> str:
    """Copies a package, changes its modules, and returns the name of the copy."""
    if copy.exists():  # Stacks share packages.
        return copy.name
    # Bytecode would run instead of the changed source.
    shutil.copytree(package, copy, ignore=shutil.ignore_patterns("__pycache__"))
    for edit in edits:
        module = copy / edit.module
        text = module.read_text(encoding="utf-8")
        if text.count(edit.old) != 1:
            raise RehearsalError(
                f"{edit.module} has the text of the safeguard {text.count(edit.old)} times, not "
                f"once: adapt safeguards.py\n{edit.old}"
            )
        module.write_text(text.replace(edit.old, edit.new), encoding="utf-8")
    return copy.name


def _strip(assembly: Path, properties: Sequence[tuple[str, str]]) -> int:
    """Removes properties from the templates, and returns how many."""
    count = 0
    for path in assembly.glob("*.template.json"):
        template = json.loads(path.read_bytes())
        for resource in template.get("Resources", {}).values():
            for type_, name in properties:
                value = resource.get("Properties", {}) if resource["Type"] == type_ else {}
                while changed := next(weaken(value, name.split("."), remove()), None):
                    resource["Properties"] = value = changed[1]
                    count += 1
        path.write_text(json.dumps(template), encoding="utf-8")
    return count


_TRANSACTION = "lambdas/eventing/transaction.py"
_STOCK = "lambdas/inventory/stock_store.py"
_RESERVATION = "lambdas/inventory/domain.py"
_PAYMENTS = "lambdas/payments/payment_store.py"

_ALL = (
    Safeguard(
        "inbox",
        "the inbox key is written without its condition",
        (
            SourceEdit(
                _TRANSACTION,
                "self.create(\n            (inbox_key, inbox_key),",
                "self.put(\n            (inbox_key, inbox_key),",
            ),
        ),
    ),
    Safeguard(
        "outbox",
        "events are written to the outbox after the transaction, not in it",
        (
            SourceEdit(
                _TRANSACTION,
                'self.put((key[0], sort_key), item, label="outbox")',
                'vars(self).setdefault("later", []).append({"pk": key[0], "sk": sort_key, **item})',
            ),
            SourceEdit(
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
    Safeguard(
        "relay",
        "the relay does not check whether the bus accepted every entry",
        (SourceEdit("lambdas/eventing/relay.py", 'if response["FailedEntryCount"]:', "if False:"),),
    ),
    Safeguard(
        "compensation",
        "a repeated request releases stock again",
        (
            SourceEdit(
                _RESERVATION,
                "self.becomes(*events, taken=0, state=State.RELEASED)",
                "self.becomes(*events, state=State.RELEASED)",
            ),
            SourceEdit(
                _STOCK,
                "if is_done(reservation):",
                'if is_done(reservation) or (_ and reservation.state == "released"):',
            ),
        ),
    ),
    Safeguard(
        "partial-response",
        "event source mappings ignore which entries of a batch failed",
        properties=(("AWS::Lambda::EventSourceMapping", "FunctionResponseTypes"),),
    ),
    Safeguard(
        "dead-letters",
        "no edge has a dead-letter queue or on-failure destination",
        properties=(
            ("AWS::SQS::Queue", "RedrivePolicy"),
            ("AWS::SNS::Subscription", "RedrivePolicy"),
            ("AWS::Events::Rule", "Targets.*.DeadLetterConfig"),
            ("AWS::Scheduler::Schedule", "Target.DeadLetterConfig"),
            ("AWS::Lambda::EventSourceMapping", "DestinationConfig"),
        ),
    ),
    Safeguard(
        "idempotency-key",
        "a resumed payment uses another key at the provider",
        (
            SourceEdit(
                _PAYMENTS,
                "payment, _ = _payments.change(\n        order.order_id, Payment.check,",
                "payment, begun = _payments.change(\n        order.order_id, Payment.check,",
            ),
            SourceEdit(
                _PAYMENTS,
                "_ask(order, provider)\n",
                '_ask(order, provider, "" if begun else "-again")\n',
            ),
            SourceEdit(
                _PAYMENTS,
                "def _ask(order: OrderPlaced, provider: PaymentProvider) -> bool:",
                "def _ask(order, provider, suffix):",
            ),
            SourceEdit(
                _PAYMENTS,
                "provider.authorize(\n            order.order_id,",
                "provider.authorize(\n            order.order_id + suffix,",
            ),
        ),
    ),
)
SAFEGUARDS = {each.name: each for each in _ALL}
"""All safeguards by name."""
