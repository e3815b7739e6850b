"""The diagram in code: the stacks, and the arguments of each."""

from typing import Any

import aws_cdk as cdk

from stacks.analytics import Analytics
from stacks.backbone import Backbone
from stacks.checkout import Checkout
from stacks.constructs.customer_key import encrypt
from stacks.constructs.packaging import Target
from stacks.environment import environment_named
from stacks.inventory import Inventory
from stacks.notifications import Notifications
from stacks.operations import Operations
from stacks.orders import Orders
from stacks.payments import Payments
from stacks.privacy import Privacy
from stacks.returns import Returns
from stacks.schemas.events import PUBLISHED
from stacks.shipping import Shipping
from stacks.validation import validate

app = cdk.App()
context = app.node.try_get_context
environment = environment_named(context("stage"), bus=context("bus"), shift=context("shift"))
target = Target(context("orderflow:target") or Target.LAMBDA)


def identity(context: str) -> dict[str, Any]:
    """Names, describes and protects a stack of this stage."""
    return {
        "stack_name": f"orderflow-{environment.name}-{context}",
        "description": f"Orderflow, an event-driven shop: {context} ({environment.name})",
        "termination_protection": environment.keeps_data,
    }


backbone = Backbone(
    app,
    "Backbone",
    environment=environment,
    target=target,
    published=PUBLISHED.values(),
    **identity("backbone"),
)
platform = backbone.platform
inventory = Inventory(
    app, "Inventory", platform=platform, api=backbone.api, **identity("inventory")
)
payments = Payments(app, "Payments", platform=platform, api=backbone.api, **identity("payments"))
orders = Orders(app, "Orders", platform=platform, api=backbone.api, **identity("orders"))
Checkout(
    app,
    "Checkout",
    platform=platform,
    reserve_stock=inventory.reserve_stock,
    release_stock=inventory.release_stock,
    authorize_payment=payments.authorize_payment,
    refund_payment=payments.refund_payment,
    confirm_order=orders.confirm_order,
    reject_order=orders.reject_order,
    **identity("checkout"),
)

Shipping(app, "Shipping", platform=platform, api=backbone.api, **identity("shipping"))
Returns(
    app,
    "Returns",
    platform=platform,
    api=backbone.api,
    refund_returned_order=payments.refund_returned_order,
    restock_returned_order=inventory.restock_returned_order,
    **identity("returns"),
)
notifications = Notifications(
    app, "Notifications", platform=platform, api=backbone.api, **identity("notifications")
)
Privacy(
    app,
    "Privacy",
    platform=platform,
    api=backbone.api,
    check_orders=orders.check_orders,
    erase_orders=orders.erase_orders,
    erase_preferences=notifications.erase_preferences,
    **identity("privacy"),
)
Analytics(app, "Analytics", platform=platform, api=backbone.api, **identity("analytics"))
Operations(app, "Operations", platform=platform, api=backbone.api, **identity("operations"))

encrypt(app, platform.key)
validate(app)
app.synth()
