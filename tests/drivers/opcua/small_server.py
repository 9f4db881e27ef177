"""An OPC UA server of four variables in the test's own loop, for what every driver owes."""

import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

from asyncua import Server, ua

SMALL = "urn:tidegate:test:small"
VALUES = {
    "a": (7, ua.VariantType.UInt16),
    "b": (8, ua.VariantType.UInt16),
    "c": ("ok", ua.VariantType.String),
    "d": (1.5, ua.VariantType.Float),
}

logging.getLogger("asyncua").setLevel(logging.ERROR)


@dataclass
class SmallPeer:
    """Where it is, and how many connections it has."""

    address: str
    server: Server

    @property
    def connections(self) -> int:
        """Of clients, now."""
        return len(self.server.bserver.clients)


@asynccontextmanager
async def small_server(_: object = None) -> AsyncIterator[SmallPeer]:
    """It runs on 127.0.0.1 and a free port."""
    server = Server()
    await server.init()
    server.set_endpoint("opc.tcp://127.0.0.1:0")
    server.set_security_policy([ua.SecurityPolicyType.NoSecurity])
    index = await server.register_namespace(SMALL)
    for name, (value, kind) in VALUES.items():
        await server.nodes.objects.add_variable(ua.NodeId(name, index), name, ua.Variant(value, kind))
    async with server:
        host, port = server.bserver._server.sockets[0].getsockname()[:2]
        yield SmallPeer(f"opc.tcp://{host}:{port}", server)
