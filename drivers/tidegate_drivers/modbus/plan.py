"""The plan: points into few requests, within the protocol's limits. Pure; it knows no device and no socket.

points    ▮▮ ▮▮▮▮    ▮▮                    ▮▮▮▮
requests  └─────────────┘                  └──┘     a hole up to the limit is read along, a wider one is not
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import groupby
from struct import Struct

from tidegate.model.tag import Type
from tidegate_drivers.modbus import codec
from tidegate_drivers.modbus.point import BITS_MAX, REGISTERS_MAX, Function, Point
from tidegate_drivers.modbus.settings import HOLE_REGISTERS

QUESTION = Struct(">BHH")
BITS_PER_REGISTER = 16


@dataclass(frozen=True, slots=True)
class Limits:
    """What one request may read, and how many registers between two tags it reads along rather than asking twice.

    A request costs a round trip and 20 ms or more of a slow device's time, a register 2 bytes: holes are cheap, but
    some devices refuse to read them. Then the poll splits the request, at the widest hole first.
    """

    registers_max: int = REGISTERS_MAX
    hole_registers_max: int = HOLE_REGISTERS

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

    @cached_property
    def function(self) -> Function:
        """What is asked for."""
        return self.members[0][1].function

    @cached_property
    def address(self) -> int:
        """The first wire address."""
        return self.members[0][1].address

    @cached_property
    def count(self) -> int:
        """How many registers, or bits."""
        return max(point.end for _, point in self.members) - self.address

    @cached_property
    def question(self) -> bytes:
        """The request's PDU: function, address, count."""
        return QUESTION.pack(self.function, self.address, self.count)

    @cached_property
    def reply_bytes(self) -> int:
        """The byte count that a valid reply has."""
        return (self.count + 7) // 8 if self.function.of_bits else 2 * self.count

    @cached_property
    def steps(self) -> bytes:
        """Decoder steps of all but the strings."""
        return b"".join(codec.step(s, p, self.address) for s, p in self.members if p.kind != Type.STRING)

    @cached_property
    def texts(self) -> tuple[tuple[int, int, Point], ...]:
        """The strings: slot, place in the reply's data in bytes, point."""
        return tuple((s, 2 * (p.address - self.address), p) for s, p in self.members if p.kind == Type.STRING)

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

    def split(self) -> "tuple[Request, Request]":
        """The request in two: at its widest hole, or in the middle when it has none. It needs two members."""
        ends = [0]
        for _, point in self.members:
            ends.append(max(ends[-1], point.end))
        holes = [point.address - end for (_, point), end in zip(self.members[1:], ends[1:], strict=False)]
        widest = max(holes)
        cut = holes.index(widest) + 1 if widest > 0 else len(self.members) // 2
        return Request(self.members[:cut]), Request(self.members[cut:])


@dataclass(frozen=True, slots=True)
class Plan:
    """The requests that read a group, and for the group's slots in order, runs of (request, how many slots)."""

    requests: tuple[Request, ...]
    runs: tuple[tuple[int, int], ...]


def plan(points: Sequence[Point], limits: Limits) -> Plan:
    """Few requests that read all points; the slot of a point is its index. No point is cut in two."""
    ordered = sorted(enumerate(points), key=lambda member: (member[1].function, member[1].address, member[1].end))
    requests: list[Request] = []
    members: list[tuple[int, Point]] = []
    end = 0
    for slot, point in ordered:
        first = members[0][1] if members else point
        fits = (
            point.function == first.function
            and point.end - first.address <= limits.span(point.function)
            and point.address - end <= limits.hole(point.function)
        )
        if members and not fits:
            requests.append(Request(tuple(members)))
            members = []
        end = max(end, point.end) if members else point.end
        members.append((slot, point))
    if members:
        requests.append(Request(tuple(members)))
    return arrange(requests)


def arrange(requests: Sequence[Request]) -> Plan:
    """The plan of these requests, which together hold each slot from 0 on once."""
    owners = sorted((slot, index) for index, request in enumerate(requests) for slot, _ in request.members)
    runs = groupby(owners, key=lambda owner: owner[1])
    return Plan(tuple(requests), tuple((index, sum(1 for _ in run)) for index, run in runs))
