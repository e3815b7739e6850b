"""A greenhouse that reports its temperature, and opens its vents when it gets hot.

POST /readings → table → stream → event bus → rule → queue → function → workflow.
`cdk synth -c stages=Beta,Prod` makes one for each of these stages.
"""

from aws_cdk import App, CfnOutput, Duration, RemovalPolicy, Stack, Stage
from aws_cdk import aws_apigatewayv2 as apigateway
from aws_cdk import aws_apigatewayv2_integrations as integrations
from aws_cdk import aws_dynamodb as dynamodb
from aws_cdk import aws_events as events
from aws_cdk import aws_events_targets as targets
from aws_cdk import aws_lambda as lambda_
from aws_cdk import aws_lambda_event_sources as sources
from aws_cdk import aws_sqs as sqs
from aws_cdk import aws_stepfunctions as sfn
from aws_cdk import aws_stepfunctions_tasks as tasks
from constructs import Construct


class Greenhouse(Stack):
    """The whole application."""

    def __init__(self, scope: Construct, id_: str) -> None:
        super().__init__(scope, id_)
        readings = dynamodb.Table(
            self,
            "Readings",
            partition_key=dynamodb.Attribute(name="id", type=dynamodb.AttributeType.STRING),
            billing_mode=dynamodb.BillingMode.PAY_PER_REQUEST,
            stream=dynamodb.StreamViewType.NEW_IMAGE,
            removal_policy=RemovalPolicy.DESTROY,
        )
        bus = events.EventBus(self, "Bus")
        unpublished = sqs.Queue(self, "Unpublished", retention_period=Duration.days(14))
        failed = sqs.Queue(self, "Failed", retention_period=Duration.days(14))
        alarms = sqs.Queue(
            self,
            "Alarms",
            visibility_timeout=Duration.seconds(60),
            dead_letter_queue=sqs.DeadLetterQueue(queue=failed, max_receive_count=3),
        )

        record = self.function("Record", "record.handler", TABLE=readings.table_name)
        readings.grant_write_data(record)
        publish = self.function("Publish", "publish.handler", BUS=bus.event_bus_name)
        bus.grant_put_events_to(publish)
        publish.add_event_source(
            sources.DynamoEventSource(
                readings,
                starting_position=lambda_.StartingPosition.TRIM_HORIZON,
                retry_attempts=5,
                max_record_age=Duration.hours(6),
                on_failure=sources.SqsDlq(unpublished),
            )
        )
        events.Rule(
            self,
            "Hot",
            event_bus=bus,
            event_pattern=events.EventPattern(
                source=["greenhouse"],
                detail_type=["ReadingTaken"],
                detail={"celsius": [{"numeric": [">=", 30]}]},
            ),
            targets=[
                targets.SqsQueue(
                    alarms,
                    dead_letter_queue=failed,
                    retry_attempts=8,
                    max_event_age=Duration.hours(6),
                )
            ],
        )

        vent = self.function("Vent", "vent.handler", TABLE=readings.table_name)
        readings.grant_read_write_data(vent)
        opened = tasks.LambdaInvoke(self, "OpenVent", lambda_function=vent, output_path="$.Payload")
        wait = sfn.Wait(self, "LetAirIn", time=sfn.WaitTime.duration(Duration.minutes(10)))
        machine = sfn.StateMachine(
            self,
            "Cooling",
            definition_body=sfn.DefinitionBody.from_chainable(opened.next(wait)),
            timeout=Duration.hours(1),
        )
        cool = self.function("Cool", "cool.handler", MACHINE=machine.state_machine_arn)
        machine.grant_start_execution(cool)
        cool.add_event_source(sources.SqsEventSource(alarms, report_batch_item_failures=True))

        api = apigateway.HttpApi(self, "Api")
        api.add_routes(
            path="/readings",
            methods=[apigateway.HttpMethod.POST],
            integration=integrations.HttpLambdaIntegration("Post", record),
        )
        CfnOutput(self, "Url", value=api.api_endpoint)

    def function(self, id_: str, handler: str, **environment: str) -> lambda_.Function:
        """A function whose code is in the folder `handlers`."""
        return lambda_.Function(
            self,
            id_,
            runtime=lambda_.Runtime.PYTHON_3_13,
            handler=handler,
            code=lambda_.Code.from_asset("handlers"),
            environment=environment,
            timeout=Duration.seconds(10),
        )


app = App()
stages = app.node.try_get_context("stages")
for scope in [Stage(app, name) for name in stages.split(",")] if stages else [app]:
    Greenhouse(scope, "Greenhouse")
app.synth()
