"""Calls to a partner's HTTPS API: short timeouts, one attempt, and errors by what to do next.

It never repeats a request: the queue or the workflow that calls a handler does, with a backoff and
a limit. See docs/decisions/0045-no-circuit-breaker-before-a-partner.md.
"""

from collections.abc import Mapping
from typing import Any, TypeVar
from urllib.parse import quote, urlencode

import msgspec
import urllib3

from lambdas.eventing import https

T = TypeVar("T")

LONGEST_ANSWER = 1_048_576
"""The maximum length of an answer, in bytes."""

_SHOWN = 200


class PartnerError(Exception):
    """A call failed. The text names the call without its query, and never a header or a body."""


class NoAnswer(PartnerError):
    """There is no valid answer, so it is unknown whether the call had an effect."""


class Failed(PartnerError):
    """The partner answered with an unexpected status: its effect is unknown.

    These are 5xx, redirects and informational answers.
    """

    def __init__(self, text: str, answer: https.HttpAnswer) -> None:
        super().__init__(text)
        self.answer = answer


class Limited(PartnerError):
    """The partner answered 429: there were too many calls, and this one had no effect."""

    def __init__(self, text: str, retry_after_s: int | None) -> None:
        super().__init__(text)
        self.retry_after_s = retry_after_s
        """The pause that the partner asks for, if it names one in seconds."""


class Refused(PartnerError):
    """The partner answered with another 4xx: its answer says why. A repetition gets the same."""

    def __init__(self, text: str, answer: https.HttpAnswer) -> None:
        super().__init__(text)
        self.answer = answer


class Timeouts(msgspec.Struct, frozen=True, kw_only=True):
    """The limits of a call, in seconds. All calls of a function have to fit into its timeout."""

    connect_s: float = 2.0
    read_s: float = 8.0
    """To each part of the answer."""
    total_s: float = 8.0


class Partner:
    """The HTTPS API at one host.

    `headers` are part of each call; their values never appear in an error or a log.
    """

    def __init__(
        self, host: str, *, headers: Mapping[str, str], timeouts: Timeouts | None = None
    ) -> None:
        self._host = host
        self._headers = headers
        self._timeouts = timeouts or Timeouts()

    def call(
        self,
        method: str,
        path: str,
        answers: type[T],
        *,
        query: Mapping[str, str] | None = None,
        form: Mapping[str, str] | None = None,
        json: object = None,
        headers: Mapping[str, str] | None = None,
    ) -> T:
        """Returns the decoded body of a 2xx answer.

        The body of the request is a `form` or `json`. Raises NoAnswer, Failed, Limited or Refused.
        """
        call = f"{method} {self._host}{path}"
        body, sent = _body(form, json)
        sent |= {"accept": "application/json", **self._headers, **(headers or {})}
        target = quote(path) + (f"?{urlencode(query)}" if query else "")
        limits = self._timeouts
        try:
            with https.Deadline(limits.total_s) as deadline:
                answer = https.request(
                    method,
                    target,
                    host=self._host,
                    body=body,
                    headers=sent,
                    deadline=deadline,
                    timeout=urllib3.Timeout(connect=limits.connect_s, read=limits.read_s),
                    longest_answer=LONGEST_ANSWER,
                )
        except https.NoAnswer as error:
            raise NoAnswer(f"{call}: {error}") from None
        _check(call, answer)
        return decoded(answer, answers, call=call)


def decoded(answer: https.HttpAnswer, type_: type[T], *, call: str) -> T:
    """Returns the JSON body of an answer. Raises NoAnswer if it is malformed."""
    try:
        return msgspec.json.decode(answer.body, type=type_)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        # The text of an error names a field and a type, and no value.
        reason = str(error)[:_SHOWN]
        raise NoAnswer(f"{call}: the {answer.status} answer is malformed: {reason}") from None


def _check(call: str, answer: https.HttpAnswer) -> None:
    """Raises unless the status is 2xx."""
    text = f"{call}: {answer.status}"
    match answer.status // 100:
        case 2:
            return
        case 4 if answer.status == 429:
            raise Limited(text, _seconds(answer.headers.get("retry-after", "")))
        case 4 if answer.status != 408:
            raise Refused(text, answer)
    raise Failed(text, answer)


def _seconds(retry_after: str) -> int | None:
    """Returns the seconds in a Retry-After; a date is left out.

    https://www.rfc-editor.org/rfc/rfc9110#field.retry-after
    """
    return int(retry_after) if retry_after.isascii() and retry_after.isdigit() else None


def _body(form: Mapping[str, str] | None, json: object) -> tuple[bytes, dict[str, Any]]:
    if form is not None:
        return urlencode(form).encode(), {"content-type": "application/x-www-form-urlencoded"}
    if json is not None:
        return msgspec.json.encode(json), {"content-type": "application/json"}
    return b"", {}
