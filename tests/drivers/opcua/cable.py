"""A cable between a client and a server that can be cut: a relay on loopback, in a thread of its own."""

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from select import select
from types import TracebackType
from typing import Self

PIECE_BYTES = 65536
LOOK_S = 0.02
JOIN_S = 10.0


class Cable:
    """Relays from its own port to a server's. While it is cut nothing passes and nothing is told, as on a real line:

    connections stay as they are, new ones are not taken up, and what was sent lies in the buffers until it is mended.
    """

    def __init__(self, host: str, port: int) -> None:
        self._server = (host, port)
        self._family = socket.AF_INET6 if ":" in host else socket.AF_INET
        self._listener = socket.create_server((host, 0), family=self._family, backlog=64)
        self._pairs: dict[socket.socket, socket.socket] = {}
        self._lock = threading.Lock()
        self._whole = threading.Event()
        self._whole.set()
        self._over = False
        self._thread = threading.Thread(target=self._relay, daemon=True)
        self.connections = 0
        self.carried = 0

    @property
    def port(self) -> int:
        """Where clients go."""
        return int(self._listener.getsockname()[1])

    @property
    def url(self) -> str:
        """The endpoint as a client has it."""
        host = self._server[0]
        return f"opc.tcp://[{host}]:{self.port}" if ":" in host else f"opc.tcp://{host}:{self.port}"

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._over = True
        self._thread.join(JOIN_S)
        self.tear()
        self._listener.close()

    def cut(self) -> None:
        """From now on nothing passes."""
        self._whole.clear()

    def mend(self) -> None:
        """It carries again, also what was sent before and while it was cut."""
        self._whole.set()

    def tear(self) -> None:
        """Every connection over it ends, as when a switch is switched off and on."""
        with self._lock:
            for one in list(self._pairs):
                self._drop(one)

    @contextmanager
    def apart(self) -> Iterator[None]:
        """Cut for the time of a block."""
        self.cut()
        try:
            yield
        finally:
            self.mend()

    def _relay(self) -> None:
        while not self._over:
            if not self._whole.is_set():
                self._whole.wait(LOOK_S)
                continue
            with self._lock:
                watched = [self._listener, *self._pairs]
            ready, _, _ = select(watched, [], [], LOOK_S)
            for one in ready:
                if one is self._listener:
                    self._take_up()
                elif self._whole.is_set():
                    self._carry(one)

    def _take_up(self) -> None:
        client, _ = self._listener.accept()
        try:
            server = socket.create_connection(self._server, timeout=JOIN_S)
        except OSError:
            # Nobody there: the client is told as the server's own machine would tell it.
            client.close()
            return
        with self._lock:
            self._pairs[client], self._pairs[server] = server, client
        self.connections += 1

    def _carry(self, one: socket.socket) -> None:
        with self._lock:
            other = self._pairs.get(one)
        if other is None:
            return
        try:
            data = one.recv(PIECE_BYTES)
            if data:
                other.sendall(data)
                self.carried += len(data)
                return
        except OSError:
            pass
        with self._lock:
            self._drop(one)

    def _drop(self, one: socket.socket) -> None:
        other = self._pairs.pop(one, None)
        for end in (one, other):
            if end is not None:
                self._pairs.pop(end, None)
                with suppress(OSError):
                    end.close()
