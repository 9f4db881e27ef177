"""Settings: how a server is reached, from the texts of a device list, with all that is wrong with them.

It opens nothing, and asks for nothing that the server would have to answer.
"""

from dataclasses import dataclass
from urllib.parse import urlsplit

from tidegate.errors import Problem
from tidegate.model.device import Device
from tidegate.model.option import Options
from tidegate_drivers.opcua.address import parse_node

SCHEME = "opc.tcp"
PORT = 4840
HOW_NODES_ARE_WRITTEN = "Write it as nsu=http://vendor.com/plc;s=Machine; `tidegate browse` shows the nodes of a server"
HOW_TO_WRITE = "Write it as opc.tcp://host:port/path"
TIMEOUT_S, TIMEOUT_S_MIN, TIMEOUT_S_MAX = 4.0, 0.1, 60.0
# A session whose gateway was killed is the server's burden for so long; each one sends something far more often.
SESSION_S, SESSION_S_MIN, SESSION_S_MAX = 60.0, 10.0, 3600.0
# So long a server may keep a subscription, and what it had to tell, for a gateway that is gone.
LIFETIME_S, LIFETIME_S_MIN, LIFETIME_S_MAX = 600.0, 10.0, 86400.0
# A subscription with nothing to tell says so this often.
KEEPALIVE_S, KEEPALIVE_S_MIN, KEEPALIVE_S_MAX = 5.0, 0.5, 60.0
# A server's clock may be so wrong before its times are shifted.
SKEW_S, SKEW_S_MIN, SKEW_S_MAX = 60.0, 1.0, 86400.0 * 365
REQUEST_ITEMS_MAX = 10_000
QUEUE_MAX = 10_000
DELIVERIES = ("subscribe", "read")
HISTORY = ("no", "oldest", "newest")


@dataclass(frozen=True, slots=True)
class Settings:
    """How one device is reached. `bus` is equal for all devices that share a session.

    `namespace` is the URI of addresses that name none. Addresses that begin with ./ are paths from the object `root`,
    or, without that, from the only object of the companion type `type`. Where `subscribes` is False all of it is read
    in cycles. `batch` bounds the items of one request, 0 where the server's own word is enough; `registers` has read
    nodes registered. `history` says in which order what was missed is read back, "no" where it is not.
    """

    host: str
    port: int
    path: str
    user: str
    timeout_s: float
    session_s: float
    lifetime_s: float
    keepalive_s: float
    skew_s_max: float
    namespace: str
    root: str
    type: str
    subscribes: bool
    registers: bool
    batch: int
    queue: int
    history: str

    @property
    def url(self) -> str:
        """The address as the server is told it."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{SCHEME}://{host}:{self.port}{self.path}"

    @property
    def bus(self) -> str:
        """The server, and as whom it is read."""
        return f"{self.url} as {self.user}" if self.user else self.url


def parse_url(address: str) -> tuple[str, int, str]:
    """Host, port and path of `opc.tcp://host:port/path`. Raises ValueError that says what is wrong."""
    split = urlsplit(address.strip())
    if split.scheme.lower() != SCHEME:
        raise ValueError(f"{address!r} does not begin with {SCHEME}://")
    if split.username is not None or split.password is not None:
        raise ValueError(
            "a user and password in the address would be shown wherever it is: they have keys of their own"
        )
    try:
        port = split.port
    except ValueError:
        raise ValueError(f"{address!r} has no port from 1 to 65535") from None
    if not split.hostname or port == 0:
        raise ValueError(f"{address!r} has no port from 1 to 65535" if port == 0 else f"{address!r} names no host")
    return split.hostname, port or PORT, split.path.rstrip("/") + (f"?{split.query}" if split.query else "")


def _check_node(options: Options, name: str, namespace: str) -> None:
    if not options.text(name):
        return
    try:
        place = parse_node(options.text(name), namespace)
        if place.index_range or place.fields or (name == "type" and place.path):
            raise ValueError("it has to be a node, and nothing of its value")
    except ValueError as wrong:
        options.wrong(name, str(wrong), HOW_NODES_ARE_WRITTEN)


def parse_device(device: Device) -> tuple[Settings | None, list[Problem]]:
    """The settings of a device, and what is wrong with its address and options; None when that is fatal."""
    options = Options(device.options, device.name, device.row)
    host, port, path = "", PORT, ""
    try:
        host, port, path = parse_url(device.address)
    except ValueError as wrong:
        options.wrong("address", str(wrong), HOW_TO_WRITE)
    if device.unit is not None:
        options.wrong("unit", "an OPC UA server has no units", "Leave it empty", fatal=False)
    settings = Settings(
        host,
        port,
        path,
        options.text("user"),
        options.duration_s("timeout", TIMEOUT_S, TIMEOUT_S_MIN, TIMEOUT_S_MAX),
        options.duration_s("session_timeout", SESSION_S, SESSION_S_MIN, SESSION_S_MAX),
        options.duration_s("lifetime", LIFETIME_S, LIFETIME_S_MIN, LIFETIME_S_MAX),
        options.duration_s("keepalive", KEEPALIVE_S, KEEPALIVE_S_MIN, KEEPALIVE_S_MAX),
        options.duration_s("skew_max", SKEW_S, SKEW_S_MIN, SKEW_S_MAX),
        options.text("namespace"),
        options.text("root"),
        options.text("type"),
        options.word("delivery", DELIVERIES[0], DELIVERIES) == DELIVERIES[0],
        options.word("register", "no", ("yes", "no")) == "yes",
        options.whole("batch", 0, 0, REQUEST_ITEMS_MAX),
        options.whole("queue", 0, 0, QUEUE_MAX),
        options.word("history", HISTORY[1], HISTORY),
    )
    for name in ("root", "type"):
        _check_node(options, name, settings.namespace)
    options.refuse_unknown()
    fatal = any(problem.fatal for problem in options.problems)
    return (None if fatal else settings), options.problems
