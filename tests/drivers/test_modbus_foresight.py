"""What is foreseen of a bus is what happens: on a line in virtual time, read by the poller itself."""

import asyncio
import re
from collections.abc import Sequence
from dataclasses import replace
from random import Random

import pytest

from tests.fakes.machines import Sink
from tests.fakes.serial_line import MemoryLine, Moves, framed, registers_of
from tests.fakes.virtual_time import run_virtually
from tidegate.acquire.capacity import judge
from tidegate.acquire.poller import Poller
from tidegate.clock import Clock
from tidegate.model.busplan import BusPlan
from tidegate.model.device import Device, Group
from tidegate.model.tag import Tag, TagTable, Type
from tidegate_drivers.modbus.driver import ModbusDriver
from tidegate_drivers.modbus.line_link import LineLink
from tidegate_drivers.modbus.link import Link

PORT = "/dev/serial/by-id/none"
# Three requests at 9600 baud: a hole of 14 registers is read along, and those of 100 are not.
ADDRESSES = (*range(0, 20), *range(34, 40), *range(140, 150), 300)


def device(name: str, unit: int, interval_s: float = 1.0, address: str = f"rtu://{PORT}", **options: str) -> Device:
    tags = tuple(Tag(f"w{a}", Type.UINT16, Type.UINT16, f"HR{a}") for a in ADDRESSES)
    group = Group(name, "default", interval_s, max(1.0, interval_s), tuple(range(len(tags))))
    return Device(name, "modbus", address, unit, TagTable(name, tags), (group,), options)


def line(count: int, **options: str) -> list[Device]:
    return [device(f"m{n}", n, **options) for n in range(1, count + 1)]


def foreseen(devices: Sequence[Device]) -> BusPlan:
    (plan,) = ModbusDriver.plan(devices)
    return plan


def reached(devices: Sequence[Device], bits: int, baud: int, own_s: float, lasts_s: float = 60.0) -> dict[str, int]:
    """How many reads the poller brings of each device, from units that take `own_s` and characters of so many bits."""
    character_s = bits / baud

    def answer(question: bytes) -> Moves:
        reply = framed(registers_of(question, lambda address: address))
        return [((len(question) + len(reply)) * character_s + own_s, reply)]

    class OnAMemoryLine(ModbusDriver):
        async def _connect(self) -> Link | LineLink:
            assert self._bus.line is not None
            link = LineLink(self._clock, PORT, self._bus.line, self._abandoned, gives_up=False)
            MemoryLine(link, answer)
            return link

    sink = Sink()

    async def main(clock: Clock) -> None:
        poller = Poller(devices, {"modbus": OnAMemoryLine}, sink, sink.gaps.append, clock, Random(7))
        running = asyncio.create_task(poller.run())
        await asyncio.sleep(lasts_s)
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)

    run_virtually(main)
    return {device.name: len(sink.of(device.name)) for device in devices}


@pytest.mark.parametrize(
    ("baud", "parity", "bits", "own_ms"), [(9600, "N", 10, 20), (19200, "E", 11, 35), (115200, "N", 10, 5)]
)
def test_a_line_that_is_too_slow_is_read_at_the_interval_that_was_foreseen(
    baud: int, parity: str, bits: int, own_ms: int
) -> None:
    devices = line(30, baud=str(baud), parity=parity, reply_time=f"{own_ms}ms", interval_s=0.2)
    plan = foreseen(devices)
    cycle_s = sum(group.time_s for group in plan.groups)
    lasts_s = 40 * cycle_s
    reads = reached(devices, bits, baud, own_ms / 1e3, lasts_s)

    assert plan.load > 1
    assert sum(reads.values()) * cycle_s / len(devices) == pytest.approx(lasts_s, rel=0.05)


def test_a_line_that_can_hold_its_interval_misses_no_cycle() -> None:
    devices = line(4, baud="19200", parity="N")
    reads = reached(devices, 10, 19200, 0.02)

    assert judge(foreseen(devices)).holds
    assert min(reads.values()) >= 59


def test_the_plan_of_a_line_is_told_in_requests_registers_and_time() -> None:
    plan = foreseen(line(1, baud="9600", parity="N", reply_time="20ms"))
    (group,) = plan.groups

    assert (plan.bus, plan.kind, plan.words) == (PORT, "line", "9600 baud, 8N1, 20 ms a reply")
    assert [(r.what, r.size, r.wasted, len(r.tags)) for r in group.requests] == [
        ("holding 0x0000 to 0x0027", 40, 14, 26),
        ("holding 0x008C to 0x0095", 10, 0, 10),
        ("holding 0x012C to 0x012C", 1, 0, 1),
    ]
    # 13 characters and 80 of data at 10 bits, the unit's own time, and 38.5 bits of silence.
    assert group.requests[0].time_s == pytest.approx((930 + 38.5) / 9600 + 0.020)


@pytest.mark.parametrize(
    ("devices", "setting"),
    [(line(9, baud="9600"), "baud"), (line(1, address="tcp://10.0.0.1", interval_s=0.013, in_flight="1"), "in_flight"),
     (line(8, address="tcp://10.0.0.1", interval_s=0.1), "connections")],
    ids=["baud", "in_flight", "connections"],
)  # fmt: skip
def test_what_the_driver_would_change_is_enough(devices: list[Device], setting: str) -> None:
    (remedy,) = [found for found in judge(foreseen(devices)).remedies if f"{setting} = " in found]
    value = re.findall(rf"{setting} = (\d+)", remedy)[0]
    changed = [replace(one, options={**one.options, setting: value}) for one in devices]

    assert not judge(foreseen(devices)).holds
    assert judge(foreseen(changed)).holds


def test_requests_under_way_together_cost_one_trip() -> None:
    alone, together = (foreseen([device("m", 1, address="tcp://10.0.0.1", in_flight=n)]) for n in ("1", "4"))

    assert alone.groups[0].time_s - together.groups[0].time_s == pytest.approx(2 * 0.005)


def test_how_many_requests_a_device_takes_is_said_to_be_learnt_where_it_is() -> None:
    alone = foreseen(line(1, address="tcp://10.0.0.1", interval_s=0.013))
    several = foreseen(line(2, address="tcp://10.0.0.1", interval_s=0.013))

    assert any("in_flight = auto learns whether the device takes 4" in remedy for remedy in alone.remedies)
    assert not any("learns" in remedy for remedy in several.remedies)


def test_a_serial_server_is_said_to_be_taken_for_9600_baud() -> None:
    plan = foreseen(line(9, address="rtu+tcp://10.0.0.1:4001"))

    assert "9600 baud behind it assumed" in plan.words
    assert any("taken for 9600 baud" in remedy for remedy in plan.remedies)


def test_a_thousand_devices_of_one_table_are_planned_once() -> None:
    table = device("m", 1).table.tags
    devices = [
        replace(one, table=TagTable(one.name, table))
        for one in (device(f"m{n}", n % 200 + 1, address=f"tcp://10.0.{n // 200}.1") for n in range(1000))
    ]
    plans = ModbusDriver.plan(devices)

    assert sum(len(plan.groups) for plan in plans) == 1000
    assert len({id(group.requests[0].tags) for plan in plans for group in plan.groups}) <= 1000
