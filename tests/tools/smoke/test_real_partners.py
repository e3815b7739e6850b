"""The smoke test of a stage that charges customers and ships parcels."""

from pathlib import Path

from lambdas.payments.domain import SYNTHETIC_ORDER
from tests.support.assemblies import assembly_directory
from tests.tools.smoke.smoked import opened, smoke


def test_where_partners_are_real_the_order_ends_before_its_payment(
    shared_directory: Path, tmp_path: Path
) -> None:
    """Neither provider nor carrier can be reached: a call to one would end the rehearsal."""
    with opened(assembly_directory("prod", shared_directory)) as shop:
        smoked = smoke(shop, tmp_path, "prod")

    assert smoked.code == 0, smoked.output
    assert smoked.steps["the order ends before its payment"]
    assert "a shipment is requested" not in smoked.steps
    assert smoked.report["problems"] == []
    ((reason, untried),) = smoked.report["not_tried"].items()
    assert f"not tried, because {reason}: {', '.join(untried)}" in smoked.output
    assert {"Orders/ConfirmOrder", "Payments/CapturePayment", "Returns/DecideReturn"} <= {*untried}
    assert {*untried}.isdisjoint(hop["hop"] for hop in smoked.report["hops"])
    rejected = [e for e in smoked.events if e["detail-type"] == "OrderRejected.v1"]
    assert {e["detail"]["data"]["reason"] for e in rejected} == {SYNTHETIC_ORDER}
