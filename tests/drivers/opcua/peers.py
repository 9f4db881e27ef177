"""OPC UA servers as processes: node-opcua (foreign/server.js) and asyncua's (own_server.py), spoken to in JSON lines.

    with node_opcua(folder, counters=1000, hz=10.0) as peer:
        peer.url, peer.ask("census"), peer.crash(), peer.again(order=REINDEXED)

A command is one line on its standard input, its answer one line on its standard output. What commands there are is in
the servers' own tables. Usable from pytest and from campaigns; whatever happens the process is gone at the end.
"""

import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from select import select
from typing import Any

ROOT = Path(__file__).parents[3]
FOREIGN = Path(__file__).parent / "foreign"
PACKAGES = ROOT / "build" / "foreign-opcua"

INSTALL_DEADLINE_S = 240.0
START_DEADLINE_S = 90.0
ANSWER_DEADLINE_S = 30.0
LOOK_INTERVAL_S = 0.02
LAST_WORDS_BYTES = 2000

COUNTERS = "urn:tidegate:test:counters"
THINGS = "urn:tidegate:test:things"
TYPES = "urn:tidegate:test:types"
ORDER = ("types", "counters", "things")
# After a restart in this order each of the namespaces has another index.
REINDEXED = ("spare", "types", "counters", "things")
POLICIES = ("None", "Basic256Sha256", "Aes128_Sha256_RsaOaep", "Aes256_Sha256_RsaPss")
# OpenSSL 3 in Node 20 refuses RSA PKCS#1 v1.5 by itself.
OLD_POLICIES = {"Basic128Rsa15", "Basic256"}


class PeerFailed(RuntimeError):
    """A server did not start, did not answer in time or could not do what it was asked. Holds its last words."""


@dataclass(frozen=True, slots=True)
class Wanted:
    """What a server is to be; the names are those of the JSON that it gets.

    `pki` holds its own certificate and key, made at the first start. `trusted` and `users_trusted` are paths of
    certificates, or "auto" for whoever comes. `log` gets a line a change of a counter: name, value, source time in µs.
    The first `history` counters keep their history. With `shadows` asyncua's server has nodes of the counters' names in
    the other namespaces too, all -1. `names` are added to the server's certificate. A channel's token of node-opcua
    lives `channel_ms`.
    """

    pki: str
    log: str
    host: str = "127.0.0.1"
    port: int = 0
    hostname: str = "127.0.0.1"
    names: tuple[str, ...] = ()
    version: str = "1.0.0"
    applicationUri: str = "urn:tidegate:test:server"
    policies: tuple[str, ...] = ("None",)
    anonymous: bool = True
    trusted: tuple[str, ...] = ("auto",)
    users_trusted: tuple[str, ...] = ("auto",)
    users: Mapping[str, str] = field(default_factory=lambda: {"operator": "secret"})
    order: tuple[str, ...] = ORDER
    conformance: bool = False
    counters: int = 10
    hz: float = 0.0
    history: int = 0
    sessions_max: int = 100
    items_max: int = 200_000
    operation_limits: Mapping[str, int] = field(default_factory=dict)
    shadows: bool = False
    channel_ms: int = 600_000


class Peer:
    """A server that runs from the moment of construction on, until it is closed, stopped or crashed."""

    def __init__(self, command: Callable[[Wanted], list[str]], wanted: Wanted, errors: Path) -> None:
        self._command, self._errors = command, errors
        self._process: subprocess.Popen[bytes] | None = None
        self._heard = b""
        self.wanted = wanted
        self.certificate: str | None = None
        self._start()

    @property
    def port(self) -> int:
        """Where it listens; the same after it came again."""
        return self.wanted.port

    @property
    def url(self) -> str:
        """Its endpoint as a client has it."""
        place = f"[{self.wanted.host}]" if ":" in self.wanted.host else self.wanted.host
        return f"opc.tcp://{place}:{self.port}"

    @property
    def pid(self) -> int:
        """Its process id."""
        assert self._process is not None
        return self._process.pid

    def ask(self, what: str, **details: Any) -> dict[str, Any]:
        """Have it do something. Raises PeerFailed when it can't, is gone, or says nothing in time."""
        assert self._process is not None
        assert self._process.stdin is not None
        try:
            self._process.stdin.write(json.dumps({"do": what, **details}).encode() + b"\n")
            self._process.stdin.flush()
        except BrokenPipeError:
            raise PeerFailed(f"gone before {what}: {self.last_words()}") from None
        said = self._line(ANSWER_DEADLINE_S)
        if not said.get("ok"):
            raise PeerFailed(f"{what}: {said.get('why')}")
        return said

    def wait_for(self, what: str, until: Callable[[dict[str, Any]], bool], deadline_s: float) -> dict[str, Any]:
        """Look at its census until it is so, and give that census. Raises PeerFailed past the deadline."""
        begin = time.monotonic()
        while not until(seen := self.ask("census")):
            if time.monotonic() - begin > deadline_s:
                raise PeerFailed(f"not within {deadline_s:.0f} s: {what}; {seen}")
            time.sleep(LOOK_INTERVAL_S)
        return seen

    def stop(self) -> None:
        """End it in good order: its clients are told."""
        self.ask("shutdown")
        assert self._process is not None
        self._process.wait(ANSWER_DEADLINE_S)

    def crash(self) -> None:
        """End it as a power cut would."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            for stream in (self._process.stdin, self._process.stdout):
                assert stream is not None
                stream.close()
            self._process = None

    def again(self, **changes: Any) -> None:
        """Start it again on the same port, with these of its settings changed."""
        self.crash()
        self.wanted = replace(self.wanted, **changes)
        self._start()

    def last_words(self) -> str:
        """The end of what it wrote on its standard error."""
        return self._errors.read_bytes()[-LAST_WORDS_BYTES:].decode(errors="replace").strip() or "(it said nothing)"

    def changes(self) -> list[tuple[str, int, int]]:
        """The log so far: counter, value, source time in µs."""
        lines = Path(self.wanted.log).read_text().splitlines(keepends=True)
        whole = [line.split() for line in lines if line.endswith("\n")]
        return [(name, int(value), int(at)) for name, value, at in whole]

    def _start(self) -> None:
        environment = {**os.environ, "NODE_PATH": str(PACKAGES / "node_modules"), "PYTHONPATH": str(ROOT)}
        self._heard = b""
        with self._errors.open("ab") as errors:
            # Its own session, so that Ctrl-C reaches only who started it.
            self._process = subprocess.Popen(
                self._command(self.wanted), stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=errors,
                env=environment, start_new_session=True,
            )  # fmt: skip
        try:
            said = self._line(START_DEADLINE_S)
        except PeerFailed:
            self.crash()
            raise
        self.certificate = said["certificate"]
        self.wanted = replace(self.wanted, port=said["port"])

    def _line(self, deadline_s: float) -> dict[str, Any]:
        assert self._process is not None
        assert self._process.stdout is not None
        begin = time.monotonic()
        while b"\n" not in self._heard:
            left_s = deadline_s - (time.monotonic() - begin)
            if left_s <= 0 or not select([self._process.stdout], [], [], left_s)[0]:
                raise PeerFailed(f"said nothing for {deadline_s:.0f} s: {self.last_words()}")
            data = os.read(self._process.stdout.fileno(), 65536)
            if not data:
                raise PeerFailed(f"ended: {self.last_words()}")
            self._heard += data
        line, _, self._heard = self._heard.partition(b"\n")
        # A library may say something of its own on standard output.
        return json.loads(line) if line.startswith(b"{") else self._line(deadline_s)


@contextmanager
def node_opcua(folder: Path, **settings: Any) -> Iterator[Peer]:
    """The npm package node-opcua, in its pinned version, which is fetched when it is not here yet."""
    install()
    with _peer("node-opcua", _node, folder, settings) as peer:
        yield peer


@contextmanager
def asyncua_server(folder: Path, **settings: Any) -> Iterator[Peer]:
    """The server of the library that the driver stands on."""
    with _peer("asyncua", _python, folder, settings) as peer:
        yield peer


@contextmanager
def _peer(name: str, command: Callable[[Wanted], list[str]], folder: Path, settings: dict[str, Any]) -> Iterator[Peer]:
    folder.mkdir(parents=True, exist_ok=True)
    wanted = Wanted(pki=str(folder / f"{name}-pki"), log=str(folder / f"{name}.log"))
    peer = Peer(command, replace(wanted, **settings), folder / f"{name}.err")
    try:
        yield peer
    finally:
        peer.crash()


def _node(wanted: Wanted) -> list[str]:
    old = ["--security-revert=CVE-2023-46809"] if OLD_POLICIES & set(wanted.policies) else []
    return ["node", *old, str(FOREIGN / "server.js"), json.dumps(asdict(wanted))]


def _python(wanted: Wanted) -> list[str]:
    return [sys.executable, "-m", "tests.drivers.opcua.own_server", json.dumps(asdict(wanted))]


def install() -> None:
    """The packages of foreign/package.json under build/, where they stay. Raises PeerFailed."""
    wanted, here = FOREIGN / "package.json", PACKAGES / "package.json"
    if here.exists() and here.read_text() == wanted.read_text():
        return
    if not shutil.which("npm") or not shutil.which("node"):
        raise PeerFailed("This test needs node and npm: run `.ci/needs test`")
    work = PACKAGES.with_name(f"foreign-opcua-{os.getpid()}")
    work.mkdir(parents=True, exist_ok=True)
    try:
        shutil.copy(wanted, work)
        command = ["npm", "install", "--omit=optional", "--no-package-lock", "--no-audit", "--no-fund"]
        done = subprocess.run(
            command, cwd=work, capture_output=True, text=True, timeout=INSTALL_DEADLINE_S, check=False
        )
        if done.returncode:
            raise PeerFailed(f"npm could not install node-opcua: {done.stderr[-500:]}")
        shutil.rmtree(PACKAGES, ignore_errors=True)
        work.rename(PACKAGES)
    finally:
        shutil.rmtree(work, ignore_errors=True)
