"""Put: one write over a link, once, and reading back what the device then holds. It knows no tags and no queue.

ask ──right reply──▶ wait ──▶ read back ──same──▶ confirmed
 │                                └──other──▶ differs        └──no answer──▶ accepted: the device said so
 ├──exception──▶ refused
 └──silence, another reply, the link ends──▶ unknown: it is never sent again
"""

import asyncio
from dataclasses import dataclass

from tidegate.errors import DriverError, InvalidReply, NoAnswer, NotConnected, Refused
from tidegate.model.written import Result, Written
from tidegate_drivers.modbus.line_link import LineLink
from tidegate_drivers.modbus.link import OPEN, Link
from tidegate_drivers.modbus.pace import Pace
from tidegate_drivers.modbus.plan import QUESTION
from tidegate_drivers.modbus.point import Point
from tidegate_drivers.modbus.quirks import Quirks
from tidegate_drivers.modbus.write import Write

# Exceptions after which it may be done all the same: it goes on working, or the reply was lost behind a gateway.
OPEN_ENDED = frozenset({5, 11})


@dataclass(frozen=True, slots=True)
class Receiver:
    """The unit that is written to. `readback_s` is how long after the reply it is read back, None: it is not."""

    device: str
    unit: int
    timeout_s: float
    pace: Pace
    quirks: Quirks
    readback_s: float | None


async def put(link: Link | LineLink, receiver: Receiver, point: Point, write: Write, within_s: float) -> Written:
    """Write, and read back. Raises NotConnected while nothing was sent."""
    deadline = link.time() + within_s
    await receiver.pace.wait(link.time)
    if link.closed:
        raise NotConnected(receiver.device, "the connection had ended before the write was sent")
    if link.time() >= deadline:
        return Written(Result.EXPIRED, "no time was left to send it")
    until = min(deadline, link.time() + receiver.timeout_s)
    try:
        said = await link.ask(receiver.device, receiver.unit, write.pdu, OPEN, until)
    except Refused as error:
        ended = Result.UNKNOWN if error.code in OPEN_ENDED else Result.REFUSED
        return Written(ended, error.what, error.code)
    except (NoAnswer, InvalidReply, NotConnected) as error:
        return Written(Result.UNKNOWN, f"{error.what}; it may have been done")
    finally:
        receiver.pace.begin(link.time())
    if write.pdu[:1] + said != write.echo:
        link.close("closed after a reply that is not that of the write")
        got = (write.pdu[:1] + said).hex(" ")
        return Written(Result.UNKNOWN, f"the reply was {got}, and {write.echo.hex(' ')} is the right one")
    if receiver.readback_s is None:
        return Written(Result.ACCEPTED, "it is not read back: readback = off")
    if link.time() + receiver.readback_s >= deadline:
        return Written(Result.ACCEPTED, "no time was left to read it back")
    await asyncio.sleep(receiver.readback_s)
    return await _read_back(link, receiver, point, write, deadline)


async def _read_back(link: Link | LineLink, receiver: Receiver, point: Point, write: Write, deadline: float) -> Written:
    """Whether the device holds what was written."""
    first = receiver.quirks.first(point.function, point.address)
    count = receiver.quirks.end(point.function, point.end) - first
    await receiver.pace.wait(link.time)
    until = min(deadline, link.time() + receiver.timeout_s)
    question = QUESTION.pack(point.function, first, count)
    try:
        data = await link.ask(
            receiver.device, receiver.unit, question, (count + 7) // 8 if point.function.of_bits else 2 * count, until
        )
    except DriverError as error:
        return Written(Result.ACCEPTED, f"the device said that it was done; reading it back failed: {error.what}")
    finally:
        receiver.pace.begin(link.time())
    held = bytes([data[0] & 1]) if point.function.of_bits else data[2 * (point.address - first) :][: len(write.data)]
    if held == write.data:
        return Written(Result.CONFIRMED)
    return Written(Result.DIFFERS, f"it holds {held.hex(' ')}, and {write.data.hex(' ')} was written")
