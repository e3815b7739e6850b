"""Problems that routes of several contexts answer with."""

from http import HTTPStatus

from lambdas.eventing.http import Problem


class UnknownOrder(Problem, status=HTTPStatus.NOT_FOUND):
    """The caller has no such order."""
