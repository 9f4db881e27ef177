"""What is in flight: handed to the broker and not yet acknowledged. It knows no socket and no payload."""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass

from tidegate.publish.formats.tidegate_json import Lane

# A backlog message should be acknowledged within so long: live data that is handed over right behind it waits as long.
PACE_DELAY_S = 0.4
PACE_BYTES_MIN = 32_768
PACE_BYTES_START = 131_072
PACE_GROWTH_CAREFUL = 16
# So many messages share what may be in flight: a live message waits for the rest of one, not for all.
PACE_MESSAGES = 4


@dataclass(frozen=True, slots=True)
class Sent:
    """A message in flight. `lane` is None for all that is not data; `first`..`last` are the numbers it covers.

    `since_s` is when the oldest reading in it was committed, `at_s` when it was handed over (both in loop time).
    """

    what: str
    size: int
    at_s: float
    lane: Lane | None = None
    run: int = 0
    epoch: str = ""
    first: int = 0
    last: int = 0
    since_s: float = 0.0
    part: tuple[int, int] | None = None


class Window:
    """Messages in flight by their packet identifier, never more than `limit`."""

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self._sent: dict[int, Sent] = {}
        self._parts: Counter[tuple[Lane | None, int, int]] = Counter()
        self._paged_bytes = 0

    @property
    def free(self) -> int:
        """How many more messages fit."""
        return self.limit - len(self._sent)

    @property
    def paged_bytes(self) -> int:
        """Bytes in flight of the lanes that read from the buffer: backlog and replay."""
        return self._paged_bytes

    @property
    def data(self) -> int:
        """How many of the messages are data."""
        return sum(sent.lane is not None for sent in self._sent.values())

    @property
    def oldest_s(self) -> float | None:
        """When the oldest message in flight was handed over; messages are acknowledged in order, or the broker errs."""
        return next(iter(self._sent.values())).at_s if self._sent else None

    def __len__(self) -> int:
        return len(self._sent)

    def __iter__(self) -> Iterator[Sent]:
        return iter(self._sent.values())

    def add(self, mid: int, sent: Sent) -> None:
        """A message was handed over."""
        self._sent[mid] = sent
        if sent.lane in (Lane.BACKLOG, Lane.REPLAY):
            self._paged_bytes += sent.size

    def acknowledged(self, mid: int) -> Sent | None:
        """The message that was acknowledged; None for one that is not in flight."""
        sent = self._sent.pop(mid, None)
        if sent is not None and sent.lane in (Lane.BACKLOG, Lane.REPLAY):
            self._paged_bytes -= sent.size
        return sent

    def complete(self, sent: Sent) -> bool:
        """Whether an acknowledged message makes its numbers whole: a frame in parts needs all parts of one run."""
        if sent.part is None:
            return True
        key = (sent.lane, sent.run, sent.first)
        self._parts[key] += 1
        if self._parts[key] < sent.part[1]:
            return False
        del self._parts[key]
        return True


class Pace:
    """How many bytes of backlog may be in flight, so that they fill the line and live data never waits long for it.

    The limit doubles with each flight that is acknowledged quickly, until a slow one shows how much the line holds:
    it is halved then, at most once a flight, and grows by a little from there on.
    """

    def __init__(self, bytes_max: int) -> None:
        self._bytes_max = max(bytes_max, PACE_BYTES_MIN)
        self._halved_s: float | None = None
        self.limit = min(PACE_BYTES_START, self._bytes_max)

    @property
    def message_bytes(self) -> int:
        """How large a message should be."""
        return max(self.limit, PACE_BYTES_MIN) // PACE_MESSAGES

    def acknowledged(self, sent: Sent, now_s: float) -> None:
        """A message of a lane that reads from the buffer was acknowledged."""
        if now_s - sent.at_s <= PACE_DELAY_S:
            more = sent.size if self._halved_s is None else self.limit // PACE_GROWTH_CAREFUL
            self.limit = min(self.limit + more, self._bytes_max)
        elif self._halved_s is None or sent.at_s >= self._halved_s:
            self.limit = max(self.limit // 2, PACE_BYTES_MIN)
            self._halved_s = now_s
