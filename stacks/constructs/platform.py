"""The shared resources that the backbone passes to the other stacks."""

from dataclasses import dataclass

from aws_cdk.aws_kms import IKey
from aws_cdk.aws_sns import ITopic

from stacks.constructs.bus import Bus
from stacks.constructs.packaging import Target
from stacks.constructs.vault import Vault
from stacks.environment import Environment


@dataclass(frozen=True, kw_only=True)
class Platform:
    """The stage, the event bus, the vault, the alarm topic, the target of packages, and the key."""

    environment: Environment
    bus: Bus
    vault: Vault
    alarm_topic: ITopic
    target: Target
    key: IKey | None = None
    """Encrypts all stored data, if the stage has such a key."""
