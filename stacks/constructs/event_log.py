"""The log of a bus: the envelope of each event, without its data."""

from aws_cdk import aws_logs as logs
from constructs import Construct

from stacks.constructs.naming import generation_of
from stacks.constructs.platform import Platform


class EventLog(Construct):
    """Logs the envelope of each event whose source has `prefix`. Customers' data are not logged."""

    def __init__(self, scope: Construct, id_: str, *, platform: Platform, prefix: str) -> None:
        super().__init__(scope, id_)
        environment = platform.environment
        self.log_group = logs.LogGroup(
            self,
            "Group",
            # A classic bus delivers only to groups with this prefix.
            log_group_name=f"/aws/events/orderflow-{environment.name}-{generation_of(self)}",
            retention=environment.log_retention,
            removal_policy=environment.removal_policy,
        )
        platform.bus.to_log(self, platform=platform, prefix=prefix, log_group=self.log_group)
