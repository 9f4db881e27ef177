"""[[target]] sections into the settings of targets: addresses, certificates, and what must not leave in the clear."""

import re
from pathlib import Path

from tidegate.config.document import TargetSection
from tidegate.config.problems import Problems
from tidegate.config.tls import tls_problems
from tidegate.config.toml import Toml
from tidegate.publish.settings import Address, Proxy, TargetSettings
from tidegate.publish.way import is_interface

# What Linux takes as the name of an interface; empty is none.
_INTERFACE = re.compile(r"|(?!\.{1,2}$)[^\s/:]{1,15}")
CLIENT_ID_BYTES_SAFE = 23  # What every MQTT 3.1.1 server must take (MQTT 3.1.1 §3.1.3.1)


def read_targets(source: Toml, folder: Path, problems: Problems) -> tuple[TargetSettings, ...]:
    """The settings of all targets; `folder` is where relative paths of certificates begin."""
    targets = tuple(
        _Target(source, index, section, folder, problems).settings()
        for index, section in enumerate(source.document.target)
    )
    if not targets and "target" not in source.repaired:
        what = "there is no target: readings are kept, and go nowhere"
        problems.warn(source.file, "target", what, "Add a section [[target]] with name and url")
    _refuse_repeats(source, targets, problems)
    return targets


class _Target:
    """Checks one section."""

    def __init__(self, source: Toml, index: int, section: TargetSection, folder: Path, problems: Problems) -> None:
        self._source = source
        self._index = index
        self._section = section
        self._folder = folder
        self._problems = problems

    def settings(self) -> TargetSettings:
        section = self._section
        usual = TargetSettings(name=section.name, url=section.url)
        settings = TargetSettings(
            name=section.name,
            url=section.url,
            prefix=section.prefix or usual.prefix,
            user=section.user,
            password=section.password,
            insecure=section.insecure,
            ca=self._file(section.ca),
            cert=self._file(section.cert),
            key=self._file(section.key),
            mqtt=section.mqtt,
            client_id=section.client_id,
            keepalive_s=round(section.keepalive) if section.keepalive else usual.keepalive_s,
            window=section.window or usual.window,
            message_bytes_max=section.message_size or usual.message_bytes_max,
            fallbacks=tuple(section.fallbacks),
            return_s=section.return_interval or usual.return_s,
            alpn=section.alpn,
            proxy=section.proxy,
            proxy_user=section.proxy_user,
            proxy_password=section.proxy_password,
            source=section.source,
            messages_s_max=section.messages_rate,
            bytes_s_max=section.bytes_rate,
        )
        self._check_address(settings)
        self._check_way(settings)
        self._check_protocol(settings)
        for problem in tls_problems(settings.ca, settings.cert, settings.key):
            (self._fault if problem.fatal else self._warn)(problem.key, problem.what, problem.remedy)
        return settings

    def _file(self, name: str | None) -> Path | None:
        return self._folder / name if name else None

    def _address(self, key: str, url: str) -> Address | None:
        try:
            return Address.parse(url)
        except ValueError as error:
            # The address may hold a password by mistake, and then must not be repeated.
            what = "it is no address of a broker" if "@" in url else str(error)
            remedy = "Write mqtts://host:8883, wss://host, or mqtt://127.0.0.1:1883; user and password apart"
            self._fault(key, what, remedy)
            return None

    def _check_address(self, settings: TargetSettings) -> None:
        keys = ["url", *["fallbacks"] * len(settings.fallbacks)]
        addresses = [self._address(key, url) for key, url in zip(keys, settings.urls, strict=True)]
        for key, address in zip(keys, addresses, strict=True):
            if address is not None and not address.tls and not address.loopback and not settings.insecure:
                scheme = "a plain WebSocket" if address.path else "plain mqtt"
                what = f"{scheme} to {address.host} shows readings and password to everybody on the way"
                better = "wss" if address.path else "mqtts"
                remedy = f"Use {better}://, or write insecure = true if that network is yours alone"
                self._fault(key, what, remedy)
        if None in addresses:
            return
        tls_only = [key for key in ("ca", "cert", "key", "alpn") if getattr(settings, key)]
        if tls_only and all(address is not None and not address.tls for address in addresses):
            self._warn(tls_only[0], "it means nothing without TLS", "Write mqtts:// or wss:// in url")
        if len(set(settings.urls)) < len(settings.urls):
            self._warn("fallbacks", "a broker stands there twice", "Name every broker once, `url` the first of them")
        if (settings.cert is None) != (settings.key is None):
            given = "cert" if settings.cert is not None else "key"
            self._fault(given, "a certificate needs its key, and a key its certificate", "Fill in cert and key")

    def _check_way(self, settings: TargetSettings) -> None:
        """Proxy, and where the connection begins."""
        if settings.proxy:
            try:
                Proxy.parse(settings.proxy)
            except ValueError as error:
                what = "it is no address of a proxy" if "@" in settings.proxy else str(error)
                self._fault("proxy", what, "Write http://host:3128 or socks5://host:1080; user and password apart")
        proxy_only = [key for key in ("proxy_user", "proxy_password") if getattr(settings, key)]
        if proxy_only and not settings.proxy:
            self._warn(proxy_only[0], "there is no proxy that it is for", "Fill in proxy, or remove it")
        if settings.proxy_password is not None and not settings.proxy_user:
            self._fault("proxy_password", "a proxy takes no password without a user", "Fill in proxy_user")
        if is_interface(settings.source) and not _INTERFACE.fullmatch(settings.source):
            what = f"{settings.source!r} is neither an address nor an interface of a machine"
            self._fault("source", what, "Write an address such as 10.0.0.2, or an interface such as eth1 or wwan0")
        if not settings.alpn.isascii():
            self._fault("alpn", "a protocol's name is ASCII", 'Write what the broker asks for, such as "mqtt"')

    def _check_protocol(self, settings: TargetSettings) -> None:
        if not settings.user.isprintable():
            # In an access list a line end would begin a line of its own.
            self._fault("user", f"{settings.user!r} is no user: it has control characters", "Write it in one line")
        if settings.password is not None and not settings.user and settings.mqtt == "3.1.1":
            self._fault("password", "MQTT 3.1.1 sends no password without a user", "Fill in user")
        if settings.mqtt == "3.1.1":
            what = (
                "MQTT 3.1.1 promises less: the broker acknowledges also what it then refuses or drops, "
                "so that an acknowledged reading may never arrive"
            )
            self._warn("mqtt", what, 'Write mqtt = "5" if the broker can; subscribers find such holes either way')
            if len(settings.client_id.encode()) > CLIENT_ID_BYTES_SAFE:
                what = f"some brokers of MQTT 3.1.1 refuse more than {CLIENT_ID_BYTES_SAFE} bytes"
                self._warn("client_id", what, "Shorten it")

    def _fault(self, key: str, what: str, remedy: str) -> None:
        self._source.fault(self._problems, ("target", self._index, key), what, remedy)

    def _warn(self, key: str, what: str, remedy: str) -> None:
        self._source.warn(self._problems, ("target", self._index, key), what, remedy)


def _refuse_repeats(source: Toml, targets: tuple[TargetSettings, ...], problems: Problems) -> None:
    names: set[str] = set()
    clients: dict[tuple[str, str], str] = {}
    gateway = source.document.gateway.name
    for index, target in enumerate(targets):
        if target.name in names:
            remedy = "Give every target its own name"
            source.fault(problems, ("target", index, "name"), f"the name {target.name!r} is taken already", remedy)
            continue
        names.add(target.name)
        key = (target.url, target.client_id_of(gateway))
        first = clients.setdefault(key, target.name)
        if first != target.name:
            what = f"{first} has the same client id at the same broker, which would end one connection for the other"
            source.fault(problems, ("target", index, "client_id"), what, "Give every target its own, or leave it out")
