"""What subscribers ask for again, through a real broker; and what they may ask without doing harm."""

import asyncio

from demo.broker import Mosquitto
from tests.fakes.buffer import MemoryBuffer
from tests.fakes.frames import table
from tests.fakes.mqtt_broker import until
from tests.fakes.subscriber import Received, Subscriber
from tests.publish.conftest import Serving
from tidegate.proof import Ranges
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


def test_a_subscriber_gets_again_what_it_asks_for(broker: Mosquitto, serving: Serving) -> None:
    async def main() -> None:
        buffer = buffer_of(40)
        async with serving(broker.url, buffer) as target:
            await until(lambda: target.drained and target.status().acknowledged == 40)
            buffer.lose(5, 9)
            request = {"id": "q1", "epoch": buffer.epoch, "want": [[3, 12], [30, 31], [41, 99]]}
            await asyncio.to_thread(received.publish, "tidegate/g1/cloud/request", request)
            await until(lambda: len(received.of("answer")) == 1)

            await until(lambda: target.status().replayed == 7)

    with Subscriber(broker.port) as received:
        asyncio.run(main())
        received.settle()
        answer = received.of("answer")[0].said
        order = [m.topic.rsplit("/", 1)[1] for m in received.received]

        assert answer["id"] == "q1"
        assert answer["sent"] == [[3, 4], [10, 12], [30, 31]]
        assert answer["gone"] == [{"frames": [[5, 9]], "why": "evicted"}]
        assert answer["pending"] == []
        assert answer["refused"] is None
        assert covered(received.of("replay")).pairs == [[3, 4], [10, 12], [30, 31]]
        assert order.index("answer") > max(i for i, leaf in enumerate(order) if leaf == "replay")


def test_what_is_still_on_its_way_is_not_sent_twice(broker: Mosquitto, serving: Serving) -> None:
    async def main() -> None:
        buffer = buffer_of(40)
        buffer.acknowledge("cloud", buffer.epoch, (1, 10))
        buffer.reading = asyncio.Event()
        async with serving(broker.url, buffer):
            await until(lambda: buffer.reads > 0)
            request = {"id": 7, "epoch": buffer.epoch, "want": [[8, 15]]}
            await asyncio.to_thread(received.publish, "tidegate/g1/cloud/request", request)
            await asyncio.sleep(0.1)
            buffer.reading.set()
            await until(lambda: len(received.of("answer")) == 1 and buffer.owed("cloud") == 0)

    with Subscriber(broker.port) as received:
        asyncio.run(main())
        received.settle()

        assert received.of("answer")[0].said["sent"] == [[8, 10]]
        assert received.of("answer")[0].said["pending"] == [[11, 15]]
        assert sorted(received.numbers("backlog")) == list(range(11, 41))


def test_requests_that_are_none_or_too_many_do_no_harm(broker: Mosquitto, serving: Serving) -> None:
    async def main() -> None:
        buffer = buffer_of(5)
        async with serving(broker.url, buffer) as target:
            await until(lambda: target.drained and target.status().acknowledged == 5)
            buffer.reading = asyncio.Event()
            for payload in (b"", b"{", b"\xff\xfe", b"[1]"):
                await asyncio.to_thread(asking.publish, "tidegate/g1/cloud/request", payload)
            for i in range(30):
                request = {"id": i, "epoch": buffer.epoch, "want": [[1, 5]]}
                await asyncio.to_thread(asking.publish, "tidegate/g1/cloud/request", request)
            buffer.reading.set()
            await until(lambda: len(received.of("answer")) == 30)

            assert target.status().requests == 34
            assert target.status().state == State.CONNECTED

    with Subscriber(broker.port, "tidegate/g1/cloud/answer") as received, Subscriber(broker.port, "nothing") as asking:
        asyncio.run(main())
        received.settle()
        refused = [m.said["refused"] for m in received.of("answer")]

        assert set(refused) == {None, "rate"}
        assert refused.count(None) >= 8


def test_a_retained_request_is_from_another_time(broker: Mosquitto, serving: Serving) -> None:
    async def main() -> None:
        buffer = buffer_of(5)
        async with serving(broker.url, buffer) as target:
            await until(lambda: target.drained and target.status().acknowledged == 5)
            await asyncio.sleep(0.1)

            assert target.status().requests == 0

    with Subscriber(broker.port, "nothing") as asking:
        asking.publish("tidegate/g1/cloud/request", {"id": 1, "epoch": "a" * 16, "want": [[1, 5]]}, True)
    asyncio.run(main())
