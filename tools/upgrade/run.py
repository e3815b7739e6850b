"""One schedule of an upgrade: stack by stack to the new release, and back, while orders flow."""

import re
import time
from collections import Counter
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import islice
from random import Random
from typing import Literal

from cdk_rehearsal import Assembly, Mixing, RehearsalError, Resource
from tools.faults.actions import Action
from tools.faults.case import unrecovered, violations
from tools.faults.scenarios import CUP, MUG
from tools.faults.shop import RehearsedShop, UnexpectedAnswer
from tools.upgrade.encounters import Encounter, Encounters, handled_errors
from tools.upgrade.traffic import Traffic, actions

OLD, NEW = "old", "new"
"""The names of the releases."""

Passage = Literal["in-place", "as-deployed"]
"""How the stacks pass to another release: the schedule mixes both, or aliases shift."""

_RUNNING = ("AWS::Lambda::Function", "AWS::StepFunctions::StateMachine")

_MIXED_S = 45.0
"""The virtual time in which an updated stack answers in both releases, unless aliases shift."""

_PAUSE_S = 60.0
"""The mean virtual time between two actions while aliases shift."""


@dataclass(frozen=True, kw_only=True)
class Schedule:
    """An order of the stacks, and a seed for traffic and chance."""

    order: Sequence[str]
    seed: int
    share: float = 0.5
    """The new release's share of the invocations while both answer."""

    def __str__(self) -> str:
        """The order, as a line."""
        return " → ".join(self.order)


@dataclass(kw_only=True)
class ScheduleResult:
    """What has happened in a schedule."""

    schedule: Schedule
    problems: list[str] = field(default_factory=list)
    encounters: Counter[Encounter] = field(default_factory=Counter)
    statuses: Counter[str] = field(default_factory=Counter)
    """The number of orders by their final status."""
    met: set[str] = field(default_factory=set)
    """Changed functions and workflows that have answered in both releases."""
    unmet: set[str] = field(default_factory=set)
    """Changed functions and workflows that have not."""
    cpu_s: float = 0.0

    @property
    def kinds(self) -> set[tuple[str, str]]:
        """Who fails how, whatever it has read."""
        return {encounter.kind for encounter in self.encounters}

    def findings(self, usual: Collection[tuple[str, str]]) -> list[str]:
        """Returns what is due to the upgrade: losses, parked messages, and failing encounters.

        `usual` are the kinds of encounters that happen without an upgrade. An error of the
        application's own, after which a queue or workflow retries, counts if it parks something.
        """
        met = [
            f"{encounter} ({count} times)" if count > 1 else str(encounter)
            for encounter, count in self.encounters.most_common()
            if not (encounter.is_own or encounter.is_delay) and encounter.kind not in usual
        ]
        return [*met, *self.problems]

    @property
    def delays(self) -> Counter[str]:
        """How often each function was refused a call, because its role changed before it did.

        What it handled then came again: `findings` has what is lost or parked.
        """
        delays = Counter[str]()
        for encounter, count in self.encounters.items():
            if encounter.is_delay:
                delays[str(encounter.reader)] += count
        return delays


def run_schedule(
    shop: RehearsedShop,
    base: Assembly,
    head: Assembly,
    schedule: Schedule,
    *,
    orders: int,
    updates: bool = True,
    back: bool = True,
    shift: Passage = "in-place",
) -> ScheduleResult:
    """Upgrades a shop that runs `base`, rolls it `back`, and audits it.

    `orders` is about the number of orders; while aliases shift, there are more. Without `updates`,
    everything but the updates happens: what fails then is not due to them.
    """
    started = time.process_time()
    upgrade = _Upgrade(shop, base, head, schedule, orders, updates=updates, back=back, shift=shift)
    result = ScheduleResult(schedule=schedule)
    try:
        upgrade.run()
    except RehearsalError as error:
        result.problems.append(f"{upgrade.place}: {error}")
    else:
        result.problems += upgrade.problems()
    found = upgrade.encounters
    result.encounters = found.found
    statuses = shop.order_statuses()
    result.statuses = Counter(statuses.get(each, "not accepted") for each in upgrade.traffic.orders)
    result.met = {each for each in upgrade.changed if {OLD, NEW} <= found.answered[each]}
    result.unmet = upgrade.changed - result.met
    result.cpu_s = time.process_time() - started
    return result


class _Upgrade:
    """The steps of an upgrade and a rollback, among the actions of customers."""

    def __init__(
        self,
        shop: RehearsedShop,
        base: Assembly,
        head: Assembly,
        schedule: Schedule,
        orders: int,
        *,
        updates: bool,
        back: bool,
        shift: Passage,
    ) -> None:
        self._shop = shop
        self._base, self._head = base, head
        self._schedule = schedule
        self._updates = updates
        self._back = back
        self._shift = shift
        # An order is about a quarter of the actions.
        self._actions = max(1, round(4 * orders / (2 * len(schedule.order) + 4)))
        self._flow = actions(schedule.seed)
        self._random = Random(schedule.seed)
        self.traffic = Traffic(shop)
        self.encounters = Encounters(shop.rehearsal, handled_errors(base, head))
        self.place = "before the first update"
        self.changed: set[str] = set()
        """The paths of changed functions and workflows."""

    def run(self) -> None:
        """Does everything, from the first order to the last parcel."""
        shop, schedule = self._shop, self._schedule
        shop.receive({MUG: 400, CUP: 200}, delivery="plenty")
        # Another generator than that of the opening, whose ids would return.
        shop.rehearsal.reseed(Random(f"upgrade {schedule.seed}").getrandbits(64))
        shop.rehearsal.name_release(OLD)
        self.encounters.start()
        self._go_on(2)
        for stack in schedule.order:
            self._update(stack, self._head, NEW)
        self.place = "with everything new"
        self._go_on(2)
        self._shop.pass_time(seconds=_MIXED_S)
        self._go_on(2)
        if self._back:
            for stack in reversed(schedule.order):
                self._update(stack, self._base, OLD)
            self.place = "after the rollback"
        shop.pass_time(seconds=_MIXED_S)
        self._perform(Action("repeat", number) for number in range(len(self.traffic.orders)))
        self.traffic.finish()

    def _update(self, stack: str, assembly: Assembly, release: str) -> None:
        self.place = f"after the update of {stack} to the {release} release"
        if self._updates:
            self.encounters.deployed(stack, release)
            touched = self._updated(stack, assembly, release)
            self.changed |= {each.path for each in touched if each.type in _RUNNING}
        self._go_on(1)

    def _updated(self, stack: str, assembly: Assembly, release: str) -> list[Resource]:
        rehearsal = self._shop.rehearsal
        if self._shift == "in-place":
            mixing = Mixing(seconds=_MIXED_S, share=self._schedule.share)
            return rehearsal.update(stack, assembly, release=release, mixing=mixing)
        update = rehearsal.start_update(stack, assembly, release=release)
        self._shop.pass_time(seconds=1)
        while not update.done:
            self._perform(islice(self._flow, 1))
            self._shop.pass_time(seconds=self._random.uniform(0, 2 * _PAUSE_S))
        touched: list[Resource] = update.result()
        return touched

    def _go_on(self, times: int) -> None:
        self._perform(islice(self._flow, times * self._actions))
        self._shop.pass_time(seconds=self._random.uniform(5, _MIXED_S))

    def _perform(self, actions: Iterator[Action]) -> None:
        for action in actions:
            noted = len(self.traffic.notes)
            self.traffic.perform(action)
            for note in self.traffic.notes[noted:]:
                self.encounters.refused(f"{self.place}: {note}")

    def problems(self) -> list[str]:
        """Returns what the audit finds, and what is parked."""
        found: list[str] = []
        left: list[str] = []
        try:
            found = [*violations(self._shop.evidence())]
            left = [*unrecovered(self._shop, self.traffic.recovery)]
            if found and self._updates and self._back:
                found = self._explained(found)
        except (UnexpectedAnswer, RehearsalError) as error:
            return [f"{self.place}: {error}", *found, *left]
        return [*found, *left]

    def _explained(self, found: Sequence[str]) -> list[str]:
        """Upgrades the stacks that violations name again: what is gone then was not lost."""
        for stack in self._schedule.order:
            if any(f"{stack}/" in each for each in found):
                self._shop.rehearsal.update(stack, self._head, release=NEW)
        lasting = {_without_figures(each) for each in violations(self._shop.evidence())}
        hidden = "the new release sees it, the old one does not: "
        return [each if _without_figures(each) in lasting else f"{hidden}{each}" for each in found]


def _without_figures(violation: str) -> str:
    """Returns a violation as it reads if another amount is missing."""
    return re.sub(r"\d+(\.\d+)?", "#", violation)
