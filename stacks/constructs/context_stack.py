"""The stack of a context: each function and consumer is made from its handler."""

from collections.abc import Callable
from typing import Any, TypeVar

from aws_cdk import Duration, Stack
from constructs import Construct

from lambdas.eventing.declaration import Handler
from lambdas.eventing.settings import Settings
from stacks.constructs.alarm import Alarm
from stacks.constructs.context_table import ContextTable
from stacks.constructs.metric import FIVE_MINUTES, service_metric
from stacks.constructs.platform import Platform
from stacks.constructs.python_function import PythonFunction

C = TypeVar("C", bound=Construct)


class ContextStack(Stack):
    """A stack that gives all its functions the context's `table` and `settings`.

    A function may do with the table what its handler declares, and nothing else.
    """

    table: ContextTable | None = None
    settings: Settings | None = None
    """By default, those of the table."""

    def __init__(self, scope: Construct, id_: str, *, platform: Platform, **kwargs: Any) -> None:
        super().__init__(scope, id_, **kwargs)
        self.platform = platform

    def function(
        self, id_: str, handler: Handler[Any], *, settings: Settings | None = None, **options: Any
    ) -> PythonFunction:
        """Adds the function of a handler; the options are those of `PythonFunction`."""
        return PythonFunction(self, id_, handler=handler, **self._given(settings), **options)

    def consumer(
        self,
        kind: Callable[..., C],
        id_: str,
        handler: Handler[Any],
        *,
        settings: Settings | None = None,
        **options: Any,
    ) -> C:
        """Adds a consumer of this kind, such as `EventConsumer`, with its options."""
        return kind(self, id_, consumer=handler, **self._given(settings), **options)

    def alarm(
        self,
        id_: str,
        counted: str,
        *,
        threshold: int,
        meaning: str,
        page: str,
        statistic: str = "Sum",
        over: Duration = FIVE_MINUTES,
        expected: bool = False,
    ) -> None:
        """Adds an alarm on a metric that the context's handlers count, `over` a period.

        It fires without the metric, too, if there is always to be one.
        """
        metric = service_metric(
            self.platform,
            context=self.node.id.lower(),
            name=counted,
            statistic=statistic,
            period=over,
        )
        Alarm(
            self,
            id_,
            platform=self.platform,
            metric=metric,
            threshold=threshold,
            meaning=meaning,
            page=page,
            expected=expected,
        )

    def _given(self, settings: Settings | None) -> dict[str, Any]:
        of_table = self.table.settings if self.table else None
        return {
            "platform": self.platform,
            "table": self.table,
            "settings": settings or self.settings or of_table,
        }
