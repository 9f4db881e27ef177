"""The TOML file as models: which keys there are, what they may hold, and what to write when they don't.

Frozen pydantic models; they live only while a configuration is loaded. They know nothing of devices and tags, which
are rows of tables, and not of each other: that a name is known elsewhere is checked where it is looked up.
"""

import re
from collections.abc import Callable
from typing import Annotated, Any

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field

from tidegate.clock import Source
from tidegate.config import quantities
from tidegate.config.quantities import Unfit
from tidegate.model.device import INTERVAL_S_MIN
from tidegate.model.identity import NAME
from tidegate.secret import Secret

DAY_S = 86_400.0
COMMIT_S_MIN, COMMIT_S_MAX = 0.01, 60.0
COMMIT_READINGS_MAX = 1_000_000
QUOTA_BYTES_MAX = 16 * 10**12
SEGMENT_BYTES_MIN, SEGMENT_BYTES_MAX = 256 * 1024, 1 << 30
SEGMENT_AGE_S_MIN = 1.0
KEEP_S_MIN, KEEP_S_MAX = 60.0, 3650 * DAY_S
DEADLINE_S_MIN, DEADLINE_S_MAX = 0.01, 600.0
KEEPALIVE_S_MIN, KEEPALIVE_S_MAX = 5.0, 65_535.0
WINDOW_MAX = 65_535  # Receive Maximum is 16 bits (MQTT 5.0 §3.2.2.3.3)
MESSAGE_BYTES_MIN, MESSAGE_BYTES_MAX = 4096, 256 * 1024 * 1024
PREFIX_LETTERS_MAX = 256
CLIENT_ID_LETTERS_MAX = 256
ALPN_LETTERS_MAX = 255
FALLBACKS_MAX = 8
RETURN_S_MIN = 5.0
RATE_MESSAGES_MIN, RATE_MESSAGES_MAX = 0.1, 1_000_000.0
RATE_BYTES_MIN, RATE_BYTES_MAX = 100, 10**10

# How long a commit may wait, which is what a power cut may cost, by the policy's name.
POLICIES_S = {"strict": 0.1, "normal": 1.0, "flash-saver": 5.0}
# Where so many readings come that the usual number would commit them sooner, it is this one.
POLICY_READINGS = {"flash-saver": 100_000}
VERSIONS = ("5", "3.1.1")
SOURCES = tuple(source.value for source in Source)

# Stands in for the name of a file that is missing or can't be told; no file has it.
UNSAID = "\x00"

_PREFIX = re.compile(r"[^/+#$\x00-\x1f\x7f][^+#\x00-\x1f\x7f]*")


def _seconds(low_s: float, high_s: float) -> BeforeValidator:
    return BeforeValidator(lambda value: quantities.seconds(value, low_s, high_s))


def _bytes(low: int, high: int) -> BeforeValidator:
    return BeforeValidator(lambda value: quantities.size_bytes(value, low, high))


def _words(check: Callable[[str], str]) -> BeforeValidator:
    """For a key that holds text; a number that was written without quotes is taken as written."""
    return BeforeValidator(lambda value: check(plain_text(value)))


def plain_text(value: object) -> str:
    """Text, number or bool of TOML as the text that a table's cell would hold. Raises Unfit for anything else."""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, (str, int, float)):
        return str(value)
    raise Unfit("it is neither text nor a number, true or false", "Write one value")


def _name(text: str) -> str:
    if not NAME.fullmatch(text):
        raise Unfit(
            f"{text!r} can't be a name",
            "Use letters A to Z, digits, `_`, `.` and `-`, at most 64, beginning with a letter or digit",
        )
    return text


def _prefix(text: str) -> str:
    if not _PREFIX.fullmatch(text) or text.endswith("/") or "//" in text or len(text) > PREFIX_LETTERS_MAX:
        raise Unfit(f"{text!r} can't begin a topic", "Use text such as factory/tidegate, without +, # or $")
    return text


def _secret(value: object) -> Secret:
    if not isinstance(value, Secret):
        raise Unfit("a password is text", 'Write "${credential:NAME}"')
    return value


Name = Annotated[str, _words(_name)]
Text = Annotated[str, _words(str)]
Label = Annotated[str, _words(quantities.label)]


class Section(BaseModel):
    """What all tables of the file have in common: no key that we don't know, no change after reading."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, arbitrary_types_allowed=True)


class GatewaySection(Section):
    """[gateway]: who this gateway is, and where it keeps its state."""

    name: Name = Field(description='Give the gateway a name: name = "plant-7"')
    state: Text = Field(min_length=1, description='Say where the buffer lies: state = "/var/lib/tidegate"')
    label: Label = "internal"


class BufferSection(Section):
    """[buffer]: how often it commits, and how much it keeps. None = as buffer.settings says."""

    policy: Annotated[str, _words(lambda text: quantities.one_of(text, POLICIES_S))] = "normal"
    commit_interval: Annotated[float, _seconds(COMMIT_S_MIN, COMMIT_S_MAX)] | None = None
    commit_readings: int | None = Field(default=None, ge=1, le=COMMIT_READINGS_MAX)
    quota: Annotated[int, _bytes(SEGMENT_BYTES_MIN, QUOTA_BYTES_MAX)] | None = None
    segment: Annotated[int, _bytes(SEGMENT_BYTES_MIN, SEGMENT_BYTES_MAX)] | None = None
    keep: Annotated[float, _seconds(KEEP_S_MIN, KEEP_S_MAX)] | None = None
    free: Annotated[int, _bytes(1, QUOTA_BYTES_MAX)] | None = None
    segment_age: Annotated[float, _seconds(SEGMENT_AGE_S_MIN, DAY_S)] | None = None


class ClockSection(Section):
    """[clock]: who may set the wall clock of this machine."""

    source: Annotated[str, _words(lambda text: quantities.one_of(text, SOURCES))] = Source.AUTO


class GroupSection(Section):
    """[groups.NAME]: how often its tags are read, and how long one read of them may take."""

    interval: Annotated[float, _seconds(INTERVAL_S_MIN, DAY_S)] = Field(
        description='Say how often its tags are read: interval = "1s"'
    )
    deadline: Annotated[float, _seconds(DEADLINE_S_MIN, DEADLINE_S_MAX)] | None = None


class TableSection(Section):
    """[tables.NAME]: the file with the tags; every other key stands for a column, for rows that leave it empty."""

    model_config = ConfigDict(frozen=True, extra="allow", strict=True)
    __pydantic_extra__: dict[str, Text] = Field(init=False)

    file: Text = Field(min_length=1, description='Name the CSV or XLSX file with its tags: file = "meter.csv"')
    sheet: Text = ""


class DevicesSection(Section):
    """[devices]: the file with a row a device."""

    file: Text = Field(min_length=1, description='Name the CSV or XLSX file with a row a device: file = "devices.csv"')
    sheet: Text = ""


class TargetSection(Section):
    """[[target]]: a broker that readings are published to. None = as publish.settings says."""

    name: Name = Field(description='Give the target a name: name = "cloud"')
    url: Text = Field(description='Say where the broker is: url = "mqtts://broker.example:8883"')
    prefix: Annotated[str, _words(_prefix)] | None = None
    user: Text = ""
    password: Annotated[Secret, BeforeValidator(_secret)] | None = None
    insecure: bool = False
    ca: Text | None = None
    cert: Text | None = None
    key: Text | None = None
    alpn: Text = Field(default="", max_length=ALPN_LETTERS_MAX)
    fallbacks: list[Text] = Field(default=[], max_length=FALLBACKS_MAX)
    return_interval: Annotated[float, _seconds(RETURN_S_MIN, DAY_S)] | None = None
    proxy: Text = ""
    proxy_user: Text = ""
    proxy_password: Annotated[Secret, BeforeValidator(_secret)] | None = None
    source: Text = ""
    mqtt: Annotated[str, _words(lambda text: quantities.one_of(text, VERSIONS))] = "5"
    client_id: Text = Field(default="", max_length=CLIENT_ID_LETTERS_MAX)
    keepalive: Annotated[float, _seconds(KEEPALIVE_S_MIN, KEEPALIVE_S_MAX)] | None = None
    window: int | None = Field(default=None, ge=1, le=WINDOW_MAX)
    message_size: Annotated[int, _bytes(MESSAGE_BYTES_MIN, MESSAGE_BYTES_MAX)] | None = None
    messages_rate: float | None = Field(default=None, ge=RATE_MESSAGES_MIN, le=RATE_MESSAGES_MAX)
    bytes_rate: Annotated[int, _bytes(RATE_BYTES_MIN, RATE_BYTES_MAX)] | None = None


class Document(Section):
    """The whole file."""

    gateway: GatewaySection = Field(description="Add a section [gateway] with name and state")
    buffer: BufferSection = BufferSection()
    clock: ClockSection = ClockSection()
    groups: dict[Name, GroupSection] = {}
    tables: dict[Name, TableSection] = {}
    drivers: dict[str, dict[str, Text]] = {}
    devices: DevicesSection | None = None
    device: list[dict[str, Text]] = []
    target: list[TargetSection] = []


SECTIONS: dict[str, type[Section]] = {
    "gateway": GatewaySection,
    "buffer": BufferSection,
    "clock": ClockSection,
    "groups": GroupSection,
    "tables": TableSection,
    "devices": DevicesSection,
    "target": TargetSection,
}


def validate(tree: dict[str, Any]) -> Document:
    """The document of a parsed TOML file. Raises pydantic's ValidationError with everything that is wrong."""
    return Document.model_validate(tree)
