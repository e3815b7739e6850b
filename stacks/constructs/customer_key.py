"""A customer-managed key that encrypts everything a stage stores."""

from collections.abc import Mapping
from typing import Any

import jsii
from aws_cdk import App, Aspects, IAspect, Stack
from aws_cdk import aws_dynamodb as dynamodb
from aws_cdk import aws_eventsv2 as eventsv2
from aws_cdk import aws_iam as iam
from aws_cdk import aws_kinesis as kinesis
from aws_cdk import aws_kms as kms
from aws_cdk import aws_lambda as lambda_
from aws_cdk import aws_logs as logs
from aws_cdk import aws_s3 as s3
from aws_cdk import aws_secretsmanager as secretsmanager
from aws_cdk import aws_sns as sns
from aws_cdk import aws_sqs as sqs
from constructs import Construct, IConstruct

from stacks.environment import Environment

_USE = ("kms:Decrypt", "kms:Encrypt", "kms:GenerateDataKey*", "kms:ReEncrypt*", "kms:DescribeKey")

VIA = ("dynamodb", "events", "kinesis", "lambda", "s3", "secretsmanager", "sns", "sqs")
"""Services that use the key on behalf of the caller, such as a handler's role.
https://docs.aws.amazon.com/kms/latest/developerguide/conditions-kms.html#conditions-kms-via-service"""

SENDERS = ("budgets", "cloudwatch", "events", "s3", "sns")
"""Services that send to an encrypted queue or topic by themselves.
https://docs.aws.amazon.com/AWSSimpleQueueService/latest/SQSDeveloperGuide/sqs-key-management.html
https://docs.aws.amazon.com/sns/latest/dg/sns-key-management.html
https://docs.aws.amazon.com/cost-management/latest/userguide/budgets-sns-policy.html"""

REUSE_S = 3_600
"""How long SQS uses a data key before it asks for another: each request is billed.
https://docs.aws.amazon.com/AWSSimpleQueueService/latest/APIReference/API_SetQueueAttributes.html"""


class CustomerKey(kms.Key):
    """The stage's key, which rotates every year. Its policy names each service that may use it."""

    def __init__(self, scope: Construct, id_: str, *, environment: Environment) -> None:
        super().__init__(
            scope,
            id_,
            description=f"Encrypts what stage {environment.name} stores",
            enable_key_rotation=True,
            removal_policy=environment.removal_policy,
        )
        stack = Stack.of(self)
        via = {
            "kms:CallerAccount": stack.account,
            "kms:ViaService": [f"{service}.{stack.region}.amazonaws.com" for service in VIA],
        }
        anyone = iam.AnyPrincipal()
        self._permit("ThroughServices", anyone, _USE, {"StringEquals": via})
        # DynamoDB and Lambda keep a grant.
        # https://docs.aws.amazon.com/kms/latest/developerguide/grants.html
        self._permit(
            "GrantsOfServices",
            anyone,
            ("kms:CreateGrant",),
            {"StringEquals": via, "Bool": {"kms:GrantIsForAWSResource": "true"}},
        )
        for service in SENDERS:
            self._permit(
                f"Sending{service.capitalize()}",
                iam.ServicePrincipal(f"{service}.amazonaws.com"),
                ("kms:Decrypt", "kms:GenerateDataKey*"),
                {"StringEquals": {"aws:SourceAccount": stack.account}},
            )
        if environment.bus == "custom":
            self._permit_the_bus()
        # https://docs.aws.amazon.com/AmazonCloudWatch/latest/logs/encrypt-log-data-kms.html
        self._permit(
            "Logs",
            iam.ServicePrincipal(f"logs.{stack.region}.amazonaws.com"),
            _USE,
            {
                "ArnLike": {
                    "kms:EncryptionContext:aws:logs:arn": stack.format_arn(
                        service="logs", resource="*"
                    )
                }
            },
        )

    def _permit_the_bus(self) -> None:
        """Lets Custom Event Buses of this account encrypt and decrypt the events that they retain.

        https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-custom-bus-encryption.html
        """
        stack = Stack.of(self)
        buses = stack.format_arn(service="events", resource="event-busv2", resource_name="*")
        self._permit(
            "Bus",
            iam.ServicePrincipal("events.amazonaws.com"),
            _USE,
            {
                "StringEquals": {"aws:SourceAccount": stack.account},
                "ArnLike": {"aws:SourceArn": buses},
                "StringLike": {"kms:EncryptionContext:aws:events:event-busv2:arn": buses},
            },
        )

    def _permit(
        self,
        sid: str,
        principal: iam.IPrincipal,
        actions: tuple[str, ...],
        conditions: Mapping[str, Any],
    ) -> None:
        self.add_to_resource_policy(
            iam.PolicyStatement(
                sid=sid,
                principals=[principal],
                actions=list(actions),
                resources=["*"],  # in a key policy: this key
                conditions=conditions,
            )
        )


def encrypt(app: App, key: kms.IKey | None) -> None:
    """Encrypts the resources of all stacks with the key, if there is one."""
    if key:
        Aspects.of(app).add(_Encryption(key.key_arn))


@jsii.implements(IAspect)
class _Encryption:
    def __init__(self, key_arn: str) -> None:
        self._key_arn = key_arn

    def visit(self, node: IConstruct) -> None:
        """Encrypts a resource, if it stores something."""
        key = self._key_arn
        match node:
            case dynamodb.CfnGlobalTable():
                # The library generates the replicas later.
                node.add_property_override(
                    "SSESpecification", {"SSEEnabled": True, "SSEType": "KMS"}
                )
                node.add_property_override("Replicas.0.SSESpecification.KMSMasterKeyId", key)
            case eventsv2.CfnEventBus():
                node.encryption_configuration = (
                    eventsv2.CfnEventBus.EncryptionConfigurationProperty(kms_key_identifier=key)
                )
            case kinesis.CfnStream():
                node.stream_encryption = kinesis.CfnStream.StreamEncryptionProperty(
                    encryption_type="KMS", key_id=key
                )
            case lambda_.CfnFunction():
                node.kms_key_arn = key
            case logs.CfnLogGroup() | secretsmanager.CfnSecret():
                node.kms_key_id = key
            case s3.CfnBucket():
                node.bucket_encryption = _bucket_encryption(key)
            case sns.CfnTopic():
                node.kms_master_key_id = key
            case sqs.CfnQueue():
                node.kms_master_key_id = key
                node.kms_data_key_reuse_period_seconds = REUSE_S
                node.sqs_managed_sse_enabled = False


def _bucket_encryption(key: str) -> s3.CfnBucket.BucketEncryptionProperty:
    return s3.CfnBucket.BucketEncryptionProperty(
        server_side_encryption_configuration=[
            s3.CfnBucket.ServerSideEncryptionRuleProperty(
                bucket_key_enabled=True,
                server_side_encryption_by_default=s3.CfnBucket.ServerSideEncryptionByDefaultProperty(
                    sse_algorithm="aws:kms", kms_master_key_id=key
                ),
            )
        ]
    )
