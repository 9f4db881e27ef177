"""The stage of the OPC UA campaigns: a server as a process, the gateway, what its buffer holds, and a cable between."""

import json
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from demo.child import Child, ChildFailed, tidegate
from tests.campaigns.scene import stamp_us
from tests.drivers.opcua.cable import Cable
from tests.drivers.opcua.peers import COUNTERS, Peer, asyncua_server, node_opcua

GATEWAY = "campaign"
DEVICE = "plc"
STOP_DEADLINE_S = 20.0
UP_DEADLINE_S = 60.0
QUIET_DEADLINE_S = 60.0
LOOK_INTERVAL_S = 0.05

SERVERS: dict[str, Callable[..., AbstractContextManager[Peer]]] = {"node-opcua": node_opcua, "asyncua": asyncua_server}


@dataclass(frozen=True, slots=True)
class Load:
    """How much changes, and how it is watched: nodes, changes a second, the subscription's interval and extra keys."""

    nodes: int
    hz: float
    interval_ms: int = 200
    options: str = ""
    history: int = 0


def write_configuration(folder: Path, load: Load, url: str) -> Path:
    """The configuration of a gateway that watches every counter of a server, on every change."""
    rows = [f"c{i:05},s=c{i:05},int32,load,0s" for i in range(load.nodes)]
    (folder / "counters.csv").write_text("\n".join(["name,address,type,group,sampling", *rows]) + "\n")
    path = folder / "gateway.toml"
    path.write_text(f"""\
[gateway]
name = "{GATEWAY}"
state = "state"

[buffer]
commit_interval = "250ms"
segment = "4MB"
quota = "2GB"

[clock]
source = "system"

[groups.load]
interval = "{load.interval_ms}ms"

[tables.counters]
file = "counters.csv"

[[device]]
name = "{DEVICE}"
driver = "opcua"
table = "counters"
address = "{url}"
namespace = "{COUNTERS}"
{load.options}
""")
    return path


class Scene:
    """A server, a cable to it, and a gateway that can be started, killed and stopped."""

    def __init__(self, folder: Path, load: Load, peer: Peer, cable: Cable) -> None:
        self.folder, self.load, self.peer, self.cable = folder, load, peer, cable
        self.configuration = write_configuration(folder, load, cable.url)
        self.gateway: Child | None = None

    def run_gateway(self) -> Child:
        """Start `tidegate run`."""
        self.gateway = Child("gateway", tidegate("run", str(self.configuration)), self.folder)
        return self.gateway

    def census(self) -> dict[str, Any]:
        """What the server counts now."""
        return self.peer.ask("census")

    def watched(self, nodes: int | None = None) -> dict[str, Any]:
        """Wait until the server watches every counter for the gateway."""
        wanted = self.load.nodes if nodes is None else nodes
        return self.until("every counter is watched", lambda seen: seen["items"] == wanted and seen["sessions"] > 0)

    def goes_on(self) -> dict[str, Any]:
        """Wait until something new is committed and acknowledged, as the server sees it."""
        before = self.census()
        fresh = before["subscriptions_ever"]

        def new(seen: dict[str, Any]) -> bool:
            least = before["acknowledged"] if seen["subscriptions_ever"] == fresh else 0
            return bool(seen["acknowledged"] > least and seen["sessions"] > 0)

        return self.until("the gateway acknowledges something new", new)

    def quiet(self) -> None:
        """Wait until the server keeps nothing any more that the gateway has not acknowledged."""
        self.until("all is acknowledged", lambda seen: seen["kept"] == 0, QUIET_DEADLINE_S)

    def until(
        self, what: str, so: Callable[[dict[str, Any]], bool], deadline_s: float = UP_DEADLINE_S
    ) -> dict[str, Any]:
        """Look at the server's counts until it is so. Raises ChildFailed past the deadline, or without a gateway."""
        begin = time.monotonic()
        while not so(seen := self.census()):
            if self.gateway is not None:
                self.gateway.expect()
            if time.monotonic() - begin > deadline_s:
                words = self.gateway.last_words() if self.gateway is not None else ""
                raise ChildFailed(f"not within {deadline_s:.0f} s: {what}; {seen}; {words}")
            time.sleep(LOOK_INTERVAL_S)
        return seen

    def kill(self) -> int:
        """SIGKILL the gateway; when, in µs."""
        assert self.gateway is not None
        self.gateway.expect()
        self.gateway.kill()
        return stamp_us()

    def tell_kill(self, at_us: int, kept: bool) -> None:
        """Write down when it was killed, that it is back now, and whether the subscription was kept."""
        with (self.folder / "kills.jsonl").open("a") as kills:
            kills.write(json.dumps({"at_us": at_us, "back_us": stamp_us(), "kept": kept}) + "\n")

    def end(self) -> int:
        """No more changes, everything committed, and a clean shutdown; the gateway's exit code."""
        self.peer.ask("stop")
        self.quiet()
        assert self.gateway is not None
        # What was told last is published once more within an interval, and committed within another.
        time.sleep(2 * self.load.interval_ms / 1000)
        self.quiet()
        return self.gateway.stop(STOP_DEADLINE_S)


@contextmanager
def scene(server: str, folder: Path, load: Load, **settings: Any) -> Iterator[Scene]:
    """A scene with its server up and nothing changing yet. Whatever happens, all of it is gone at the end."""
    folder.mkdir(parents=True, exist_ok=True)
    log = str(folder / "server.log")
    with (
        SERVERS[server](folder, counters=load.nodes, log=log, history=load.history, **settings) as peer,
        Cable(peer.wanted.host, peer.port) as cable,
    ):
        made = Scene(folder, load, peer, cable)
        try:
            yield made
        finally:
            if made.gateway is not None:
                made.gateway.kill()
