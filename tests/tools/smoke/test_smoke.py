"""The smoke test, from another process, against the endpoint of a rehearsal."""

import json
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from lambdas.eventing.http import SYNTHETIC
from tests.tools.smoke.smoked import Smoked, cleaned, opened, smoke
from tools.demo.audit import audit
from tools.demo.evidence import Evidence, gather
from tools.smoke.accounts import CUSTOMER_PREFIX, STAFF_PREFIX, totp
from workspace.isolation import PROJECT

GUIDE = PROJECT / "docs/how-to/check-a-deployed-stage.md"


@pytest.fixture(scope="module")
def dev(assembly: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Smoked]:
    with opened(assembly) as shop:
        yield smoke(shop, tmp_path_factory.mktemp("dev"), "dev")


def test_an_order_is_followed_to_its_return_and_its_customer_is_erased(dev: Smoked) -> None:
    assert dev.code == 0, dev.output
    assert all(dev.steps.values())
    assert "the order is returned" in dev.steps
    assert dev.accounts() == []
    assert not [path for path in dev.shop.dead_letter_queues() if dev.shop.queue_depths()[path]]


def test_each_hop_has_a_measured_latency(dev: Smoked) -> None:
    measured = {hop["hop"]: hop for hop in dev.report["hops"]}

    for hop in ("Checkout/RunCheckout", "Notifications/SendEmail", "Analytics/AggregateSales"):
        assert measured[hop]["after_s"] > 0
        assert set(measured[hop]["outcomes"]) == {"done"}
    assert dev.report["problems"] == []


def test_all_events_of_a_synthetic_order_say_so_and_none_is_sold(dev: Smoked) -> None:
    """Events that carriers and workflows cause, too."""
    types = {event["detail-type"].partition(".")[0] for event in dev.events}
    assert {"OrderPlaced", "OrderDelivered", "PaymentCaptured", "OrderReturned"} <= types
    assert all(event["detail"]["synthetic"] is True for event in dev.events)
    streamed = [
        record
        for record in dev.shop.meter.of("delivery")
        if record.target.startswith("Analytics/Activity") and record.detail.get("event")
    ]
    assert not [each for each in streamed if each.detail["event"]["source"] == "orderflow.orders"]


def test_a_synthetic_order_is_no_part_of_the_audit(dev: Smoked) -> None:
    evidence = gather(dev.shop, Evidence())

    assert not evidence.orders
    assert [finding for check in audit(evidence) for finding in check.findings] == []


def test_stopped_runs_are_cleaned_up(dev: Smoked, tmp_path: Path) -> None:
    """A run was stopped after its accounts were created."""
    cognito = dev.shop.client("cognito-idp")
    pool = dev.shop.physical_id("Backbone/Api/Customers")
    name = f"{CUSTOMER_PREFIX}stopped@example.com"
    cognito.admin_create_user(
        UserPoolId=pool, Username=name, UserAttributes=[{"Name": "email", "Value": name}]
    )
    cognito.admin_add_user_to_group(UserPoolId=pool, Username=name, GroupName=SYNTHETIC)
    staff = dev.shop.physical_id("Backbone/Api/Staff")
    cognito.admin_create_user(UserPoolId=staff, Username=f"{STAFF_PREFIX}stopped@example.com")

    output = cleaned(dev.shop, tmp_path, "dev")

    assert f"{name} of an earlier run is erased" in output
    assert dev.accounts() == []


def test_the_policy_in_the_guide_permits_all_calls(dev: Smoked) -> None:
    (policy,) = re.findall(r"```json\n(.*?)```", GUIDE.read_text(), re.DOTALL)
    actions = {
        action
        for statement in json.loads(policy)["Statement"]
        for action in _listed(statement["Action"])
    }
    named = [call.replace("ListObjectsV2", "ListBucket") for call in dev.report["calls"]]
    called = {call.replace(".", ":") for call in named}
    assert called - actions == {
        # They need no permission.
        "cognito-idp:AssociateSoftwareToken",
        "cognito-idp:VerifySoftwareToken",
    }
    # They are for leftovers, for hops that are missing, and for load.
    assert actions - called <= {
        "cognito-idp:AdminSetUserPassword",
        "sqs:GetQueueAttributes",
        "cloudwatch:DescribeAlarms",
        "cloudwatch:GetMetricData",
    }


def _listed(value: str | list[str]) -> list[str]:
    return [value] if isinstance(value, str) else value


def test_without_the_policy_of_a_queue_the_missing_hop_is_named(
    dev: Smoked, tmp_path: Path
) -> None:
    sqs, url = dev.shop.client("sqs"), dev.shop.physical_id("Notifications/SendEmail/Queue")
    sqs.set_queue_attributes(QueueUrl=url, Attributes={"Policy": ""})

    smoked = smoke(dev.shop, tmp_path, "dev", "--patience", "6")

    assert smoked.code == 1, smoked.output
    assert [name for name, good in smoked.steps.items() if not good] == ["an e-mail is sent"]
    assert "Notifications/SendEmail has not done its part" in smoked.output
    assert "after Notifications/CustomersRelay" in smoked.output
    assert smoked.accounts() == []


@pytest.mark.parametrize(
    ("now", "code"), [(59, "287082"), (1111111109, "081804"), (20000000000, "353130")]
)
def test_codes_of_an_authenticator_app(now: int, code: str) -> None:
    """https://www.rfc-editor.org/rfc/rfc6238#appendix-B, without the first two of eight digits."""
    assert totp("GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ", now) == code
