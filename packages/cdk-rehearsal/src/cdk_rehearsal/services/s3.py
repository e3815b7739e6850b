"""S3: notifications of what happens to objects, to queues, topics, functions and EventBridge."""

import json
from functools import partial
from typing import Any
from urllib.parse import quote_plus, unquote_plus

from moto.s3 import notifications
from moto.s3.models import FakeBucket, FakeDeleteMarker, S3Backend
from moto.s3.notifications import S3NotificationEvent
from moto.sqs.exceptions import QueueDoesNotExist

from cdk_rehearsal.core import Core
from cdk_rehearsal.errors import RehearsalError
from cdk_rehearsal.sandbox.patching import Patches
from cdk_rehearsal.services.deliveries import DeliveryFailed, check_faults, deliver
from cdk_rehearsal.services.event_bus import EventBus
from cdk_rehearsal.services.invocation import LambdaService
from cdk_rehearsal.services.queues import Queues
from cdk_rehearsal.services.sns import Topics
from cdk_rehearsal.services.texts import iso_milliseconds

_SERVICE = "s3.amazonaws.com"
# How S3 goes on when a destination fails is not documented; it means to deliver at least once:
# https://docs.aws.amazon.com/AmazonS3/latest/userguide/EventNotifications.html
_BACKOFF_S = (1.0, 300.0)
_MAX_AGE_S = 86_400.0


class Buckets:
    """The notifications of all buckets; moto keeps buckets, objects and configurations."""

    def __init__(
        self, core: Core, lambdas: LambdaService, queues: Queues, topics: Topics, bus: EventBus
    ) -> None:
        self._core = core
        self._scheduler = core.scheduler
        self._lambdas = lambdas
        self._queues = queues
        self._topics = topics
        self._bus = bus
        self._changes = 0

    def install(self, patches: Patches) -> None:
        """Lets moto's buckets notify through the rehearsal."""
        delete = S3Backend.delete_object

        def changed(account: str, name: str, bucket: FakeBucket, key: Any) -> None:
            event = S3NotificationEvent(name).value
            # moto takes the parts of a multipart upload together by a put of its own.
            is_own_put = event == "s3:ObjectCreated:Put" and key.multipart is not None
            if event.startswith("s3:ObjectCreated:") and not is_own_put:
                created = {"size": key.size, "eTag": key.etag.strip('"')}
                self._changed(event, bucket, key.name, created, key.version_id)

        def deleted(
            backend: S3Backend,
            bucket_name: str,
            key_name: str,
            version_id: str | None = None,
            bypass: bool = False,
        ) -> tuple[bool, dict[str, Any]]:
            done, meta = delete(backend, bucket_name, key_name, version_id, bypass)
            if done:
                bucket = backend.get_bucket(bucket_name)
                latest = bucket.keys.get(key_name)
                marked = version_id is None and isinstance(latest, FakeDeleteMarker)
                event = (
                    "s3:ObjectRemoved:DeleteMarkerCreated" if marked else "s3:ObjectRemoved:Delete"
                )
                self._changed(event, bucket, key_name, {}, meta.get("version-id"))
            return done, meta

        patches.set(notifications, "send_event", changed)
        patches.set(notifications, "send_test_event", lambda account_id, bucket: self._test(bucket))
        patches.set(S3Backend, "delete_object", deleted)

    def is_admitted(self, destination: str, bucket_arn: str) -> bool:
        """Whether a queue, topic or function lets S3 notify it on behalf of a bucket.

        https://docs.aws.amazon.com/AmazonS3/latest/userguide/grant-destinations-permissions-to-s3.html
        """
        if ":lambda:" in destination:
            function = self._lambdas.functions.get(destination)
            return function is not None and self._lambdas.admits(function, _SERVICE, bucket_arn)
        if ":sns:" in destination:
            return self._topics.admits(destination, _SERVICE, bucket_arn)
        return self._queues.by_arn(destination).admits(_SERVICE, bucket_arn)

    def _test(self, bucket: FakeBucket) -> None:
        """Sends the message with which S3 tries out queues and topics, but not functions.

        https://docs.aws.amazon.com/AmazonS3/latest/userguide/notification-content-structure.html
        """
        configuration: Any = bucket.notification_configuration
        body = json.dumps(
            {
                "Service": "Amazon S3",
                "Event": "s3:TestEvent",
                "Time": iso_milliseconds(self._scheduler.now()),
                "Bucket": bucket.name,
                "RequestId": self._hex(8),
                "HostId": self._hex(32),
            }
        )
        tried = [*configuration.queue, *configuration.topic]
        for arn in dict.fromkeys(entry.arn for entry in tried):
            self._start(bucket, arn, body, {"what": "s3:TestEvent"})

    def _changed(
        self, event: str, bucket: FakeBucket, key: str, item: dict[str, Any], version: str | None
    ) -> None:
        configuration = bucket.notification_configuration
        if configuration is None:
            return
        self._changes += 1
        record = self._record(event, bucket, key, item, version)
        if configuration.event_bridge is not None:
            self._report(event, bucket, item, record)
        for notification in (
            *configuration.queue,
            *configuration.topic,
            *configuration.cloud_function,
        ):
            if notification.matches(event, key):
                record["s3"]["configurationId"] = notification.id
                body = json.dumps({"Records": [record]})
                self._start(bucket, notification.arn, body, {"what": event, "key": key})

    def _record(
        self, event: str, bucket: FakeBucket, key: str, item: dict[str, Any], version: str | None
    ) -> dict[str, Any]:
        """Returns a notification's record, version 2.5.

        https://docs.aws.amazon.com/AmazonS3/latest/userguide/notification-content-structure.html
        """
        now = self._scheduler.now()
        content = {"key": quote_plus(key, safe="/"), **item}
        if version not in (None, "null"):
            content["versionId"] = version
        # Grows with each change: time first, so that it looks like what S3 sends.
        content["sequencer"] = f"{int(now * 1000):012X}{self._changes:06X}"
        return {
            "eventVersion": "2.5",
            "eventSource": "aws:s3",
            "awsRegion": self._core.region,
            "eventTime": iso_milliseconds(now),
            "eventName": event.removeprefix("s3:"),
            "userIdentity": {"principalId": f"AWS:{self._core.caller()}"},
            "requestParameters": {"sourceIPAddress": "203.0.113.1"},
            "responseElements": {
                "x-amz-request-id": self._hex(8),
                "x-amz-id-2": self._hex(32),
            },
            "s3": {
                "s3SchemaVersion": "1.0",
                "configurationId": "",
                "bucket": {
                    "name": bucket.name,
                    "ownerIdentity": {"principalId": self._core.account},
                    "arn": bucket.arn,
                },
                "object": content,
            },
        }

    def _report(
        self, event: str, bucket: FakeBucket, item: dict[str, Any], record: dict[str, Any]
    ) -> None:
        """Sends an event to the default bus, where the key is not encoded.

        https://docs.aws.amazon.com/AmazonS3/latest/userguide/ev-events.html
        """
        _, family, operation = event.split(":")
        content = record["s3"]["object"]
        described = {
            "key": unquote_plus(content["key"]),
            **({"size": item["size"], "etag": item["eTag"]} if item else {}),
            **({"version-id": content["versionId"]} if "versionId" in content else {}),
            "sequencer": content["sequencer"],
        }
        detail = {
            "version": "0",
            "bucket": {"name": bucket.name},
            "object": described,
            "request-id": record["responseElements"]["x-amz-request-id"],
            "requester": self._core.account,
            "source-ip-address": record["requestParameters"]["sourceIPAddress"],
        }
        if family == "ObjectCreated":
            reasons = {"Put": "PutObject", "Post": "POST Object", "Copy": "CopyObject"}
            detail["reason"] = reasons.get(operation, operation)
            kind = "Object Created"
        else:
            marked = operation == "DeleteMarkerCreated"
            detail["reason"] = "DeleteObject"
            detail["deletion-type"] = "Delete Marker Created" if marked else "Permanently Deleted"
            kind = "Object Deleted"
        self._bus.put_service_event("aws.s3", kind, detail, resources=[bucket.arn])

    def _hex(self, size: int) -> str:
        return self._scheduler.random.randbytes(size).hex().upper()

    def _start(self, bucket: FakeBucket, arn: str, body: str, detail: dict[str, Any]) -> None:
        core = self._core
        for late in core.faults.way(core.path_of(bucket.name), core.path_of(arn)):
            delay = late + core.draw(core.latency.bucket_s)
            self._scheduler.spawn(
                self._deliver,
                bucket,
                arn,
                body,
                detail,
                name=f"notification by {bucket.name} of {arn}",
                at=self._scheduler.now() + delay,
                critical=True,
            )

    def _deliver(self, bucket: FakeBucket, arn: str, body: str, detail: dict[str, Any]) -> None:
        """Tries until the destination takes the notification; one that shuts S3 out loses it."""
        core = self._core
        deliver(
            core,
            core.path_of(bucket.name),
            core.path_of(arn),
            partial(self._hand_over, bucket, arn, body),
            within_s=_MAX_AGE_S,
            pauses_s=_BACKOFF_S,
            **detail,
        )

    def _hand_over(self, bucket: FakeBucket, arn: str, body: str) -> None:
        core = self._core
        source = core.path_of(bucket.name)
        check_faults(core, source, core.path_of(arn), gone="NonExistentQueue")
        try:
            admitted = self.is_admitted(arn, bucket.arn)
        except (QueueDoesNotExist, RehearsalError):
            raise DeliveryFailed("NonExistentQueue") from None
        if not admitted:
            raise DeliveryFailed("AccessDenied")
        if ":lambda:" in arn:
            self._lambdas.invoke_async(self._lambdas.functions[arn], body, source=source)
        elif ":sns:" in arn:
            self._topics.publish(arn, body, subject="Amazon S3 Notification")
        else:
            self._queues.by_arn(arn).send(body)
