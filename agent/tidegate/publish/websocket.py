"""A WebSocket that looks like a socket (RFC 6455): MQTT goes through as binary messages. It knows no MQTT.

paho has one of its own; it masks a byte at a time, which held the loop for tens of milliseconds a message.
"""

import contextlib
import os
import socket
import ssl
import struct
import time
from base64 import b64encode
from hashlib import sha1

CONTINUATION, TEXT, BINARY, CLOSE, PING, PONG = 0, 1, 2, 8, 9, 10
CONTROL_BYTES_MAX = 125
HEADER_BYTES_MAX = 16_384
READ_BYTES = 65_536
# RFC 6455, 1.3
ACCEPT_SUFFIX = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"


def open_websocket(sock: socket.socket, host: str, port: int, path: str, deadline_s: float) -> "WebSocket":
    """Shake hands over a connected socket, blocking. Raises OSError when the other side does not speak it."""
    end_s = time.monotonic() + deadline_s
    key = b64encode(os.urandom(16))
    where = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
    asked = (
        f"GET {path} HTTP/1.1", f"Host: {where}", "Upgrade: websocket", "Connection: Upgrade",
        f"Sec-WebSocket-Key: {key.decode()}", "Sec-WebSocket-Version: 13", "Sec-WebSocket-Protocol: mqtt", "", "",
    )  # fmt: skip
    sock.sendall("\r\n".join(asked).encode())
    said = bytearray()
    while b"\r\n\r\n" not in said:
        more = sock.recv(READ_BYTES)
        if not more or len(said) > HEADER_BYTES_MAX or time.monotonic() > end_s:
            raise OSError(0, "it answers with no WebSocket")
        said += more
    head, _, rest = bytes(said).partition(b"\r\n\r\n")
    first, *lines = head.decode("latin-1").split("\r\n")
    headers = {name.strip().lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
    if first.split(" ")[1:2] != ["101"]:
        raise OSError(0, f"it opens no WebSocket at {path}: {first[:100]!r}")
    # What RFC 6455 has SHA-1 for is no secret: it shows that the answer is one to this very question.
    accepted = b64encode(sha1(key + ACCEPT_SUFFIX, usedforsecurity=False).digest()).decode()
    if headers.get("sec-websocket-accept") != accepted:
        raise OSError(0, "it answered to another WebSocket's question")
    return WebSocket(sock, rest)


class WebSocket:
    """What a socket has, as far as an MQTT client uses it. `data` came in behind the handshake."""

    def __init__(self, sock: socket.socket, data: bytes = b"") -> None:
        self._socket = sock
        self._came = bytearray(data)
        self._ready = bytearray()
        self._out = bytearray()
        # Bytes of the caller that are in `_out`: they are reported as sent when all of it is.
        self._taken = 0
        self._ended = False

    def recv(self, size: int) -> bytes:
        """Up to `size` bytes; b"" at the end. Raises BlockingIOError or ssl.SSLWantReadError when there is nothing."""
        while self._parse():
            pass
        while not self._ready:
            if self._ended:
                return b""
            more = self._socket.recv(READ_BYTES)
            if not more:
                return b""
            self._came += more
            while self._parse():
                pass
        data = bytes(self._ready[:size])
        del self._ready[:size]
        return data

    def send(self, data: bytes | bytearray) -> int:
        """As socket.send, except that it takes all of `data` or raises; then it must be called with the same again."""
        if not self._taken:
            self._out += frame(BINARY, bytes(data))
            self._taken = len(data)
        self._flush()
        taken, self._taken = self._taken, 0
        return taken

    def pending(self) -> int:
        """Bytes that the descriptor does not tell of, since they have been read already."""
        held = len(self._ready) + self._ended
        return held + (self._socket.pending() if isinstance(self._socket, ssl.SSLSocket) else 0)

    def fileno(self) -> int:
        """Of the socket below."""
        return self._socket.fileno()

    def setblocking(self, flag: bool) -> None:
        """Of the socket below."""
        self._socket.setblocking(flag)

    def setsockopt(self, level: int, option: int, value: int) -> None:
        """Of the socket below."""
        self._socket.setsockopt(level, option, value)

    def close(self) -> None:
        """Of the socket below."""
        self._socket.close()

    def _flush(self) -> None:
        while self._out:
            sent = self._socket.send(self._out)
            del self._out[:sent]

    def _parse(self) -> bool:
        """Take one frame from what came in; whether there was a whole one. Raises OSError for what is none."""
        came = self._came
        if len(came) < 2:
            return False
        opcode, length, at = came[0] & 15, came[1] & 127, 2
        if came[1] & 128 or came[0] & 0x70:
            raise OSError(0, "it sends WebSocket frames that a server must not send")
        wide = {126: "!H", 127: "!Q"}.get(length)
        if wide is not None:
            at += struct.calcsize(wide)
            if len(came) < at:
                return False
            length = struct.unpack_from(wide, came, 2)[0]
        if length > READ_BYTES * 16:
            raise OSError(0, f"it sends a WebSocket frame of {length} bytes")
        if len(came) < at + length:
            return False
        body = bytes(came[at : at + length])
        del came[: at + length]
        if opcode in (BINARY, CONTINUATION):
            self._ready += body
        elif opcode == CLOSE:
            self._ended = True
        elif opcode == PING:
            self._out += frame(PONG, body[:CONTROL_BYTES_MAX])
            # Where the way is full it goes with whatever is sent next.
            with contextlib.suppress(BlockingIOError, ssl.SSLWantWriteError, ssl.SSLWantReadError):
                self._flush()
        return True


def frame(opcode: int, body: bytes) -> bytes:
    """One whole frame, masked as a client's must be (RFC 6455, 5.3)."""
    length = len(body)
    if length < 126:
        head = bytes([0x80 | opcode, 0x80 | length])
    elif length < 1 << 16:
        head = struct.pack("!BBH", 0x80 | opcode, 0x80 | 126, length)
    else:
        head = struct.pack("!BBQ", 0x80 | opcode, 0x80 | 127, length)
    mask = os.urandom(4)
    repeated = mask * (length // 4 + 1)
    # Two large integers make one pass in C of it.
    masked = int.from_bytes(body, "little") ^ int.from_bytes(repeated[:length], "little")
    return head + mask + masked.to_bytes(length, "little")
