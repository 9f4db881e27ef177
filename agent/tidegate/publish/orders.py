"""Orders: what somebody at this box wants one target to send again (`tidegate buffer replay`).

    given ─▶ portions, each like a subscriber's request ─▶ handed over ─▶ acknowledged
                    ▲                                          │
                    └── the connection ended, or "quota": again ┘

They live as long as the gateway runs. They read nothing: the replay lane asks for the next portion and tells what
became of it.
"""

import secrets
from dataclasses import dataclass, field

from tidegate.buffer.buffer import Buffer
from tidegate.errors import PublishError
from tidegate.proof import Ranges
from tidegate.publish.formats.tidegate_json import REQUEST_RANGES_MAX, Answer, Request
from tidegate.publish.sorting import Sorted, sort

# Orders of a target that are not done; and how many are remembered when they are.
ORDERS_MAX = 8
REMEMBERED_MAX = 32
# What one portion may bring, and one request of a subscriber, who asks again for the rest.
REPLAY_FRAMES_MAX = 50_000
# So many connections may end one after the other while an order is served and nothing of it is acknowledged.
ENDS_MAX = 5


class OrderRefused(PublishError):
    """What was ordered can't be sent, or is not known here; the message says what can be."""

    again = False


@dataclass(frozen=True, slots=True)
class Gone:
    """Numbers that will not come any more, and why: as the ledger says."""

    frames: list[list[int]]
    why: str


@dataclass(frozen=True, slots=True)
class OrderStatus:
    """One look at an order. `kept` are the ranges that it sends, `frames` how many numbers these are, `acknowledged`
    how many of them the broker has. `gone` and `pending` as in Sorted; `failed` could not be read or was refused.
    """

    id: str
    epoch: str
    kept: list[list[int]]
    frames: int
    acknowledged: int
    gone: list[Gone]
    pending: list[list[int]]
    failed: list[list[int]]
    over: bool


@dataclass(slots=True)
class _Order:
    id: str
    epoch: str
    found: Sorted
    handed: Ranges = field(default_factory=Ranges)
    done: Ranges = field(default_factory=Ranges)
    failed: Ranges = field(default_factory=Ranges)
    ends: int = 0
    done_before: int = 0
    over: bool = False

    def settle(self) -> None:
        """Whether it is over has to be looked at again."""
        self.over = not self.left

    @property
    def left(self) -> Ranges:
        """What is neither acknowledged nor given up."""
        left = self.found.kept.without(self.done).without(self.failed).without(self.found.pending)
        for ranges, _ in self.found.gone:
            left = left.without(ranges)
        return left


class Orders:
    """The orders of one target, first come, first served."""

    def __init__(self) -> None:
        self._orders: dict[str, _Order] = {}
        self._serving: _Order | None = None
        self._request: Request | None = None

    def give(self, epoch: str, found: Sorted) -> OrderStatus:
        """A new order. Raises OrderRefused when too many are not done."""
        if sum(not order.over for order in self._orders.values()) >= ORDERS_MAX:
            raise OrderRefused(f"{ORDERS_MAX} replays of this target are under way; wait until one of them is done")
        for over in [id for id, order in self._orders.items() if order.over][:-REMEMBERED_MAX]:
            del self._orders[over]
        order = _Order(secrets.token_hex(4), epoch, found)
        order.settle()
        self._orders[order.id] = order
        return self.status(order.id)

    def status(self, id: str) -> OrderStatus:
        """How an order is. Raises OrderRefused when it is not known."""
        order = self._orders.get(id)
        if order is None:
            raise OrderRefused("this replay is not known: the gateway, or its target, was begun anew. Order it again")
        return OrderStatus(
            order.id, order.epoch, order.found.kept.pairs, order.found.kept.total, order.done.total,
            [Gone(ranges.pairs, why) for ranges, why in order.found.gone], order.found.pending.pairs,
            order.failed.pairs, order.over,
        )  # fmt: skip

    def begin_again(self) -> None:
        """A new connection: what was handed over to the one before it and not acknowledged goes again."""
        served, self._serving, self._request = self._serving, None, None
        for order in self._orders.values():
            if order is served or order.handed.without(order.done):
                order.ends = order.ends + 1 if order.done.total == order.done_before else 0
                order.done_before = order.done.total
            if order.ends >= ENDS_MAX:
                order.failed.update(order.left)
                order.settle()
            order.handed = order.done.copy()

    def next(self) -> Request | None:
        """The next portion to be served, None when there is none; `answered` ends it."""
        for order in self._orders.values():
            if order.over:
                continue
            wanted = order.left.without(order.handed).head(REPLAY_FRAMES_MAX, REQUEST_RANGES_MAX)
            if wanted:
                self._serving, self._request = order, Request(order.id, order.epoch, wanted)
                return self._request
        return None

    def handed_over(self, first: int, last: int) -> None:
        """These numbers of the portion that is served are in a message now."""
        if self._serving is not None:
            self._serving.handed.add(first, last)

    def answered(self, answer: Answer) -> bool:
        """A request of the lane was served to its end: whether it was a portion of an order."""
        order, request = self._serving, self._request
        if order is None or answer.request is not request:
            return False
        self._serving = self._request = None
        order.found.gone += answer.gone
        order.found.pending.update(answer.pending)
        # What could not be read or put in a message must not be asked for again and again.
        missing = request.want.without(answer.sent).without(answer.pending)
        for ranges, _ in answer.gone:
            missing = missing.without(ranges)
        order.failed.update(missing)
        order.settle()
        return True

    def acknowledged(self, epoch: str, first: int, last: int) -> None:
        """The broker has these numbers again."""
        for order in self._orders.values():
            if order.epoch == epoch:
                order.done.update(order.found.kept.within(first, last))
                order.settle()

    def refused(self, epoch: str, first: int, last: int) -> None:
        """The broker does not take these numbers again."""
        for order in self._orders.values():
            if order.epoch == epoch:
                order.failed.update(order.found.kept.within(first, last))
                order.settle()

    def put_off(self, epoch: str, first: int, last: int) -> None:
        """The broker takes these numbers later."""
        for order in self._orders.values():
            if order.epoch == epoch:
                order.handed.remove(first, last)


async def ordered(orders: Orders, buffer: Buffer, target: str, epoch: str, first: int, last: int | None) -> OrderStatus:
    """Give the order for `first`..`last` of an epoch (None: up to its last number). Raises OrderRefused that says what
    can be ordered, when none of it can or it can't exist.
    """
    extents = {extent.epoch: extent for extent in buffer.extents()}
    extent = extents.get(epoch)
    if extent is None:
        known = ", ".join(f"{of} ({kept.first}..{kept.last})" for of, kept in extents.items())
        raise OrderRefused(f"nothing of epoch {epoch!r} is kept; there are {known}")
    if last is None:
        if first > extent.last:
            raise OrderRefused(
                f"number {first} does not exist yet: epoch {epoch} ends at {extent.last}. Begin --from there"
            )
        last = extent.last
    if last > extent.last:
        raise OrderRefused(
            f"number {last} does not exist yet: epoch {epoch} ends at {extent.last}. Ask for --to {extent.last} at most"
        )
    if not 0 < first <= last:
        raise OrderRefused(f"{first}..{last} is no range: numbers begin at 1, and --to is not below --from")
    found = await sort(buffer, target, epoch, Ranges([(first, last)]))
    if not found.kept and not found.pending:
        why = ", ".join(sorted({why for _, why in found.gone})) or "removed"
        raise OrderRefused(
            f"nothing of {first}..{last} is kept any more ({why}); epoch {epoch} is kept from {extent.first} on"
        )
    return orders.give(epoch, found)
