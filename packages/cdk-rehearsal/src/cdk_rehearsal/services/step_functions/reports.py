"""Reports of executions: to the meter, and to EventBridge."""

from cdk_rehearsal.core import Core
from cdk_rehearsal.services.event_bus import EventBus
from cdk_rehearsal.services.step_functions.executions import ExecutionEvent


class Reports:
    """Records what executions do, and publishes their changes of status."""

    def __init__(self, core: Core, bus: EventBus) -> None:
        self._core = core
        self._bus = bus

    def add(self, event: ExecutionEvent) -> None:
        """Records an event; publishes it if Step Functions does."""
        self._core.meter.add(
            "execution",
            self._core.path_of(event.state_machine_arn),
            event.state or "",
            what=event.kind,
            state_machine=event.state_machine_arn,
            execution=event.execution_arn,
            duration_s=event.duration_s,
            status=event.status,
            error=event.error,
            cause=event.cause,
            redrives=event.redrives,
            **({} if event.input is None else {"input": event.input}),
            **({} if event.release is None else {"release": event.release}),
        )
        if event.status_change is not None:
            self._bus.put_service_event(
                "aws.states",
                "Step Functions Execution Status Change",
                event.status_change,
                resources=[event.execution_arn],
            )
