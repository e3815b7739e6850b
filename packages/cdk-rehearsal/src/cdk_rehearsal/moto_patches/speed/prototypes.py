"""AWS clients that are made alike are made once: each is a shell around the same prototype.

Each execution environment creates its clients, which differ in nothing. A shell has attributes of
its own, and makes a client of its own in its place before anything could change or use the parts
that it shares: when event handlers are registered, and before a request that botocore sends.
"""

import os
from collections.abc import Callable
from copy import copy
from typing import Any

from botocore.client import BaseClient, ClientCreator

from cdk_rehearsal.sandbox.patching import Patches

_Make = Callable[[], Any]

_PER_FUNCTION = "AWS_LAMBDA_"
"""The prefix of variables that differ between functions, and that botocore does not read."""


def patch(patches: Patches) -> None:
    """Lets clients with the same session, settings and variables share a prototype."""
    create = ClientCreator.create_client
    prototypes = dict[tuple[Any, ...], tuple[Any, Any]]()

    def create_client(creator: Any, *args: Any, **options: Any) -> Any:
        def make() -> Any:
            return create(creator, *args, **options)

        key = None if args else _key(creator, options)
        if key is None:
            return make()
        if key not in prototypes:
            # Keeps what the key names by its id, so that nothing else ever has this id.
            prototypes[key] = (make(), (creator._event_emitter, options))
        return _shell(prototypes[key][0], make)

    patches.set(ClientCreator, "create_client", create_client)


def own(client: Any) -> Any:
    """Returns the client; if it was a shell, it has become a client of its own."""
    events = client.meta.events
    if isinstance(events, _SharedEvents):
        events.own()
    return client


def _key(creator: Any, options: dict[str, Any]) -> tuple[Any, ...] | None:
    """Returns all that makes a difference to a client; None if that is unknown."""
    config = options.get("client_config")
    simple = {name: value for name, value in options.items() if name not in _BY_ID}
    if not all(value is None or isinstance(value, str | bool) for value in simple.values()):
        return None
    emitter = creator._event_emitter
    return (
        id(emitter),
        getattr(emitter._emitter, "changes", 0),
        *sorted((name, repr(value)) for name, value in simple.items()),
        id(options.get("credentials")),
        repr(options.get("scoped_config")),
        repr(sorted(vars(config)["_user_provided_options"].items())) if config else "",
        *sorted(
            (name, value)
            for name, value in os.environ.items()
            if name.startswith("AWS_") and not name.startswith(_PER_FUNCTION)
        ),
    )


_BY_ID = frozenset({"client_config", "credentials", "scoped_config"})


def _shell(prototype: BaseClient, make: _Make) -> BaseClient:
    client = object.__new__(type(prototype))
    client.__dict__.update(prototype.__dict__)
    client.meta = copy(prototype.meta)
    events: Any = _SharedEvents(client, prototype.meta.events, make)
    client.meta.events = events
    return client


class _SharedEvents:
    """The event handlers of a prototype, as its shell has them until it changes them."""

    def __init__(self, client: BaseClient, events: Any, make: _Make) -> None:
        self._client = client
        self._events = events
        self._make: _Make | None = make

    def __getattr__(self, name: str) -> Any:
        if name.startswith(("register", "unregister")):
            self.own()
        return getattr(self.__dict__["_events"], name)

    def own(self) -> None:
        """Makes the shell a client of its own."""
        if self._make is None:
            return
        made, self._make = self._make(), None
        self._events = made.meta.events
        shell = self._client.__dict__
        for name, value in made.__dict__.items():
            shell[name] = value
