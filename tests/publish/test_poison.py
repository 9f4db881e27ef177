"""Frames that a broker never takes: found, put aside, told; all else flows. Refused altogether is no poison."""

import asyncio
import json
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.fakes.buffer import MemoryBuffer
from tests.fakes.frames import frame, table
from tests.fakes.mqtt_broker import DATA_LEAVES, Published, ScriptedBroker, until
from tests.publish.conftest import Serving
from tidegate.publish.standing import State
from tidegate.secret import Secret

METER = table()
FRAMES = 600
POISON = 137


def buffer_of(frames: int) -> MemoryBuffer:
    return MemoryBuffer.of(METER, frames)


def holds(message: Published, numbers: set[int]) -> bool:
    if message.leaf not in DATA_LEAVES:
        return False
    said = json.loads(message.payload)
    return not numbers.isdisjoint(range(said["from"], said["to"] + 1))


def refusing(code: int, numbers: set[int]) -> Callable[[Published], int | None]:
    return lambda message: code if holds(message, numbers) else 0


@pytest.mark.parametrize("code", [0x99, 0x80, 0x83, 0x95])
def test_the_one_frame_that_is_refused_is_a_dead_letter_and_all_others_arrive(serving: Serving, code: int) -> None:
    async def main() -> None:
        buffer = buffer_of(FRAMES)
        async with ScriptedBroker(puback=refusing(code, {POISON})) as broker, serving(broker.url, buffer) as target:
            await until(lambda: buffer.owed("cloud") == 0)

            assert [gap.frames for gap in buffer.letters.kept("cloud")] == [((POISON, POISON),)]
            assert target.status().dead_letters == 1
            assert target.status().state == State.CONNECTED
            if code == 0x99:
                # It was told which message it was, so that nobody had to hang up.
                assert broker.connections == 1

    asyncio.run(main())


@pytest.mark.parametrize(("five", "reason"), [(True, None), (False, None), (True, 0x95), (True, 0x81)])
def test_a_broker_that_hangs_up_on_one_frame_gets_all_others(serving: Serving, five: bool, reason: int | None) -> None:
    async def main() -> None:
        buffer = buffer_of(FRAMES)
        broker = ScriptedBroker(five=five)

        def judge(message: Published) -> int | None:
            if not holds(message, {POISON}):
                return 0
            broker.hang_up(reason)
            return None

        broker.puback = judge
        mqtt = "5" if five else "3.1.1"
        async with broker, serving(broker.url, buffer, mqtt=mqtt, message_bytes_max=16_384) as target:
            await until(lambda: buffer.owed("cloud") == 0, 20)

            assert [gap.frames for gap in buffer.letters.kept("cloud")] == [((POISON, POISON),)]
            assert broker.connections <= 20
            assert target.status().state in (State.CONNECTED, State.WAITING)

    asyncio.run(main())


def test_live_data_flows_while_the_poison_is_looked_for(serving: Serving) -> None:
    async def main() -> None:
        buffer = buffer_of(FRAMES)
        broker = ScriptedBroker()

        def judge(message: Published) -> int | None:
            if not holds(message, {POISON}):
                return 0
            broker.hang_up()
            return None

        broker.puback = judge
        async with broker, serving(broker.url, buffer, back_off_s_max=1.0) as target:
            late_s, loop = 0.0, asyncio.get_running_loop()
            end_s = loop.time() + 20
            while buffer.owed("cloud") > 1 or not buffer.letters.kept():
                assert loop.time() < end_s
                number, begun_s = buffer.commit(frame(METER, 1))[1], loop.time()
                await until(lambda number=number: number in buffer.cursor("cloud", buffer.epoch))
                late_s = max(late_s, loop.time() - begun_s)

            assert late_s < 10
            assert target.status().dead_letters == 1

    asyncio.run(main())


def test_several_poisonous_frames_are_each_found(serving: Serving) -> None:
    async def main() -> None:
        buffer, poison = buffer_of(FRAMES), {1, 2, 300, 600}
        async with ScriptedBroker(puback=refusing(0x99, poison)) as broker, serving(broker.url, buffer):
            await until(lambda: buffer.owed("cloud") <= 1)
            buffer.commit(frame(METER, 1))
            await until(lambda: buffer.owed("cloud") == 0)

            assert {gap.frames[0][0] for gap in buffer.letters.kept()} == poison

    asyncio.run(main())


@pytest.mark.parametrize("code", [0x99, 0x87, 0x90])
def test_a_broker_that_refuses_everything_parks_the_target_and_nothing_is_a_dead_letter(
    serving: Serving, code: int
) -> None:
    async def main() -> None:
        buffer, refuse = buffer_of(FRAMES), True
        async with (
            ScriptedBroker(puback=lambda m: code if refuse and m.leaf in DATA_LEAVES else 0) as broker,
            serving(broker.url, buffer, parked_probe_s=0.5) as target,
        ):
            await until(lambda: target.status().state == State.PARKED)

            assert buffer.letters.kept() == ()
            assert buffer.owed("cloud") == FRAMES
            refuse = False
            await until(lambda: buffer.owed("cloud") == 0)
            assert buffer.letters.kept() == ()

    asyncio.run(main())


def test_a_dead_letter_can_be_sent_again(serving: Serving) -> None:
    async def main() -> None:
        buffer = buffer_of(FRAMES)
        async with ScriptedBroker(puback=refusing(0x99, {POISON})) as broker, serving(broker.url, buffer) as target:
            await until(lambda: buffer.owed("cloud") == 0)
            broker.puback = lambda _: 0

            assert target.resubmit() == 1
            await until(lambda: buffer.letters.kept() == () and buffer.owed("cloud") == 0)
            assert any(holds(message, {POISON}) for message in broker.data[-1:])
            assert target.resubmit() == 0

    asyncio.run(main())


def test_a_password_that_was_changed_is_read_again(serving: Serving, tmp_path: Path) -> None:
    kept = tmp_path / "password"
    kept.write_text("old")

    async def main() -> None:
        async with (
            ScriptedBroker(connack=0x86) as broker,
            serving(
                broker.url, buffer_of(3), user="me", password=Secret("old", kept.read_text), parked_probe_s=0.5
            ) as target,
        ):
            await until(lambda: target.status().state == State.PARKED)
            kept.write_text("new")
            await until(lambda: b"new" in broker.connects[-1])
            broker.connack = 0
            await until(lambda: target.status().acknowledged == 3)

    asyncio.run(main())


def test_two_gateways_of_one_name_do_not_fight(serving: Serving, caplog: pytest.LogCaptureFixture) -> None:
    async def main() -> None:
        async with ScriptedBroker() as broker, serving(broker.url, buffer_of(1), parked_probe_s=300) as target:
            await until(lambda: target.status().acknowledged == 1)
            broker.hang_up(0x8E)
            await until(lambda: target.status().state == State.WAITING)

            # The other one had its 15 s at least, whatever the usual pauses are.
            assert (target.status().next_try_s or 0) >= 14
            assert "second gateway" in target.status().why

    asyncio.run(main())

    assert any(r.levelname == "ERROR" and "second gateway" in r.message for r in caplog.records)
