"""Cost: how long one request takes its bus, from what is known of the line and the unit, else assumed. Pure.

    question, 6 bytes framed | the unit's own time | reply, 3 bytes and its data framed | silence        on a line
    round trip and the unit's own time | a little for each register                        on TCP

Source: MODBUS over Serial Line V1.02 §2.5.1. What is assumed is a guess in the middle of what devices do: it decides
how wide a hole pays, never what is accepted as a reply.
"""

from dataclasses import dataclass, replace

from tidegate_drivers.modbus.line import Line

# Between the last byte of a question and the first of its reply: meters take 5 ms to 50 ms, TCP devices 1 ms to 20 ms.
LINE_REPLY_S, TCP_REPLY_S = 0.02, 0.005
# A PLC gives 125 registers as fast as one, a bridge to a line needs a millisecond for each.
TCP_BYTE_S = 0.00005
# The line behind a serial server, whose settings we don't see.
BEHIND_BAUD, BEHIND_PARITY = 9600, "E"
# In RTU 8 and 5 on the wire, in ASCII 17 and 11, where a byte of data is two.
QUESTION_BYTES, REPLY_BYTES = 6, 3
PS = 1e12


@dataclass(frozen=True, slots=True)
class Cost:
    """Seconds of one request whatever it asks for, and of each byte of its reply's data."""

    request_s: float = TCP_REPLY_S
    byte_s: float = TCP_BYTE_S

    def of(self, data_bytes: int) -> float:
        """One request for so much data."""
        return self.request_s + data_bytes * self.byte_s

    @property
    def request_ps(self) -> int:
        """Whole picoseconds: costs that are equal compare as equal."""
        return round(self.request_s * PS)

    @property
    def bit_ps(self) -> int:
        """The same of one bit of data."""
        return round(self.byte_s * PS / 8)


def cost(line: Line | None, reply_s: float | None, pause_s: float) -> Cost:
    """What a request costs on this line, or on TCP (None), for a unit that takes `reply_s` and wants `pause_s`."""
    if line is None:
        return Cost((TCP_REPLY_S if reply_s is None else reply_s) + pause_s)
    wire = line if line.baud else replace(line, baud=BEHIND_BAUD, parity=BEHIND_PARITY)
    own_s = LINE_REPLY_S if reply_s is None else reply_s
    silence_s = max(wire.pause_s, pause_s) + (wire.rs485.before_ms / 1e3 if wire.rs485 else 0.0)
    framed_bytes = wire.framing.wire_bytes(QUESTION_BYTES) + wire.framing.wire_bytes(REPLY_BYTES)
    return Cost(framed_bytes * wire.byte_s + own_s + silence_s, wire.framing.each * wire.byte_s)


def assumed(line: Line | None, reply_s: float | None) -> str:
    """What the cost is made of, for people, with what is only assumed."""
    usual_s = TCP_REPLY_S if line is None else LINE_REPLY_S
    own = f"{usual_s * 1e3:g} ms a reply assumed" if reply_s is None else f"{reply_s * 1e3:g} ms a reply"
    if line is not None and not line.baud:
        return f"{BEHIND_BAUD} baud behind it assumed, {own}"
    return own
