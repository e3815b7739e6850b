"""Parameter mapping of HTTP APIs: values of requests and answers, and changes of both."""

import json
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from functools import partial
from typing import Any
from urllib.parse import quote, urlencode

from cdk_rehearsal.patterns import PatternError
from cdk_rehearsal.services.apis import HttpResponse
from cdk_rehearsal.services.http_formats import as_format_1
from cdk_rehearsal.target_inputs import JsonPath

_WHOLE = re.compile(r"\$(?!\{)(.*)", re.DOTALL)
_WITHIN = re.compile(r"\$\{([^}]*)\}")
_NAME = re.compile(
    r"request\.(header|querystring|path)\.[^.]+|request\.path|stageVariables\.\w+|context\.[\w.-]+"
)
_OF_ANSWER = re.compile(r"response\.header\.[^.]+|stageVariables\.\w+|context\.[\w.-]+")
_BODY = re.compile(r"(request|response)\.body(?P<path>[.\[].*)?", re.DOTALL)
_CHANGE = re.compile(r"(append|overwrite|remove):(header|querystring)\.(\S+)|overwrite:path")
_CHANGE_OF_ANSWER = re.compile(r"(append|overwrite|remove):header\.(\S+)|overwrite:statuscode")
_RESERVED = re.compile(
    r"(access-control-|apigw-|x-amz-|x-amzn-).*|authorization|connection|content-encoding|"
    r"content-length|content-location|forwarded|keep-alive|origin|proxy-authenticate|"
    r"proxy-authorization|te|trailers|transfer-encoding|upgrade|via|"
    r"x-forwarded-(for|host|proto)",
    re.IGNORECASE,
)
"""Headers that no mapping may change.
https://docs.aws.amazon.com/apigateway/latest/developerguide/http-api-parameter-mapping.html"""

Event = Mapping[str, Any]
"""A request as an event of payload format 2.0."""


def problem_of(source: str, *, of_answer: bool = False) -> str | None:
    """Returns what is wrong with the value of a mapping, None if nothing is."""
    whole = _WHOLE.fullmatch(source)
    for name in [whole[1]] if whole else _WITHIN.findall(source):
        body = _BODY.fullmatch(name)
        if body is not None and body[1] == ("response" if of_answer else "request"):
            try:
                JsonPath(f"${body['path'] or ''}")
            except PatternError as error:
                return str(error)
        elif not (_OF_ANSWER if of_answer else _NAME).fullmatch(name):
            return f"the rehearsal does not know the value {source}"
    return None


def problems_of_changes(changes: Mapping[str, str], *, of_answer: bool = False) -> Iterator[str]:
    """Yields what is wrong with changes of a request or an answer."""
    for key, source in changes.items():
        found = (_CHANGE_OF_ANSWER if of_answer else _CHANGE).fullmatch(key)
        if found is None:
            yield f"the rehearsal does not know the mapping {key}"
        elif ":header." in key and _RESERVED.fullmatch(key.partition(".")[2]):
            yield f"the header of the mapping {key} is reserved: map another one"
        elif not key.startswith("remove:") and (problem := problem_of(source, of_answer=of_answer)):
            yield problem


def value(source: str, event: Event, answer: HttpResponse | None = None) -> Any:
    """Returns the value of a mapping: selected, or a text with selected parts; None if missing.

    https://docs.aws.amazon.com/apigateway/latest/developerguide/http-api-parameter-mapping.html
    """
    whole = _WHOLE.fullmatch(source)
    if whole is not None:
        return _selected(whole[1], event, answer)
    return _WITHIN.sub(lambda match: _text(_selected(match[1], event, answer)), source)


def _selected(name: str, event: Event, answer: HttpResponse | None) -> Any:
    if (body := _BODY.fullmatch(name)) is not None:
        text = answer.body if answer is not None else event.get("body", "")
        return _of_body(text, body["path"])
    first, _, rest = name.partition(".")
    if first == "context":
        # The variables have the names that they have in format 1.0.
        known: Any = as_format_1(dict(event))["requestContext"]
        known = {**known, "routeKey": event["routeKey"]}
        for part in rest.split("."):
            known = known.get(part) if isinstance(known, Mapping) else None
        return known
    if first == "stageVariables":
        return event.get("stageVariables", {}).get(rest)
    kind, _, member = rest.partition(".")
    if answer is not None:
        return answer.headers.get(member.lower())
    if kind == "header":
        return event["headers"].get(member.lower())
    if kind == "querystring":
        return event.get("queryStringParameters", {}).get(member)
    stage = event["requestContext"]["stage"]
    path = event["rawPath"].removeprefix(f"/{stage}")
    return event.get("pathParameters", {}).get(member) if member else path


def _of_body(text: str, path: str | None) -> Any:
    if path is None:
        return text
    try:
        return JsonPath(f"${path}").select(json.loads(text))
    except ValueError:
        return None


def _text(found: Any) -> str:
    if found is None or isinstance(found, str):
        return found or ""
    return json.dumps(found, separators=(",", ":"))


# -- changes --------------------------------------------------------------------------------


def changed_event(event: Event, changes: Mapping[str, str]) -> dict[str, Any]:
    """Returns an event with the changes of an integration's request parameters."""
    headers, query = dict(event["headers"]), dict(event.get("queryStringParameters", {}))
    path = event["rawPath"]
    for key, source in changes.items():
        if key == "overwrite:path":
            path = quote(_text(value(source, event)), safe="/")
        else:
            kind = key.partition(":")[2].partition(".")[0]
            _change(headers if kind == "header" else query, key, partial(value, source, event))
    changed = {**event, "headers": headers, "rawPath": path}
    if query != event.get("queryStringParameters", {}):
        changed |= {"queryStringParameters": query, "rawQueryString": urlencode(query)}
    return changed


def changed_answer(answer: HttpResponse, changes: Mapping[str, str], event: Event) -> HttpResponse:
    """Returns an answer with the changes of an integration's response parameters."""
    headers, status = dict(answer.headers), answer.status
    for key, source in changes.items():
        if key == "overwrite:statuscode":
            status = int(_text(value(source, event, answer)) or status)
        else:
            _change(headers, key, partial(value, source, event, answer))
    return replace(answer, headers=headers, status=status)


def _change(values: dict[str, str], key: str, new: Callable[[], Any]) -> None:
    verb, _, place = key.partition(":")
    kind, _, name = place.partition(".")
    name = name.lower() if kind == "header" else name
    if verb == "remove":
        values.pop(name, None)
        return
    text = _text(new())
    values[name] = f"{values[name]},{text}" if verb == "append" and name in values else text
