"""The OPC UA campaign: kills under load, and all that happens to a server, checked from the server's own log.

    python -m tests.campaigns.opcua 50 [--seed 7] [--only kills] [--keep FOLDER]

1,000 nodes change at 10 Hz while the gateway is SIGKILLed 50 times: what the server kept is all there, what it did not
keep is named by a gap. Then servers restart, come back with other namespaces, lose nodes, and the network is cut.
Figures last; exits 1 when a claim does not hold.
"""

import argparse
import random
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

from demo.child import ChildFailed
from tests.campaigns.checker import Finding
from tests.campaigns.opcua_faults import FAULTS, fault, leak
from tests.campaigns.opcua_kills import kill_campaign
from tests.campaigns.opcua_scene import Load
from tests.campaigns.scene import leave, workplace
from tests.drivers.opcua.peers import PeerFailed

FULL = Load(1000, 10.0)
# asyncua's server is Python: it shares its core with the gateway.
LIGHT = Load(200, 5.0)
# Of the kills so many are against asyncua's server, which forgets more.
LIGHT_SHARE = 0.2
RECONNECTS = 1000


def main() -> None:
    """The command: see the module's text."""
    parser = argparse.ArgumentParser(prog="python -m tests.campaigns.opcua")
    parser.add_argument("kills", type=int, nargs="?", default=50)
    parser.add_argument("--seed", type=int, default=random.SystemRandom().randrange(1 << 16))
    parser.add_argument("--reconnects", type=int, default=RECONNECTS)
    parser.add_argument("--only", default="", help="only the parts with this in their name")
    parser.add_argument("--keep", type=Path, help="work in this folder and keep it")
    given = parser.parse_args()
    folder, begun_s = workplace("opcua", given.keep), time.monotonic()
    light = max(2, round(given.kills * LIGHT_SHARE))
    parts: dict[str, Callable[[Path], list[Finding]]] = {
        "kills, node-opcua": lambda at: kill_campaign("node-opcua", given.kills, FULL, at, given.seed, True),
        "kills, asyncua": lambda at: kill_campaign("asyncua", light, LIGHT, at, given.seed, False),
        **{name: partial(fault, server, act=act) for name, (server, act) in FAULTS.items()},
        "leak, node-opcua": lambda at: leak("node-opcua", at, given.reconnects),
        "leak, asyncua": lambda at: leak("asyncua", at, max(1, given.reconnects // 10)),
    }
    told: dict[str, list[Finding]] = {}
    for number, (name, part) in enumerate(parts.items()):
        if given.only in name:
            print(f"opcua campaign, {name}", flush=True)
            try:
                told[name] = part(folder / f"part{number}")
            except (ChildFailed, PeerFailed) as failure:
                told[name] = [Finding(False, str(failure))]
    print(f"opcua campaign: {given.kills} kills, seed {given.seed}, {time.monotonic() - begun_s:.0f} s")
    for name, found in told.items():
        print(name)
        print("\n".join(map(str, found)))
    leave(folder, bool(told) and all(one.holds for found in told.values() for one in found), given.keep)


if __name__ == "__main__":
    main()
