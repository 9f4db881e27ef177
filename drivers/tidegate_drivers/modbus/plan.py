"""The plan: points into the requests that cost the bus least, within limits. Pure; it knows no device and no socket.

points    ▮▮ ▮▮▮▮    ▮▮                    ▮▮▮▮
requests  └─────────────┘                  └──┘     a hole is read along where that costs less than another request
"""

from bisect import bisect_left
from collections import deque
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from itertools import groupby
from struct import Struct

from tidegate.model.tag import Type
from tidegate_drivers.modbus import codec
from tidegate_drivers.modbus.cost import Cost
from tidegate_drivers.modbus.link import Question
from tidegate_drivers.modbus.point import BITS_MAX, REGISTERS_MAX, Function, Point
from tidegate_drivers.modbus.quirks import Quirks

QUESTION = Struct(">BHH")
BITS_PER_REGISTER = 16


@dataclass(frozen=True, slots=True)
class Limits:
    """What one request may read, what requests cost, and the widest hole that is read along however little it costs."""

    registers_max: int = REGISTERS_MAX
    hole_registers_max: int = REGISTERS_MAX
    quirks: Quirks = field(default_factory=Quirks)
    cost: Cost = field(default_factory=Cost)

    def span(self, function: Function) -> int:
        """The most addresses of one request."""
        return BITS_MAX if function.of_bits else self.registers_max

    def hole(self, function: Function) -> int:
        """The most unused addresses between two tags of one request."""
        return self.hole_registers_max * (BITS_PER_REGISTER if function.of_bits else 1)


@dataclass(frozen=True)
class Request:
    """One question: the points of these slots, ascending by address, and what decodes them out of the reply."""

    members: tuple[tuple[int, Point], ...]
    quirks: Quirks = field(default_factory=Quirks)

    @cached_property
    def function(self) -> Function:
        """What is asked for."""
        return self.members[0][1].function

    @cached_property
    def address(self) -> int:
        """The first wire address."""
        return self.quirks.first(self.function, self.members[0][1].address)

    @cached_property
    def count(self) -> int:
        """How many registers, or bits."""
        return self.quirks.end(self.function, max(point.end for _, point in self.members)) - self.address

    @cached_property
    def question(self) -> bytes:
        """The request's PDU: function, address, count."""
        return QUESTION.pack(self.function, self.address, self.count)

    @cached_property
    def reply_bytes(self) -> int:
        """The byte count that a valid reply has."""
        return (self.count + 7) // 8 if self.function.of_bits else 2 * self.count

    @cached_property
    def asked(self) -> Question:
        """As a link wants it."""
        return Question(self.question, self.reply_bytes)

    @cached_property
    def steps(self) -> bytes:
        """Decoder steps of all but strings and date-times."""
        plain = (one for one in self.members if one[1].kind != Type.STRING and one[1].layout is None)
        return b"".join(codec.step(s, p, self.address) for s, p in plain)

    @cached_property
    def texts(self) -> tuple[tuple[int, int, Point], ...]:
        """The strings: slot, place in the reply's data in bytes, point."""
        return tuple((s, 2 * (p.address - self.address), p) for s, p in self.members if p.kind == Type.STRING)

    @cached_property
    def clocks(self) -> tuple[tuple[int, int, Point], ...]:
        """The date-times: slot, place in the reply's data in bytes, point."""
        return tuple((s, 2 * (p.address - self.address), p) for s, p in self.members if p.layout is not None)

    @cached_property
    def rules(self) -> bytes:
        """What the refiner looks at once the slots are filled; empty where no tag asks for it."""
        return b"".join(rule for s, p in self.members for rule, _ in codec.rules(s, p))

    @cached_property
    def marks(self) -> tuple[tuple[int, int], ...]:
        """For each of the rules, in their order: the slot, and the status of a reading that it strikes."""
        return tuple((s, mark) for s, p in self.members for _, mark in codec.rules(s, p))

    def __str__(self) -> str:
        return f"{self.function.word} 0x{self.address:04X} to 0x{self.address + self.count - 1:04X}"

    @cached_property
    def cuts(self) -> tuple[tuple[int, int], ...]:
        """Where it can be cut: before which member, and how wide the hole there is. No field is cut in two."""
        found, end = [], self.members[0][1].end
        for index, (_, point) in enumerate(self.members[1:], 1):
            if point.end > end:
                found.append((index, max(0, point.address - end)))
                end = point.end
        return tuple(found)

    @cached_property
    def unused(self) -> int:
        """How many of its registers, or bits, are no tag's."""
        used, end = 0, self.address
        for _, point in self.members:
            used += max(0, point.end - max(end, point.address))
            end = max(end, point.end)
        return self.count - used

    @cached_property
    def widest(self) -> tuple[tuple[int, Point], ...]:
        """The members that can't be read with less than the whole request; the others of one field lie within them."""
        return tuple(member for member in self.members if Request((member,), self.quirks).question == self.question)

    @property
    def splittable(self) -> bool:
        """Whether a part of its members can be asked for with less."""
        return bool(self.cuts) or len(self.widest) < len(self.members)

    def fields(self) -> "list[Request]":
        """The request in as many pieces as it can be asked for in."""
        return [piece for half in self.split() for piece in half.fields()] if self.splittable else [self]

    def split(self) -> "tuple[Request, Request]":
        """The request in two: at its widest hole, else in the middle; of one field what lies within it apart.

        It needs to be splittable.
        """
        if not self.cuts:
            within = tuple(member for member in self.members if member not in self.widest)
            return Request(self.widest, self.quirks), Request(within, self.quirks)
        widest = max(hole for _, hole in self.cuts)
        cut = next(i for i, hole in self.cuts if hole == widest) if widest else self.cuts[(len(self.cuts) - 1) // 2][0]
        return Request(self.members[:cut], self.quirks), Request(self.members[cut:], self.quirks)


@dataclass(frozen=True, slots=True)
class Plan:
    """The requests that read a group, and for the group's slots in order, runs of (request, how many slots)."""

    requests: tuple[Request, ...]
    runs: tuple[tuple[int, int], ...]


@dataclass(frozen=True, slots=True)
class Avoided:
    """What a device was seen to refuse: fields by their questions, and addresses that no request may reach across.

    `bare`: no hole is read along.
    """

    fields: Collection[bytes] = ()
    cuts: Mapping[Function, Sequence[int]] = field(default_factory=dict)
    bare: bool = False

    def bars(self, function: Function, end: int, address: int) -> bool:
        """Whether one request may not read on from `end` to what begins at `address`. Cuts are in ascending order."""
        if self.bare and address > end:
            return True
        cuts = self.cuts.get(function, ())
        # Fields may overlap: then what begins at the cut does so before the end.
        at = bisect_left(cuts, min(end, address))
        return at < len(cuts) and cuts[at] <= address


NOTHING = Avoided()


def plan(points: Sequence[Point], limits: Limits, avoided: Avoided = NOTHING) -> Plan:
    """The requests that read all points at the least cost; the slot of a point is its index. No point is cut in two.

    What is avoided is asked for alone.
    """
    ordered = sorted(enumerate(points), key=lambda member: (member[1].function, member[1].address, -member[1].end))
    requests: list[Request] = []
    for function, members in groupby(ordered, key=lambda member: member[1].function):
        sound, refused = _sound(list(members), limits.quirks, avoided)
        requests += refused
        for first, end in _cheapest(function, sound, limits, avoided):
            joined = tuple(member for one in sound[first:end] for member in one.members)
            requests.append(Request(joined, limits.quirks))
    return arrange(sorted(requests, key=lambda request: (request.function, request.address)))


def _sound(members: list[tuple[int, Point]], quirks: Quirks, avoided: Avoided) -> tuple[list[Request], list[Request]]:
    """The fields of these members that are not avoided, and those that are. What lies within an avoided one is not."""
    refused: list[Request] = []
    while True:
        found = list(_fields(members, quirks))
        bad = [Request(one.widest, quirks) for one in found if one.question in avoided.fields]
        if not bad:
            return found, refused
        refused += bad
        out = {slot for one in bad for slot, _ in one.members}
        members = [member for member in members if member[0] not in out]


def _fields(members: Sequence[tuple[int, Point]], quirks: Quirks) -> Iterator[Request]:
    """What can't be asked for in pieces: each point with those that lie within it. Begin and end both ascend."""
    first = 0
    for index in range(1, len(members) + 1):
        if index == len(members) or members[index][1].end > members[first][1].end:
            yield Request(tuple(members[first:index]), quirks)
            first = index


def _cheapest(
    function: Function, fields: Sequence[Request], limits: Limits, avoided: Avoided
) -> Iterator[tuple[int, int]]:
    """Ranges of the fields that are one request each, of the least cost in all.

    Dynamic programming: reading the first n fields costs the least of what the fields before the last request cost,
    and that request. A request's cost is of its begin and of its end apart, so that the best begin is kept at hand.
    """
    starts = [limits.quirks.first(function, one.members[0][1].address) for one in fields]
    ends = [limits.quirks.end(function, one.members[0][1].end) for one in fields]
    address_ps = limits.cost.bit_ps * (1 if function.of_bits else BITS_PER_REGISTER)
    least_ps, begins = [0], [0]
    open_: deque[tuple[int, int]] = deque()
    lowest = 0
    for last in range(len(fields)):
        if last and _parts(function, fields[last - 1], fields[last], limits, avoided):
            lowest = last
        begin_ps = least_ps[last] - address_ps * starts[last]
        while open_ and open_[-1][1] >= begin_ps:
            open_.pop()
        open_.append((last, begin_ps))
        while lowest < last and ends[last] - starts[lowest] > limits.span(function):
            lowest += 1
        while open_[0][0] < lowest:
            open_.popleft()
        begins.append(open_[0][0])
        least_ps.append(open_[0][1] + limits.cost.request_ps + address_ps * ends[last])
    found, end = [], len(fields)
    while end:
        found.append((begins[end], end))
        end = begins[end]
    yield from reversed(found)


def _parts(function: Function, before: Request, after: Request, limits: Limits, avoided: Avoided) -> bool:
    """Whether the two may not be in one request, however cheap that were."""
    end, address = before.members[0][1].end, after.members[0][1].address
    return (
        limits.quirks.one_field
        or address - end > limits.hole(function)
        or limits.quirks.forbids(function, end, address) is not None
        or avoided.bars(function, end, address)
    )


def arrange(requests: Sequence[Request]) -> Plan:
    """The plan of these requests, which together hold each slot from 0 on once."""
    owners = sorted((slot, index) for index, request in enumerate(requests) for slot, _ in request.members)
    runs = groupby(owners, key=lambda owner: owner[1])
    return Plan(tuple(requests), tuple((index, sum(1 for _ in run)) for index, run in runs))
