"""Access: every call and delivery is authorized as AWS does it, and recorded."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Any

from botocore.model import ServiceModel
from moto.dynamodb.models import dynamodb_backends
from moto.s3.models import s3_backends
from moto.secretsmanager.models import secretsmanager_backends
from moto.ses.models import ses_backends

from cdk_rehearsal.authorization import stored_policies
from cdk_rehearsal.authorization.api_actions import Parameters, depends_on_tags, requests_of
from cdk_rehearsal.policies import (
    NO_POLICIES,
    Context,
    Decision,
    Policies,
    Principal,
    Request,
    decide,
    value_of,
)
from cdk_rehearsal.sandbox.patching import Patches

_MOST_MADE = 1_000
"""Decisions that are kept for an action on a resource; some keys have a value for each item."""

_IDENTITY = "identity-based policy"
_RESOURCE = "resource-based policy"
_BOUNDARY = "permissions boundary"

_KEY_ACTIONS: Mapping[str, Sequence[str]] = {
    # https://docs.aws.amazon.com/AWSSimpleQueueService/latest/SQSDeveloperGuide/sqs-key-management.html
    "sqs:SendMessage": ("kms:GenerateDataKey", "kms:Decrypt"),
    "sqs:ReceiveMessage": ("kms:Decrypt",),
    # https://docs.aws.amazon.com/sns/latest/dg/sns-key-management.html
    "sns:Publish": ("kms:GenerateDataKey", "kms:Decrypt"),
    # https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/encryption.howitworks.html
    **dict.fromkeys(
        (
            *("dynamodb:GetItem", "dynamodb:BatchGetItem", "dynamodb:Query", "dynamodb:Scan"),
            *("dynamodb:PutItem", "dynamodb:UpdateItem", "dynamodb:DeleteItem"),
            *("dynamodb:ConditionCheckItem", "dynamodb:BatchWriteItem", "dynamodb:GetRecords"),
            *(f"dynamodb:PartiQL{verb}" for verb in ("Select", "Insert", "Update", "Delete")),
        ),
        ("kms:Decrypt",),
    ),
    # https://docs.aws.amazon.com/streams/latest/dev/permissions-user-key-KMS.html
    "kinesis:PutRecord": ("kms:GenerateDataKey",),
    "kinesis:PutRecords": ("kms:GenerateDataKey",),
    "kinesis:GetRecords": ("kms:Decrypt",),
    # https://docs.aws.amazon.com/AmazonS3/latest/userguide/UsingKMSEncryption.html
    "s3:PutObject": ("kms:GenerateDataKey",),
    "s3:GetObject": ("kms:Decrypt",),
    "s3:GetObjectVersion": ("kms:Decrypt",),
    # https://docs.aws.amazon.com/secretsmanager/latest/userguide/security-encryption.html
    "secretsmanager:GetSecretValue": ("kms:Decrypt",),
    "secretsmanager:PutSecretValue": ("kms:GenerateDataKey", "kms:Decrypt"),
}
"""What an action on an encrypted resource requires of its key."""

_ENCRYPTION_CONTEXTS: Mapping[str, str] = {
    "dynamodb": "aws:dynamodb:tableName",
    "kinesis": "aws:kinesis:arn",
    "s3": "aws:s3:arn",
    "secretsmanager": "SecretARN",
    "sns": "aws:sns:topicArn",
    "sqs": "aws:sqs:arn",
}
"""The name in the encryption context with which a service uses a key.
https://docs.aws.amazon.com/kms/latest/developerguide/encrypt_context.html"""


class Denied(Exception):
    """AWS would refuse a request; the text is AWS's message."""

    def __init__(self, principal: Principal, action: str, resource: str, refusal: str) -> None:
        # SQS and SNS write their actions differently.
        service, _, name = action.partition(":")
        shown = {"sqs": action.lower(), "sns": f"SNS:{name}"}.get(service, action)
        place = f'"{resource}"' if service == "s3" else resource
        super().__init__(
            f"User: {principal} is not authorized to perform: {shown} on resource: {place} "
            + refusal.replace("{action}", shown)
        )
        self.of_key = service == "kms"


@dataclass(frozen=True)
class Recorded:
    """A request that was decided, with the policies that decided it."""

    principal: Principal
    request: Request
    decision: Decision
    plan: "Plan"

    def decided(self, request: Request, identity: Policies | None) -> Decision:
        """Decides about a request like this one, with other policies of the role."""
        plan = replace(self.plan, identity=identity)
        return plan.decide(self.principal, request)

    def decided_with(self, resource: Policies) -> Decision:
        """Decides about the same request, with other policies of the resource."""
        return replace(self.plan, resource=resource).decide(self.principal, self.request)


@dataclass(frozen=True)
class Plan:
    """How to decide about an action of a principal on a resource."""

    identity: Policies | None
    resource: Policies
    boundary: Policies | None
    with_key_policy: bool
    common: Context
    varying: Sequence[str]
    """The keys with which the same action on the same resource may be decided in other ways."""
    encrypted: str
    """What has to be decrypted for the action, as `Access.keys` names it; empty if nothing."""
    made: dict[tuple[Any, ...], Decision] = field(default_factory=dict)
    """Decisions by the values of these keys."""

    def values(self, own: Context) -> tuple[Any, ...]:
        """Returns the values of these keys."""
        found = (value_of(own if name in own else self.common, name) for name in self.varying)
        return tuple(each if isinstance(each, str) else tuple(each) for each in found)

    def decide(self, principal: Principal, request: Request) -> Decision:
        """Decides about a request."""
        return decide(
            principal,
            request,
            identity=self.identity,
            resource=self.resource,
            boundary=self.boundary,
            key_policy=self.with_key_policy,
        )


class Access:
    """Decides about all requests within the account, and records each kind of request."""

    def __init__(self, account: str, region: str, now: Callable[[], float]) -> None:
        """``now`` returns the virtual time."""
        self.account = account
        self.region = region
        self.keys: dict[str, str] = {}
        """The ARNs of customer-managed keys, or aliases of AWS's, by what they encrypt."""
        self.function_policies: dict[str, Mapping[str, Any]] = {}
        """The policies of functions by their ARN."""
        self.own_policies: dict[str, Sequence[Mapping[str, Any]]] = {}
        """The policies of resources that moto lacks, by their ARN."""
        self.buses: dict[str, str] = {}
        """The Custom Event Buses of subscribers, by ARN."""
        self.recorded: dict[tuple[Any, ...], Recorded] = {}
        """All requests that policies tell apart, each once."""
        self.machine_of_task: Callable[[str], str] = lambda token: "*"
        """Returns the ARN of the state machine that has issued a task token."""
        self._now = now
        self.arns: dict[tuple[Any, ...], str] = {}
        """The ARNs that parameters of calls have been found to name."""
        self.tags: dict[str, Mapping[str, str]] = {}
        """The tags of resources, as their templates state them, by ARN."""
        self.stated: dict[str, str] = {}
        """Values of keys that depend on the network or the organization, as they were given."""
        self._plans: dict[tuple[Any, ...], Plan] = {}
        self.anonymous = Principal("")
        """The sender of a request that nobody has signed."""
        self._services: dict[str, Principal] = {}
        self._sessions: dict[tuple[str, str], Principal] = {}
        self._roles: dict[str, tuple[Policies, Policies | None]] = {}

    def install(self, patches: Patches) -> None:
        """Notices when policies change."""
        stored_policies.install(patches, self.forget)

    def forget(self) -> None:
        """Reads all policies anew."""
        self._plans.clear()
        self._roles.clear()

    def encrypt(self, resource: str, key: str | None) -> None:
        """Notes that a resource is encrypted with a key, named by its ARN, id or alias, if any."""
        if key:
            self.keys[resource] = stored_policies.key_arn(self.account, self.region, key)
            self._plans.clear()

    # -- principals -----------------------------------------------------------------------

    def session(self, role: str, name: str) -> Principal:
        """Returns a session of a role, given the role's ARN.

        https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_identifiers.html#identifiers-arns
        """
        if (role, name) not in self._sessions:
            arn = f"arn:aws:sts::{self.account}:assumed-role/{role.rpartition('/')[2]}/{name}"
            self._sessions[role, name] = Principal(self.account, role=role, session=arn)
        return self._sessions[role, name]

    def service(self, name: str) -> Principal:
        """Returns the principal of a service, such as ``events.amazonaws.com``."""
        if name not in self._services:
            self._services[name] = Principal(self.account, service=name)
        return self._services[name]

    def is_assumable(self, role: str, *, service: str, source_arn: str = "") -> bool:
        """Whether a service can assume a role on behalf of ``source_arn``."""
        principal = self.service(service)
        plan = self._planned(principal, "sts:AssumeRole", role, source_arn)
        return self._decided(plan, principal, "sts:AssumeRole", role).allowed

    # -- authorizing ----------------------------------------------------------------------

    def authorize_call(
        self, principal: Principal, service: ServiceModel, operation: str, parameters: Parameters
    ) -> None:
        """Raises Denied unless all that a call needs is allowed.

        A call without a required parameter is sent to no service, and fails for this reason.
        """
        shape = service.operation_model(operation).input_shape
        if shape is not None and not all(name in parameters for name in shape.required_members):
            return
        for request in requests_of(self, service.signing_name, operation, parameters):
            self.authorize(principal, request.action, request.resource, own=request.context)

    def authorize(
        self,
        principal: Principal,
        action: str,
        resource: str,
        *,
        source_arn: str = "",
        own: Callable[[], Context] = dict,
    ) -> None:
        """Raises Denied unless a principal may do an action on a resource, and use its key.

        ``source_arn`` is on whose behalf a service acts. ``own`` returns the keys that the service
        sets for this action.
        """
        if action.startswith("states:"):
            resource, own = _without_qualifier(resource, own)
        plan = self._planned(principal, action, resource, source_arn)
        decision = self._decided(plan, principal, action, resource, own)
        if not decision.allowed:
            raise Denied(principal, action, resource, decision.refusal)
        if plan.encrypted:
            self._authorize_key(principal, action, plan.encrypted, source_arn)

    def allows(
        self, principal: Principal, action: str, resource: str, *, source_arn: str = ""
    ) -> bool:
        """Whether ``authorize`` raises nothing."""
        try:
            self.authorize(principal, action, resource, source_arn=source_arn)
        except Denied:
            return False
        return True

    def service_may(self, service: str, action: str, resource: str, source_arn: str) -> bool:
        """Whether a resource lets a service act on behalf of ``source_arn``."""
        return self.allows(self.service(service), action, resource, source_arn=source_arn)

    def role_may(
        self, role: str, service: str, action: str, resource: str, source_arn: str = ""
    ) -> bool:
        """Whether a service can assume a role, and then do an action."""
        session = self.session(role, service.partition(".")[0])
        assumable = self.is_assumable(role, service=service, source_arn=source_arn)
        return assumable and self.allows(session, action, resource)

    def _authorize_key(
        self, principal: Principal, action: str, stored: str, source_arn: str
    ) -> None:
        key = self.keys[stored]
        for needed in _KEY_ACTIONS[action]:
            if key.startswith("alias/"):
                # The policies of AWS's keys admit all of the account, but no service.
                # https://docs.aws.amazon.com/AWSSimpleQueueService/latest/SQSDeveloperGuide/sqs-key-management.html
                if principal.service:
                    refusal = f"because no {_RESOURCE} allows the {needed} action"
                    raise Denied(principal, needed, key, refusal)
                continue
            plan = self._planned(principal, needed, key, source_arn, stored)
            decision = self._decided(plan, principal, needed, key)
            if not decision.allowed and not self._granted(principal, needed, key):
                raise Denied(principal, needed, key, decision.refusal)

    def _key_context(self, service: str, stored: str) -> Context:
        """Returns the keys that KMS sets when a service uses a key for a resource.

        https://docs.aws.amazon.com/kms/latest/developerguide/conditions-kms.html
        """
        name = _ENCRYPTION_CONTEXTS[service]
        value = stored.rpartition("/")[2] if service == "dynamodb" else stored
        return {
            "kms:calleraccount": self.account,
            "kms:viaservice": f"{service}.{self.region}.amazonaws.com",
            f"kms:encryptioncontext:{name.lower()}": value,
            "kms:encryptioncontextkeys": [name],
            "aws:viaawsservice": "true",
            "aws:calledvia": [f"{service}.amazonaws.com"],
        }

    def _granted(self, principal: Principal, action: str, key: str) -> bool:
        """Whether a grant of the key permits an action.

        https://docs.aws.amazon.com/kms/latest/developerguide/grants.html
        """
        names = {principal.role, principal.session, principal.service} - {""}
        return any(
            grant.grantee_principal in names and action.removeprefix("kms:") in grant.operations
            for grant in stored_policies.grants_of_key(self.account, self.region, key)
        )

    # -- deciding -------------------------------------------------------------------------

    def _planned(
        self, principal: Principal, action: str, resource: str, source_arn: str, stored: str = ""
    ) -> Plan:
        """Returns the plan of an action. ``stored`` is what a service uses a key for."""
        key = (principal, action, resource, source_arn, stored)
        plan = self._plans.get(key)
        if plan is None:
            plan = self._plans[key] = self._plan(principal, action, resource, source_arn, stored)
        return plan

    def _decided(
        self,
        plan: Plan,
        principal: Principal,
        action: str,
        resource: str,
        own: Callable[[], Context] = dict,
    ) -> Decision:
        context = own() if plan.varying or not plan.made else {}
        values = plan.values(context) if plan.varying else ()
        decision = plan.made.get(values)
        if decision is None:
            request = Request(action, resource, {**plan.common, **context})
            decision = plan.decide(principal, request)
            self._record(principal, request, decision, plan)
            if len(plan.made) == _MOST_MADE:
                plan.made.clear()
            plan.made[values] = decision
        return decision

    def _plan(
        self, principal: Principal, action: str, resource: str, source_arn: str, stored: str
    ) -> Plan:
        identity = boundary = None
        if principal.role:
            if principal.role not in self._roles:
                self._roles[principal.role] = self._read_role(principal.role)
            identity, boundary = self._roles[principal.role]
            identity = identity.about(action, resource)
            boundary = boundary and boundary.about(action, resource)
        documents = self._documents(resource) if resource.startswith("arn:") else []
        stated = NO_POLICIES
        if documents:
            stated = Policies.read(_RESOURCE, documents).about(action, resource)
            stated = stated.naming(principal)
        common: dict[str, Any] = {**self.stated, **self._common(principal, source_arn)}
        if depends_on_tags(action):
            common |= self._tags(self.tags.get(resource.partition("/index/")[0], {}), "resource")
        if stored:
            common |= self._key_context(resource_service(stored), stored)
        constant = {*common}
        common["aws:currenttime"] = lambda: datetime.fromtimestamp(self._now(), UTC).isoformat()
        common["aws:epochtime"] = lambda: str(int(self._now()))
        policies = (identity, stated, boundary)
        keys = {key for each in policies if each is not None for key in each.depends_on}
        return Plan(
            identity,
            stated,
            boundary,
            # https://docs.aws.amazon.com/kms/latest/developerguide/key-policies.html
            with_key_policy=action.startswith("kms:") or action == "sts:AssumeRole",
            common=common,
            varying=sorted(_varying(keys) - constant),
            encrypted=self._encrypted(action, resource),
        )

    def _encrypted(self, action: str, resource: str) -> str:
        """Returns what has to be decrypted for an action, such as the table of an index."""
        if action not in _KEY_ACTIONS:
            return ""
        if resource.startswith("arn:aws:s3:"):
            stored = resource.partition("/")[0]
        else:
            stored = resource.partition("/index/")[0].partition("/stream/")[0]
        return stored if stored in self.keys else ""

    def _read_role(self, arn: str) -> tuple[Policies, Policies | None]:
        documents = stored_policies.of_role(self.account, arn)
        boundary = stored_policies.boundary_of_role(self.account, arn)
        limits = Policies.read(_BOUNDARY, [boundary]) if boundary else None
        return Policies.read(_IDENTITY, documents), limits

    def _documents(self, arn: str) -> Sequence[Mapping[str, Any]]:
        if arn.split(":")[2] == "lambda":
            policy = self.function_policies.get(arn)
            return [policy] if policy else []
        if arn in self.own_policies:
            return self.own_policies[arn]
        return stored_policies.of_resource(self.account, self.region, arn)

    def _common(self, principal: Principal, source_arn: str) -> dict[str, str]:
        """Returns the global keys.

        https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_condition-keys.html
        """
        context = {
            "aws:securetransport": "true",
            "aws:requestedregion": self.region,
            "aws:resourceaccount": self.account,
            "aws:viaawsservice": "false",
            "aws:principalisawsservice": str(bool(principal.service)).lower(),
        }
        if principal.service:
            context["aws:principalservicename"] = principal.service
            context["aws:sourceaccount"] = self.account
            if source_arn:
                context["aws:sourcearn"] = source_arn
            return context
        if principal is self.anonymous:
            return {**context, "aws:principaltype": "Anonymous"}
        model = stored_policies.role(self.account, principal.role)
        tags = {tag["Key"]: tag["Value"] for tag in model.tags} if model else {}
        session = principal.session.rpartition("/")[2]
        return {
            **context,
            "aws:principalaccount": self.account,
            "aws:principalarn": principal.role,
            "aws:principaltype": "AssumedRole",
            "aws:userid": f"{getattr(model, 'id', '')}:{session}",
            **self._tags(tags, "principal"),
        }

    @staticmethod
    def _tags(tags: Mapping[str, str], whose: str) -> dict[str, str]:
        return {f"aws:{whose}tag/{name.lower()}": value for name, value in tags.items()}

    def _record(
        self, principal: Principal, request: Request, decision: Decision, plan: Plan
    ) -> None:
        matched = [
            value
            for policies in (plan.identity, plan.resource, plan.boundary)
            for statement in (policies.statements if policies else ())
            for value in statement.matched_values(request.context)
        ]
        who = principal.role or principal.service
        key = (who, request.action, request.resource, decision.refusal, *matched)
        if key not in self.recorded:
            context = {name: value_of(request.context, name) for name in request.context}
            known = Request(request.action, request.resource, context)
            self.recorded[key] = Recorded(principal, known, decision, plan)

    # -- what condition keys and ARNs depend on -------------------------------------------

    def keys_of_table(self, table: str, index: str | None) -> Sequence[str]:
        """Returns the attributes of a table's or an index's key, the partition key first."""
        model = dynamodb_backends[self.account][self.region].tables.get(table)
        if model is None:
            return ("",)
        if index is None:
            return [model.hash_key_attr]
        schema = model.get_index(index).schema
        return [each["AttributeName"] for each in schema if each["KeyType"] == "HASH"]

    def secret_arn(self, name: str) -> str:
        """Returns the ARN of a secret, given its name or ARN."""
        secret = secretsmanager_backends[self.account][self.region].secrets.get(name)
        arn = name if name.startswith("arn:") else ""
        return str(secret.arn) if secret else arn or f"{self._arn('secretsmanager')}:secret:{name}"

    def has_object(self, bucket: str, key: str, version: str | None) -> bool:
        """Returns whether a bucket has an object, or a version of it."""
        model = s3_backends[self.account]["aws"].buckets.get(bucket)
        versions = model.keys.getlist(key, []) if model else []
        return any(version in (None, each.version_id) for each in versions)

    def bus_of(self, arn: str) -> str:
        """Returns the ARN of the Custom Event Bus of a subscriber."""
        return self.buses.get(arn, "*")

    def identity_of(self, sender: str) -> str:
        """Returns the verified identity with which an address sends: itself or its domain.

        https://docs.aws.amazon.com/ses/latest/dg/creating-identities.html
        """
        known = ses_backends[self.account][self.region].email_identities
        return sender if sender in known else sender.rpartition("@")[2]

    def _arn(self, service: str) -> str:
        return f"arn:aws:{service}:{self.region}:{self.account}"


def _without_qualifier(arn: str, own: Callable[[], Context]) -> tuple[str, Callable[[], Context]]:
    """Returns the ARN of a state machine, with the version or alias as a key of the request.

    https://docs.aws.amazon.com/step-functions/latest/dg/auth-version-alias.html
    """
    before, found, name = arn.partition(":stateMachine:")
    name, _, qualifier = name.partition(":")
    if not qualifier:
        return arn, own
    return before + found + name, lambda: {**own(), "states:statemachinequalifier": qualifier}


def resource_service(arn: str) -> str:
    """Returns the service in an ARN."""
    return arn.split(":", 3)[2]


def _varying(keys: set[str]) -> set[str]:
    """Returns the keys whose values may differ between two requests of a principal.

    Global keys are either constant or never there, except the time and the tags.
    """
    of_request = ("aws:currenttime", "aws:epochtime", "aws:requesttag", "aws:tagkeys")
    return {key for key in keys if not key.startswith("aws:") or key.startswith(of_request)}
