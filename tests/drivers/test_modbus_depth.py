"""How many questions a device can have before it: learnt by trying, never from a reading, and given up in doubt."""

import asyncio
from collections.abc import Callable
from dataclasses import replace
from struct import pack, unpack
from typing import Any

import pytest

from tidegate.clock import Clock
from tidegate.errors import DriverError
from tidegate.model.device import Device, Group
from tidegate.model.tag import Tag, TagTable, Type
from tidegate_drivers.modbus.depth import AGAIN_S, LEVELS, Depth
from tidegate_drivers.modbus.driver import ModbusDriver
from tidegate_drivers.modbus.plan import Limits, Request, plan
from tidegate_drivers.modbus.point import Function, Point

BLOCKS = 20
READS = 4
Session = Callable[["Machine", bytes, asyncio.StreamWriter], None]


def reply(request: bytes, transaction: bytes | None = None) -> bytes:
    """Registers that hold their own address."""
    address, count = unpack(">HH", request[8:12])
    data = b"".join(pack(">H", address + i) for i in range(count))
    body = request[6:8] + bytes([len(data)]) + data
    return (transaction or request[:2]) + bytes(2) + pack(">H", len(body)) + body


class Machine:
    """A device on a port of its own. `session` is told what came in one piece, and answers."""

    def __init__(self, session: Session) -> None:
        self._session = session
        self.most_at_once = 0

    async def __aenter__(self) -> "Machine":
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(self, *_: object) -> None:
        self._server.close()
        await asyncio.sleep(0)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while data := await reader.read(4096):
            self.most_at_once = max(self.most_at_once, len(data) // 12)
            self._session(self, data, writer)
            if writer.is_closing():
                break
        writer.close()


def questions(data: bytes) -> list[bytes]:
    return [data[at : at + 12] for at in range(0, len(data), 12)]


def able(machine: Machine, data: bytes, writer: asyncio.StreamWriter) -> None:
    writer.write(b"".join(reply(one) for one in questions(data)))


def answers_the_first(machine: Machine, data: bytes, writer: asyncio.StreamWriter) -> None:
    writer.write(reply(data[:12]))


def hangs_up_at_two(machine: Machine, data: bytes, writer: asyncio.StreamWriter) -> None:
    if len(data) > 12:
        writer.close()
    else:
        writer.write(reply(data))


def confuses_numbers(machine: Machine, data: bytes, writer: asyncio.StreamWriter) -> None:
    """It answers in turn, and each reply has the number of the question that came last."""
    asked = questions(data)
    writer.write(b"".join(reply(one, asked[-1 - i][:2]) for i, one in enumerate(asked)))


def holds_four(machine: Machine, data: bytes, writer: asyncio.StreamWriter) -> None:
    writer.write(b"".join(reply(one) for one in questions(data)[:4]))


def chokes_on_much(machine: Machine, data: bytes, writer: asyncio.StreamWriter) -> None:
    """What it can't send in one piece it forgets: short replies do not show it."""
    sent, room = b"", 100
    for one in questions(data):
        answer = reply(one)
        if len(sent) + len(answer) > room:
            break
        sent += answer
    writer.write(sent)


def device(port: int, **options: str) -> Device:
    tags = tuple(Tag(f"t{i}", Type.UINT16, Type.UINT16, f"HR{200 * i + 7}") for i in range(BLOCKS)) + tuple(
        Tag(f"u{i}", Type.UINT16, Type.UINT16, f"HR{200 * i + 37}") for i in range(BLOCKS)
    )
    group = Group("m", "g", 1.0, 4.0, tuple(range(len(tags))))
    given = {"timeout": "300ms", "hole_registers_max": "30", **options}
    return Device("m", "modbus", f"tcp://127.0.0.1:{port}", 1, TagTable("m", tags), (group,), given)


def learnt(session: Session, reads: int = READS, **options: str) -> tuple[list[Any], int]:
    """The values of so many reads (None where one failed), and how many questions came in one piece at most."""

    async def main() -> tuple[list[Any], int]:
        async with Machine(session) as machine:
            there = device(machine.port, **options)
            driver = ModbusDriver([there], Clock())
            got: list[Any] = []
            await driver.open()
            for _ in range(reads):
                try:
                    frame = await driver.read(there.groups[0])
                except DriverError:
                    got.append(None)
                    await driver.open()
                else:
                    got.append((frame.status, unpack(f"<{2 * BLOCKS}Q", frame.values)))
            await driver.close()
            return got, machine.most_at_once

    return asyncio.run(main())


TRUE = tuple([200 * i + 7 for i in range(BLOCKS)] + [200 * i + 37 for i in range(BLOCKS)])


def test_a_device_that_can_have_sixteen_has_them_after_two_reads() -> None:
    got, most = learnt(able)

    assert [TRUE] * READS == [values for _, values in got]
    assert LEVELS[-1] == most


@pytest.mark.parametrize(
    "session",
    [answers_the_first, hangs_up_at_two, confuses_numbers, holds_four],
    ids=["answers the first", "hangs up", "confuses numbers", "holds four"],
)
def test_a_device_that_can_not_costs_one_trial_and_no_value_is_wrong(session: Session) -> None:
    got, _ = learnt(session, 6)

    assert {TRUE} == {one[1] for one in got if one is not None}
    # A connection that the trial has cost is missed by one read.
    assert sum(one is None for one in got) <= 1


def test_what_four_can_be_done_of_is_kept_when_sixteen_can_not() -> None:
    got, most = learnt(holds_four, 6)

    assert [TRUE] * 6 == [values for _, values in got]
    assert LEVELS[-1] == most


def wide(port: int, words: int, **options: str) -> Device:
    """Fields of so many registers, with holes between them that are not read along."""
    tags = tuple(
        Tag(
            f"t{i}", Type.STRING, Type.STRING, f"HR{200 * i + 8}", (("length", str(2 * words)), ("encoding", "latin-1"))
        )
        for i in range(BLOCKS)
    )
    there, group = device(port, **options), Group("m", "g", 1.0, 4.0, tuple(range(BLOCKS)))
    return replace(there, table=TagTable("m", tags), groups=(group,))


def read_wide(session: Session, reads: int, words: int, **options: str) -> list[bytes]:
    """The statuses of so many reads; none may fail."""

    async def main() -> list[bytes]:
        async with Machine(session) as machine:
            there = wide(machine.port, words, **options)
            driver = ModbusDriver([there], Clock())
            await driver.open()
            got = [(await driver.read(there.groups[0])).status for _ in range(reads)]
            await driver.close()
            return got

    return asyncio.run(main())


def test_a_device_that_falls_silent_over_several_long_replies_is_asked_one_by_one_again() -> None:
    got = read_wide(chokes_on_much, 8, 20)

    assert [bytes(4)] * 2 == got[-2:]


@pytest.mark.parametrize("quirk", ["even_only", "one_field"])
def test_a_trial_asks_nothing_that_the_device_must_not_be_asked(quirk: str) -> None:
    asked: list[tuple[int, int]] = []

    def session(machine: Machine, data: bytes, writer: asyncio.StreamWriter) -> None:
        asked.extend(unpack(">HH", one[8:12]) for one in questions(data))
        able(machine, data, writer)

    read_wide(session, READS, 2, **{quirk: "true"})

    assert {(200 * i + 8, 2) for i in range(BLOCKS)} == set(asked)


def test_behind_the_first_read_of_a_connection_nothing_is_tried_so_that_the_device_can_be_asked_who_it_is() -> None:
    async def main() -> bytes:
        async with Machine(hangs_up_at_two) as machine:
            there = device(machine.port)
            driver = ModbusDriver([there], Clock())
            await driver.open()
            await driver.read(there.groups[0])
            try:
                return await driver.ask("m", pack(">BHH", 3, 5, 1))
            finally:
                await driver.close()

    assert pack(">BBH", 3, 2, 5) == asyncio.run(main())


def test_nothing_is_tried_where_the_configuration_says_how_many() -> None:
    _, most = learnt(able, in_flight="1")

    assert most == 1


def test_units_that_share_an_address_are_asked_one_by_one() -> None:
    async def main() -> int:
        async with Machine(able) as machine:
            first, second = device(machine.port), device(machine.port)
            table = TagTable("n", second.table.tags)
            other = Device("n", "modbus", second.address, 2, table, (Group("n", "g", 1.0, 4.0, first.groups[0].tags),),
                           second.options)  # fmt: skip
            driver = ModbusDriver([first, other], Clock())
            await driver.open()
            for _ in range(READS):
                await driver.read(first.groups[0])
                await driver.read(other.groups[0])
            await driver.close()
            return machine.most_at_once

    assert asyncio.run(main()) == 1


def requests(count: int) -> tuple[Request, ...]:
    points = [Point(Function.HOLDING, 200 * i, 16, Type.STRING, length=32) for i in range(count)]
    return plan(points, Limits()).requests


def test_each_question_of_a_trial_has_a_reply_of_its_own_length() -> None:
    tried = Depth(None).trial(requests(9), 0.0)

    assert LEVELS[0] == len(tried)
    assert len({question.reply_bytes for question in tried}) == len(tried)


def test_after_a_doubt_it_begins_again_later_and_later() -> None:
    depth, now, waits = Depth(None), 0.0, []
    for _ in range(3):
        depth.passed(LEVELS[0])
        depth.doubted(now)

        assert depth.now == 1
        assert depth.trial(requests(9), now) == []
        begun = now
        while not depth.trial(requests(9), now):
            now += AGAIN_S / 2
        waits.append(now - begun)

    assert [AGAIN_S, 2 * AGAIN_S, 4 * AGAIN_S] == waits


def test_a_silent_device_is_no_doubt_while_it_is_asked_one_by_one() -> None:
    depth = Depth(None)
    depth.doubted(0.0)

    assert len(depth.trial(requests(9), 0.0)) == LEVELS[0]
