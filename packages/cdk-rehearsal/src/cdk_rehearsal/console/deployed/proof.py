"""A proof, in a rehearsal, that the policy of the console is sufficient and minimal for reading."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from itertools import count, islice
from typing import Any

from cdk_rehearsal.console.deployed.account import Account, CallFailed
from cdk_rehearsal.console.deployed.executions import Executions
from cdk_rehearsal.console.deployed.functions import reserved_concurrency
from cdk_rehearsal.console.deployed.places import Places
from cdk_rehearsal.console.deployed.policy import READING, Scope, policy
from cdk_rehearsal.console.deployed.reader import Reader
from cdk_rehearsal.console.layout import map_of
from cdk_rehearsal.rehearsal import Rehearsal

_ROLE = "ConsoleReader"
_PAST_S = 900.0


@dataclass(frozen=True)
class PolicyUse:
    """What a reader of the console has used of its policy."""

    used: frozenset[str]
    unused: frozenset[str]
    """Actions that the policy permits in vain."""
    problems: tuple[str, ...]
    """What could not be read."""


def policy_use(rehearsal: Rehearsal) -> PolicyUse:
    """Reads the whole page of an application once, as a role that has only the policy."""
    scope = Scope.of(rehearsal.assembly)
    iam = rehearsal.client("iam")
    trust: dict[str, Any] = {"Version": "2012-10-17", "Statement": []}
    created = iam.create_role(RoleName=_ROLE, AssumeRolePolicyDocument=json.dumps(trust))
    arn = created["Role"]["Arn"]
    iam.put_role_policy(
        RoleName=_ROLE,
        PolicyName="Console",
        PolicyDocument=json.dumps(policy(scope, operates=False)),
    )
    try:
        problems = [*_read(rehearsal, arn)]
    finally:
        iam.delete_role_policy(RoleName=_ROLE, PolicyName="Console")
        iam.delete_role(RoleName=_ROLE)
    used = {
        each.request.action
        for each in rehearsal.access.recorded.values()
        if each.principal.role == arn and each.decision.allowed
    }
    return PolicyUse(frozenset(used), frozenset(READING.keys() - used), tuple(problems))


def _read(rehearsal: Rehearsal, role: str) -> list[str]:
    account = Account(partial(rehearsal.client, role=role), rehearsal.region)
    account.identity, account.id = role, rehearsal.account
    problems: list[str] = []

    def attempt(ask: Callable[[], object]) -> None:
        try:
            ask()
        except CallFailed as error:
            problems.append(str(error))

    try:
        places = Places(account, rehearsal.assembly)
    except CallFailed as error:
        return [str(error)]
    reader = Reader(
        account,
        places,
        map_of(rehearsal.assembly),
        since=rehearsal.clock.now() - _PAST_S,
        monotonic=partial(next, count()),
    )
    while not reader.is_complete:
        reader.step()
    executions = Executions(account, places)
    for function, _ in islice(places.of("AWS::Lambda::Function"), 1):
        attempt(partial(reserved_concurrency, account, places, function.path))
    for machine, _ in places.of("AWS::StepFunctions::StateMachine"):
        attempt(partial(executions.latest, machine.path, reader.log_group_of(machine.path)))
    for begun in rehearsal.meter.of("execution"):
        execution = begun.detail["execution"]
        if ":execution:" in execution:
            attempt(partial(executions.about, begun.source, execution))
            attempt(partial(executions.input, begun.source, execution))
            break
    return [*account.problems, *problems]
