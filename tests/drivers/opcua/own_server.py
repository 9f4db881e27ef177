"""asyncua's server as a process: `python -m tests.drivers.opcua.own_server JSON` (peers.py has all settings).

It speaks the same lines as foreign/server.js and has the same nodes under the same names. What asyncua 2.1.0 can't:
BrowseNext, queue overflow bits, percent deadbands, telling a client that a monitored node was deleted, sending
notifications to the new session after TransferSubscriptions (it goes on with the old session's publish requests, and
then is silent), republishing the same number twice; it has no alarms. Limits and refusals that it does not know are
put in front of it here: operation limits, BadTooManyMonitoredItems, access denied.
"""

import asyncio
import json
import logging
import os
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

from asyncua import Server, ua
from asyncua.common.utils import ServiceError
from asyncua.crypto.permission_rules import User, UserRole
from asyncua.server.user_managers import UserManager
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from tests.drivers.opcua.own_counters import Counters, names_of
from tests.drivers.opcua.own_faults import Faults
from tests.drivers.opcua.own_things import Things
from tests.drivers.opcua.peers import Wanted
from tests.drivers.opcua.server_certificate import own_certificate

URI = "urn:tidegate:test:{}"
SHADOW = -1
Command = Callable[[dict[str, Any]], Awaitable[dict[str, Any] | None]]


class Users(UserManager):  # type: ignore[misc]
    """Who may come: anybody, users with their passwords, users with a trusted certificate."""

    def __init__(self, wanted: Wanted) -> None:
        self._wanted = wanted
        self._trusted = _trusted(wanted.users_trusted)

    def get_user(
        self, iserver: Any, username: str | None = None, password: str | None = None, certificate: Any = None
    ) -> User | None:
        """The user, or None for one who may not come in."""
        if username is not None:
            known = self._wanted.users.get(username)
            return User(UserRole.User, username) if known is not None and known == password else None
        # The certificate may also be that of the channel; an X.509 user is one whose certificate is listed.
        by_certificate = certificate is not None and (self._trusted is None or certificate in self._trusted)
        return User(UserRole.User) if self._wanted.anonymous or by_certificate else None


def _trusted(paths: tuple[str, ...]) -> set[bytes] | None:
    """Certificates in DER; None for "auto"."""
    if "auto" in paths:
        return None
    return {x509.load_pem_x509_certificate(Path(one).read_bytes()).public_bytes(Encoding.DER) for one in paths}


async def make(wanted: Wanted) -> tuple[Server, Counters, Things | None, dict[str, int]]:
    """The server, not yet started, its counters and things, and how often sessions and subscriptions were made."""
    server = Server(user_manager=Users(wanted))
    await server.init()
    host = f"[{wanted.host}]" if ":" in wanted.host else wanted.host
    server.set_endpoint(f"opc.tcp://{host}:{wanted.port}/")
    server.set_server_name("Tidegate's asyncua peer")
    await server.set_application_uri(wanted.applicationUri)
    await _secure(server, wanted)
    ever = _counted(server)
    _limited(server, wanted, ever)
    indexes = {name: await server.register_namespace(URI.format(name)) for name in wanted.order}
    counters = Counters(server, indexes["counters"], wanted.log)
    await counters.make(names_of(wanted.counters), wanted.history)
    if wanted.shadows:
        await shadow(
            server, [index for name, index in indexes.items() if name != "counters"], names_of(wanted.counters)
        )
    things = Things(server, indexes["things"], indexes["types"]) if "things" in indexes else None
    if things is not None:
        await things.make()
    return server, counters, things, ever


async def shadow(server: Server, indexes: list[int], names: list[str]) -> None:
    """Nodes of the counters' names in other namespaces, which no client of the counters ought to read."""
    for index in indexes:
        for name in names:
            node_id, browse_name = ua.NodeId(name, index), ua.QualifiedName(name, index)
            await server.nodes.objects.add_variable(node_id, browse_name, SHADOW, ua.VariantType.Int32)


async def _secure(server: Server, wanted: Wanted) -> None:
    policies = []
    for name in wanted.policies:
        if name == "None":
            policies.append(ua.SecurityPolicyType.NoSecurity)
        else:
            for mode in ("Sign", "SignAndEncrypt"):
                policies.append(ua.SecurityPolicyType[f"{name.replace('_', '')}_{mode}"])
    server.set_security_policy(policies)
    tokens = [ua.UserNameIdentityToken, ua.X509IdentityToken]
    server.set_identity_tokens([*tokens, ua.AnonymousIdentityToken] if wanted.anonymous else tokens)
    names = ("127.0.0.1", "localhost", *wanted.names)
    certificate, private = await asyncio.to_thread(own_certificate, Path(wanted.pki), wanted.applicationUri, names)
    await server.load_certificate(certificate)
    await server.load_private_key(private)
    trusted = _trusted(wanted.trusted)

    async def validate(shown: x509.Certificate, _: Any) -> None:
        if trusted is not None and shown.public_bytes(Encoding.DER) not in trusted:
            raise ServiceError(ua.StatusCodes.BadCertificateUntrusted)

    server.iserver.certificate_validator = validate


def _counted(server: Server) -> dict[str, int]:
    ever = {"sessions_ever": 0, "subscriptions_ever": 0, "items_ever": 0, "acknowledged": 0}
    create_session, service = server.iserver.create_session, server.iserver.subscription_service
    create_subscription, publish = service.create_subscription, service.publish

    def session(*arguments: Any, **named: Any) -> Any:
        ever["sessions_ever"] += 1
        return create_session(*arguments, **named)

    async def subscription(*arguments: Any, **named: Any) -> Any:
        # The server's own, for history, have no request to answer.
        ever["subscriptions_ever"] += named.get("request_callback") is not None
        return await create_subscription(*arguments, **named)

    def acknowledged(numbers: Any) -> Any:
        ever["acknowledged"] += len(numbers)
        return publish(numbers)

    server.iserver.create_session, service.create_subscription = session, subscription
    service.publish = acknowledged
    return ever


def _limited(server: Server, wanted: Wanted, ever: dict[str, int]) -> None:
    service, attributes = server.iserver.subscription_service, server.iserver.attribute_service
    create, read = service.create_monitored_items, attributes.read
    limits = wanted.operation_limits

    async def create_items(params: Any) -> Any:
        if len(params.ItemsToCreate) > limits.get("maxMonitoredItemsPerCall", sys.maxsize):
            raise ServiceError(ua.StatusCodes.BadTooManyOperations)
        ever["items_ever"] += len(params.ItemsToCreate)
        room = max(0, wanted.items_max - _items(server))
        params.ItemsToCreate, refused = params.ItemsToCreate[:room], params.ItemsToCreate[room:]
        results = await create(params)
        too_many = ua.StatusCode(ua.StatusCodes.BadTooManyMonitoredItems)
        return [*results, *(ua.MonitoredItemCreateResult(StatusCode=too_many) for _ in refused)]

    def read_some(params: Any) -> Any:
        if len(params.NodesToRead) > limits.get("maxNodesPerRead", sys.maxsize):
            raise ServiceError(ua.StatusCodes.BadTooManyOperations)
        return read(params)

    service.create_monitored_items, attributes.read = create_items, read_some


async def _tell_limits(server: Server, wanted: Wanted) -> None:
    for name, limit in wanted.operation_limits.items():
        where = f"Server_ServerCapabilities_OperationLimits_{name[0].upper()}{name[1:]}"
        node = server.get_node(ua.NodeId(getattr(ua.ObjectIds, where)))
        await node.write_value(ua.Variant(limit, ua.VariantType.UInt32))


def _clients(server: Server) -> list[Any]:
    subscriptions = server.iserver.subscription_service.subscriptions.values()
    return [one for one in subscriptions if one.pub_request_callback is not None]


def _items(server: Server) -> int:
    return sum(len(one.monitored_item_srv._monitored_items) for one in _clients(server))


def commands(server: Server, counters: Counters, things: Things | None, ever: dict[str, int]) -> dict[str, Command]:
    """What a line can ask for; each gives what the answer holds beside {"ok": true}."""

    async def census(_: dict[str, Any]) -> dict[str, Any]:
        found = {"sessions": len(server.iserver._external_sessions), "subscriptions": len(_clients(server))}
        # What was sent and not acknowledged, and what waits for a request of the client.
        kept = sum(len(one._not_acknowledged_results) + len(one._triggered_datachanges) for one in _clients(server))
        return {**found, "items": _items(server), "kept": kept, **ever, "changes": counters.changes}

    async def start(asked: dict[str, Any]) -> None:
        counters.start(asked["hz"])

    async def stop(_: dict[str, Any]) -> None:
        counters.stop()

    async def skew(asked: dict[str, Any]) -> None:
        counters.skew_ms = asked["ms"]

    async def namespaces(_: dict[str, Any]) -> dict[str, Any]:
        return {"namespaces": await server.get_namespace_array()}

    async def value(asked: dict[str, Any]) -> dict[str, Any]:
        return {"value": await things.node(asked["node"]).read_value()} if things else {}

    async def put(asked: dict[str, Any]) -> None:
        if things:
            status = getattr(ua.StatusCodes, asked["status"]) if "status" in asked else 0
            await things.set(asked["node"], asked.get("value"), asked.get("at_ms"), status)

    async def disconnect(_: dict[str, Any]) -> None:
        for transport in list(server.iserver.asyncio_transports):
            transport.abort()

    async def shutdown(_: dict[str, Any]) -> None:
        counters.stop()
        await server.stop()

    async def crash(_: dict[str, Any]) -> None:
        os._exit(13)

    async def event(asked: dict[str, Any]) -> None:
        if things:
            await things.raise_event(asked["message"], asked["severity"])

    async def step(_: dict[str, Any]) -> None:
        await counters.step()

    async def delete(asked: dict[str, Any]) -> None:
        await counters.delete(asked["nodes"])

    async def add(asked: dict[str, Any]) -> None:
        await counters.make(asked["nodes"])

    return {
        "census": census, "start": start, "stop": stop, "step": step, "skew": skew, "namespaces": namespaces,
        "value": value, "set": put, "status": put, "event": event, "delete": delete, "add": add,
        "disconnect": disconnect, "shutdown": shutdown, "crash": crash, **Faults(server).commands(),
    }  # fmt: skip


async def main(wanted: Wanted) -> None:
    """Serve until standard input ends, or it is told to stop."""
    server, counters, things, ever = await make(wanted)
    await server.start()
    await _tell_limits(server, wanted)
    known = commands(server, counters, things, ever)
    if wanted.hz > 0:
        counters.start(wanted.hz)
    assert server.bserver is not None
    certificate = str(Path(wanted.pki) / "certificate.pem")
    print(json.dumps({"port": server.bserver.port, "certificate": certificate}), flush=True)
    lines = asyncio.StreamReader()
    await asyncio.get_running_loop().connect_read_pipe(lambda: asyncio.StreamReaderProtocol(lines), sys.stdin)
    while line := await lines.readline():
        try:
            asked = json.loads(line)
            if asked["do"] not in known:
                raise ValueError(f"this server can't {asked['do']}")
            said = {"ok": True, **((await known[asked["do"]](asked)) or {})}
        except Exception as error:
            said = {"ok": False, "why": repr(error)}
        print(json.dumps(said), flush=True)
        if said["ok"] and asked["do"] == "shutdown":
            break
    os._exit(0)


if __name__ == "__main__":
    logging.basicConfig(level=logging.ERROR)
    told = json.loads(sys.argv[1])
    asyncio.run(main(Wanted(**{name: tuple(v) if isinstance(v, list) else v for name, v in told.items()})))
