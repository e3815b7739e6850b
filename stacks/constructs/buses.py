"""The kinds of event bus, by the setting of a stage."""

from collections.abc import Mapping
from typing import Protocol

from constructs import Construct

from stacks.constructs.bus import Bus
from stacks.constructs.classic_bus import ClassicBus
from stacks.constructs.custom_bus import CustomBus
from stacks.constructs.migrating_bus import MigratingBus
from stacks.environment import BusKind, Environment


class _Kind(Protocol):
    """Creates a bus."""

    def __call__(
        self, scope: Construct, id_: str, *, environment: Environment, prefix: str
    ) -> Bus: ...


KINDS: Mapping[BusKind, _Kind] = {
    "classic": ClassicBus,
    "custom": CustomBus,
    "migrating": MigratingBus,
}
"""Creates the bus of a stage. `prefix` is that of the source of each event."""
