"""A rehearsed API for clients that use `requests`: nothing leaves the process."""

from collections.abc import Callable
from io import BytesIO
from typing import Any

import requests
from requests.adapters import HTTPAdapter
from urllib3 import HTTPResponse

from cdk_rehearsal import HttpFront

URL = "https://api.example.com"


class Gateway(HTTPAdapter):
    """Passes prepared requests to a rehearsed API."""

    def __init__(self, front: HttpFront) -> None:
        super().__init__()
        self._front = front

    def send(self, request: requests.PreparedRequest, *_: Any, **__: Any) -> requests.Response:
        """Returns the response of the API."""
        answer = self._front.request(
            request.method or "GET",
            request.path_url,
            headers={name: _text(value) for name, value in request.headers.items()},
            body=request.body,
        )
        raw = HTTPResponse(
            body=BytesIO(answer.body.encode()),
            headers=answer.headers,
            status=answer.status,
            preload_content=False,
        )
        return self.build_response(request, raw)


def session(
    front: HttpFront, prove: Callable[[requests.PreparedRequest], None]
) -> requests.Session:
    """A session with a rehearsed API; `prove` adds the credentials to each request."""

    def proven(request: requests.PreparedRequest) -> requests.PreparedRequest:
        prove(request)
        return request

    made = requests.Session()
    made.mount(URL, Gateway(front))
    made.auth = proven
    return made


def _text(value: str | bytes) -> str:
    return value.decode("latin-1") if isinstance(value, bytes) else value
