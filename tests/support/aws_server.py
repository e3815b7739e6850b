"""Runs commands of the stand-in for the AWS CLI in one process, which loads each model only once.

`python -m tests.support.aws_server SOCKET` serves; CLIENT is a program that sends it a command.
"""

import contextlib
import io
import json
import os
import socket
import sys
from pathlib import Path

from tests.support import aws_cli

# It imports little, because a page of a document starts it dozens of times.
CLIENT = """
import json, os, socket, sys
connection = socket.socket(socket.AF_UNIX)
connection.connect(sys.argv[1])
request = {"words": sys.argv[2:], "folder": os.getcwd(), "variables": dict(os.environ)}
connection.sendall(json.dumps(request).encode())
connection.shutdown(socket.SHUT_WR)
answer = json.loads(connection.makefile().read())
sys.stdout.write(answer["output"])
sys.exit(answer["code"])
"""


def serve(path: str) -> None:
    """Answers one command after the other."""
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(path)
    listener.listen()
    while True:
        connection, _ = listener.accept()
        with connection:
            request = json.loads(connection.makefile().read())
            connection.sendall(json.dumps(_answer(**request)).encode())


def _answer(words: list[str], folder: str, variables: dict[str, str]) -> dict[str, object]:
    os.chdir(folder)
    os.environ.clear()
    os.environ.update(variables)
    output = io.StringIO()
    code: object = 0
    with contextlib.redirect_stdout(output), contextlib.redirect_stderr(output):
        try:
            aws_cli.main(words)
        except SystemExit as ending:
            code = ending.code or 0
            if isinstance(code, str):
                output.write(f"{code}\n")
                code = 1
        except Exception as error:  # noqa: BLE001  # The AWS CLI prints what the service refuses.
            output.write(f"aws {' '.join(words)}\n{error}\n")
            code = 1
    return {"output": output.getvalue(), "code": code}


if __name__ == "__main__":
    (socket_path,) = sys.argv[1:]
    Path(socket_path).unlink(missing_ok=True)
    serve(socket_path)
