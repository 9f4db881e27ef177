"""A target and a real broker: nothing owed is forgotten, live goes first, and a subscriber can tell."""

import asyncio
from itertools import groupby
from pathlib import Path

import pytest

from demo.broker import Mosquitto
from tests.fakes.buffer import MemoryBuffer
from tests.fakes.frames import frame, gap_frame, table
from tests.fakes.mqtt_broker import until
from tests.fakes.subscriber import Received, Subscriber, wait_for
from tests.publish.conftest import Serving
from tidegate.model.gap import Gap, Why
from tidegate.model.tag import TagTable
from tidegate.proof import Proof, Ranges
from tidegate.publish.standing import State

METER = table(tags=20)


def buffer_of(frames: int) -> MemoryBuffer:
    return MemoryBuffer.of(METER, frames)


def covered(messages: list[Received], epoch: str = "a" * 16) -> Ranges:
    found = Ranges()
    for message in messages:
        if message.said["epoch"] == epoch:
            found.add(message.said["from"], message.said["to"])
    return found


def runs_are_in_order(messages: list[Received]) -> bool:
    """Within a run every message goes on where the one before ended (formats §3)."""
    said = sorted((m.said for m in messages), key=lambda s: s["run"])
    for _, run in groupby(said, key=lambda s: s["run"]):
        end = None
        for message in run:
            again = message["frames"] and "part" in message["frames"][0] and message["frames"][0]["part"][0] > 1
            if end is not None and message["from"] != (end if again else end + 1):
                return False
            end = message["to"]
    return True


def test_backlog_and_live_data_arrive_whole_and_once(broker: Mosquitto, serving: Serving) -> None:
    async def main() -> None:
        buffer = buffer_of(500)
        async with serving(broker.url, buffer) as target:
            await until(lambda: target.status().state == State.CONNECTED)
            for i in range(20):
                buffer.commit(frame(METER, i), frame(METER, i))
                await asyncio.sleep(0.005)
            await until(lambda: target.drained)
            await until(lambda: len(received.numbers()) >= 540)

    with Subscriber(broker.port) as received:
        asyncio.run(main())
        received.settle()
        lanes = received.of("live", "backlog")

        assert sorted(received.numbers()) == list(range(1, 541))
        assert runs_are_in_order(lanes)
        assert {m.said["lane"] for m in lanes} == {"live", "backlog"}
        assert min(m.said["from"] for m in received.of("live")) > 500


def test_tables_come_before_the_frames_that_use_them(broker: Mosquitto, serving: Serving) -> None:
    async def main() -> None:
        async with serving(broker.url, buffer_of(10)) as target:
            await until(lambda: target.drained and target.status().acknowledged == 10)

    with Subscriber(broker.port) as received:
        asyncio.run(main())
        received.settle()
        order = [m.topic.split("/")[3] for m in received.received]

        assert order.index("table") < order.index("backlog")
        assert received.of(METER.hash.hex())[0].said["tags"][0]["name"] == "tag0"


def test_head_status_and_tables_are_there_for_who_comes_later(broker: Mosquitto, serving: Serving) -> None:
    async def main() -> None:
        buffer = buffer_of(10)
        async with serving(broker.url, buffer) as target:
            await until(lambda: target.drained and target.status().acknowledged == 10)
            with Subscriber(broker.port) as later:
                await until(lambda: len(later.received) >= 3)
                heads, statuses = later.of("head"), later.of("status")

                assert heads[0].said["last"] == 10
                assert statuses[0].said["online"] is True
                assert statuses[0].said["devices"] == {"up": 1, "down": 0}
                assert len(later.of(METER.hash.hex())) == 1
                buffer.commit(frame(METER))
                await until(lambda: later.of("head")[-1].said["last"] == 11)

    asyncio.run(main())


def test_a_clean_end_says_offline_itself(broker: Mosquitto, serving: Serving) -> None:
    async def main() -> None:
        async with serving(broker.url, buffer_of(1)) as target:
            await until(lambda: target.drained and target.status().acknowledged == 1)

    with Subscriber(broker.port) as received:
        asyncio.run(main())
        received.settle()

        assert [m.said["online"] for m in received.of("status")] == [True, False]
        wait_for(lambda: "tidegate-g1-cloud disconnected.\n" in broker.log.read_text())


def test_an_outage_costs_nothing_and_the_backlog_is_not_sent_as_live(tmp_path: Path, serving: Serving) -> None:
    broker = Mosquitto(tmp_path / "kept", persistence=True)
    broker.start()

    async def main() -> None:
        buffer = buffer_of(50)
        async with serving(broker.url, buffer) as target:
            await until(lambda: target.drained and target.status().acknowledged == 50)
            broker.stop()
            await until(lambda: target.status().state == State.WAITING)
            buffer.commit(*(frame(METER, i) for i in range(300)))

            assert target.status().backlog == 300
            assert target.drained
            broker.start()
            with Subscriber(broker.port) as received:
                await until(lambda: target.status().state == State.CONNECTED)
                buffer.commit(frame(METER))
                await until(lambda: buffer.owed("cloud") == 0)
                await until(lambda: len(set(received.numbers())) >= 301)

                assert set(received.numbers("backlog")) | set(received.numbers("live")) == set(range(51, 352))
                assert max(received.numbers("backlog")) <= 351
                assert runs_are_in_order(received.of("live", "backlog"))

    try:
        asyncio.run(main())
    finally:
        broker.kill()


@pytest.mark.parametrize("mqtt", ["5", "3.1.1"])
def test_a_frame_that_a_packet_can_not_hold_comes_in_parts(tmp_path: Path, serving: Serving, mqtt: str) -> None:
    broker = Mosquitto(tmp_path / "small", extra="max_packet_size 20000")
    broker.start()
    wide = table("wide", tags=4000)

    async def main() -> None:
        buffer = buffer_of(0)
        buffer.know(wide)
        buffer.commit(frame(METER), frame(wide, 65535), frame(METER))
        async with serving(broker.url, buffer, mqtt=mqtt, message_bytes_max=65_536) as target:
            await until(lambda: buffer.owed("cloud") == 0)
            buffer.commit(frame(wide, 1))
            await until(lambda: buffer.owed("cloud") == 0)

            assert target.status().spoiled == 0

    try:
        with Subscriber(broker.port) as received:
            asyncio.run(main())
            received.settle()
            data = received.of("live", "backlog")
            proof = Proof()
            for message in data:
                proof.take(message.payload, 0.0)
            parts = [f for m in data for f in m.said["frames"] if f["seq"] == 2 and "part" in f]

            assert len(parts) >= parts[0]["part"][1] > 1
            assert runs_are_in_order(data)
            assert proof.report(0.0).frames == 4
            assert proof.report(0.0).unfounded == 0
    finally:
        broker.kill()


def test_older_epochs_drain_too_and_the_head_lists_them(broker: Mosquitto, serving: Serving) -> None:
    async def main() -> None:
        buffer = buffer_of(30)
        buffer.commit(gap_frame(Gap(Why.CRASH_WINDOW, 1, 2, id=1)))
        await buffer.renumber("test")
        buffer.commit(*(frame(METER) for _ in range(5)))
        async with serving(broker.url, buffer):
            await until(lambda: buffer.owed("cloud", "a" * 16) == 0 and buffer.owed("cloud") == 0)

    with Subscriber(broker.port) as received:
        asyncio.run(main())
        received.settle()
        head = received.of("head")[0].said

        assert covered(received.of("backlog"), "a" * 16).pairs == [[1, 31]]
        assert covered(received.of("backlog"), "b" * 16).pairs == [[1, 5]]
        assert (head["epoch"], head["last"]) == ("b" * 16, 5)
        assert head["older"] == [{"epoch": "a" * 16, "first": 1, "last": 31}]


def test_a_buffer_older_than_what_it_sent_begins_a_new_epoch(broker: Mosquitto, serving: Serving) -> None:
    async def main() -> None:
        async with serving(broker.url, buffer_of(50)) as target:
            await until(lambda: target.drained and target.status().acknowledged == 50)
        restored = buffer_of(20)
        async with serving(broker.url, restored) as target:
            await until(lambda: target.status().state == State.CONNECTED and target.drained)
            restored.commit(frame(METER))
            await until(lambda: restored.owed("cloud") == 0)

            assert len(restored.renumbered) == 1
            assert restored.epoch == "b" * 16
            assert restored.owed("cloud", "a" * 16) == 0

    asyncio.run(main())


def test_what_was_evicted_is_not_claimed(broker: Mosquitto, serving: Serving) -> None:
    async def main() -> None:
        buffer = buffer_of(100)
        buffer.lose(30, 60)
        async with serving(broker.url, buffer):
            await until(lambda: buffer.owed("cloud") == 0)

    with Subscriber(broker.port) as received:
        asyncio.run(main())
        received.settle()

        assert covered(received.of("backlog")).pairs == [[1, 29], [61, 100]]
        assert runs_are_in_order(received.of("backlog"))


def test_what_goes_while_it_is_read_is_not_claimed_either(broker: Mosquitto, serving: Serving) -> None:
    async def main() -> None:
        buffer = buffer_of(100)
        buffer.reading = asyncio.Event()
        async with serving(broker.url, buffer):
            await until(lambda: buffer.reads > 0)
            buffer.lose(1, 60)
            buffer.reading.set()
            await until(lambda: buffer.owed("cloud") == 0)

    with Subscriber(broker.port) as received:
        asyncio.run(main())
        received.settle()

        assert covered(received.of("backlog")).pairs == [[61, 100]]


def test_a_target_is_owed_nothing_from_before_its_time(broker: Mosquitto, serving: Serving) -> None:
    async def main() -> None:
        buffer = buffer_of(100)
        buffer.owed_from[buffer.epoch] = 91
        async with serving(broker.url, buffer) as target:
            await until(lambda: target.drained and target.status().acknowledged == 10)

    with Subscriber(broker.port) as received:
        asyncio.run(main())
        received.settle()

        assert covered(received.of("backlog")).pairs == [[91, 100]]
        assert received.of("head")[0].said["since"] == 91


def test_nobody_listening_is_counted_and_is_no_fault(broker: Mosquitto, serving: Serving) -> None:
    async def main() -> None:
        async with serving(broker.url, buffer_of(3)) as target:
            await until(lambda: target.drained and target.status().acknowledged == 3)

            assert target.status().unheard == 1
            assert target.status().refused == 0

    asyncio.run(main())


def test_two_targets_are_served_independently(tmp_path: Path, broker: Mosquitto, serving: Serving) -> None:
    async def main() -> None:
        near, far = buffer_of(30), buffer_of(30)
        async with serving("mqtt://127.0.0.1:1", far) as away, serving(broker.url, near) as there:
            await until(lambda: there.drained and there.status().acknowledged == 30)

            assert away.status().state in (State.WAITING, State.CONNECTING)
            assert away.status().backlog == 30
            assert "refused" in away.status().why.lower()

    asyncio.run(main())


def test_a_run_number_names_the_start_of_the_gateway_that_made_it(broker: Mosquitto, serving: Serving) -> None:
    async def main() -> None:
        async with serving(broker.url, buffer_of(3)) as target:
            await until(lambda: target.drained and target.status().acknowledged == 3)

    with Subscriber(broker.port) as received:
        asyncio.run(main())
        received.settle()

        assert [m.said["run"] for m in received.of("backlog")] == [30_000_001]


def test_a_table_that_comes_up_while_another_is_fetched_is_fetched_too(broker: Mosquitto, serving: Serving) -> None:
    class Slow(MemoryBuffer):
        tables_asked = 0

        async def table(self, hash: bytes) -> TagTable:
            if not self.tables_asked:
                self.commit(frame(other))
            self.tables_asked += 1
            await asyncio.sleep(0.05)
            return await super().table(hash)

    other = table("other")

    async def main() -> None:
        buffer = Slow()
        buffer.know(METER)
        buffer.know(other)
        async with serving(broker.url, buffer) as target:
            await until(lambda: target.status().state == State.CONNECTED and target.drained)
            buffer.commit(frame(METER))
            await until(lambda: buffer.owed("cloud") == 0)

            assert target.status().spoiled == 0

    asyncio.run(main())


def test_a_line_that_is_cut_is_said_by_the_broker(broker: Mosquitto, serving: Serving) -> None:
    async def main() -> None:
        ends: list[asyncio.StreamWriter] = []

        async def pass_on(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            while not writer.is_closing() and (some := await reader.read(65_536)):
                writer.write(some)

        async def line(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            far_reader, far_writer = await asyncio.open_connection("127.0.0.1", broker.port)
            ends.extend((writer, far_writer))
            await asyncio.gather(pass_on(reader, far_writer), pass_on(far_reader, writer), return_exceptions=True)

        server = await asyncio.start_server(line, "127.0.0.1", 0)
        url = f"mqtt://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        async with server, serving(url, buffer_of(1), back_off_s_min=5, back_off_s_max=5) as target:
            await until(lambda: target.drained and target.status().acknowledged == 1)
            for end in ends:
                end.transport.abort()
            await until(lambda: [m.said["online"] for m in received.of("status")] == [True, False])

    with Subscriber(broker.port) as received:
        asyncio.run(main())
