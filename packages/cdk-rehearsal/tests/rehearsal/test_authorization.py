"""Authorization: what AWS would refuse fails in a rehearsal, with AWS's errors."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest

from cdk_rehearsal import LoadingError, Rehearsal
from rehearsal.cloud import Cloud, arn, ref
from rehearsal.conftest import Deploy, Rehearse
from rehearsal.worlds import Refused, World, eventually, propagated

CALLER = """
    import boto3
    from botocore.exceptions import ClientError

    def handler(event, context):
        client = boto3.client(event["service"])
        try:
            getattr(client, event["method"])(**event["parameters"])
        except ClientError as error:
            return [error.response["Error"]["Code"], error.response["Error"]["Message"]]
"""
TABLE, QUEUE, STREAM, BUS = arn("Table"), arn("Jobs"), arn("Clicks"), arn("Bus")
TOPIC, MACHINE = ref("News"), ref("Machine")
OBJECT = {"Fn::Sub": "${Files.Arn}/a/b.csv"}
SENDER = {"Fn::Sub": "arn:aws:ses:${AWS::Region}:${AWS::AccountId}:identity/shop.example"}
ENTRY = {"Source": "shop", "DetailType": "Sold", "Detail": "{}", "EventBusName": ref("Bus")}
ITEM = {"pk": {"S": "A#1"}}

Call = tuple[str, str, dict[str, Any]]


def allow(action: str | list[str], resource: Any = "*", **more: Any) -> dict[str, Any]:
    return {"Effect": "Allow", "Action": action, "Resource": resource, **more}


LOGS = allow(["logs:CreateLogStream", "logs:PutLogEvents"])


@pytest.fixture
def account(template: Cloud) -> Cloud:
    """One resource of each service."""
    template.add(
        "Table",
        "AWS::DynamoDB::Table",
        KeySchema=[{"AttributeName": "pk", "KeyType": "HASH"}],
        AttributeDefinitions=[
            {"AttributeName": "pk", "AttributeType": "S"},
            {"AttributeName": "kind", "AttributeType": "S"},
        ],
        BillingMode="PAY_PER_REQUEST",
        GlobalSecondaryIndexes=[
            {
                "IndexName": "ByKind",
                "KeySchema": [{"AttributeName": "kind", "KeyType": "HASH"}],
                "Projection": {"ProjectionType": "ALL"},
            }
        ],
    )
    template.add("Jobs", "AWS::SQS::Queue")
    template.add("News", "AWS::SNS::Topic")
    template.add("Clicks", "AWS::Kinesis::Stream", ShardCount=1)
    template.bus("Bus")
    template.add("Files", "AWS::S3::Bucket")
    template.add("Secret", "AWS::SecretsManager::Secret", SecretString="s")
    template.add("Sender", "AWS::SES::EmailIdentity", EmailIdentity="shop.example")
    template.role("MachineRole")
    template.add(
        "Machine",
        "AWS::StepFunctions::StateMachine",
        RoleArn=arn("MachineRole"),
        Definition={"StartAt": "End", "States": {"End": {"Type": "Succeed"}}},
    )
    return template


def caller(account: Cloud, *statements: dict[str, Any], **properties: Any) -> None:
    """A function that may do only what the statements say."""
    account.role("CallerRole", *(statements or (LOGS,)))
    account.function("Caller", CALLER, Role=arn("CallerRole"), **properties)


def answer(shop: World, call: Call) -> Any:
    """The code and message of the error with which a call by the function ends, if it fails."""
    service, method, parameters = call
    event = {"service": service, "method": method, "parameters": resolved(shop, parameters)}
    return shop.invoke("Shop/Caller", event).payload


def resolved(shop: World, value: Any) -> Any:
    """A value with the physical ids and ARNs of its references."""
    match value:
        case {"Ref": name}:
            return shop.physical_id(f"Shop/{name}")
        case {"Fn::GetAtt": [name, attribute]}:
            return shop.resource(f"Shop/{name}").attributes[attribute]
        case {"Fn::Sub": text}:
            own = {"AWS::Region": shop.region, "AWS::AccountId": shop.account}

            def found(part: re.Match[str]) -> str:
                name, _, attribute = part[1].partition(".")
                of = arn(name, attribute) if attribute else ref(name)
                return str(own.get(name) or resolved(shop, of))

            return re.sub(r"\$\{([^}]+)\}", found, text)
        case dict():
            return {key: resolved(shop, each) for key, each in value.items()}
        case list():
            return [resolved(shop, each) for each in value]
    return value


def mail(sender: str = "Shop <a@shop.example>", **more: Any) -> Call:
    content = {"Simple": {"Subject": {"Data": "s"}, "Body": {"Text": {"Data": "b"}}}}
    to = {"ToAddresses": ["c@x.example"]}
    parameters = {"FromEmailAddress": sender, "Destination": to, "Content": content, **more}
    return ("sesv2", "send_email", parameters)


def put(item: dict[str, Any] = ITEM) -> Call:
    return ("dynamodb", "put_item", {"TableName": ref("Table"), "Item": item})


def publish(**changes: str) -> Call:
    return ("events", "put_events", {"Entries": [{**ENTRY, **changes}]})


def query(**more: Any) -> Call:
    parameters = {
        "TableName": ref("Table"),
        "KeyConditionExpression": "#p = :v",
        "ExpressionAttributeNames": {"#p": "kind" if more else "pk"},
        "ExpressionAttributeValues": {":v": {"S": "A#1"}},
        **more,
    }
    return ("dynamodb", "query", parameters)


SEND: Call = ("sqs", "send_message", {"QueueUrl": ref("Jobs"), "MessageBody": "m"})
PUBLISH: Call = ("sns", "publish", {"TopicArn": TOPIC, "Message": "m"})
STORE: Call = ("s3", "put_object", {"Bucket": ref("Files"), "Key": "a/b.csv", "Body": "b"})
READ: Call = ("s3", "get_object", {"Bucket": ref("Files"), "Key": "a/b.csv"})
SECRET: Call = ("secretsmanager", "get_secret_value", {"SecretId": ref("Secret")})
START: Call = ("stepfunctions", "start_execution", {"stateMachineArn": MACHINE, "name": "one"})


class TestRefusals:
    """https://docs.aws.amazon.com/IAM/latest/UserGuide/troubleshoot_access-denied.html."""

    @pytest.mark.parametrize(
        ("call", "code", "action", "resource"),
        [
            (put(), "AccessDeniedException", "dynamodb:PutItem", TABLE),
            (SEND, "AccessDenied", "sqs:sendmessage", QUEUE),
            (PUBLISH, "AuthorizationError", "SNS:Publish", TOPIC),
            (STORE, "AccessDenied", "s3:PutObject", {"Fn::Sub": '"${Files.Arn}/a/b.csv"'}),
            (publish(), "AccessDeniedException", "events:PutEvents", BUS),
            (START, "AccessDeniedException", "states:StartExecution", MACHINE),
            (mail(), "AccessDeniedException", "ses:SendEmail", SENDER),
        ],
    )
    def test_a_call_that_no_policy_allows_fails_with_the_services_error(
        self,
        account: Cloud,
        aws: Deploy,
        call: Call,
        code: str,
        action: str,
        resource: Any,
    ) -> None:
        """https://docs.aws.amazon.com/IAM/latest/UserGuide/troubleshoot_access-denied.html
        https://docs.aws.amazon.com/AWSSimpleQueueService/latest/SQSDeveloperGuide/troubleshooting-access-denied.html
        https://docs.aws.amazon.com/AmazonS3/latest/userguide/troubleshoot-403-errors.html
        https://docs.aws.amazon.com/sns/latest/api/CommonErrors.html
        """
        caller(account)
        shop = aws()
        role = shop.physical_id("Shop/CallerRole")
        session = f"assumed-role/{role}/{shop.physical_id('Shop/Caller')}"
        user = f"arn:aws:sts::{shop.account}:{session}"
        message = (
            f"User: {user} is not authorized to perform: {action} "
            f"on resource: {resolved(shop, resource)} "
            f"because no identity-based policy allows the {action} action"
        )
        assert answer(shop, call) == [code, message]
        if isinstance(shop, Rehearsal):
            assert [r.detail["error"] for r in shop.meter.of("call")] == [code]

    def test_a_denial_outweighs_a_permission(self, account: Cloud, aws: Deploy) -> None:
        """https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_evaluation-logic_AccessPolicyLanguage_Interplay.html"""
        caller(account, allow("*"), {**allow("sqs:*", QUEUE), "Effect": "Deny"})
        shop = aws()
        assert answer(shop, put()) is None
        _, message = answer(shop, SEND)
        assert message.endswith("with an explicit deny in an identity-based policy")

    def test_a_boundary_limits_a_role(self, account: Cloud, aws: Deploy) -> None:
        """https://docs.aws.amazon.com/IAM/latest/UserGuide/access_policies_boundaries.html"""
        caller(account, allow("*"))
        limits = {"Version": "2012-10-17", "Statement": [LOGS, allow("sqs:*")]}
        account.add("Limits", "AWS::IAM::ManagedPolicy", PolicyDocument=limits)
        account.resources["CallerRole"]["Properties"]["PermissionsBoundary"] = ref("Limits")
        shop = aws()
        assert answer(shop, SEND) is None
        assert "because no permissions boundary allows" in answer(shop, put())[1]

    def test_managed_policies_count(self, account: Cloud, aws: Deploy) -> None:
        """https://docs.aws.amazon.com/IAM/latest/UserGuide/access_policies_managed-vs-inline.html"""
        caller(account)
        full = "arn:aws:iam::aws:policy/AmazonSQSFullAccess"
        account.resources["CallerRole"]["Properties"]["ManagedPolicyArns"] = [full]
        document = {"Version": "2012-10-17", "Statement": [allow("sns:Publish", TOPIC)]}
        account.add(
            "Own", "AWS::IAM::ManagedPolicy", PolicyDocument=document, Roles=[ref("CallerRole")]
        )
        shop = aws()
        assert answer(shop, SEND) is answer(shop, PUBLISH) is None
        assert answer(shop, put())[0] == "AccessDeniedException"

    @pytest.mark.own_behaviour
    def test_an_unknown_managed_policy_is_an_error(
        self, account: Cloud, rehearse: Rehearse
    ) -> None:
        caller(account)
        gone = "arn:aws:iam::aws:policy/Gone"
        account.resources["CallerRole"]["Properties"]["ManagedPolicyArns"] = [gone]
        with pytest.raises(LoadingError, match=f"no managed policy {gone}"):
            rehearse()

    @pytest.mark.own_behaviour
    def test_a_call_that_nobody_knows_is_an_error(self, account: Cloud, rehearse: Rehearse) -> None:
        """https://docs.aws.amazon.com/service-authorization/latest/reference/reference_policies_actions-resources-contextkeys.html"""
        caller(account, allow("*"))
        get = ("lambda", "get_layer_version_by_arn", {"Arn": "arn:aws:lambda:x:1:layer:a:1"})
        result = answer(rehearse(), get)
        assert "does not know which action lambda:GetLayerVersionByArn needs" in str(result)


class TestActionsAndResources:
    """https://docs.aws.amazon.com/service-authorization/latest/reference/reference_policies_actions-resources-contextkeys.html."""

    @pytest.mark.parametrize(
        ("call", "action", "resource"),
        [
            (put(), "dynamodb:PutItem", TABLE),
            (
                ("dynamodb", "put_item", {"TableName": TABLE, "Item": ITEM}),
                "dynamodb:PutItem",
                TABLE,
            ),
            (query(), "dynamodb:Query", TABLE),
            (query(IndexName="ByKind"), "dynamodb:Query", {"Fn::Sub": "${Table.Arn}/index/ByKind"}),
            (SEND, "sqs:SendMessage", QUEUE),
            (
                (
                    "sqs",
                    "send_message_batch",
                    {"QueueUrl": ref("Jobs"), "Entries": [{"Id": "1", "MessageBody": "m"}]},
                ),
                "sqs:SendMessage",
                QUEUE,
            ),
            (PUBLISH, "sns:Publish", TOPIC),
            (("sns", "publish", {"PhoneNumber": "+491511", "Message": "m"}), "sns:Publish", "*"),
            (STORE, "s3:PutObject", OBJECT),
            (
                ("s3", "create_multipart_upload", {"Bucket": ref("Files"), "Key": "a/b.csv"}),
                "s3:PutObject",
                OBJECT,
            ),
            (("s3", "list_objects_v2", {"Bucket": ref("Files")}), "s3:ListBucket", arn("Files")),
            (
                (
                    "s3",
                    "delete_objects",
                    {"Bucket": ref("Files"), "Delete": {"Objects": [{"Key": "a/b.csv"}]}},
                ),
                "s3:DeleteObject",
                OBJECT,
            ),
            (
                (
                    "kinesis",
                    "put_record",
                    {"StreamName": ref("Clicks"), "Data": "d", "PartitionKey": "p"},
                ),
                "kinesis:PutRecord",
                STREAM,
            ),
            (publish(), "events:PutEvents", BUS),
            (SECRET, "secretsmanager:GetSecretValue", ref("Secret")),
            (START, "states:StartExecution", MACHINE),
            (mail(), "ses:SendEmail", SENDER),
            (
                (
                    "dynamodb",
                    "execute_statement",
                    {"Statement": {"Fn::Sub": 'SELECT * FROM "${Table}"'}},
                ),
                "dynamodb:PartiQLSelect",
                TABLE,
            ),
        ],
    )
    def test_a_call_needs_its_action_on_its_resource_and_no_other(
        self, account: Cloud, rehearse: Rehearse, call: Call, action: str, resource: Any
    ) -> None:
        """https://docs.aws.amazon.com/service-authorization/latest/reference/reference_policies_actions-resources-contextkeys.html
        https://docs.aws.amazon.com/AWSSimpleQueueService/latest/SQSDeveloperGuide/sqs-api-permissions-reference.html
        https://docs.aws.amazon.com/AmazonS3/latest/API/API_DeleteObjects.html
        https://docs.aws.amazon.com/AmazonS3/latest/userguide/using-with-s3-policy-actions.html
        https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/ql-iam.html
        """
        caller(account, allow(action, resource))
        account.role("OtherRole", {**allow("*"), "Action": None, "NotAction": action})
        del account.resources["OtherRole"]["Properties"]["Policies"][0]["PolicyDocument"][
            "Statement"
        ][0]["Action"]
        shop = rehearse()
        assert answer(shop, call) is None

        function = shop.function("Shop/Caller")
        function.role = shop.resource("Shop/OtherRole").attributes["Arn"]
        function.warm.clear()
        assert action.rpartition(":")[2].lower() in answer(shop, call)[1].lower()

    def test_each_item_of_a_transaction_needs_its_own_action(
        self, account: Cloud, aws: Deploy
    ) -> None:
        """https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/transaction-apis-iam.html"""
        within = {"StringEquals": {"dynamodb:EnclosingOperation": "TransactWriteItems"}}
        caller(account, allow("dynamodb:PutItem", TABLE, Condition=within))
        shop = aws()
        write = {"TableName": ref("Table"), "Item": ITEM}
        check = {"TableName": ref("Table"), "Key": {"pk": {"S": "2"}}}
        exists = {**check, "ConditionExpression": "attribute_not_exists(pk)"}
        only_put = {"TransactItems": [{"Put": write}]}
        both = {"TransactItems": [{"Put": write}, {"ConditionCheck": exists}]}
        assert answer(shop, ("dynamodb", "transact_write_items", only_put)) is None
        _, message = answer(shop, ("dynamodb", "transact_write_items", both))
        assert "dynamodb:ConditionCheckItem" in message
        assert answer(shop, put())[0] == "AccessDeniedException"

    def test_who_may_not_list_a_bucket_does_not_learn_what_it_lacks(
        self, account: Cloud, aws: Deploy
    ) -> None:
        """https://docs.aws.amazon.com/AmazonS3/latest/API/API_GetObject.html"""
        caller(account, allow("s3:GetObject", OBJECT))
        shop = aws()
        code, message = answer(shop, READ)
        assert (code, "s3:ListBucket" in message) == ("AccessDenied", True)
        bucket = shop.physical_id("Shop/Files")
        shop.client("s3").put_object(Bucket=bucket, Key="a/b.csv", Body=b"b")
        assert answer(shop, READ) is None

    def test_an_email_needs_its_identity_and_its_configuration_set(
        self, account: Cloud, aws: Deploy
    ) -> None:
        """https://docs.aws.amazon.com/ses/latest/dg/control-user-access.html"""
        caller(account, allow("ses:SendEmail", SENDER))
        _, message = answer(aws(), mail(ConfigurationSetName="set"))
        assert ":configuration-set/set because no identity-based policy" in message

    def test_a_role_that_is_given_to_a_service_has_to_be_passed(
        self, account: Cloud, aws: Deploy
    ) -> None:
        """https://docs.aws.amazon.com/IAM/latest/UserGuide/id_roles_use_passrole.html"""
        to = {"StringEquals": {"iam:PassedToService": "scheduler.amazonaws.com"}}
        place = "arn:aws:scheduler:${AWS::Region}:${AWS::AccountId}:schedule/default/*"
        schedules = {"Fn::Sub": place}
        account.role("Waker")
        passing = allow("iam:PassRole", arn("Waker"), Condition=to)
        caller(account, allow("scheduler:CreateSchedule", schedules), passing)
        shop = aws()

        def schedule(role: str) -> Call:
            target = {
                "Arn": resolved(shop, QUEUE),
                "RoleArn": shop.resource(role).attributes["Arn"],
                "Input": "i",
            }
            parameters = {
                "Name": "later",
                "ScheduleExpression": "at(2027-01-01T00:00:00)",
                "FlexibleTimeWindow": {"Mode": "OFF"},
                "Target": target,
            }
            return ("scheduler", "create_schedule", parameters)

        assert "iam:PassRole" in answer(shop, schedule("Shop/MachineRole"))[1]
        assert answer(shop, schedule("Shop/Waker")) is None


class TestConditionKeys:
    @pytest.mark.parametrize(
        ("action", "condition", "allowed", "refused"),
        [
            # https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-use-conditions.html
            (
                "events:PutEvents",
                {"ForAllValues:StringEquals": {"events:source": "shop"}},
                publish(),
                publish(Source="other"),
            ),
            (
                "events:PutEvents",
                {"StringEquals": {"events:detail-type": ["Sold"]}},
                publish(),
                publish(DetailType="Bought"),
            ),
            # https://docs.aws.amazon.com/ses/latest/dg/control-user-access.html
            (
                "ses:SendEmail",
                {"StringEquals": {"ses:FromAddress": "a@shop.example"}},
                mail(),
                mail("b@shop.example"),
            ),
            (
                "ses:SendEmail",
                {"ForAllValues:StringLike": {"ses:Recipients": "*@x.example"}},
                mail(),
                mail(Destination={"ToAddresses": ["c@x.example", "d@y.example"]}),
            ),
            # https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/specifying-conditions.html
            (
                "dynamodb:PutItem",
                {"ForAllValues:StringLike": {"dynamodb:LeadingKeys": "A#*"}},
                put(),
                put({"pk": {"S": "B#1"}}),
            ),
            (
                "dynamodb:Query",
                {"ForAllValues:StringEquals": {"dynamodb:LeadingKeys": "A#1"}},
                query(),
                query(
                    ExpressionAttributeNames={"#p": "pk"},
                    ExpressionAttributeValues={":v": {"S": "B"}},
                ),
            ),
            (
                "dynamodb:PutItem",
                {"ForAllValues:StringEquals": {"dynamodb:Attributes": ["pk", "a"]}},
                put({**ITEM, "a": {"S": "1"}}),
                put({**ITEM, "b": {"S": "1"}}),
            ),
            (
                "dynamodb:Query",
                {"StringEquals": {"dynamodb:Select": "COUNT"}},
                query(Select="COUNT", ExpressionAttributeNames={"#p": "pk"}),
                query(),
            ),
            # https://docs.aws.amazon.com/AmazonS3/latest/userguide/amazon-s3-policy-keys.html
            (
                "s3:ListBucket",
                {"StringLike": {"s3:prefix": "a/*"}},
                ("s3", "list_objects_v2", {"Bucket": ref("Files"), "Prefix": "a/b"}),
                ("s3", "list_objects_v2", {"Bucket": ref("Files")}),
            ),
            # https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_condition-keys.html
            (
                ["sqs:SendMessage", "sns:Publish"],
                {"StringEquals": {"aws:RequestedRegion": ref("AWS::Region")}},
                SEND,
                put(),
            ),
            (
                "sqs:SendMessage",
                {"DateLessThan": {"aws:CurrentTime": "2030-01-01T00:00:00Z"}},
                SEND,
                PUBLISH,
            ),
        ],
    )
    def test_a_condition_decides(
        self,
        account: Cloud,
        aws: Deploy,
        action: Any,
        condition: dict[str, Any],
        allowed: Call,
        refused: Call,
    ) -> None:
        """https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_condition-keys.html"""
        caller(account, allow(action, Condition=condition))
        shop = aws()
        assert answer(shop, allowed) is None
        assert "no identity-based policy allows" in answer(shop, refused)[1]


class TestTags:
    """https://docs.aws.amazon.com/IAM/latest/UserGuide/access_tags.html"""

    @pytest.mark.parametrize("team", ["red", "blue"])
    def test_the_tags_of_a_resource_decide(self, account: Cloud, aws: Deploy, team: str) -> None:
        condition = {"StringEquals": {"aws:ResourceTag/Team": "red"}}
        caller(account, allow(["sqs:*", "dynamodb:*"], Condition=condition))
        for name in ("Jobs", "Table"):
            tags = [{"Key": "Team", "Value": team}]
            account.resources[name]["Properties"]["Tags"] = tags
        shop = aws()
        for call in (SEND, put(), query(IndexName="ByKind")):
            assert (answer(shop, call) is None) == (team == "red")

    def test_buckets_do_not_decide_by_their_tags(self, account: Cloud, aws: Deploy) -> None:
        """https://docs.aws.amazon.com/AmazonS3/latest/userguide/buckets-tagging-enable-abac.html"""
        condition = {"StringEquals": {"aws:ResourceTag/Team": "red"}}
        caller(account, allow("s3:*", Condition=condition))
        tags = [{"Key": "Team", "Value": "red"}]
        account.resources["Files"]["Properties"]["Tags"] = tags
        assert answer(aws(), ("s3", "list_objects_v2", {"Bucket": ref("Files")})) is not None

    @pytest.mark.parametrize("team", ["red", "blue"])
    def test_the_tags_of_a_role_decide(self, account: Cloud, aws: Deploy, team: str) -> None:
        condition = {"StringEquals": {"aws:PrincipalTag/Team": "red"}}
        caller(account, allow("sqs:*", Condition=condition))
        tags = [{"Key": "Team", "Value": team}]
        account.resources["CallerRole"]["Properties"]["Tags"] = tags
        assert (answer(aws(), SEND) is None) == (team == "red")

    def test_a_tag_of_the_role_stands_for_a_variable(self, account: Cloud, aws: Deploy) -> None:
        condition = {"StringEquals": {"aws:ResourceTag/Team": "${aws:PrincipalTag/Team}"}}
        caller(account, allow("sqs:*", Condition=condition))
        for name, team in (("CallerRole", "red"), ("Jobs", "red")):
            tags = [{"Key": "Team", "Value": team}]
            account.resources[name]["Properties"]["Tags"] = tags
        assert answer(aws(), SEND) is None

    @pytest.mark.parametrize(
        ("tags", "allowed"),
        [({"Team": "red"}, True), ({"Team": "blue"}, False), ({"Team": "red", "a": "b"}, False)],
    )
    def test_the_tags_in_a_call_decide(
        self, account: Cloud, aws: Deploy, tags: dict[str, str], allowed: bool
    ) -> None:
        condition = {
            "StringEquals": {"aws:RequestTag/Team": "red"},
            "ForAllValues:StringEquals": {"aws:TagKeys": ["Team"]},
        }
        caller(
            account, allow(["sqs:CreateQueue", "sqs:TagQueue", "dynamodb:*"], Condition=condition)
        )
        shop = aws()
        name = {"Fn::Sub": "${Jobs.QueueName}-new"}
        call: Call = ("sqs", "create_queue", {"QueueName": name, "tags": tags})
        assert (answer(shop, call) is None) == allowed
        if allowed and not isinstance(shop, Rehearsal):
            sqs = shop.client("sqs")
            sqs.delete_queue(QueueUrl=f"{shop.physical_id('Shop/Jobs')}-new")
        listed = [{"Key": key, "Value": value} for key, value in tags.items()]
        call = ("dynamodb", "tag_resource", {"ResourceArn": TABLE, "Tags": listed})
        assert (answer(shop, call) is None) == allowed


class TestKeysOutsideTheAssembly:
    """Conditions on networks, clients and organizations."""

    KEYS = ("aws:SourceIp", "aws:SourceVpce", "aws:PrincipalOrgID", "aws:UserAgent")

    def conditional(self, account: Cloud, key: str) -> None:
        operator = "IpAddress" if key == "aws:SourceIp" else "StringEquals"
        value = "203.0.113.0/24" if key == "aws:SourceIp" else "right"
        caller(account, allow("sqs:*", Condition={operator: {key: value}}))

    @pytest.mark.parametrize("key", KEYS)
    def test_they_are_refused_by_name(self, account: Cloud, rehearse: Rehearse, key: str) -> None:
        self.conditional(account, key)
        with pytest.raises(LoadingError, match=f"CallerRole.*has the key {key}.*values"):
            rehearse()

    @pytest.mark.parametrize("key", KEYS)
    @pytest.mark.parametrize("given", ["right", "wrong", "none"])
    def test_a_given_value_decides(
        self, account: Cloud, rehearse: Rehearse, key: str, given: str
    ) -> None:
        self.conditional(account, key)
        addresses = {"right": "203.0.113.9", "wrong": "198.51.100.1"}
        value = "" if given == "none" else addresses[given] if key == "aws:SourceIp" else given
        shop = rehearse(values={key: value})
        assert (answer(shop, SEND) is None) == (given == "right")

    def test_stand_ins_leave_them_out_and_say_so(self, account: Cloud, rehearse: Rehearse) -> None:
        self.conditional(account, "aws:SourceVpce")
        shop = rehearse(stand_ins=True)
        assert answer(shop, SEND) is not None
        assert "aws:SourceVpce: no request has this condition key" in map(str, shop.stand_ins)

    def test_a_permission_for_an_organization_is_refused(
        self, account: Cloud, rehearse: Rehearse
    ) -> None:
        caller(account)
        account.permission(
            "Admit",
            ref("Caller"),
            "*",
            PrincipalOrgID="o-1234567890",
        )
        with pytest.raises(LoadingError, match=r"Admit.*aws:PrincipalOrgID"):
            rehearse()

    def test_policies_in_text_are_read(self, account: Cloud, rehearse: Rehearse) -> None:
        caller(account)
        statement = {
            **allow("logs:PutLogEvents", Condition={"IpAddress": {"aws:SourceIp": "10.0.0.0/8"}}),
            "Principal": "*",
        }
        account.add(
            "Logs",
            "AWS::Logs::ResourcePolicy",
            PolicyName="logs",
            PolicyDocument=json.dumps({"Statement": [statement]}),
        )
        with pytest.raises(LoadingError, match=r"Logs.*aws:SourceIp"):
            rehearse()


def test_a_call_without_a_required_parameter_fails_for_this_reason(
    account: Cloud, rehearse: Rehearse
) -> None:
    caller(account)
    failed = rehearse().invoke(
        "Shop/Caller", {"service": "dynamodb", "method": "put_item", "parameters": {}}
    )
    assert failed.payload["errorType"] == "ParamValidationError"


class TestResourcePolicies:
    def test_a_queue_may_admit_a_role_by_itself_and_deny_it(
        self, account: Cloud, aws: Deploy
    ) -> None:
        """https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_evaluation-logic_policy-eval-basics-single-account.html
        https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_elements_principal.html
        """
        caller(account)
        shop = aws()
        role = shop.resource("Shop/CallerRole").attributes["Arn"]
        statement = {**allow("sqs:SendMessage", resolved(shop, QUEUE)), "Principal": {"AWS": role}}
        for effect in ("Allow", "Deny"):
            policy = json.dumps({"Statement": [{**statement, "Effect": effect}]})
            url = shop.physical_id("Shop/Jobs")
            shop.client("sqs").set_queue_attributes(QueueUrl=url, Attributes={"Policy": policy})
            propagated(shop)
            result = answer(shop, SEND)
            assert (
                result is None if effect == "Allow" else "explicit deny in a resource" in result[1]
            )

    def test_a_bucket_that_requires_tls_admits_calls_by_tls(
        self, account: Cloud, aws: Deploy
    ) -> None:
        """https://docs.aws.amazon.com/AmazonS3/latest/userguide/security-best-practices.html"""
        insecure = {"Bool": {"aws:SecureTransport": "false"}}
        elsewhere = {"StringNotEquals": {"aws:PrincipalAccount": "210987654321"}}
        caller(account, allow("s3:*"))
        deny = {**allow("s3:*"), "Effect": "Deny", "Principal": "*"}
        document = {"Statement": [{**deny, "Condition": insecure}]}
        account.add(
            "FilesPolicy", "AWS::S3::BucketPolicy", Bucket=ref("Files"), PolicyDocument=document
        )
        shop = aws()
        assert answer(shop, STORE) is None
        document = {"Statement": [{**deny, "Condition": elsewhere}]}
        bucket = shop.physical_id("Shop/Files")
        shop.client("s3").put_bucket_policy(Bucket=bucket, Policy=json.dumps(document))
        propagated(shop)
        assert "explicit deny in a resource-based policy" in answer(shop, STORE)[1]

    def test_a_secret_may_admit_a_role(self, account: Cloud, aws: Deploy) -> None:
        """https://docs.aws.amazon.com/secretsmanager/latest/userguide/auth-and-access_resource-policies.html"""
        caller(account)
        statement = {
            **allow("secretsmanager:GetSecretValue"),
            "Principal": {"AWS": arn("CallerRole")},
        }
        account.add(
            "SecretPolicy",
            "AWS::SecretsManager::ResourcePolicy",
            SecretId=ref("Secret"),
            ResourcePolicy={"Statement": [statement]},
        )
        assert answer(aws(), SECRET) is None

    @pytest.mark.parametrize(
        ("method", "parameters", "denied"),
        [
            ("delete_item", {"TableName": ref("Table"), "Key": ITEM}, True),
            ("delete_item", {"TableName": ref("Table"), "Key": {"pk": {"S": "B"}}}, False),
            ("put_item", {"TableName": ref("Table"), "Item": ITEM}, False),
            (
                "execute_statement",
                {"Statement": {"Fn::Sub": """DELETE FROM "${Table}" WHERE pk = 'A#1'"""}},
                True,
            ),
            (
                "execute_statement",
                {
                    "Statement": {"Fn::Sub": 'DELETE FROM "${Table}" WHERE "pk"=?'},
                    "Parameters": [ITEM["pk"]],
                },
                True,
            ),
            (
                "execute_statement",
                {"Statement": {"Fn::Sub": """DELETE FROM "${Table}" WHERE pk = 'B?'"""}},
                False,
            ),
            (
                "execute_statement",
                {"Statement": {"Fn::Sub": """INSERT INTO "${Table}" VALUE {'pk': 'A#2'}"""}},
                True,
            ),
            (
                "transact_write_items",
                {"TransactItems": [{"Delete": {"TableName": ref("Table"), "Key": ITEM}}]},
                True,
            ),
        ],
    )
    def test_a_table_may_deny_what_a_role_permits(
        self,
        account: Cloud,
        aws: Deploy,
        method: str,
        parameters: dict[str, Any],
        denied: bool,
    ) -> None:
        """https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/access-control-resource-based.html"""
        caller(account, allow("dynamodb:*"))
        actions = ["dynamodb:DeleteItem", "dynamodb:PartiQLDelete", "dynamodb:PartiQLInsert"]
        condition = {"ForAnyValue:StringLike": {"dynamodb:LeadingKeys": "A#*"}}
        deny = {**allow(actions, Condition=condition), "Effect": "Deny", "Principal": "*"}
        document = {"Version": "2012-10-17", "Statement": [deny]}
        account.resources["Table"]["Properties"]["ResourcePolicy"] = {"PolicyDocument": document}
        result = answer(aws(shared=True), ("dynamodb", method, parameters))
        assert bool(result and "explicit deny in a resource-based policy" in result[1]) == denied

    def test_a_table_is_named_without_quotes(self, account: Cloud, rehearse: Rehearse) -> None:
        """https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/access-control-resource-based.html"""
        caller(account, allow("dynamodb:*"))
        deny = {**allow("dynamodb:PartiQLDelete"), "Effect": "Deny", "Principal": "*"}
        document = {"Version": "2012-10-17", "Statement": [deny]}
        properties = account.resources["Table"]["Properties"]
        properties |= {"TableName": "items", "ResourcePolicy": {"PolicyDocument": document}}
        statement = {"Statement": "DELETE FROM items WHERE pk = 'A#1'"}
        _, message = answer(rehearse(), ("dynamodb", "execute_statement", statement))
        assert "explicit deny in a resource-based policy" in message

    @pytest.mark.parametrize("index", [None, "ByKind"])
    def test_a_table_may_admit_a_role_by_itself(
        self, account: Cloud, aws: Deploy, index: str | None
    ) -> None:
        """https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/rbac-auth-iam-id-based-policies-DDB.html"""
        caller(account)
        statement = {**allow("dynamodb:Query"), "Principal": {"AWS": arn("CallerRole")}}
        account.resources["Table"]["Properties"]["ResourcePolicy"] = {
            "PolicyDocument": {"Version": "2012-10-17", "Statement": [statement]}
        }
        shop = aws()
        assert answer(shop, query(**({"IndexName": index} if index else {}))) is None
        table = resolved(shop, TABLE)
        shop.client("dynamodb").delete_resource_policy(ResourceArn=table)
        propagated(shop)
        assert "no identity-based policy allows" in answer(shop, query())[1]

    def test_a_client_of_a_role_may_do_what_the_role_may(
        self, account: Cloud, rehearse: Rehearse
    ) -> None:
        account.role("Operator", allow("dynamodb:PutItem", TABLE))
        shop = rehearse()
        role = shop.resource("Shop/Operator").attributes["Arn"]
        client = shop.client("dynamodb", role=role)
        table = shop.physical_id("Shop/Table")
        client.put_item(TableName=table, Item=ITEM)
        with pytest.raises(client.exceptions.ClientError, match="AccessDenied"):
            client.get_item(TableName=table, Key=ITEM)
        assert shop.client("dynamodb").get_item(TableName=table, Key=ITEM)["Item"] == ITEM

    def test_a_changed_policy_takes_effect(self, account: Cloud, aws: Deploy) -> None:
        """https://docs.aws.amazon.com/IAM/latest/APIReference/API_PutRolePolicy.html"""
        caller(account)
        shop = aws()
        role, iam = shop.physical_id("Shop/CallerRole"), shop.client("iam")
        assert answer(shop, SEND)[0] == "AccessDenied"
        document = json.dumps({"Version": "2012-10-17", "Statement": [allow("sqs:*")]})
        iam.put_role_policy(RoleName=role, PolicyName="More", PolicyDocument=document)
        propagated(shop)
        assert answer(shop, SEND) is None
        iam.delete_role_policy(RoleName=role, PolicyName="More")
        propagated(shop)
        assert answer(shop, SEND)[0] == "AccessDenied"


class TestFunctions:
    def test_lambda_has_to_be_able_to_assume_the_role(self, account: Cloud, aws: Deploy) -> None:
        """https://docs.aws.amazon.com/lambda/latest/dg/lambda-intro-execution-role.html"""
        caller(account)
        trust = {"Effect": "Allow", "Principal": {"Service": "ec2.amazonaws.com"}}
        role = account.resources["CallerRole"]["Properties"]
        role["AssumeRolePolicyDocument"] = {"Statement": [{**trust, "Action": "sts:AssumeRole"}]}
        with pytest.raises(Refused, match="cannot be assumed by Lambda"):
            aws()

    def test_a_traced_function_has_to_be_allowed_to_send_traces(
        self, account: Cloud, aws: Deploy
    ) -> None:
        """https://docs.aws.amazon.com/lambda/latest/dg/services-xray.html"""
        caller(account, LOGS, TracingConfig={"Mode": "Active"})
        with pytest.raises(Refused, match="call PutTraceSegments on XRAY"):
            aws()

    def test_a_function_that_may_not_write_its_log_has_none(
        self, account: Cloud, aws: Deploy
    ) -> None:
        """https://docs.aws.amazon.com/lambda/latest/dg/monitoring-cloudwatchlogs.html"""
        account.role("Silent", allow("sqs:*"))
        account.role("Loud", LOGS)
        for name in ("Silent", "Loud"):
            code = "def handler(event, context): print('hello')"
            account.function(f"{name}Function", code, Role=arn(name))
        shop = aws()
        for name in ("Silent", "Loud"):
            assert shop.invoke(f"Shop/{name}Function", {}).function_error is None
        assert "hello" in shop.logs("Shop/LoudFunction")
        assert shop.logs("Shop/SilentFunction") == ""

    @pytest.mark.parametrize("lacks", ["ReceiveMessage", "DeleteMessage", "GetQueueAttributes"])
    def test_a_mapping_polls_a_queue_with_the_functions_role(
        self, account: Cloud, aws: Deploy, lacks: str
    ) -> None:
        """https://docs.aws.amazon.com/lambda/latest/dg/services-sqs-configure.html"""
        needed = {"ReceiveMessage", "DeleteMessage", "GetQueueAttributes"} - {lacks}
        caller(account, LOGS, allow([f"sqs:{name}" for name in needed], QUEUE))
        account.mapping("Mapping", arn("Jobs"), "Caller")
        with pytest.raises(Refused, match=rf"(?i)Mapping.*{lacks}"):
            aws()

    def test_a_mapping_stops_when_its_role_loses_the_permission(
        self, account: Cloud, rehearse: Rehearse
    ) -> None:
        """https://docs.aws.amazon.com/lambda/latest/dg/services-sqs-configure.html"""
        account.role("CallerRole", LOGS, allow("sqs:*", QUEUE))
        account.function("Caller", "def handler(event, context): pass", Role=arn("CallerRole"))
        account.mapping("Mapping", arn("Jobs"), "Caller")
        shop = rehearse()
        role = shop.physical_id("Shop/CallerRole")
        shop.client("iam").delete_role_policy(RoleName=role, PolicyName="Policy")
        propagated(shop)
        shop.client("sqs").send_message(QueueUrl=shop.physical_id("Shop/Jobs"), MessageBody="m")
        shop.run_until_idle()
        assert shop.meter.of("invocation") == []
        assert {r.detail["outcome"] for r in shop.meter.of("delivery")} == {"denied"}
        assert shop.queue_depths() == {"Shop/Jobs": 1}

    @pytest.mark.parametrize("source", ["Clicks", "Items"])
    def test_a_mapping_reads_a_stream_with_the_functions_role(
        self, account: Cloud, aws: Deploy, source: str
    ) -> None:
        """https://docs.aws.amazon.com/lambda/latest/dg/services-kinesis-create.html"""
        account.table("Items")
        place = arn("Items", "StreamArn") if source == "Items" else arn("Clicks")
        caller(account, LOGS, allow(["*:DescribeStream*", "*:GetShardIterator", "*:List*"], place))
        account.mapping("Mapping", place, "Caller", StartingPosition="TRIM_HORIZON")
        with pytest.raises(Refused, match=r"(?i)Mapping.*GetRecords"):
            aws()

    @pytest.mark.parametrize("permitted", [True, False])
    def test_a_destination_is_reached_with_the_functions_role(
        self, account: Cloud, rehearse: Rehearse, permitted: bool
    ) -> None:
        """https://docs.aws.amazon.com/lambda/latest/dg/invocation-async-retain-records.html"""
        granted = [LOGS, *([allow("sqs:SendMessage", QUEUE)] if permitted else [])]
        account.role("CallerRole", *granted)
        account.function("Caller", "def handler(event, context): 1 / 0", Role=arn("CallerRole"))
        account.add(
            "Config",
            "AWS::Lambda::EventInvokeConfig",
            FunctionName=ref("Caller"),
            Qualifier="$LATEST",
            MaximumRetryAttempts=0,
            DestinationConfig={"OnFailure": {"Destination": arn("Jobs")}},
        )
        shop = rehearse()
        name = shop.physical_id("Shop/Caller")
        shop.client("lambda").invoke(FunctionName=name, InvocationType="Event", Payload="{}")
        shop.run_until_idle()
        assert shop.queue_depths() == {"Shop/Jobs": int(permitted)}
        assert len(shop.meter.of("discarded")) == int(not permitted)


class TestWorkflows:
    def machine(self, account: Cloud, role: str, **properties: Any) -> None:
        task = {
            "Type": "Task",
            "Resource": "arn:aws:states:::lambda:invoke",
            "Parameters": {"FunctionName": "${F}"},
            "Next": "Send",
        }
        send = {
            "Type": "Task",
            "Resource": "arn:aws:states:::sqs:sendMessage",
            "Parameters": {"QueueUrl": "${Q}", "MessageBody": "m"},
            "End": True,
        }
        account.function("Step", "def handler(event, context): pass")
        account.add(
            "Flow",
            "AWS::StepFunctions::StateMachine",
            RoleArn=arn(role),
            DefinitionString=json.dumps(
                {"StartAt": "Call", "States": {"Call": task, "Send": send}}
            ),
            DefinitionSubstitutions={"F": arn("Step"), "Q": ref("Jobs")},
            **properties,
        )

    def run(self, shop: World) -> tuple[str, str]:
        sfn = shop.client("stepfunctions")
        started = sfn.start_execution(stateMachineArn=shop.physical_id("Shop/Flow"))

        def end() -> dict[str, Any] | None:
            found: dict[str, Any] = sfn.describe_execution(executionArn=started["executionArn"])
            return None if found["status"] == "RUNNING" else found

        ended = eventually(shop, end)
        assert ended is not None, "the execution does not end"
        return ended.get("error", ""), ended.get("cause", "")

    def test_a_task_acts_with_the_machines_role(self, account: Cloud, aws: Deploy) -> None:
        """https://docs.aws.amazon.com/step-functions/latest/dg/procedure-create-iam-role.html"""
        account.role("FlowRole", allow("lambda:InvokeFunction", arn("Step")))
        self.machine(account, "FlowRole")
        shop = aws()
        error, cause = self.run(shop)
        assert error.startswith("SQS.")
        assert "because no identity-based policy allows the sqs:sendmessage action" in cause
        send = allow("sqs:SendMessage", resolved(shop, QUEUE))
        granted = {"Version": "2012-10-17", "Statement": [send]}
        shop.client("iam").put_role_policy(
            RoleName=shop.physical_id("Shop/FlowRole"),
            PolicyName="More",
            PolicyDocument=json.dumps(granted),
        )
        propagated(shop)
        assert self.run(shop) == ("", "")

    def test_a_function_that_may_not_be_invoked_fails_the_task(
        self, account: Cloud, aws: Deploy
    ) -> None:
        """https://docs.aws.amazon.com/step-functions/latest/dg/lambda-iam.html"""
        account.role("FlowRole", allow("sqs:SendMessage", QUEUE))
        self.machine(account, "FlowRole")
        error, cause = self.run(aws())
        assert error == "Lambda.AWSLambdaException"
        assert "because no identity-based policy allows the lambda:InvokeFunction action" in cause
        assert "Error Code: AccessDeniedException" in cause

    def test_a_logged_machine_has_to_be_allowed_to_log(self, account: Cloud, aws: Deploy) -> None:
        """https://docs.aws.amazon.com/step-functions/latest/dg/cw-logs.html"""
        account.role("FlowRole", allow("logs:CreateLogDelivery"))
        account.add("Log", "AWS::Logs::LogGroup")
        group = {"CloudWatchLogsLogGroup": {"LogGroupArn": arn("Log")}}
        logging = {"Level": "ALL", "Destinations": [group]}
        self.machine(account, "FlowRole", LoggingConfiguration=logging)
        with pytest.raises(Refused, match="Log Destination"):
            aws()


class TestKeys:
    """https://docs.aws.amazon.com/kms/latest/developerguide/key-policies.html."""

    def key(self, account: Cloud, *statements: dict[str, Any]) -> None:
        root = {"AWS": {"Fn::Sub": "arn:aws:iam::${AWS::AccountId}:root"}}
        document = {"Statement": [allow("kms:*", Principal=root), *statements]}
        account.add("Key", "AWS::KMS::Key", KeyPolicy=document)
        for name, property_ in (("Jobs", "KmsMasterKeyId"), ("News", "KmsMasterKeyId")):
            account.resources[name]["Properties"][property_] = arn("Key")
        account.resources["Secret"]["Properties"]["KmsKeyId"] = arn("Key")
        encryption = {"EncryptionType": "KMS", "KeyId": arn("Key")}
        account.resources["Clicks"]["Properties"]["StreamEncryption"] = encryption
        account.resources["Table"]["Properties"]["SSESpecification"] = {
            "SSEEnabled": True,
            "SSEType": "KMS",
            "KMSMasterKeyId": arn("Key"),
        }
        default = {"SSEAlgorithm": "aws:kms", "KMSMasterKeyID": arn("Key")}
        rules = [{"ServerSideEncryptionByDefault": default}]
        account.resources["Files"]["Properties"]["BucketEncryption"] = {
            "ServerSideEncryptionConfiguration": rules
        }

    @pytest.mark.parametrize(
        ("call", "code", "needed"),
        [
            # https://docs.aws.amazon.com/AWSSimpleQueueService/latest/SQSDeveloperGuide/sqs-key-management.html
            (SEND, "KMS.AccessDeniedException", ["kms:GenerateDataKey", "kms:Decrypt"]),
            # https://docs.aws.amazon.com/sns/latest/dg/sns-key-management.html
            (PUBLISH, "KMSAccessDenied", ["kms:GenerateDataKey", "kms:Decrypt"]),
            # https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/encryption.howitworks.html
            (put(), "AccessDeniedException", ["kms:Decrypt"]),
            # https://docs.aws.amazon.com/streams/latest/dev/permissions-user-key-KMS.html
            (
                (
                    "kinesis",
                    "put_record",
                    {"StreamName": ref("Clicks"), "Data": "d", "PartitionKey": "p"},
                ),
                "KMSAccessDeniedException",
                ["kms:GenerateDataKey"],
            ),
            # https://docs.aws.amazon.com/AmazonS3/latest/userguide/UsingKMSEncryption.html
            (STORE, "AccessDenied", ["kms:GenerateDataKey"]),
            # https://docs.aws.amazon.com/secretsmanager/latest/userguide/security-encryption.html
            (SECRET, "AccessDeniedException", ["kms:Decrypt"]),
        ],
    )
    def test_a_caller_needs_the_key_of_what_it_uses(
        self, account: Cloud, aws: Deploy, call: Call, code: str, needed: list[str]
    ) -> None:
        """https://docs.aws.amazon.com/kms/latest/developerguide/key-policies.html
        https://docs.aws.amazon.com/kms/latest/developerguide/conditions-kms.html
        """
        self.key(account)
        data = {**allow("*"), "Action": None, "NotAction": "kms:*"}
        del data["Action"]
        caller(account, data)
        shop = aws()
        service = {"sesv2": "ses"}.get(call[0], call[0])
        via = {"StringEquals": {"kms:ViaService": f"{service}.{shop.region}.amazonaws.com"}}
        iam, role = shop.client("iam"), shop.physical_id("Shop/CallerRole")
        for count in range(len(needed)):
            refused, message = answer(shop, call)
            assert (refused, needed[count] in message) == (code, True)
            granted = allow(needed[: count + 1], Condition=via)
            document = {"Version": "2012-10-17", "Statement": [granted]}
            iam.put_role_policy(
                RoleName=role, PolicyName="Key", PolicyDocument=json.dumps(document)
            )
            propagated(shop)
        assert answer(shop, call) is None

    @pytest.mark.parametrize("admitted", [True, False])
    def test_a_rule_needs_the_key_of_an_encrypted_queue(
        self, account: Cloud, rehearse: Rehearse, admitted: bool
    ) -> None:
        """https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-troubleshooting.html#eb-sqs-encrypted"""
        service = {"Service": "events.amazonaws.com"}
        use = allow(["kms:GenerateDataKey*", "kms:Decrypt"], Principal=service)
        owner = {"StringEquals": {"aws:SourceAccount": ref("AWS::AccountId")}}
        self.key(account, *([{**use, "Condition": owner}] if admitted else []))
        admit = {**allow("sqs:SendMessage", QUEUE), "Principal": service}
        account.add(
            "JobsPolicy",
            "AWS::SQS::QueuePolicy",
            Queues=[ref("Jobs")],
            PolicyDocument={"Statement": [admit]},
        )
        account.queue("Dead")
        dead = {"DeadLetterConfig": {"Arn": arn("Dead")}}
        account.rule("Rule", {"source": ["shop"]}, {"Arn": arn("Jobs"), **dead})
        shop = rehearse()
        shop.client("events").put_events(Entries=[resolved(shop, ENTRY)])
        shop.run_until_idle()
        assert shop.queue_depths() == {"Shop/Jobs": int(admitted), "Shop/Dead": int(not admitted)}
        for message in shop.messages("Shop/Dead"):
            assert message["attributes"]["ERROR_CODE"] == "NO_PERMISSIONS"
            assert "kms:GenerateDataKey" in message["attributes"]["ERROR_MESSAGE"]

    @pytest.mark.parametrize("admitted", [True, False])
    def test_a_topic_needs_the_key_of_an_encrypted_queue(
        self, account: Cloud, rehearse: Rehearse, admitted: bool
    ) -> None:
        """https://docs.aws.amazon.com/sns/latest/dg/sns-key-management.html"""
        service = {"Service": "sns.amazonaws.com"}
        use = allow(["kms:GenerateDataKey*", "kms:Decrypt"], Principal=service)
        self.key(account, *([use] if admitted else []))
        admit = {**allow("sqs:SendMessage", QUEUE), "Principal": service}
        account.add(
            "JobsPolicy",
            "AWS::SQS::QueuePolicy",
            Queues=[ref("Jobs")],
            PolicyDocument={"Statement": [admit]},
        )
        account.add(
            "Subscription",
            "AWS::SNS::Subscription",
            TopicArn=ref("News"),
            Protocol="sqs",
            Endpoint=arn("Jobs"),
        )
        shop = rehearse()
        shop.client("sns").publish(TopicArn=shop.physical_id("Shop/News"), Message="m")
        shop.run_until_idle()
        assert shop.queue_depths() == {"Shop/Jobs": int(admitted)}

    def test_no_service_may_use_the_key_that_aws_manages(
        self, account: Cloud, rehearse: Rehearse
    ) -> None:
        """https://docs.aws.amazon.com/AWSSimpleQueueService/latest/SQSDeveloperGuide/sqs-key-management.html"""
        caller(account, allow("sqs:SendMessage", QUEUE))
        account.queue("Queue", KmsMasterKeyId="alias/aws/sqs")
        account.resources["Jobs"]["Properties"]["KmsMasterKeyId"] = "alias/aws/sqs"
        account.rule("Rule", {"source": ["shop"]}, {"Arn": arn("Queue")})
        shop = rehearse()
        shop.client("events").put_events(Entries=[resolved(shop, ENTRY)])
        shop.run_until_idle()
        assert shop.queue_depths()["Shop/Queue"] == 0
        assert answer(shop, SEND) is None

    def test_a_mapping_needs_the_key_of_an_encrypted_queue(
        self, account: Cloud, aws: Deploy
    ) -> None:
        """https://docs.aws.amazon.com/lambda/latest/dg/services-sqs-configure.html"""
        self.key(account)
        caller(account, LOGS, allow("sqs:*", QUEUE))
        account.mapping("Mapping", arn("Jobs"), "Caller")
        with pytest.raises(Refused, match=r"Mapping.*(KMS|kms)"):
            aws()

    def test_a_grant_permits_its_operations(self, account: Cloud, aws: Deploy) -> None:
        """https://docs.aws.amazon.com/kms/latest/developerguide/grants.html"""
        self.key(account)
        caller(account, allow("secretsmanager:*"))
        shop = aws()
        assert "kms:Decrypt" in answer(shop, SECRET)[1]
        shop.client("kms").create_grant(
            KeyId=shop.physical_id("Shop/Key"),
            GranteePrincipal=shop.resource("Shop/CallerRole").attributes["Arn"],
            Operations=["Decrypt"],
        )
        propagated(shop)
        assert answer(shop, SECRET) is None

    def test_an_alias_stands_for_its_key(self, account: Cloud, aws: Deploy) -> None:
        """https://docs.aws.amazon.com/kms/latest/developerguide/kms-alias.html"""
        self.key(account)
        account.add("Alias", "AWS::KMS::Alias", AliasName="alias/shop", TargetKeyId=ref("Key"))
        account.resources["Jobs"]["Properties"]["KmsMasterKeyId"] = ref("Alias")
        caller(account, allow("sqs:*"))
        assert answer(aws(), SEND)[0] == "KMS.AccessDeniedException"
