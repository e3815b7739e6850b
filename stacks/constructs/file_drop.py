"""A file drop: a bucket for partners' files, and notifications in a queue."""

from typing import cast

from aws_cdk import CfnOutput, Duration, Stack
from aws_cdk import aws_iam as iam
from aws_cdk import aws_lambda as lambda_
from aws_cdk import aws_s3 as s3
from constructs import Construct

from stacks.constructs.acknowledge import SOLUTIONS, acknowledge
from stacks.constructs.naming import generation_of
from stacks.constructs.platform import Platform
from stacks.constructs.queues import BufferQueue
from stacks.environment import Supplier

KEPT_DAYS = 30
"""How long a file can be read: longer than its notification can wait, 14 days from its sending and
as many from a redrive. A replaced or expired file can be restored for the same time.
https://docs.aws.amazon.com/AWSSimpleQueueService/latest/SQSDeveloperGuide/setting-up-dead-letter-queue-retention.html"""

MAX_NAME = 63
LONGEST_REGION = "us-isof-south-1"


class FileDrop(Construct):
    """A versioned bucket that notifies `queue` of each new object, under any key.

    This includes objects that the queue's consumer writes. The consumer has to ignore them, or it
    would loop: https://docs.aws.amazon.com/AmazonS3/latest/userguide/EventNotifications.html
    S3 has no filter for "all other objects": two configurations for the same event may not overlap.
    https://docs.aws.amazon.com/AmazonS3/latest/userguide/notification-how-to-filtering.html
    """

    def __init__(
        self, scope: Construct, id_: str, *, platform: Platform, name: str, queue: BufferQueue
    ) -> None:
        super().__init__(scope, id_)
        self._stage = platform.environment.name
        self.bucket = s3.Bucket(
            self,
            "Bucket",
            # The bucket needs a name here. When S3 creates it, S3 sends a test message to the
            # queue, so the queue's policy has to name the bucket before it exists.
            bucket_name=bucket_name(self, f"orderflow-{platform.environment.name}-{name}"),
            versioned=True,
            encryption=s3.BucketEncryption.S3_MANAGED,
            enforce_ssl=True,
            block_public_access=s3.BlockPublicAccess.BLOCK_ALL,
            object_ownership=s3.ObjectOwnership.BUCKET_OWNER_ENFORCED,
            lifecycle_rules=[
                s3.LifecycleRule(
                    expiration=Duration.days(KEPT_DAYS),
                    noncurrent_version_expiration=Duration.days(KEPT_DAYS),
                    abort_incomplete_multipart_upload_after=Duration.days(1),
                )
            ],
            removal_policy=platform.environment.removal_policy,
        )
        # The policy denies requests without TLS, so it stays with the bucket.
        cast(s3.BucketPolicy, self.bucket.policy).apply_removal_policy(
            platform.environment.removal_policy
        )
        self._notify(queue)
        CfnOutput(
            self,
            "BucketName",
            value=self.bucket.bucket_name,
            description="The bucket to which partners upload files",
        )
        acknowledge(
            self.bucket,
            {
                f"{SOLUTIONS}S1": "Server access logs need a second bucket with the same question. "
                "Each notification names the uploader; CloudTrail's data events show the rest.",
                "Retention::DeletedDependency": "Its files can be read without the queue. Files "
                "uploaded while the stage is down cause no notification: "
                "docs/how-to/take-a-stage-down.md says how to import them.",
            },
        )

    def _notify(self, queue: BufferQueue) -> None:
        """Sets up the notifications. The library would do it with a function of its own.

        https://docs.aws.amazon.com/AmazonS3/latest/userguide/grant-destinations-permissions-to-s3.html
        """
        stack = Stack.of(self)
        resource = cast(s3.CfnBucket, self.bucket.node.default_child)
        resource.notification_configuration = s3.CfnBucket.NotificationConfigurationProperty(
            queue_configurations=[
                s3.CfnBucket.QueueConfigurationProperty(
                    event="s3:ObjectCreated:*",
                    queue=queue.queue_arn,
                )
            ]
        )
        bucket_arn = stack.format_arn(
            service="s3", region="", account="", resource=resource.bucket_name or ""
        )
        queue.add_to_resource_policy(
            iam.PolicyStatement(
                principals=[iam.ServicePrincipal("s3.amazonaws.com")],
                actions=["sqs:SendMessage"],
                resources=[queue.queue_arn],
                conditions={
                    "ArnEquals": {"aws:SourceArn": bucket_arn},
                    "StringEquals": {"aws:SourceAccount": stack.account},
                },
            )
        )
        self.bucket.node.add_dependency(queue.node.find_child("Policy"))

    def allow_reading(self, function: lambda_.Function, *, under: str) -> None:
        """Grants `function` reading versions of objects under a prefix.

        It may also list the bucket. Otherwise S3 would answer 403 for a missing object, not 404.
        https://docs.aws.amazon.com/AmazonS3/latest/API/API_GetObject.html
        """
        self._allow(function, "s3:GetObjectVersion", under)
        function.add_to_role_policy(
            iam.PolicyStatement(
                actions=["s3:ListBucket", "s3:ListBucketVersions"],
                resources=[self.bucket.bucket_arn],
            )
        )

    def allow_writing(self, function: lambda_.Function, *, under: str) -> None:
        """Grants `function` writing objects under a prefix."""
        self._allow(function, "s3:PutObject", under)

    def admit(self, supplier: Supplier, *, incoming: str, reports: str) -> iam.Role:
        """Adds the role of a supplier, who may upload files and read reports in its own folders.

        The supplier may neither read nor delete files. Its account has to name an external id:
        https://docs.aws.amazon.com/IAM/latest/UserGuide/id_roles_common-scenarios_third-party.html
        """
        stage = self._stage
        files, answers = f"{incoming}{supplier.name}/", f"{reports}{supplier.name}/"
        role = iam.Role(
            self,
            f"Supplier-{supplier.name}",
            description=f"The supplier {supplier.name}: uploads to {files}, reads {answers}",
            assumed_by=iam.AccountPrincipal(supplier.account),
            external_ids=[f"orderflow-{stage}-{supplier.name}"],
        )
        objects = self.bucket.arn_for_objects
        for actions, resource in (
            (["s3:PutObject", "s3:AbortMultipartUpload"], objects(f"{files}*")),
            (["s3:GetObject"], objects(f"{answers}*")),
        ):
            role.add_to_policy(iam.PolicyStatement(actions=actions, resources=[resource]))
        role.add_to_policy(
            iam.PolicyStatement(
                actions=["s3:ListBucket"],
                resources=[self.bucket.bucket_arn],
                # https://docs.aws.amazon.com/AmazonS3/latest/userguide/amazon-s3-policy-keys.html
                conditions={"StringLike": {"s3:prefix": [f"{files}*", f"{answers}*"]}},
            )
        )
        for folder in (files, answers):
            self._acknowledge_folder(role, folder)
        CfnOutput(
            self,
            f"SupplierRole-{supplier.name}",
            value=role.role_arn,
            description=f"The role that the supplier {supplier.name} assumes",
        )
        return role

    def _allow(self, function: lambda_.Function, action: str, under: str) -> None:
        function.add_to_role_policy(
            iam.PolicyStatement(
                actions=[action], resources=[self.bucket.arn_for_objects(f"{under}*")]
            )
        )
        self._acknowledge_folder(cast(iam.Role, function.role), under)

    def _acknowledge_folder(self, role: iam.Role, under: str) -> None:
        stack = Stack.of(self)
        bucket = stack.resolve(cast(s3.CfnBucket, self.bucket.node.default_child).logical_id)
        acknowledge(
            role,
            {
                f"{SOLUTIONS}IAM5[Resource::<{bucket}.Arn>/{under}*]": "The names of the files are "
                "not known beforehand; the prefix is as narrow as the grant can be."
            },
        )


def bucket_name(scope: Construct, beginning: str) -> str:
    """Returns a bucket name that is unique among all accounts and regions of a partition.

    Raises ValueError if the name would exceed 63 characters in the region with the longest name.
    https://docs.aws.amazon.com/AmazonS3/latest/userguide/bucketnamingrules.html
    """
    longest = len(f"{beginning}-{'1' * 12}-{LONGEST_REGION}-{'0' * 8}")
    if longest > MAX_NAME:
        raise ValueError(
            f"the name of bucket {beginning}-… could have {longest} characters, more than the "
            f"{MAX_NAME} that S3 allows: shorten the name of the stage or of the drop"
        )
    stack = Stack.of(scope)
    return f"{beginning}-{stack.account}-{stack.region}-{generation_of(scope)}"
