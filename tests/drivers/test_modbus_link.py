"""One connection: no reply but the right one is ever taken, and none is waited for past its deadline."""

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

import pytest

from tidegate.clock import Clock
from tidegate.errors import DriverError, InvalidReply, NoAnswer, NotConnected, Refused
from tidegate_drivers.modbus.dial import dial
from tidegate_drivers.modbus.link import ABANDONED_MAX, SILENT_MAX, Link

QUESTION = bytes.fromhex("0300000002")
DATA = bytes.fromhex("11223344")
Change = Callable[[bytes], bytes]


def right(request: bytes) -> bytes:
    """The valid reply to QUESTION."""
    return request[:4] + bytes([0, 7]) + request[6:8] + bytes([4]) + DATA


def ask(link: Link, deadline_s: float = 2.0) -> "asyncio.Future[bytes]":
    return link.ask("m1", 1, QUESTION, 4, link.time() + deadline_s)


def run(serve: Any, answer: Any, story: Callable[[Link, Any], Coroutine[Any, Any, None]]) -> None:
    async def main() -> None:
        async with serve(answer) as peer:
            link = await dial("127.0.0.1", peer.port, lambda name: Link(Clock(), name))
            try:
                await story(link, peer)
            finally:
                link.close()

    asyncio.run(main())


def test_a_right_reply_gives_its_data_and_the_time_it_came(serve: Any) -> None:
    async def story(link: Link, peer: Any) -> None:
        before = Clock().mono_us()
        data = await ask(link)

        assert data == DATA
        assert before <= link.mono_us <= Clock().mono_us()

    run(serve, right, story)


def test_a_reply_that_comes_byte_by_byte_is_put_together(serve: Any) -> None:
    async def story(link: Link, peer: Any) -> None:
        waiting = ask(link)
        await asyncio.sleep(0.05)
        assert peer._writers
        for byte in right(bytes.fromhex("000100000006010300000002")):
            peer._writers[0].write(bytes([byte]))
            await asyncio.sleep(0.001)

        assert await waiting == DATA

    run(serve, lambda request: None, story)


WRONG: dict[str, Change] = {
    "the transaction before": lambda r: bytes([r[0], r[1] - 1]) + right(r)[2:],
    "the transaction after": lambda r: bytes([r[0], r[1] + 1]) + right(r)[2:],
    "another protocol": lambda r: r[:2] + b"\0\1" + right(r)[4:],
    "another unit": lambda r: right(r)[:6] + b"\2" + right(r)[7:],
    "another function": lambda r: right(r)[:7] + b"\4" + right(r)[8:],
    "an exception of another function": lambda r: r[:4] + bytes([0, 3, 1, 0x84, 2]),
    "an exception with data": lambda r: r[:4] + bytes([0, 4, 1, 0x83, 2, 0]),
    "a byte count that is not its length": lambda r: right(r)[:8] + b"\2" + right(r)[9:],
    "fewer registers": lambda r: r[:4] + bytes([0, 5, 1, 3, 2]) + DATA[:2],
    "more registers": lambda r: r[:4] + bytes([0, 9, 1, 3, 6]) + DATA + b"\0\0",
    "a length of zero": lambda r: r[:4] + bytes(20),
    "a length past the protocol's": lambda r: r[:4] + b"\xff\xff" + right(r)[6:],
    "a length one too long": lambda r: right(r)[:5] + b"\x08" + right(r)[6:] + b"\0",
    "HTTP": lambda r: b"HTTP/1.1 400 Bad Request\r\n\r\n",
}


@pytest.mark.parametrize("change", WRONG.values(), ids=WRONG.keys())
def test_a_wrong_reply_is_refused_at_once_and_ends_the_connection(serve: Any, change: Change) -> None:
    async def story(link: Link, peer: Any) -> None:
        with pytest.raises(InvalidReply):
            await ask(link)
        with pytest.raises(NotConnected):
            await ask(link)

        assert link.closed

    run(serve, change, story)


def test_a_second_reply_to_one_question_ends_the_connection(serve: Any) -> None:
    async def story(link: Link, peer: Any) -> None:
        assert await ask(link) == DATA
        peer._writers[0].write(right(bytes.fromhex("000100000006010300000002")))
        await asyncio.sleep(0.05)

        assert link.closed

    run(serve, right, story)


FOLLOWED: dict[str, Change] = {
    "itself": lambda r: right(r) * 2,
    "itself, after it broke off": lambda r: right(r)[:-3] + right(r),
    "one byte": lambda r: right(r) + r[:1],
    "half a header": lambda r: right(r) + b"\xff\xfe\0\0",
}


@pytest.mark.parametrize("followed", FOLLOWED.values(), ids=FOLLOWED.keys())
def test_a_reply_with_something_behind_it_that_nobody_asked_for_is_not_taken(serve: Any, followed: Change) -> None:
    async def story(link: Link, peer: Any) -> None:
        with pytest.raises(InvalidReply):
            await ask(link)

        assert link.closed

    run(serve, followed, story)


def test_a_reply_with_a_late_one_behind_it_is_taken_when_that_has_shown_itself(serve: Any) -> None:
    async def story(link: Link, peer: Any) -> None:
        with pytest.raises(NoAnswer):
            await ask(link, 0.02)
        waiting = ask(link)
        late, due = (right(bytes([0, number, 0, 0, 0, 6, 1, 3, 0, 0, 0, 2])) for number in (1, 2))
        peer._writers[0].write(due + late[:5])
        await asyncio.sleep(0.02)
        assert not waiting.done()
        peer._writers[0].write(late[5:9])

        assert await waiting == DATA
        peer._writers[0].write(late[9:])
        await asyncio.sleep(0.02)
        assert not link.closed

    run(serve, lambda request: None, story)


@pytest.mark.parametrize("code", [1, 2, 3, 4, 6, 11, 99])
def test_an_exception_is_a_refusal_with_its_code_and_the_connection_stays(serve: Any, code: int) -> None:
    async def story(link: Link, peer: Any) -> None:
        for _ in range(2):
            with pytest.raises(Refused) as raised:
                await ask(link)
            assert raised.value.code == code

        assert not link.closed

    run(serve, lambda r: r[:4] + bytes([0, 3, r[6], 0x83, code]), story)


def test_a_late_reply_is_dropped_and_never_taken_for_the_next_one(serve: Any) -> None:
    late: list[bytes] = []

    def answer(request: bytes) -> bytes | None:
        if request[1] == 1:
            late.append(right(request)[:-4] + b"late")
            return None
        return (late.pop() if late else b"") + right(request)

    async def story(link: Link, peer: Any) -> None:
        with pytest.raises(NoAnswer):
            await ask(link, 0.05)

        assert await ask(link) == DATA
        assert await ask(link) == DATA

    run(serve, answer, story)


def test_a_late_reply_that_comes_twice_or_has_another_length_ends_the_connection(serve: Any) -> None:
    for late in (lambda r: right(r) * 2, lambda r: r[:4] + bytes([0, 5, 1, 3, 2]) + DATA[:2]):

        def answer(request: bytes, late: Change = late) -> bytes | None:
            return None if request[1] == 1 else late(request[:1] + b"\1" + request[2:]) + right(request)

        async def story(link: Link, peer: Any) -> None:
            with pytest.raises(NoAnswer):
                await ask(link, 0.02)
            with pytest.raises(InvalidReply, match="transaction 1"):
                await ask(link)

        run(serve, answer, story)


def test_a_late_reply_and_half_of_the_next_in_one_piece_are_told_apart(serve: Any) -> None:
    async def story(link: Link, peer: Any) -> None:
        with pytest.raises(NoAnswer):
            await ask(link, 0.02)
        waiting = ask(link)
        late, due = (right(bytes([0, number, 0, 0, 0, 6, 1, 3, 0, 0, 0, 2])) for number in (1, 2))
        peer._writers[0].write(late + due[:10])
        await asyncio.sleep(0.02)
        peer._writers[0].write(due[10:])

        assert await waiting == DATA

    run(serve, lambda request: None, story)


def test_a_short_deadline_that_is_over_does_not_end_a_later_question(serve: Any) -> None:
    async def answer(request: bytes) -> bytes:
        await asyncio.sleep(0.3 if request[1] == 2 else 0)
        return right(request)

    async def story(link: Link, peer: Any) -> None:
        assert await ask(link, 0.2) == DATA
        assert await ask(link, 5.0) == DATA

    run(serve, answer, story)


def test_a_cancelled_question_whose_reply_comes_at_once_leaves_the_connection(serve: Any) -> None:
    async def story(link: Link, peer: Any) -> None:
        ask(link).cancel()
        await asyncio.sleep(0.05)

        assert await ask(link) == DATA

    run(serve, right, story)


def test_a_cancelled_question_gives_its_reply_to_nobody(serve: Any) -> None:
    async def answer(request: bytes) -> bytes:
        await asyncio.sleep(0.05)
        return right(request)[:-1] + request[1:2]

    async def story(link: Link, peer: Any) -> None:
        task = asyncio.ensure_future(ask(link))
        await asyncio.sleep(0.01)
        task.cancel()

        assert (await ask(link))[-1] == 2
        assert not link.closed

    run(serve, answer, story)


def test_silence_ends_at_the_deadline_and_leaves_the_connection_to_other_units(serve: Any) -> None:
    async def story(link: Link, peer: Any) -> None:
        loop = asyncio.get_running_loop()
        # A long deadline before it must not hold up a short one.
        assert await link.ask("m1", 1, QUESTION, 4, link.time() + 30) == DATA
        begun = loop.time()
        with pytest.raises(NoAnswer):
            await link.ask("m2", 2, QUESTION, 4, link.time() + 0.05)
        took_s = loop.time() - begun

        assert 0.04 <= took_s < 1.0
        assert await ask(link) == DATA

    run(serve, lambda r: right(r) if r[6] == 1 else None, story)


def test_a_connection_over_which_nothing_comes_any_more_is_given_up(serve: Any) -> None:
    async def story(link: Link, peer: Any) -> None:
        raised: list[type[DriverError]] = []
        for _ in range(SILENT_MAX):
            try:
                await ask(link, 0.01)
            except DriverError as error:
                raised.append(type(error))

        assert raised == [NoAnswer] * (SILENT_MAX - 1) + [NotConnected]
        assert link.closed

    run(serve, lambda r: None, story)


def test_half_a_reply_ends_the_connection_at_the_deadline(serve: Any) -> None:
    async def story(link: Link, peer: Any) -> None:
        with pytest.raises(NoAnswer):
            await ask(link, 0.1)

        assert link.closed

    run(serve, lambda r: right(r)[:-1], story)


def test_a_peer_that_hangs_up_fails_the_question_at_once(serve: Any) -> None:
    async def story(link: Link, peer: Any) -> None:
        begun = link.time()
        with pytest.raises(NotConnected, match="m1"):
            await ask(link, 5.0)

        assert link.time() - begun < 2.0

    run(serve, lambda r: b"", story)


def test_closing_ends_a_question_under_way(serve: Any) -> None:
    async def story(link: Link, peer: Any) -> None:
        waiting = ask(link)
        link.close()
        link.close()
        with pytest.raises(NotConnected):
            await waiting

    run(serve, lambda r: None, story)


def test_a_link_asks_one_question_at_a_time(serve: Any) -> None:
    async def story(link: Link, peer: Any) -> None:
        waiting = ask(link)
        with pytest.raises(RuntimeError):
            ask(link)
        waiting.cancel()

    run(serve, lambda r: None, story)


def test_transaction_numbers_pass_over_those_that_were_given_up_and_wrap(serve: Any) -> None:
    seen: list[int] = []

    def answer(request: bytes) -> bytes | None:
        seen.append(int.from_bytes(request[:2], "big"))
        return None if len(seen) == 1 else right(request)

    async def story(link: Link, peer: Any) -> None:
        with pytest.raises(NoAnswer):
            await ask(link, 0.02)
        link._transaction = 0xFFFE
        for _ in range(4):
            await ask(link)

        assert seen == [1, 0xFFFF, 0, 2, 3]

    run(serve, answer, story)


def test_a_connection_with_too_many_questions_given_up_ends_before_a_number_is_used_again(serve: Any) -> None:
    async def story(link: Link, peer: Any) -> None:
        given_up = 0
        while not link.closed and given_up < 2 * ABANDONED_MAX:
            ask(link).cancel()
            given_up += 1

        assert given_up == ABANDONED_MAX + 2
        with pytest.raises(NotConnected, match="given up"):
            await ask(link)

    run(serve, lambda r: None, story)


def test_nobody_listening_is_not_connected_with_the_address() -> None:
    async def main() -> None:
        server = await asyncio.start_server(lambda r, w: None, "127.0.0.1", 0)
        port = server.sockets[0].getsockname()[1]
        server.close()
        await server.wait_closed()
        with pytest.raises(NotConnected, match=f"127.0.0.1:{port}"):
            await dial("127.0.0.1", port, lambda name: Link(Clock(), name))

    asyncio.run(main())
