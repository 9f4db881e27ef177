"""Scan: which servers are at an address, and how they may be spoken to. No session is opened, and no value is read.

FindServers and GetEndpoints over a channel without security, as every client begins (OPC 10000-4 §5.5). What comes back
is not signed by anybody: it is for people to compare, and nothing of it is trusted by that.
"""

import asyncio
import hashlib
import socket
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any
from urllib.parse import urlsplit

from asyncua import Client, ua
from cryptography import x509

from tidegate.acquire.survey import Found, Note, Progress, Tell
from tidegate.errors import NotConnected
from tidegate.model.option import Options
from tidegate_drivers.opcua.settings import PORT, SCHEME, TIMEOUT_S, TIMEOUT_S_MAX, TIMEOUT_S_MIN, parse_url
from tidegate_drivers.opcua.units import clean
from tidegate_drivers.opcua.words import words

# Of what a server tells, so much is looked at.
ENDPOINTS_MAX, SERVERS_MAX, TEXT_LETTERS_MAX = 100, 50, 120
RESOLVE_S = 2.0
QUESTIONS = 2
EXPIRES_SOON_DAYS = 60
POLICY_URI = "http://opcfoundation.org/UA/SecurityPolicy#"
MODES = {1: "no security", 2: "Sign", 3: "SignAndEncrypt"}
TOKENS = {0: "anonymous", 1: "user and password", 2: "certificate", 3: "issued token"}
OLD_POLICIES = {"Basic128Rsa15", "Basic256"}


class ServerScan:
    """One look at an address; see tidegate.acquire.survey.Scan. `now` is the time that certificates are judged by."""

    def __init__(self, address: str, timeout_s: float, now: datetime | None = None) -> None:
        host, self._port, path = parse_url(address)
        self._host = f"[{host}]" if ":" in host else host
        self._url = f"{SCHEME}://{self._host}:{self._port}{path}"
        self._timeout_s = timeout_s
        self._now = now or datetime.now(UTC)
        self.notice: tuple[str, ...] = (
            f"This asks {self._url} which servers it knows and how they may be spoken to (FindServers, GetEndpoints).",
            f"One connection, {QUESTIONS} questions, at most {(QUESTIONS + 2) * timeout_s:g} s. "
            "No session is opened, no value is read.",
        )

    async def run(self, tell: Tell) -> None:
        """Ask, and tell. Raises NotConnected."""
        client = Client(self._url, timeout=self._timeout_s)
        try:
            async with asyncio.timeout((QUESTIONS + 2) * self._timeout_s):
                servers, endpoints = await self._ask(client, tell)
        except Exception as error:
            raise NotConnected("", f"{self._url} did not tell how it may be spoken to: {words(error)}") from None
        finally:
            client.disconnect_socket()
        here = _of_here(endpoints)
        for uri, theirs in here.items():
            self._found(uri, theirs, tell)
        await self._hosts(endpoints, tell)
        for one in servers[:SERVERS_MAX]:
            if one.ApplicationUri not in here:
                urls = ", ".join(clean(url, TEXT_LETTERS_MAX) for url in (one.DiscoveryUrls or [])[:3]) or "no address"
                tell(Note(f"it also knows {_name(one)}: scan {urls}"))

    async def _ask(self, client: Any, tell: Tell) -> tuple[list[Any], list[Any]]:
        tell(Progress(0, QUESTIONS, self._url))
        await client.connect_socket()
        await client.send_hello()
        await client.open_secure_channel()
        tell(Progress(1, QUESTIONS, "GetEndpoints"))
        endpoints = await client.get_endpoints()
        tell(Progress(2, QUESTIONS, "FindServers"))
        try:
            servers = await client.find_servers()
        except ua.UaStatusCodeError:
            # Servers beside the one that answered are of no use to it.
            servers = []
        await client.close_secure_channel()
        return list(servers or []), list(endpoints or [])

    def _found(self, uri: str, endpoints: Sequence[Any], tell: Tell) -> None:
        server = endpoints[0].Server
        path = urlsplit(endpoints[0].EndpointUrl or "").path.rstrip("/")
        address = f"{SCHEME}://{self._host}:{self._port}{clean(path, TEXT_LETTERS_MAX)}"
        said = tuple(f"{what} {clean(text, TEXT_LETTERS_MAX)}" for what, text in
                     (("name", _name(server)), ("uri", uri), ("product", server.ProductUri)) if text)  # fmt: skip
        ways = f"{len(endpoints)} endpoints" if len(endpoints) != 1 else "1 endpoint"
        tell(Found(address, None, {}, f"GetEndpoints, {ways}", said, f"tidegate browse {address}"))
        for endpoint in sorted(endpoints, key=lambda one: -(one.SecurityLevel or 0)):
            tell(Note(_way(endpoint)))
        certificates = {bytes(one.ServerCertificate): one for one in endpoints if one.ServerCertificate}
        for shown in certificates:
            for line in certificate_lines(shown, uri, self._host.strip("[]"), self._now):
                tell(Note(line))

    async def _hosts(self, endpoints: Sequence[Any], tell: Tell) -> None:
        """Say which of the hosts that it names itself by can't be found, or are others than it was asked at."""
        split = [urlsplit(one.EndpointUrl or "") for one in endpoints]
        for host in sorted({one.hostname for one in split if one.hostname} - {self._host.strip("[]").lower()}):
            name = clean(host, TEXT_LETTERS_MAX)
            try:
                async with asyncio.timeout(RESOLVE_S):
                    await asyncio.get_running_loop().getaddrinfo(host, PORT, type=socket.SOCK_STREAM)
            except (OSError, UnicodeError, TimeoutError):
                tell(Note(f"it calls itself {name}, which can't be resolved here: the gateway uses {self._host}"))
            else:
                tell(Note(f"it calls itself {name}: the gateway uses {self._host}, as it was given"))


def scan(address: str, wishes: Mapping[str, str]) -> ServerScan:
    """A look at one address. Raises ValueError."""
    options = Options(wishes, "scan", None)
    timeout_s = options.duration_s("timeout", TIMEOUT_S, TIMEOUT_S_MIN, TIMEOUT_S_MAX)
    options.refuse_unknown()
    for problem in options.problems:
        raise ValueError(f"--{problem.column}: {problem.what}. {problem.remedy}")
    return ServerScan(address, timeout_s)


def certificate_lines(shown: bytes, uri: str, host: str, now: datetime) -> list[str]:
    """What a person should know of a server's certificate: DER, perhaps with those of its issuers behind it."""
    one = first_certificate(shown)
    thumbprint = hashlib.sha1(one).hexdigest().upper()
    try:
        parsed = x509.load_der_x509_certificate(one)
        names = parsed.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
        uris = names.get_values_for_type(x509.UniformResourceIdentifier)
        hosts = {*names.get_values_for_type(x509.DNSName), *map(str, names.get_values_for_type(x509.IPAddress))}
    except x509.ExtensionNotFound:
        uris, hosts = [], set()
    except ValueError:
        return [f"certificate {thumbprint}: it can't be read"]
    end = parsed.not_valid_after_utc
    days = (end - now).days
    subject = clean(parsed.subject.rfc4514_string(), TEXT_LETTERS_MAX)
    lines = [f"certificate {thumbprint} (SHA-1), valid until {end:%Y-%m-%d}, of {subject}"]
    if days < 0:
        lines.append(f"that certificate ended {-days} days ago: have the server's renewed")
    elif days < EXPIRES_SOON_DAYS:
        lines.append(f"that certificate ends in {days} days")
    if uri not in uris:
        lines.append(f"that certificate is not for {clean(uri, TEXT_LETTERS_MAX)}, which the server calls itself")
    if host.lower() not in {name.lower() for name in hosts}:
        there = clean(", ".join(sorted(hosts)), TEXT_LETTERS_MAX) or "none"
        lines.append(f"that certificate is not for the host {host}; it is for {there}")
    return lines


def first_certificate(shown: bytes) -> bytes:
    """The first of a chain in DER: as long as its own header says (X.690 §8.1.3)."""
    if len(shown) < 2 or shown[1] < 0x80:
        return shown[: 2 + shown[1]] if len(shown) >= 2 else shown
    octets = shown[1] & 0x7F
    return shown[: 2 + octets + int.from_bytes(shown[2 : 2 + octets], "big")]


def _of_here(endpoints: Sequence[Any]) -> dict[str, list[Any]]:
    """Endpoints over this transport, by the URI of their server."""
    found: dict[str, list[Any]] = {}
    for one in endpoints[:ENDPOINTS_MAX]:
        if (one.EndpointUrl or "").lower().startswith(f"{SCHEME}://"):
            found.setdefault(one.Server.ApplicationUri or "", []).append(one)
    return found


def _way(endpoint: Any) -> str:
    """One endpoint in a line: policy, mode, who may come."""
    policy = clean((endpoint.SecurityPolicyUri or "").removeprefix(POLICY_URI), TEXT_LETTERS_MAX) or "no policy"
    mode = MODES.get(int(endpoint.SecurityMode), "an unknown mode")
    kinds = sorted({int(one.TokenType) for one in endpoint.UserIdentityTokens or []})
    tokens = [TOKENS.get(kind, "an unknown token") for kind in kinds]
    warning = ""
    if policy == "None":
        warning = "; anybody on the way can read and change what is said"
    elif policy in OLD_POLICIES:
        warning = "; it is broken, and only used where the device list says so"
    return f"{policy}, {mode}: {', '.join(tokens) or 'nobody may come'}{warning}"


def _name(server: Any) -> str:
    text = server.ApplicationName.Text if server.ApplicationName else ""
    return clean(text, TEXT_LETTERS_MAX) or clean(server.ApplicationUri, TEXT_LETTERS_MAX) or "a server without a name"
