"""The local socket: how commands on this box ask the running agent. One JSON line each way; no network port.

The socket is `<state>/agent.sock`, mode 0600: who may read the buffer may ask. It does not know what is asked.
"""

import asyncio
import contextlib
import inspect
import json
import os
import socket
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import Any

from tidegate.errors import TidegateError

SOCKET_NAME = "agent.sock"
LINE_BYTES_MAX = 4 * 1024 * 1024
ASK_DEADLINE_S = 5.0


class AgentSilent(TidegateError):
    """Nobody answers at the socket: the agent does not run, or not with this state folder."""


@contextlib.contextmanager
def _short_path(folder: Path) -> Iterator[str]:
    """The socket's path through an open descriptor of its folder, since AF_UNIX paths end at 107 bytes."""
    descriptor = os.open(folder, os.O_PATH | os.O_DIRECTORY)
    try:
        yield f"/proc/self/fd/{descriptor}/{SOCKET_NAME}"
    finally:
        os.close(descriptor)


@contextlib.asynccontextmanager
async def answering(folder: Path, answers: dict[str, Callable[..., Any]]) -> AsyncIterator[None]:
    """Answer at `<folder>/agent.sock` while the block runs: each word in `answers` with what its function returns.

    Details that come with a word are the function's keyword arguments; a TidegateError that it raises is the answer.
    A function may be asynchronous, within ASK_DEADLINE_S.
    The caller holds the buffer's lock, so a socket file that is already there is a dead agent's and is replaced.
    """

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(ConnectionError, asyncio.LimitOverrunError, ValueError, TimeoutError):
            async with asyncio.timeout(ASK_DEADLINE_S):
                line = await reader.readline()
                writer.write(json.dumps(await _answer(line, answers)).encode() + b"\n")
                await writer.drain()
        writer.close()

    (folder / SOCKET_NAME).unlink(missing_ok=True)
    with _short_path(folder) as path:
        listening = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        before = os.umask(0o177)
        try:
            listening.bind(path)
        finally:
            os.umask(before)
    server = await asyncio.start_unix_server(serve, sock=listening, limit=LINE_BYTES_MAX)
    try:
        yield
    finally:
        server.close()
        # On a disk that refuses it stays, for the next start to replace.
        with contextlib.suppress(OSError):
            (folder / SOCKET_NAME).unlink(missing_ok=True)


async def _answer(line: bytes, answers: dict[str, Callable[..., Any]]) -> dict[str, Any]:
    try:
        asked = json.loads(line)
        word, details = asked["ask"], dict(asked.get("with", {}))
    except (ValueError, KeyError, TypeError):
        return {"error": 'expected one line {"ask": "<word>"}'}
    if word not in answers:
        return {"error": f"can't answer {word!r}; I answer {', '.join(sorted(answers))}"}
    try:
        answer = answers[word](**details)
        return {"answer": await answer if inspect.isawaitable(answer) else answer}
    except (TidegateError, TypeError) as error:
        return {"error": str(error)}


def ask(folder: Path, word: str, **details: Any) -> Any:
    """What the agent of this state folder answers to `word` (with these details). Raises AgentSilent."""
    try:
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as asking:
            asking.settimeout(ASK_DEADLINE_S)
            with _short_path(folder) as path:
                asking.connect(path)
            asking.sendall(json.dumps({"ask": word, "with": details}).encode() + b"\n")
            with asking.makefile("rb") as lines:
                reply = json.loads(lines.readline(LINE_BYTES_MAX))
    except PermissionError:
        raise AgentSilent(f"{folder}: this user may not ask the gateway there. Ask as the gateway's user") from None
    except (FileNotFoundError, NotADirectoryError, ConnectionRefusedError):
        raise AgentSilent(f"{folder}: no gateway runs with this state folder. Is it running? tidegate run") from None
    except TimeoutError:
        raise AgentSilent(f"{folder}: the gateway runs, and did not answer within {ASK_DEADLINE_S:g} s") from None
    except (OSError, ValueError) as error:
        raise AgentSilent(f"{folder}: the gateway gave no answer ({error}). Is it of this version?") from None
    if "error" in reply:
        raise AgentSilent(reply["error"])
    return reply["answer"]
