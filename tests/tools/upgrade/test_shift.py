"""New versions are deployed to a running shop of `prod`: a tenth first, then all, or back."""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import pytest

from cdk_rehearsal import Assembly, Record, UpdateRolledBack
from tests.support.forks import in_a_fork
from tests.tools.upgrade.releases import Replacements, at_once, release
from tools.faults import matrix
from tools.faults.case import unrecovered, violations
from tools.faults.recovery import Recovery
from tools.faults.scenarios import MUG
from tools.faults.shop import RehearsedShop
from tools.upgrade.run import Schedule, ScheduleResult, run_schedule


@dataclass(frozen=True, kw_only=True)
class Defect:
    """A defect of a new version, of which a context consists."""

    code: Replacements = field(default_factory=dict)
    template: Mapping[str, str] = field(default_factory=dict)
    correction: Mapping[str, str] = field(default_factory=dict)
    """What is new in the template of the correction."""
    subject: str
    """The path of what fails."""
    alarm: str
    """A part of the name of the alarm that sees it."""

    @property
    def context(self) -> str:
        """The stack of what fails."""
        return self.subject.partition("/")[0]


DEFECTS = {
    "a consumer": Defect(
        code={
            "checkout/run_checkout.py": {"    execution = aws": "    0 / 0\n    execution = aws"}
        },
        subject="Checkout/RunCheckout/Function",
        alarm="ConsumersFail",
    ),
    "a route": Defect(
        code={"orders/get_order.py": {"    order = ": "    1 / 0\n    order = "}},
        subject="Orders/GetOrder",
        alarm="GetOrderErrors",
    ),
    "a workflow": Defect(
        template={
            r"{\"StartAt\":\"ReserveStock\",\"States\":{": (
                r"{\"StartAt\":\"Broken\",\"States\":{\"Broken\":{\"Type\":\"Pass\","
                r"\"InputPath\":\"$.missing\",\"Next\":\"ReserveStock\"},"
            )
        },
        correction={
            r"{\"StartAt\":\"ReserveStock\"": r"{\"Comment\":\"\",\"StartAt\":\"ReserveStock\""
        },
        subject="Checkout/Workflow",
        alarm="WorkflowExecutionsFailed",
    ),
}


@pytest.fixture(scope="module")
def prod(templates: Mapping[str, Assembly]) -> Path:
    """The directory of the cloud assembly of `prod`."""
    return templates["prod"].directory


@pytest.fixture(scope="module")
def shop(prod: Path) -> Iterator[RehearsedShop]:
    """A shop of `prod` that is open for business, and none of whose alarms fires."""
    with matrix.open_shop(prod, warm_up=()) as shop:
        shop.receive({MUG: 1000}, delivery="plenty")
        shop.pass_time(minutes=15)
        shop.rehearsal.name_release("old")
        yield shop


class Customers:
    """Customers who each place an order, and look at it. A test's seconds allow about 100."""

    def __init__(self, shop: RehearsedShop) -> None:
        self._shop = shop
        self.orders: list[str] = []

    def buy(self) -> None:
        """Lets another customer place an order. It takes six seconds until the next comes."""
        name = f"buyer-{len(self.orders)}"
        self.orders.append(self._shop.place({MUG: 1}, key=name, customer=name))
        self._shop.view(self.orders[-1], customer=name)
        self._shop.pass_time(seconds=6)

    def receive(self) -> None:
        """Lets all parcels arrive."""
        self._shop.settle()
        for order_id in self.orders:
            self._shop.deliver(order_id)
        self._shop.settle()


def answers(records: Sequence[Record], subject: str) -> Counter[str]:
    """How often each release of a function or workflow has answered."""
    return Counter(
        record.detail["release"]
        for record in records
        if (record.kind, record.target) == ("invocation", subject)
        or (
            (record.kind, record.source) == ("execution", subject)
            and record.detail["what"] == "started"
        )
    )


def deployed(shop: RehearsedShop, context: str) -> set[str]:
    """The physical ids of all that a stack has."""
    return {each.physical_id for each in shop.rehearsal.resources if each.stack == context}


@dataclass(kw_only=True)
class Outcome:
    """What has happened to a defect and to its correction."""

    message: str
    """Why the update was rolled back."""
    shifted: Counter[str]
    later: Counter[str]
    corrected: Counter[str]
    problems: list[str]
    statuses: Counter[str]
    is_gone: bool
    """Whether all resources of the stack are the former ones."""


def deploy(shop: RehearsedShop, broken: Assembly, right: Assembly, defect: Defect) -> Outcome:
    """Deploys a defect while customers buy, and then its correction, at once."""
    rehearsal, customers, context = shop.rehearsal, Customers(shop), defect.context
    before, records = deployed(shop, context), rehearsal.meter.records
    begun = len(records)
    update = rehearsal.start_update(context, broken, release="broken")
    while not update.done:
        customers.buy()
    moved = len(records)
    with pytest.raises(UpdateRolledBack) as rolled_back:
        update.result()
    is_gone = deployed(shop, context) == before
    for _ in range(10):
        customers.buy()
    shop.settle()
    fixed = len(records)
    rehearsal.update(context, right, release="right")
    for _ in range(10):
        customers.buy()
    customers.receive()
    statuses = shop.order_statuses()
    return Outcome(
        message=str(rolled_back.value),
        shifted=answers(records[begun:moved], defect.subject),
        later=answers(records[moved:fixed], defect.subject),
        corrected=answers(records[fixed:], defect.subject),
        problems=[*violations(shop.evidence()), *unrecovered(shop, Recovery(shop))],
        statuses=Counter(statuses[each] for each in customers.orders),
        is_gone=is_gone,
    )


@pytest.mark.parametrize("name", DEFECTS)
def test_a_broken_version_meets_a_tenth_goes_back_and_loses_nothing(
    shop: RehearsedShop, prod: Path, tmp_path: Path, name: str
) -> None:
    """The correction is deployed at once, while the alarm may still fire."""
    defect = DEFECTS[name]
    make = partial(release, prod, context=defect.context)
    broken = make(directory=tmp_path / "broken", code=defect.code, template=defect.template)
    right = make(directory=tmp_path / "right", code={}, template=defect.correction)
    at_once(right, defect.context)
    found = in_a_fork(partial(deploy, shop, Assembly(broken), Assembly(right), defect))
    assert "is rolled back: in the state ALARM" in found.message
    assert defect.alarm in found.message
    assert found.is_gone
    share = found.shifted["broken"] / found.shifted.total()
    assert found.shifted["broken"] >= 5, found
    assert 0.04 <= share <= 0.25
    assert found.later.keys() == {"old"}
    assert found.corrected.keys() == {"right"}
    assert found.problems == []
    assert found.statuses.keys() == {"delivered"}


@dataclass(kw_only=True)
class Shifted:
    """What has happened while a good version got all of the traffic."""

    minutes: float
    during: Mapping[str, Counter[str]]
    """How often each release of each changed function answered until the end."""
    after: set[str]
    """The releases that answered afterwards."""
    problems: list[str]
    statuses: Counter[str]


def shift(shop: RehearsedShop, head: Assembly, context: str) -> Shifted:
    """Deploys a release while customers buy."""
    rehearsal, customers, records = shop.rehearsal, Customers(shop), shop.rehearsal.meter.records
    started, begun = rehearsal.clock.now(), len(records)
    update = rehearsal.start_update(context, head, release="new")
    while not update.done:
        customers.buy()
    changed = [each.path for each in update.result() if each.type == "AWS::Lambda::Function"]
    minutes, ended = (rehearsal.clock.now() - started) / 60, len(records)
    customers.receive()
    statuses = shop.order_statuses()
    return Shifted(
        minutes=minutes,
        during={each: answers(records[begun:ended], each) for each in changed},
        after={name for each in changed for name in answers(records[ended:], each)},
        problems=[*violations(shop.evidence()), *unrecovered(shop, Recovery(shop))],
        statuses=Counter(statuses[each] for each in customers.orders),
    )


def test_a_good_version_is_shifted_to_while_orders_flow(
    shop: RehearsedShop, prod: Path, tmp_path: Path
) -> None:
    """Routes, queues, streams and workflows invoke old and new functions for ten minutes."""
    head = Assembly(release(prod, tmp_path, "Orders", code={}))
    found = in_a_fork(partial(shift, shop, head, "Orders"))
    assert 10 <= found.minutes < 11
    often = {path: each for path, each in found.during.items() if each.total() >= 60}
    assert often.keys() >= {"Orders/PlaceOrder", "Orders/GetOrder", "Orders/ConfirmOrder"}
    for path, counted in often.items():
        assert counted.keys() == {"old", "new"}, path
        assert 0.02 <= counted["new"] / counted.total() <= 0.25, path
    assert found.after == {"new"}
    assert found.problems == []
    assert found.statuses.keys() == {"delivered"}


def test_a_schedule_shifts_as_the_stage_is_deployed(
    shop: RehearsedShop, prod: Path, tmp_path: Path
) -> None:
    head = Assembly(release(prod, tmp_path, "Checkout", code={}))
    run = partial(run_schedule, shop, Assembly(prod), head, orders=10, shift="as-deployed")
    found: ScheduleResult = in_a_fork(lambda: run(Schedule(order=["Checkout"], seed=3)))
    assert found.findings(usual=()) == []
    assert found.statuses["delivered"] > 3
    assert found.met | found.unmet == {"Checkout/RunCheckout/Function"}
