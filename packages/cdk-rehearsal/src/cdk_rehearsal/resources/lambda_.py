"""AWS::Lambda: functions, layers, permissions, URLs and event source mappings."""

import os
from collections.abc import Callable
from functools import partial
from hashlib import sha256
from pathlib import Path
from typing import Any

from moto.awslambda.models import lambda_backends

from cdk_rehearsal.deployment import Deployment
from cdk_rehearsal.filters import FilterCriteria
from cdk_rehearsal.limits import LIMITS
from cdk_rehearsal.properties import Properties
from cdk_rehearsal.resources.codedeploy import alias_shift
from cdk_rehearsal.resources.registry import Release, Resource, creates, deletes, updates
from cdk_rehearsal.sandbox.execution_environment import FunctionLog
from cdk_rehearsal.services.functions import AsyncConfig, Function
from cdk_rehearsal.services.polling import lacking, refused_traces
from cdk_rehearsal.services.queue_mapping import QueueMapping, QueueOptions
from cdk_rehearsal.services.stream_mapping import MappingOptions, StreamMapping
from cdk_rehearsal.shifting import Shift
from cdk_rehearsal.stand_ins import Stub
from cdk_rehearsal.topology.permissions import permission_condition

# The runtime sets these itself:
# https://docs.aws.amazon.com/lambda/latest/dg/configuration-envvars.html
_RESERVED = frozenset(
    {
        "_HANDLER",
        "_X_AMZN_TRACE_ID",
        "AWS_ACCESS_KEY_ID",
        "AWS_DEFAULT_REGION",
        "AWS_EXECUTION_ENV",
        "AWS_LAMBDA_FUNCTION_MEMORY_SIZE",
        "AWS_LAMBDA_FUNCTION_NAME",
        "AWS_LAMBDA_FUNCTION_VERSION",
        "AWS_LAMBDA_INITIALIZATION_TYPE",
        "AWS_LAMBDA_LOG_GROUP_NAME",
        "AWS_LAMBDA_LOG_STREAM_NAME",
        "AWS_LAMBDA_RUNTIME_API",
        "AWS_REGION",
        "AWS_SECRET_ACCESS_KEY",
        "AWS_SESSION_TOKEN",
        "LAMBDA_RUNTIME_DIR",
        "LAMBDA_TASK_ROOT",
    }
)


@creates("AWS::Lambda::Function")
def create_function(deployment: Deployment, resource: Resource, properties: Properties) -> None:
    """Creates a function: in Python, from an asset or from code in the template, or a stub.

    A network (VpcConfig) has no effect. https://docs.aws.amazon.com/AWSCloudFormation/latest/TemplateReference/aws-resource-lambda-function.html
    """
    function, runtime = _described(deployment, resource, properties)
    client = deployment.client("lambda")
    layers = properties.take("Layers", [])
    client.create_function(
        FunctionName=function.name,
        Runtime=runtime,
        Role=function.role,
        Handler=function.handler or "stub",
        Code={"ZipFile": b"the code is run from the cloud assembly"},
        Timeout=function.timeout_s,
        MemorySize=function.memory_mb,
        Environment={"Variables": _stated_variables(properties)},
        # moto knows the layers of this account only.
        Layers=[arn for arn in layers if f":{deployment.core.account}:" in arn],
    )
    if function.reserved_concurrency is not None:
        client.put_function_concurrency(
            FunctionName=function.name, ReservedConcurrentExecutions=function.reserved_concurrency
        )
    deployment.lambdas.add(function)
    deployment.checks.append((resource, _role_check(deployment, function, properties)))
    resource.physical_id = function.name
    resource.attributes = {"Arn": function.arn}


@updates("AWS::Lambda::Function", except_for=("FunctionName", "PackageType"))
def update_function(
    deployment: Deployment, resource: Resource, properties: Properties, release: Release
) -> None:
    """Updates code and configuration of a function. Its log goes on.

    https://docs.aws.amazon.com/lambda/latest/api/API_UpdateFunctionCode.html
    """
    function = deployment.lambdas.function(resource.attributes["Arn"])
    new, _ = _described(deployment, resource, properties, log=function.log)
    new.release = release.name
    deployment.lambdas.update(function, new, release.mixing)
    model = lambda_backends[deployment.core.account][deployment.core.region].get_function(
        function.name
    )
    model.environment_vars = _stated_variables(properties)
    model.timeout, model.memory_size, model.role = new.timeout_s, new.memory_mb, new.role
    model.code_or_config_updated = True  # So that moto publishes another version.
    deployment.checks.append((resource, _role_check(deployment, function, properties)))


@deletes("AWS::Lambda::Function")
def delete_function(deployment: Deployment, resource: Resource) -> None:
    """Deletes a function.

    https://docs.aws.amazon.com/lambda/latest/api/API_DeleteFunction.html
    """
    deployment.lambdas.remove(deployment.lambdas.function(resource.attributes["Arn"]))
    deployment.client("lambda").delete_function(FunctionName=resource.physical_id)


def _described(
    deployment: Deployment,
    resource: Resource,
    properties: Properties,
    *,
    log: FunctionLog | None = None,
) -> tuple[Function, str]:
    """Returns a function as its template describes it, and its runtime. A new one has no `log`."""
    properties.ignore(
        "Architectures",
        "Description",
        "EphemeralStorage",
        "KmsKeyArn",
        "RecursiveLoop",
        "RuntimeManagementConfig",
        "SnapStart",
        "Tags",
        "VpcConfig",
    )
    code = properties.section("Code")
    logging = properties.section("LoggingConfig")
    logging.ignore("ApplicationLogLevel")
    variables = _stated_variables(properties)
    name = properties.take("FunctionName") or resource.generated_name(64)
    runtime, stub = _runtime(deployment, resource, properties, code)
    reserved = _RESERVED & set(variables)
    if reserved:
        raise properties.error(f"Lambda reserves the variable {', '.join(sorted(reserved))}")
    handler = properties.take("Handler", "") if stub else properties.require("Handler")
    memory = properties.integer("MemorySize", 128)
    log_group = logging.take("LogGroup", f"/aws/lambda/{name}")
    # Handlers work in this folder, where the assembly's path means nothing if it is relative.
    directory = _code_directory(deployment, resource, code, stub).absolute()
    function = Function(
        path=resource.path,
        name=name,
        arn=f"arn:aws:lambda:{deployment.core.region}:{deployment.core.account}:function:{name}",
        handler=handler,
        directory=directory,
        role=properties.require("Role"),
        variables={
            **variables,
            **_runtime_variables(deployment, directory, name, runtime, handler, memory, log_group),
        },
        timeout_s=properties.integer("Timeout", 3),
        memory_mb=memory,
        reserved_concurrency=properties.optional_integer("ReservedConcurrentExecutions"),
        log_group=log_group,
        log_format=logging.take("LogFormat", "Text"),
        logs_reports=logging.take("SystemLogLevel", "INFO") != "WARN",
        log=log or _new_log(deployment, resource),
        dead_letter_target=_dead_letter_target(deployment, properties),
        stub=stub,
        layers=[
            deployment.layers[each]
            for each in properties.take("Layers", [])
            if each in deployment.layers
        ],
    )
    return function, runtime


def _stated_variables(properties: Properties) -> dict[str, str]:
    variables = properties.section("Environment").take("Variables", {})
    return {key: str(value) for key, value in variables.items()}


def _new_log(deployment: Deployment, resource: Resource) -> FunctionLog:
    return FunctionLog(
        deployment.core.scheduler.now,
        deployment.core.spool,
        deployment.log_file(resource.path),
        partial(deployment.core.logged, resource.path),
    )


def _dead_letter_target(deployment: Deployment, properties: Properties) -> str | None:
    target: str | None = properties.section("DeadLetterConfig").take("TargetArn")
    if target is not None:
        if target.split(":")[2] not in {"sqs", "sns"}:
            raise properties.error(f"{target} is no queue or topic for dead letters")
        deployment.queues.dead_letter_arns.add(target)
    return target


def _role_check(
    deployment: Deployment, function: Function, properties: Properties
) -> Callable[[], None]:
    """Returns a check that Lambda may assume the role of a function, which may trace."""
    tracing = properties.section("TracingConfig").take("Mode") == "Active"

    def check() -> None:
        if not deployment.core.access.is_assumable(function.role, service="lambda.amazonaws.com"):
            raise properties.error(
                "The role defined for the function cannot be assumed by Lambda: its trust policy "
                "has to name lambda.amazonaws.com"
            )
        if tracing and (refusal := refused_traces(deployment.core, function)):
            raise properties.error(
                "The provided execution role does not have permissions to call PutTraceSegments "
                f"on XRAY. {refusal}"
            )

    return check


def _runtime(
    deployment: Deployment, resource: Resource, properties: Properties, code: Properties
) -> tuple[str, Stub | None]:
    """Returns the runtime of a function, and the stub that answers for it, if there is one."""
    packaging, runtime = properties.take("PackageType", "Zip"), properties.take("Runtime")
    image = packaging == "Image" or "ImageUri" in code
    runs = not image and str(runtime).startswith("python")
    files = properties.take("FileSystemConfigs")
    stub = deployment.stand_ins.stub(resource.path, runs=runs and not files)
    if stub is not None:
        properties.ignore("ImageConfig")
        code.ignore(*code.values)
        return str(runtime or "provided.al2023"), stub
    advice = f"give a stub for it, as in stubs={{{resource.path!r}: handler}}"
    if files:
        raise properties.error(f"the rehearsal has no file systems (FileSystemConfigs): {advice}")
    if image:
        raise properties.error(f"the rehearsal does not run container images: {advice}")
    if not runs:
        runtime = properties.require("Runtime")
        raise properties.error(f"the rehearsal runs Python, not the runtime {runtime}: {advice}")
    return str(runtime), None


def _code_directory(
    deployment: Deployment, resource: Resource, code: Properties, stub: Stub | None
) -> Path:
    if stub is not None:
        directory = deployment.scratch / "stubs"
        directory.mkdir(exist_ok=True)
        return directory
    if "ZipFile" in code:
        text = str(code.require("ZipFile"))
        version = sha256(text.encode()).hexdigest()[:8]
        directory = deployment.scratch / f"{resource.stack_name}.{resource.logical_id}.{version}"
        directory.mkdir(exist_ok=True)
        (directory / "index.py").write_text(text, encoding="utf-8")
        return directory
    code.ignore("S3Bucket")
    return deployment.assembly.asset_directory(code.require("S3Key"))


def _runtime_variables(
    deployment: Deployment,
    directory: Path,
    name: str,
    runtime: str,
    handler: str,
    memory: int,
    log_group: str,
) -> dict[str, str]:
    return {
        "_HANDLER": handler,
        "AWS_ACCESS_KEY_ID": "rehearsal",
        "AWS_CONFIG_FILE": os.devnull,
        "AWS_DEFAULT_REGION": deployment.core.region,
        "AWS_EC2_METADATA_DISABLED": "true",
        "AWS_EXECUTION_ENV": f"AWS_Lambda_{runtime}",
        "AWS_LAMBDA_FUNCTION_MEMORY_SIZE": str(memory),
        "AWS_LAMBDA_FUNCTION_NAME": name,
        "AWS_LAMBDA_FUNCTION_VERSION": "$LATEST",
        "AWS_LAMBDA_INITIALIZATION_TYPE": "on-demand",
        "AWS_LAMBDA_LOG_GROUP_NAME": log_group,
        "AWS_LAMBDA_LOG_STREAM_NAME": f"2026/01/01/[$LATEST]{name}",
        "AWS_REGION": deployment.core.region,
        "AWS_SECRET_ACCESS_KEY": "rehearsal",
        "AWS_SESSION_TOKEN": "rehearsal",
        "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
        # On AWS it is /var/task, which is the working directory, too.
        "LAMBDA_TASK_ROOT": str(directory),
        "LANG": "en_US.UTF-8",
        "PATH": "/usr/local/bin:/usr/bin:/bin",
        "TZ": ":UTC",
    }


@creates("AWS::Lambda::LayerVersion")
def create_layer_version(
    deployment: Deployment, resource: Resource, properties: Properties
) -> None:
    """Creates a layer. Libraries come from the process that rehearses, other modules from here.

    https://docs.aws.amazon.com/AWSCloudFormation/latest/TemplateReference/aws-resource-lambda-layerversion.html
    """
    properties.ignore("CompatibleArchitectures", "CompatibleRuntimes", "Description", "LicenseInfo")
    content = properties.section("Content")
    content.ignore("S3Bucket", "S3ObjectVersion")
    arn = deployment.client("lambda").publish_layer_version(
        LayerName=properties.take("LayerName") or resource.generated_name(140),
        Content={"ZipFile": b"libraries are those of the rehearsing process"},
    )["LayerVersionArn"]
    resource.physical_id = arn
    resource.attributes = {"LayerVersionArn": arn}
    code = deployment.assembly.asset_directory(content.require("S3Key")) / "python"
    if code.is_dir():
        deployment.layers[arn] = code.absolute()


@creates("AWS::Lambda::Permission")
def create_permission(deployment: Deployment, resource: Resource, properties: Properties) -> None:
    """Lets a service, a role or, by a URL, anybody invoke a function.

    https://docs.aws.amazon.com/AWSCloudFormation/latest/TemplateReference/aws-resource-lambda-permission.html
    """
    function = deployment.lambdas.function(properties.require("FunctionName"))
    properties.ignore("EventSourceToken")
    conditions = properties.pick(
        *("FunctionUrlAuthType", "InvokedViaFunctionUrl", "PrincipalOrgID"),
        *("SourceAccount", "SourceArn"),
    )
    function.policy["Statement"].append(
        {
            "Sid": resource.logical_id,
            "Effect": "Allow",
            "Principal": _principal(properties.require("Principal")),
            "Action": properties.require("Action"),
            "Resource": function.arn,
            "Condition": permission_condition(conditions),
        }
    )
    resource.physical_id = resource.generated_name(100)


def _principal(stated: str) -> dict[str, str]:
    """https://docs.aws.amazon.com/lambda/latest/api/API_AddPermission.html."""
    return {"Service" if stated.endswith(".amazonaws.com") else "AWS": stated}


@creates("AWS::Lambda::Version")
def create_version(deployment: Deployment, resource: Resource, properties: Properties) -> None:
    """Publishes a version, which runs the same code as its function in environments of its own.

    https://docs.aws.amazon.com/AWSCloudFormation/latest/TemplateReference/aws-resource-lambda-version.html
    """
    properties.ignore("CodeSha256", "ProvisionedConcurrencyConfig", "RuntimePolicy")
    function = deployment.lambdas.function(properties.require("FunctionName"))
    answer = deployment.client("lambda").publish_version(
        FunctionName=function.name, **properties.pick("Description")
    )
    arn, version = answer["FunctionArn"], answer["Version"]
    if any(each.physical_id == arn for each in deployment.resources if each is not resource):
        raise properties.error(
            f"a version of this function exists ({version}), and nothing has changed since: change "
            "the function to publish another one"
        )
    resource.physical_id = arn
    resource.attributes = {"FunctionArn": arn, "Version": version}


@deletes("AWS::Lambda::Version")
def delete_version(deployment: Deployment, resource: Resource) -> None:
    """Deletes a version. What it handles goes on.

    https://docs.aws.amazon.com/lambda/latest/api/API_DeleteFunction.html
    """
    deployment.lambdas.remove_version(resource.physical_id)


@creates("AWS::Lambda::Alias")
def create_alias(deployment: Deployment, resource: Resource, properties: Properties) -> None:
    """Creates an alias, which may send a share of its invocations to a second version.

    https://docs.aws.amazon.com/AWSCloudFormation/latest/TemplateReference/aws-resource-lambda-alias.html
    """
    properties.ignore("ProvisionedConcurrencyConfig")
    function = deployment.lambdas.function(properties.require("FunctionName"))
    name, (version, weights) = properties.require("Name"), _routing(deployment, properties)
    arn = deployment.client("lambda").create_alias(
        FunctionName=function.name,
        Name=name,
        FunctionVersion=version,
        RoutingConfig={"AdditionalVersionWeights": weights},
        **properties.pick("Description"),
    )["AliasArn"]
    deployment.lambdas.add_qualified(
        function, name, {version: 1.0 - sum(weights.values()), **weights}
    )
    resource.physical_id = arn
    resource.attributes = {"AliasArn": arn}


@updates("AWS::Lambda::Alias", except_for=("FunctionName", "Name"))
def update_alias(
    deployment: Deployment, resource: Resource, properties: Properties, release: Release
) -> Shift | None:
    """Moves an alias: by a deployment of CodeDeploy if its UpdatePolicy names one, else at once.

    A rollback moves it back at once, as CodeDeploy does. AWS documents nothing more.
    https://docs.aws.amazon.com/AWSCloudFormation/latest/UserGuide/aws-attribute-updatepolicy.html
    """
    version, weights = _routing(deployment, properties)
    former = next(iter(deployment.lambdas.function(resource.physical_id).versions))
    shifts = "CodeDeployLambdaAliasUpdate" in resource.update_policy and version != former
    if shifts and not release.is_rollback:
        return alias_shift(deployment, resource, properties, former, version)
    deployment.client("lambda").update_alias(
        **properties.pick("FunctionName", "Name", "FunctionVersion", "Description"),
        RoutingConfig={"AdditionalVersionWeights": weights},
    )
    return None


@deletes("AWS::Lambda::Alias")
def delete_alias(deployment: Deployment, resource: Resource) -> None:
    """Deletes an alias."""
    deployment.lambdas.remove_qualified(resource.physical_id)
    deployment.client("lambda").delete_alias(
        FunctionName=resource.properties["FunctionName"], Name=resource.properties["Name"]
    )


def _routing(deployment: Deployment, properties: Properties) -> tuple[str, dict[str, float]]:
    """Returns the version of an alias, and the weights of others."""
    function = deployment.lambdas.function(properties.require("FunctionName"))
    version = properties.require("FunctionVersion")
    routing = properties.section("RoutingConfig").sections("AdditionalVersionWeights")
    weights = {
        part.require("FunctionVersion"): float(part.require("FunctionWeight")) for part in routing
    }
    for each in (version, *weights):
        if f"{function.arn}:{each}" not in deployment.lambdas.functions:
            raise properties.error(f"the function has no version {each}: name one of this template")
    return version, weights


@creates("AWS::Lambda::Url")
def create_url(deployment: Deployment, resource: Resource, properties: Properties) -> None:
    """Gives a function or an alias a URL.

    https://docs.aws.amazon.com/AWSCloudFormation/latest/TemplateReference/aws-resource-lambda-url.html
    """
    name, alias = properties.require("TargetFunctionArn"), properties.take("Qualifier")
    function = deployment.lambdas.function(f"{name}:{alias}" if alias else name)
    if function.unqualified and function.arn.rpartition(":")[2].isdecimal():
        raise properties.error("a version has no URL: give one to an alias of it")
    if any(
        each.type == resource.type and each.physical_id == function.arn
        for each in deployment.resources
    ):
        raise properties.error(f"{function.arn} has a URL already")
    properties.only("AuthType", "AWS_IAM", "NONE")
    properties.only("InvokeMode", "BUFFERED")
    auth, cors = properties.require("AuthType"), properties.section("Cors")
    cors.pick("AllowCredentials", "AllowHeaders", "AllowMethods", "AllowOrigins")
    cors.pick("ExposeHeaders", "MaxAge")
    if function.unqualified:  # moto knows one URL of each function.
        identifier = deployment.core.new_id().replace("-", "")
        url = f"https://{identifier}.lambda-url.{deployment.core.region}.on.aws/"
    else:
        url = deployment.client("lambda").create_function_url_config(
            FunctionName=function.name, AuthType=auth
        )["FunctionUrl"]
    resource.physical_id = function.arn
    resource.attributes = {"FunctionArn": function.arn, "FunctionUrl": url}


@creates("AWS::Lambda::EventInvokeConfig")
def create_event_invoke_config(
    deployment: Deployment, resource: Resource, properties: Properties
) -> None:
    """Configures asynchronous invocation of a function.

    https://docs.aws.amazon.com/AWSCloudFormation/latest/TemplateReference/aws-resource-lambda-eventinvokeconfig.html
    """
    name, qualifier = properties.require("FunctionName"), properties.take("Qualifier", "$LATEST")
    function = deployment.lambdas.function(
        name if qualifier == "$LATEST" else f"{name}:{qualifier}"
    )
    destinations = properties.section("DestinationConfig")
    config = AsyncConfig(
        retries=properties.integer("MaximumRetryAttempts", AsyncConfig.retries),
        max_age_s=properties.integer("MaximumEventAgeInSeconds", int(AsyncConfig.max_age_s)),
        on_failure=destinations.section("OnFailure").take("Destination"),
        on_success=destinations.section("OnSuccess").take("Destination"),
    )
    for destination in filter(None, (config.on_failure, config.on_success)):
        if problem := deployment.destinations.problem(destination):
            raise properties.error(problem)
    if config.on_failure is not None:
        deployment.queues.dead_letter_arns.add(config.on_failure)
    function.asynchronous = config
    resource.physical_id = resource.generated_name(100)


@creates("AWS::Lambda::EventSourceMapping")
def create_event_source_mapping(
    deployment: Deployment, resource: Resource, properties: Properties
) -> None:
    """Lets a function consume a queue, a table's stream or a data stream.

    https://docs.aws.amazon.com/AWSCloudFormation/latest/TemplateReference/aws-resource-lambda-eventsourcemapping.html
    """
    properties.ignore("MetricsConfig", "Tags")
    function = deployment.lambdas.function(str(properties.require("FunctionName")))
    source = properties.require("EventSourceArn")
    options = _mapping_options(deployment, properties, function)
    mapping: QueueMapping | StreamMapping
    if isinstance(options, QueueOptions):
        queue = deployment.queues.by_arn(source)
        mapping = QueueMapping(deployment.core, deployment.lambdas, queue, function, options)
        queue.on_change.append(mapping.wake)
    else:
        role = deployment.client("lambda").get_function_configuration(FunctionName=function.name)[
            "Role"
        ]
        stream = deployment.streams.read_by(source, role)
        mapping = StreamMapping(
            deployment.core,
            deployment.lambdas,
            deployment.destinations,
            stream,
            function,
            options,
        )
        deployment.streams.add(mapping)

    def check() -> None:
        if refusal := lacking(deployment.core, function, source):
            raise properties.error(
                f"the function's role does not permit to poll the event source. {refusal}"
            )

    deployment.checks.append((resource, check))
    record = deployment.client("lambda").create_event_source_mapping(
        EventSourceArn=source,
        FunctionName=function.name,
        Enabled=properties.boolean("Enabled", True),
        **_settings(options, properties),
    )
    deployment.mappings.attach(mapping, record["UUID"])
    resource.physical_id = record["UUID"]
    resource.attributes = {
        "Id": record["UUID"],
        "EventSourceMappingArn": record.get("EventSourceMappingArn", ""),
    }


@updates(
    "AWS::Lambda::EventSourceMapping",
    except_for=("EventSourceArn", "FunctionName", "StartingPosition"),
)
def update_event_source_mapping(
    deployment: Deployment, resource: Resource, properties: Properties, _: Release
) -> None:
    """Changes how a mapping reads. A mapping of a stream keeps its position.

    https://docs.aws.amazon.com/lambda/latest/api/API_UpdateEventSourceMapping.html
    """
    function = deployment.lambdas.function(str(properties.require("FunctionName")))
    options = _mapping_options(deployment, properties, function)
    deployment.mappings.reconfigure(resource.physical_id, options)
    settings = _settings(options, properties)
    settings.pop("StartingPosition", None)
    deployment.client("lambda").update_event_source_mapping(
        UUID=resource.physical_id, Enabled=properties.boolean("Enabled", True), **settings
    )


@deletes("AWS::Lambda::EventSourceMapping")
def delete_event_source_mapping(deployment: Deployment, resource: Resource) -> None:
    """Deletes a mapping. What it has read is handled, and it reads no more.

    https://docs.aws.amazon.com/lambda/latest/api/API_DeleteEventSourceMapping.html
    """
    deployment.mappings.remove(resource.physical_id)


def _mapping_options(
    deployment: Deployment, properties: Properties, function: Function
) -> QueueOptions | MappingOptions:
    """Returns how a mapping reads its queue or stream."""
    source = properties.require("EventSourceArn")
    service = source.split(":")[2]
    filters = FilterCriteria(properties.take("FilterCriteria"))
    reports = "ReportBatchItemFailures" in properties.take("FunctionResponseTypes", [])
    window = properties.integer("MaximumBatchingWindowInSeconds", 0)
    if service in ("dynamodb", "kinesis"):
        return MappingOptions(
            batching_window_s=window,
            filters=filters,
            reports_failures=reports,
            **_stream_options(deployment, properties),
        )
    if service != "sqs":
        raise properties.error(f"the rehearsal does not know event sources such as {source}")
    batch_size = properties.integer("BatchSize", 10)
    if batch_size > 10 and window < 1:
        # https://docs.aws.amazon.com/lambda/latest/dg/services-sqs-parameters.html
        raise properties.error("a BatchSize over 10 needs a batching window of a second")
    concurrency = properties.section("ScalingConfig").optional_integer("MaximumConcurrency")
    if concurrency is not None and concurrency < 2:
        raise properties.error("MaximumConcurrency is at least 2")
    queue = deployment.queues.by_arn(source)
    if queue.visibility_timeout_s < function.timeout_s:
        # https://docs.aws.amazon.com/lambda/latest/dg/services-sqs-configure.html
        raise properties.error(
            f"the queue's visibility timeout, {queue.visibility_timeout_s:g} s, is less than "
            f"the function's timeout, {function.timeout_s:g} s"
        )
    return QueueOptions(
        batch_size=batch_size,
        window_s=window,
        maximum_concurrency=concurrency,
        filters=filters,
        reports_failures=reports,
    )


def _settings(options: QueueOptions | MappingOptions, properties: Properties) -> dict[str, Any]:
    """Returns the settings of a mapping that moto keeps, as the API takes them."""
    if isinstance(options, MappingOptions):
        return {
            "StartingPosition": properties.require("StartingPosition"),
            "BatchSize": options.batch_size,
            "MaximumBatchingWindowInSeconds": options.batching_window_s,
        }
    most = options.maximum_concurrency
    return {
        "BatchSize": options.batch_size,
        "MaximumBatchingWindowInSeconds": options.window_s,
        **({} if most is None else {"ScalingConfig": {"MaximumConcurrency": most}}),
    }


def _stream_options(deployment: Deployment, properties: Properties) -> dict[str, Any]:
    """Returns what only mappings of streams have.

    https://docs.aws.amazon.com/lambda/latest/dg/services-kinesis-parameters.html
    https://docs.aws.amazon.com/lambda/latest/dg/services-ddb-params.html
    """
    properties.only("ParallelizationFactor", 1, "1")
    properties.only("StartingPosition", "LATEST", "TRIM_HORIZON")
    tumbling_window = properties.integer("TumblingWindowInSeconds", 0)
    if not 0 <= tumbling_window <= LIMITS["lambda.tumbling_window_s"]:
        raise properties.error(
            f"TumblingWindowInSeconds is from 0 to {LIMITS['lambda.tumbling_window_s']}"
        )
    destination = properties.section("DestinationConfig").section("OnFailure").take("Destination")
    if destination is not None:
        if destination.split(":")[2] not in {"sqs", "sns"}:
            raise properties.error(f"the rehearsal does not support the destination {destination}")
        deployment.queues.dead_letter_arns.add(destination)
    return {
        "from_start": properties.take("StartingPosition") == "TRIM_HORIZON",
        "batch_size": properties.integer("BatchSize", 100),
        "tumbling_window_s": tumbling_window,
        "bisects": properties.boolean("BisectBatchOnFunctionError", False),
        "maximum_retries": properties.integer("MaximumRetryAttempts", -1),
        "maximum_age_s": properties.integer("MaximumRecordAgeInSeconds", -1),
        "on_failure": destination,
    }
