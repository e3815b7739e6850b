"""Lambda's event source mappings: the pollers, and moto's records of them."""

from typing import Any

from moto.awslambda.models import LambdaBackend, lambda_backends

from cdk_rehearsal.core import Core
from cdk_rehearsal.sandbox.patching import Patches
from cdk_rehearsal.services.queue_mapping import QueueMapping, QueueOptions
from cdk_rehearsal.services.queues import Queues
from cdk_rehearsal.services.stream_mapping import MappingOptions, StreamMapping
from cdk_rehearsal.services.streams import Streams

SOURCES = frozenset({"dynamodb", "kinesis", "sqs"})
"""The services of which a mapping reads."""


class _Deleted:
    """Stands for moto's record of a mapping that there is no more."""

    enabled = False


class EventSourceMappings:
    """All mappings, by their UUID."""

    def __init__(self, core: Core, queues: Queues, streams: Streams) -> None:
        self._core = core
        self._queues = queues
        self._streams = streams
        self._by_uuid: dict[str, QueueMapping | StreamMapping] = {}

    def attach(self, mapping: QueueMapping | StreamMapping, uuid: str) -> None:
        """Ties a mapping to moto's record of it; moto itself delivers nothing to it."""
        backend: Any = lambda_backends[self._core.account][self._core.region]
        model = backend.get_event_source_mapping(uuid)
        if ":sqs:" in model.event_source_arn:
            source = self._queues.by_arn(model.event_source_arn).model
        else:
            source = self._streams.model_of(model.event_source_arn)
        source.lambda_event_source_mappings.clear()
        mapping.attach(model)
        self._by_uuid[uuid] = mapping

    def reconfigure(self, uuid: str, options: QueueOptions | MappingOptions) -> None:
        """Changes how a mapping reads."""
        mapping: Any = self._by_uuid[uuid]
        mapping.options = options
        mapping.wake()

    def remove(self, uuid: str) -> None:
        """Deletes a mapping."""
        mapping = self._by_uuid.pop(uuid)
        mapping.attach(_Deleted())
        backend: Any = lambda_backends[self._core.account][self._core.region]
        backend.delete_event_source_mapping(uuid)

    def install(self, patches: Patches) -> None:
        """Wakes a mapping that an API client has enabled."""
        update = LambdaBackend.update_event_source_mapping

        def updated(backend: LambdaBackend, uuid: str, spec: dict[str, Any]) -> Any:
            result = update(backend, uuid, spec)
            if uuid in self._by_uuid:
                self._by_uuid[uuid].wake()
            return result

        patches.set(LambdaBackend, "update_event_source_mapping", updated)
