"""The policies that moto stores: those of roles, resources and keys, and when they change."""

import json
from collections.abc import Callable, Mapping
from functools import cache
from typing import Any

from moto.dynamodb.models import DynamoDBBackend, dynamodb_backends
from moto.events.models import EventsBackend, events_backends
from moto.iam.access_control import PermissionResult
from moto.iam.aws_managed_policies import aws_managed_policies_data
from moto.iam.models import AWSManagedPolicy, IAMBackend, iam_backends
from moto.kinesis.models import KinesisBackend, kinesis_backends
from moto.kms.models import KmsBackend, kms_backends
from moto.logs.models import LogsBackend, logs_backends
from moto.s3.models import FakeBucket, S3Backend, s3_backends
from moto.secretsmanager.models import SecretsManagerBackend, secretsmanager_backends
from moto.sns.models import SNSBackend, sns_backends
from moto.sqs.models import SQSBackend, sqs_backends

from cdk_rehearsal.errors import UnsupportedTemplateError
from cdk_rehearsal.sandbox.patching import Patches

Document = Mapping[str, Any]

_CHANGES: Mapping[type[Any], tuple[str, ...]] = {
    DynamoDBBackend: ("put_resource_policy", "delete_resource_policy"),
    EventsBackend: ("put_permission", "remove_permission"),
    IAMBackend: (
        *("attach_role_policy", "detach_role_policy", "put_role_policy", "delete_role_policy"),
        *("create_role", "delete_role", "update_assume_role_policy"),
        *("create_policy_version", "set_default_policy_version"),
        *("put_role_permissions_boundary", "delete_role_permissions_boundary"),
    ),
    KinesisBackend: ("put_resource_policy", "delete_resource_policy"),
    KmsBackend: ("put_key_policy", "create_grant", "revoke_grant", "retire_grant"),
    LogsBackend: ("put_resource_policy", "delete_resource_policy"),
    S3Backend: ("put_bucket_policy", "delete_bucket_policy"),
    SecretsManagerBackend: ("put_resource_policy", "delete_resource_policy"),
    SNSBackend: ("set_topic_attribute", "add_permission", "remove_permission"),
    SQSBackend: ("set_queue_attributes", "add_permission", "remove_permission"),
}
"""What changes policies, by moto's backend."""


def install(patches: Patches, changed: Callable[[], object]) -> None:
    """Calls ``changed`` after each change of a policy, and leaves decisions to the rehearsal."""

    def notifying(original: Callable[..., Any]) -> Callable[..., Any]:
        def change(*args: Any, **options: Any) -> Any:
            try:
                return original(*args, **options)
            finally:
                changed()

        return change

    for backend, names in _CHANGES.items():
        for name in names:
            patches.set(backend, name, notifying(getattr(backend, name)))
    # moto applies the policies of buckets, but without their conditions.
    patches.set(FakeBucket, "get_permission", lambda *_: PermissionResult.NEUTRAL)


def role(account: str, arn: str) -> Any:
    """Returns moto's role with an ARN, None if there is none."""
    roles = iam_backends[account]["aws"].roles.values()
    return next((each for each in roles if each.arn == arn), None)


def of_role(account: str, arn: str) -> list[Document]:
    """Returns the inline and managed policies of a role."""
    model = role(account, arn)
    if model is None:
        return []
    attached = [_managed(account, each) for each in model.managed_policies]
    return [*map(_read, model.policies.values()), *attached]


def boundary_of_role(account: str, arn: str) -> Document | None:
    """Returns the permissions boundary of a role, if it has one."""
    boundary = getattr(role(account, arn), "permissions_boundary_arn", None)
    return _managed(account, boundary) if boundary else None


def _managed(account: str, arn: str) -> Document:
    policy = managed_policy(account, arn)
    version = next(each for each in policy.versions if each.is_default)
    return _read(version.document)


def managed_policy(account: str, arn: str) -> Any:
    """Returns moto's managed policy with an ARN; it gets those of AWS when they are needed.

    Raises UnsupportedTemplateError if there is none.
    """
    backend = iam_backends[account]["aws"]
    if arn not in backend.managed_policies:
        name = arn.rpartition("/")[2]
        data = _aws_managed().get(name)
        policy = data and AWSManagedPolicy.from_data(name, account, backend.region_name, data)
        if not policy or policy.arn != arn:
            raise UnsupportedTemplateError(
                f"there is no managed policy {arn}: create it in a stack of the assembly"
            )
        backend.managed_policies[arn] = policy
    return backend.managed_policies[arn]


@cache
def _aws_managed() -> dict[str, Any]:
    policies: dict[str, Any] = json.loads(aws_managed_policies_data)
    return policies


def of_resource(account: str, region: str, arn: str) -> list[Document]:
    """Returns the policies of a resource that moto stores, by the ARN of the resource."""
    find = _POLICIES.get(arn.split(":")[2])
    found = find(account, region, arn, arn.split(":", 5)[-1]) if find else []
    return [_read(each) for each in found if each]


def _policy(model: Any, attribute: str = "policy") -> list[Any]:
    return [getattr(model, attribute)] if model else []


def _of_table(account: str, region: str, arn: str, name: str) -> list[Any]:
    """The policy of a table is that of its indexes, too, but not that of its stream.

    https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/access-control-resource-based.html
    """
    policies = dynamodb_backends[account][region].resource_policies
    return _policy(policies.get(arn.partition("/index/")[0]), "policy_doc")


def _of_logs(account: str, region: str, arn: str, name: str) -> list[Any]:
    stored = logs_backends[account][region].resource_policies.values()
    return [policy.policy_document for policy in stored]


_POLICIES: Mapping[str, Callable[[str, str, str, str], list[Any]]] = {
    "dynamodb": _of_table,
    "events": lambda account, region, arn, name: _policy(
        events_backends[account][region].event_buses.get(name.rpartition("/")[2])
    ),
    "iam": lambda account, region, arn, name: _policy(
        role(account, arn), "assume_role_policy_document"
    ),
    "kinesis": lambda account, region, arn, name: [
        kinesis_backends[account][region].resource_policies.get(arn)
    ],
    "kms": lambda account, region, arn, name: _policy(
        kms_backends[account][region].keys.get(name.removeprefix("key/"))
    ),
    "logs": _of_logs,
    "s3": lambda account, region, arn, name: _policy(
        s3_backends[account]["aws"].buckets.get(name.partition("/")[0])
    ),
    "secretsmanager": lambda account, region, arn, name: _policy(
        secretsmanager_backends[account][region].secrets.get(arn)
    ),
    "sns": lambda account, region, arn, name: _policy(
        sns_backends[account][region].topics.get(arn), "_policy_json"
    ),
    "sqs": lambda account, region, arn, name: _policy(
        sqs_backends[account][region].queues.get(name), "_policy_json"
    ),
}
"""The policies by account, region, ARN and the name in it, by service."""


def grants_of_key(account: str, region: str, arn: str) -> list[Any]:
    """Returns the grants of a key."""
    key = kms_backends[account][region].keys.get(arn.rpartition("/")[2])
    return list(key.grants.values()) if key else []


def key_arn(account: str, region: str, named: str) -> str:
    """Returns the ARN of a key named by its ARN, id or alias; of AWS's own keys, the alias."""
    name = named.partition(":alias/")[2] if ":alias/" in named else named.removeprefix("alias/")
    if name.startswith("aws/"):
        return f"alias/{name}"
    backend = kms_backends[account][region]
    key = backend.keys.get(backend.any_id_to_key_id(named))
    return str(key.arn) if key else named


def _read(text: Any) -> Document:
    if isinstance(text, Mapping):
        return text
    document: Document = json.loads(text)
    return document
