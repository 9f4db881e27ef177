"""Replays that are ordered at the box: the same numbers in the replay lane, through lost links, and never for ever."""

import asyncio

import pytest

from demo.broker import Mosquitto
from tests.fakes.buffer import MemoryBuffer
from tests.fakes.frames import table
from tests.fakes.mqtt_broker import Published, ScriptedBroker, until
from tests.fakes.subscriber import Subscriber
from tests.publish.conftest import Serving
from tidegate.proof import Ranges
from tidegate.publish.formats.tidegate_json import Answer
from tidegate.publish.orders import ENDS_MAX, ORDERS_MAX, REMEMBERED_MAX, OrderRefused, Orders
from tidegate.publish.sorting import Sorted
from tidegate.publish.target import Target

METER = table(tags=20)
FRAMES = 40


async def delivered(target: Target, frames: int = FRAMES) -> None:
    await until(lambda: target.drained and target.status().acknowledged == frames)


def test_an_order_sends_the_same_numbers_again_as_replay_and_no_subscriber_is_answered(
    broker: Mosquitto, serving: Serving
) -> None:
    async def main() -> None:
        buffer = MemoryBuffer.of(METER, FRAMES)
        async with serving(broker.url, buffer) as target:
            await delivered(target)
            given = await target.replay()
            await until(lambda: target.replayed(given.id).over)

            assert target.replayed(given.id).acknowledged == FRAMES
            assert target.status().replayed == FRAMES

    with Subscriber(broker.port) as received:
        asyncio.run(main())
        received.settle()
        frames = {
            lane: [part for message in received.of(lane) for part in message.said["frames"]]
            for lane in ("backlog", "replay")
        }

        assert sorted(received.numbers("replay")) == list(range(1, FRAMES + 1))
        assert frames["backlog"] == frames["replay"]
        assert received.of("answer") == []


def test_what_is_gone_or_on_its_way_is_said_and_not_sent(broker: Mosquitto, serving: Serving) -> None:
    async def main() -> None:
        buffer = MemoryBuffer.of(METER, FRAMES)
        buffer.acknowledge("cloud", buffer.epoch, (1, 30))
        buffer.lose(5, 9)
        buffer.reading = asyncio.Event()
        async with serving(broker.url, buffer) as target:
            await until(lambda: buffer.reads > 0)
            given = await target.replay(last=35)
            buffer.reading.set()
            await until(lambda: target.replayed(given.id).over)

            assert given.kept == [[1, 4], [10, 30]]
            assert [(gone.frames, gone.why) for gone in given.gone] == [([[5, 9]], "evicted")]
            assert given.pending == [[31, 35]]
            assert target.replayed(given.id).acknowledged == given.frames == 25

    with Subscriber(broker.port) as received:
        asyncio.run(main())
        received.settle()

        assert sorted(received.numbers("replay")) == [*range(1, 5), *range(10, 31)]


@pytest.mark.parametrize(
    ("wanted", "said"),
    [
        ({"epoch": "b" * 16}, f"there are {'a' * 16} \\(1..{FRAMES}\\)"),
        ({"last": FRAMES + 1}, f"Ask for --to {FRAMES} at most"),
        ({"first": 9, "last": 8}, "is no range"),
        ({"first": 0}, "numbers begin at 1"),
        ({"first": 5, "last": 9}, "nothing of 5..9 is kept any more \\(evicted\\)"),
    ],
    ids=["unknown epoch", "beyond the head", "backwards", "zero", "gone"],
)
def test_what_can_not_be_ordered_is_refused_with_what_can(
    serving: Serving, wanted: dict[str, int | str], said: str
) -> None:
    async def main() -> None:
        buffer = MemoryBuffer.of(METER, FRAMES)
        buffer.lose(5, 9)
        async with ScriptedBroker() as broker, serving(broker.url, buffer) as target:
            with pytest.raises(OrderRefused, match=said):
                await target.replay(**wanted)  # type: ignore[arg-type]

    asyncio.run(main())


def test_an_order_goes_on_over_a_lost_connection(serving: Serving) -> None:
    async def main() -> None:
        async with ScriptedBroker() as broker, serving(broker.url, MemoryBuffer.of(METER, FRAMES)) as target:
            await delivered(target)
            broker.puback = lambda message: None if message.leaf == "replay" else 0
            given = await target.replay()
            await until(lambda: any(message.leaf == "replay" for message in broker.published))
            assert not target.replayed(given.id).over
            broker.puback = lambda _: 0
            broker.hang_up()
            await until(lambda: target.replayed(given.id).over)

            assert target.replayed(given.id).acknowledged == FRAMES

    asyncio.run(main())


def test_an_order_is_sent_when_the_broker_is_there(serving: Serving) -> None:
    async def main() -> None:
        buffer = MemoryBuffer.of(METER, FRAMES)
        buffer.acknowledge("cloud", buffer.epoch, (1, FRAMES))
        async with ScriptedBroker(connack=0x88) as broker, serving(broker.url, buffer) as target:
            await until(lambda: broker.connections > 0)
            given = await target.replay(first=11)
            broker.connack = 0
            await until(lambda: target.replayed(given.id).over)

            assert target.replayed(given.id).acknowledged == FRAMES - 10

    asyncio.run(main())


def test_a_broker_that_hangs_up_on_every_replay_ends_the_order_not_the_target(serving: Serving) -> None:
    async def main() -> None:
        broker = ScriptedBroker()

        def judge(message: Published) -> int | None:
            if message.leaf != "replay":
                return 0
            broker.hang_up()
            return None

        buffer = MemoryBuffer.of(METER, FRAMES)
        async with broker, serving(broker.url, buffer, message_bytes_max=4096) as target:
            await delivered(target)
            broker.puback = judge
            given = await target.replay()
            await until(lambda: target.replayed(given.id).over)
            connections = broker.connections
            buffer.commit(buffer.frames[buffer.epoch][1])
            await delivered(target, FRAMES + 1)

            assert target.replayed(given.id).acknowledged == 0
            assert target.replayed(given.id).failed == [[1, FRAMES]]
            assert connections <= ENDS_MAX + 2
            assert broker.connections == connections

    asyncio.run(main())


def test_what_a_broker_refuses_by_name_is_not_tried_again_and_a_quota_is(serving: Serving) -> None:
    async def main(code: int, failed: list[list[int]]) -> None:
        buffer = MemoryBuffer.of(METER, FRAMES)
        async with ScriptedBroker() as broker, serving(broker.url, buffer) as target:
            await delivered(target)
            broker.puback = lambda message: code if message.leaf == "replay" else 0
            given = await target.replay()
            await until(lambda: target.status().refused > 0)
            broker.puback = lambda _: 0
            await until(lambda: target.replayed(given.id).over)

            assert target.replayed(given.id).failed == failed
            assert broker.connections == 1

    asyncio.run(main(0x99, [[1, FRAMES]]))
    asyncio.run(main(0x97, []))


def test_a_large_order_goes_portion_by_portion() -> None:
    orders, portions = Orders(), []
    given = orders.give("a", Sorted(kept=Ranges([(1, 120_000)])))
    while (request := orders.next()) is not None:
        portions += request.want.pairs
        for first, last in request.want:
            orders.handed_over(first, last)
            orders.acknowledged("a", first, last)
        orders.answered(Answer(request, sent=request.want))

    assert portions == [[1, 50_000], [50_001, 100_000], [100_001, 120_000]]
    assert orders.status(given.id).over


def test_too_many_orders_are_refused_and_those_that_are_over_are_forgotten_in_the_end(serving: Serving) -> None:
    async def main() -> None:
        buffer = MemoryBuffer.of(METER, FRAMES)
        async with ScriptedBroker() as broker, serving(broker.url, buffer) as target:
            await delivered(target)
            broker.puback = lambda message: None if message.leaf == "replay" else 0
            first = await target.replay(last=1)
            for _ in range(ORDERS_MAX - 1):
                await target.replay(last=1)
            with pytest.raises(OrderRefused, match="under way"):
                await target.replay(last=1)
            broker.puback = lambda _: 0
            broker.hang_up()
            await until(lambda: target.replayed(first.id).over)
            for _ in range(REMEMBERED_MAX + ORDERS_MAX):
                given = await target.replay(last=1)
                await until(lambda id=given.id: target.replayed(id).over)

            with pytest.raises(OrderRefused, match="Order it again"):
                target.replayed(first.id)

    asyncio.run(main())
