"""PublishRequest and ReadRequest as bytes: built once, patched a send, and sent past asyncua's classes.

    request   type id, header (token NodeId, time, handle u32, diagnostics u32, audit String, timeout u32, nothing)
      publish acknowledgements (subscription u32, sequence number u32)[]
      read    max age f64, which timestamps i32, (NodeId, attribute u32, range String, encoding QualifiedName)[]

OPC 10000-4 §5.11.2, §5.14.5, §7.32; OPC 10000-6 §5.2. What asyncua keeps to itself and is used here is checked by
fallback.py before anything is sent this way.
"""

import asyncio
from collections.abc import Sequence
from struct import Struct
from typing import Any

from asyncua.ua.ua_binary import nodeid_to_binary

PUBLISH, READ = 826, 631
VALUE_ATTRIBUTE = 13
BOTH_TIMESTAMPS = 2
TICKS_OF_1970 = 116_444_736_000_000_000
# Of this much no request is: it would not fit a server's message either.
READS_MAX, ACKNOWLEDGEMENTS_MAX = 100_000, 10_000
KIND = Struct("<BBH")
HEADER = Struct("<qIIiIBBB")
PARAMETERS = Struct("<dii")
ATTRIBUTE = Struct("<I")
NO_ENCODING = Struct("<Hi").pack(0, -1)
LENGTH = Struct("<i")
PAIR = Struct("<II")


def acknowledging(pairs: Sequence[tuple[int, int]]) -> bytes:
    """The parameters of a PublishRequest: subscription and sequence number of each message that is safe here."""
    if len(pairs) > ACKNOWLEDGEMENTS_MAX:
        raise ValueError(f"{len(pairs)} acknowledgements in one request; at most {ACKNOWLEDGEMENTS_MAX}")
    return LENGTH.pack(len(pairs)) + b"".join([PAIR.pack(*pair) for pair in pairs])


def reading(
    nodes: Sequence[Any], ranges: Sequence[str] = (), timestamps: int = BOTH_TIMESTAMPS, max_age_ms: float = 0.0
) -> bytes:
    """The parameters of a ReadRequest of the values of asyncua's NodeIds; `ranges` are empty, or one a node."""
    if len(nodes) > READS_MAX:
        raise ValueError(f"{len(nodes)} nodes in one request; at most {READS_MAX}")
    parts = [PARAMETERS.pack(max_age_ms, timestamps, len(nodes))]
    for node, span in zip(nodes, ranges or [""] * len(nodes), strict=True):
        text = span.encode()
        parts += [nodeid_to_binary(node), ATTRIBUTE.pack(VALUE_ATTRIBUTE), LENGTH.pack(len(text) or -1), text]
        parts.append(NO_ENCODING)
    return b"".join(parts)


def request(kind: int, token: bytes, handle: int, now_us: int, timeout_s: float, parameters: bytes) -> bytes:
    """A whole request: `token` is the session's as a NodeId in bytes, `timeout_s` what the server is told (0: none)."""
    header = HEADER.pack(now_us * 10 + TICKS_OF_1970, handle, 0, -1, round(timeout_s * 1000), 0, 0, 0)
    return KIND.pack(1, 0, kind) + token + header + parameters


def send(protocol: Any, kind: int, parameters: bytes, now_us: int, timeout_s: float = 0.0) -> "asyncio.Future[Any]":
    """Send over asyncua's UASocketProtocol, and give a future of the answer: a Buffer, service faults and all.

    Raises ConnectionError when it is closed; the future raises what ended the connection. It has no deadline.
    """
    if protocol.transport is None:
        raise ConnectionError("the connection is not open")
    token = nodeid_to_binary(protocol.authentication_token)
    body = request(kind, token, (protocol._request_handle + 1) & 0xFFFFFFFF, now_us, timeout_s, parameters)
    protocol.revolve_security_token()
    message = protocol._connection.message_to_binary(body, request_id=protocol._request_id + 1)
    protocol._request_handle += 1
    protocol._request_id += 1
    future: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
    protocol._callbackmap[protocol._request_id] = future
    protocol.transport.write(message)
    return future
