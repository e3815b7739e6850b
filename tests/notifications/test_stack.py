"""The notifications stack: whoever sends a message holds it long enough, and not for too long."""

from collections.abc import Mapping

import pytest

from lambdas.notifications.notification_store import LEASE_S
from topology.assembly import Assembly


@pytest.mark.parametrize("stage", ["dev", "prod"])
@pytest.mark.parametrize("sender", ["SendEmail", "SendSms", "CallWebhook"])
def test_a_message_is_held_until_its_sender_is_done_and_free_when_it_comes_again(
    templates: Mapping[str, Assembly], stage: str, sender: str
) -> None:
    function = templates[stage].at(f"Notifications/{sender}/Function")
    queue = templates[stage].at(f"Notifications/{sender}/Queue")
    assert function.properties["Timeout"] < LEASE_S < queue.properties["VisibilityTimeout"]
