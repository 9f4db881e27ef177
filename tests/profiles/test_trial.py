"""A trial finds what is wrong: an address, an order, a scale, a missing tag, and requests that a device refuses."""

import asyncio
from dataclasses import replace

import pytest
from pyModbusTCP.client import ModbusClient

from tidegate.acquire.registry import drivers
from tidegate.model.tag import Scale, Tag, Type
from tidegate.profiles import trial
from tidegate.profiles.profile import Bus
from tidegate.profiles.simulated import Server, Simulated
from tidegate.profiles.vectors import Vector, parse

ORDERED = (("order", "ABCD"),)
VOLTS = Tag("U", Type.FLOAT32, Type.FLOAT32, "IR0", ORDERED)
ENERGY = Tag("E", Type.FLOAT64, Type.UINT32, "IR32", ORDERED, scale=Scale(1, 10))
TAGS = (VOLTS, ENERGY)
BUS = Bus()
VECTORS = (
    parse("U", "input 0", "4366 4000", "230.25", "230.25", 2),
    parse("E", "input 32", "0001 2345", "74565", "7456.5", 3),
    parse("E", "input 32", "0000 0001", "1", "0.1", 4),
)


def misses(
    tags: tuple[Tag, ...] = TAGS, vectors: tuple[Vector, ...] = VECTORS, bus: Bus = BUS, **options: str
) -> list[str]:
    found = asyncio.run(trial.run(drivers()["modbus"], tags, options, bus, vectors))
    return [f"{miss.vector.row}: {miss.what}" for miss in found]


def test_what_is_right_is_read_as_it_must_be() -> None:
    assert misses() == []


@pytest.mark.parametrize(
    ("tag", "told"),
    [
        (replace(VOLTS, address="IR1"), "2: raw 2.0 instead of 230.25; value 2.0 instead of 230.25"),
        (
            replace(VOLTS, options=(("order", "CDAB"),)),
            "2: raw 2.0041136741638184 instead of 230.25; value 2.0041136741638184 instead of 230.25",
        ),
        (replace(VOLTS, address="HR0"), "2: raw 0.0 instead of 230.25; value 0.0 instead of 230.25"),
        (replace(ENERGY, raw=Type.INT32, scale=Scale(1, 100)), "3: value 745.65 instead of 7456.5"),
        (replace(VOLTS, type=Type.FLOAT64, scale=Scale(1, 10)), "2: value 23.025 instead of 230.25"),
    ],
)
def test_a_tag_that_is_read_wrongly_is_told(tag: Tag, told: str) -> None:
    found = misses(tuple(tag if tag.name == usual.name else usual for usual in TAGS))

    assert told in found


def test_a_vector_without_its_tag_is_told() -> None:
    assert misses((VOLTS,)) == ["3: there is no such tag", "4: there is no such tag"]


def test_what_can_not_be_a_value_of_the_tag_is_told() -> None:
    wrong = parse("E", "input 32", "0000 0001", "one", "0.1", 9)

    assert misses(vectors=(wrong,)) == ["9: raw can't be one: invalid literal for int() with base 10: 'one'"]


def test_a_request_that_the_device_refuses_is_told() -> None:
    odd = Tag("w", Type.UINT16, Type.UINT16, "IR3")
    vector = parse("w", "input 3", "0007", "7", "7", 5)

    assert misses((odd,), (vector,)) == []
    assert "exception 3" in misses((odd,), (vector,), Bus(even_only=True))[0]


def test_the_plan_stays_within_what_the_profile_says_that_a_device_gives() -> None:
    assert misses(registers_max="2", bus=Bus(even_only=True)) == []


def test_a_value_that_must_not_be_good_is_one_that_is_not() -> None:
    text = Tag("s", Type.STRING, Type.STRING, "IR0", (("length", "2"),))

    assert misses((text,), (parse("s", "input 0", "C328", "bad", "bad", 2),)) == []
    assert misses((text,), (parse("s", "input 0", "4142", "bad", "bad", 2),)) == [
        "2: raw 'AB' instead of bad; value 'AB' instead of bad"
    ]


def test_a_foreign_client_reads_the_simulated_device() -> None:
    device = Simulated(lambda: {(3, 5): 0x1234, (4, 5): 0xABCD}, registers_max=10)

    async def main() -> list[object]:
        async with Server(device, unit=7) as server:
            client = ModbusClient("127.0.0.1", server.port, unit_id=7, timeout=5.0)
            asked = [
                await asyncio.to_thread(client.read_holding_registers, 4, 3),
                await asyncio.to_thread(client.read_input_registers, 5, 1),
                await asyncio.to_thread(client.read_input_registers, 5, 11),
                await asyncio.to_thread(client.read_coils, 5, 1),
            ]
            await asyncio.to_thread(client.close)
            return [*asked, client.last_except]

    assert asyncio.run(main()) == [[0, 0x1234, 0], [0xABCD], None, None, 1]
