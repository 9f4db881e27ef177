"""[[target]] sections into the settings of targets: addresses, certificates, and what must not leave in the clear."""

from pathlib import Path

from tidegate.config.document import TargetSection
from tidegate.config.problems import Problems
from tidegate.config.toml import Toml
from tidegate.publish.settings import Address, TargetSettings

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
            ca=self._file("ca", section.ca),
            cert=self._file("cert", section.cert),
            key=self._file("key", section.key),
            mqtt=section.mqtt,
            client_id=section.client_id,
            keepalive_s=round(section.keepalive) if section.keepalive else usual.keepalive_s,
            window=section.window or usual.window,
            message_bytes_max=section.message_size or usual.message_bytes_max,
        )
        self._check_address(settings)
        self._check_protocol(settings)
        return settings

    def _file(self, key: str, name: str | None) -> Path | None:
        if not name:
            return None
        path = self._folder / name
        if not path.is_file():
            self._fault(key, f"{path} is not a file", "Correct the path; it begins at the folder of this file")
        return path

    def _check_address(self, settings: TargetSettings) -> None:
        try:
            address = Address.parse(settings.url)
        except ValueError as error:
            # The address may hold a password by mistake, and then must not be repeated.
            what = "it is no address of a broker" if "@" in settings.url else str(error)
            self._fault("url", what, "Write mqtts://host:8883, or mqtt://127.0.0.1:1883; user and password apart")
            return
        if settings.exposed and not settings.insecure:
            what = f"plain mqtt to {address.host} shows readings and password to everybody on the way"
            self._fault("url", what, "Use mqtts://, or write insecure = true if that network is yours alone")
        tls_only = [key for key in ("ca", "cert", "key") if getattr(settings, key) is not None]
        if tls_only and not address.tls:
            self._warn(tls_only[0], "it means nothing without TLS", "Write mqtts:// in url")
        if (settings.cert is None) != (settings.key is None):
            given = "cert" if settings.cert is not None else "key"
            self._fault(given, "a certificate needs its key, and a key its certificate", "Fill in cert and key")

    def _check_protocol(self, settings: TargetSettings) -> None:
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
