"""A burst of messages waits in its queue for the account's rate, and none is parked."""

from pathlib import Path

import pytest

from cdk_rehearsal import Rehearsal
from lambdas.notifications.events import Channel
from stacks.environment import environment_named
from tests.flows.shop import Shop

ORDERS = 15


@pytest.mark.usefixtures("default_bus")
def test_a_burst_of_emails_waits_for_the_accounts_rate(assembly: Path) -> None:
    rate = int(environment_named("dev").emails_per_second)
    with Rehearsal(assembly, seed=1, quotas={"ses.sends_per_second": rate}) as rehearsal:
        shop = Shop(rehearsal)
        shop.receive({"MUG": ORDERS}, delivery="mugs")
        for number in range(ORDERS):
            shop.prefer(Channel.EMAIL, customer=f"customer-{number}")
        shop.settle()
        for number in range(ORDERS):
            shop.place({"MUG": 1}, key=f"mug-{number}", customer=f"customer-{number}")
        shop.settle()
        sent = [
            call for call in rehearsal.meter.of("call") if call.detail["operation"] == "SendEmail"
        ]
        assert len(sent) >= ORDERS
        refused = [call for call in sent if call.detail["error"]]
        assert len(refused) < len(sent) / 2
        assert sent[-1].time - sent[0].time >= (len(sent) - 2) / rate - 1
        assert not shop.parked()
