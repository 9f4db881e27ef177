"""What happens to a server and to the way to it, one at a time, while its nodes change: the gateway comes back alone.

Each part says by what the server counts how many sessions that took, and ends with the checker's claims.
"""

import asyncio
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tests.campaigns.checker import Finding
from tests.campaigns.opcua_checker import findings
from tests.campaigns.opcua_scene import Load, Scene, scene
from tests.drivers.opcua.cable import Cable
from tests.drivers.opcua.peers import COUNTERS, REINDEXED
from tests.drivers.opcua.stand import Feed, delivering, device
from tidegate.model.tag import Type

LOAD = Load(200, 5.0)
CUT_S = 30.0
# In which something changes before and after each fault.
BESIDE_S = 1.5
# CreateSession calls that a fault may cost: one that fails halfway, and one that does not.
SESSIONS_MAX = 3
DELETED = ["c00003", "c00004", "c00005"]
TEARS = 5
RECONNECT_DEADLINE_S = 30.0
LEAK_NODES, TORN_MAX = 50, 50


def fault(
    server: str, folder: Path, act: Callable[[Scene], str], load: Load = LOAD, **settings: object
) -> list[Finding]:
    """A scene in which `act` happens once everything goes on; its words, how many sessions it took, every claim."""
    with scene(server, folder, load, **settings) as at:
        at.run_gateway()
        at.watched()
        at.peer.ask("start", hz=load.hz)
        at.goes_on()
        time.sleep(BESIDE_S)
        before, pid = at.census()["sessions_ever"], at.peer.pid
        begin = time.monotonic()
        words = act(at)
        at.watched()
        at.goes_on()
        took_s = time.monotonic() - begin
        time.sleep(BESIDE_S)
        seen = at.census()
        # A server that was started again counts anew.
        sessions = seen["sessions_ever"] - (before if at.peer.pid == pid else 0)
        code = at.end()
    counted = (seen["sessions"], seen["subscriptions"], seen["items"])
    return [
        Finding(sessions <= SESSIONS_MAX, f"{words}: well again {took_s:.1f} s after it began, with {sessions} "
                f"CreateSession calls (at most {SESSIONS_MAX})"),
        Finding(counted == (1, 1, load.nodes), f"the server counts {counted[0]} sessions, {counted[1]} subscriptions "
                f"and {counted[2]} monitored items at the end"),
        *findings(folder),
        Finding(code == 0, f"the last shutdown was clean (exit {code})"),
    ]  # fmt: skip


def stopped(at: Scene) -> str:
    """The server ends in good order and is started again; it changes from its start on."""
    at.peer.stop()
    at.peer.again(hz=at.load.hz)
    return "the server was stopped and started"


def crashed(at: Scene) -> str:
    """The same without a word."""
    at.peer.again(hz=at.load.hz)
    return "the server was killed and started"


def reindexed(at: Scene) -> str:
    """It comes back with other namespaces before the one that is read."""
    before = at.peer.ask("namespaces")["namespaces"].index(COUNTERS)
    at.peer.again(hz=at.load.hz, order=REINDEXED)
    after = at.peer.ask("namespaces")["namespaces"].index(COUNTERS)
    return f"the namespace moved from index {before} to {after}"


def deleted(at: Scene) -> str:
    """Nodes go, as with a program download, and come back."""
    at.peer.ask("delete", nodes=DELETED)
    time.sleep(BESIDE_S)
    before = at.census()["items_ever"]
    at.peer.ask("add", nodes=DELETED)
    at.until("they are watched anew", lambda seen: seen["items_ever"] >= before + len(DELETED))
    return f"{len(DELETED)} nodes were deleted and added again"


def cut(at: Scene) -> str:
    """Nothing passes for half a minute, and nobody is told."""
    with at.cable.apart():
        time.sleep(CUT_S)
    return f"the network was cut for {CUT_S:.0f} s"


def torn(at: Scene) -> str:
    """The connection ends again and again, each time once all goes on."""
    for _ in range(TEARS):
        at.cable.tear()
        at.goes_on()
    return f"the connection was torn {TEARS} times"


FAULTS: dict[str, tuple[str, Callable[[Scene], str]]] = {
    "stopped, node-opcua": ("node-opcua", stopped),
    "stopped, asyncua": ("asyncua", stopped),
    "crashed, node-opcua": ("node-opcua", crashed),
    "reindexed, node-opcua": ("node-opcua", reindexed),
    "reindexed, asyncua": ("asyncua", reindexed),
    "deleted, node-opcua": ("node-opcua", deleted),
    "cut, node-opcua": ("node-opcua", cut),
    "cut, asyncua": ("asyncua", cut),
    "torn, node-opcua": ("node-opcua", torn),
}


def leak(server: str, folder: Path, reconnects: int) -> list[Finding]:
    """The driver alone, whose connection is torn again and again: the server ends with what one client has.

    After every TORN_MAX of them it is closed, and another process takes over what it left.
    """
    with scene(server, folder, Load(LEAK_NODES, 1.0)) as at:
        begin, done, seen = time.monotonic(), 0, at.census()
        while done < reconnects:
            some = min(TORN_MAX, reconnects - done)
            seen = asyncio.run(_reconnects(at, at.cable, folder, some))
            done += some
        took_s = time.monotonic() - begin
    one = {"sessions": 1, "subscriptions": 1, "items": LEAK_NODES}
    counted = {name: seen[name] for name in one}
    ever = ", ".join(f"{seen[name]} {name.removesuffix('_ever')}" for name in ("sessions_ever", "subscriptions_ever"))
    return [
        Finding(counted == one, f"{reconnects} reconnects in {took_s:.0f} s: the server counts {counted}, one client "
                f"has {one}; it made {ever} in all"),
    ]  # fmt: skip


async def _reconnects(at: Scene, cable: Cable, folder: Path, reconnects: int) -> dict[str, Any]:
    tags = [(f"c{i:05}", f"nsu={COUNTERS};s=c{i:05}", Type.INT32) for i in range(LEAK_NODES)]
    made, feed = device(cable.url, tags), Feed()
    async with delivering(made, feed, folder):
        await asyncio.to_thread(at.watched)
        for _ in range(reconnects):
            before, heard = cable.connections, len(feed.frames)
            cable.tear()
            await _until(lambda before=before: cable.connections > before)
            # Something is told over it, so that it was whole.
            await asyncio.to_thread(at.peer.ask, "step")
            await _until(lambda heard=heard: len(feed.frames) > heard)
        # A session that was left behind would be there for a while; one that is taken up again is the only one.
        return await asyncio.to_thread(at.until, "one session is left", lambda seen: seen["sessions"] <= 1)


async def _until(so: Callable[[], bool]) -> None:
    async with asyncio.timeout(RECONNECT_DEADLINE_S):
        for _ in range(int(RECONNECT_DEADLINE_S / 0.01)):
            if so():
                return
            await asyncio.sleep(0.01)
    raise TimeoutError
