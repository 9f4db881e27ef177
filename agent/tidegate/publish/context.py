"""What all connections of a target share: its settings, the buffer, its messages, its tables and its counts."""

from collections.abc import Callable
from dataclasses import dataclass

from tidegate.buffer.buffer import Buffer
from tidegate.clock import Clock
from tidegate.publish.connector import Connector
from tidegate.publish.formats.tidegate_json import TidegateJson
from tidegate.publish.lanes import Tables
from tidegate.publish.orders import Orders
from tidegate.publish.rate import Rate
from tidegate.publish.settings import TargetSettings
from tidegate.publish.suspects import Suspects


@dataclass(slots=True)
class Counts:
    """What a target did since the gateway started; kept over its connections."""

    runs: int = 0
    messages: int = 0
    readings: int = 0
    bytes: int = 0
    acknowledged: int = 0
    replayed: int = 0
    requests: int = 0
    refused: int = 0
    unheard: int = 0
    spoiled: int = 0
    dead_letters: int = 0
    introduced: bool = False


@dataclass(frozen=True, slots=True)
class Context:
    """What every connection of a target works with. `status` makes the status message: online or not.

    `unasked` are epoch and first number that no broker of the target was asked about when it began.
    """

    settings: TargetSettings
    client_id: str
    buffer: Buffer
    clock: Clock
    format: TidegateJson
    connector: Connector
    tables: Tables
    suspects: Suspects
    rate: Rate
    counts: Counts
    orders: Orders
    status: Callable[[bool], bytes]
    unasked: tuple[str, int]
