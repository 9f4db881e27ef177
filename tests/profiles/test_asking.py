"""The asker reads only, and bears what a device that nobody knows may do: silence, refusals, garbage, hanging up."""

import asyncio
from collections.abc import Awaitable, Callable
from struct import Struct, pack

import pytest

from tests.fakes.asked import asking
from tidegate.acquire.conversation import LOST_MAX
from tidegate.errors import NotConnected
from tidegate.profiles.asking import REPLIES_MAX, Asker

MBAP = Struct(">HHHB")
Reply = Callable[[int, bytes], list[bytes] | None]
Story = Callable[[Asker], Awaitable[object]]


def adu(transaction: int, pdu: bytes, unit: int = 1) -> bytes:
    return MBAP.pack(transaction, 0, len(pdu) + 1, unit) + pdu


def tell(
    reply: Reply, story: Callable[[Asker], Awaitable[object]], timeout_s: float = 5.0
) -> tuple[object, list[bytes]]:
    """What a story ends with against a server that gives these ADUs to (transaction, PDU), and the PDUs it was asked.

    None hangs up, an empty list is silence.
    """
    heard: list[bytes] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while True:
                transaction, _, length, _ = MBAP.unpack(await reader.readexactly(MBAP.size))
                heard.append(await reader.readexactly(length - 1))
                answers = reply(transaction, heard[-1])
                if answers is None:
                    return
                for answer in answers:
                    writer.write(answer)
        except (asyncio.IncompleteReadError, ConnectionError):
            return
        finally:
            writer.close()

    async def main() -> object:
        server = await asyncio.start_server(serve, "127.0.0.1", 0)
        try:
            async with asking(server.sockets[0].getsockname()[1], timeout_s=timeout_s) as asker:
                return await story(asker)
        finally:
            server.close()

    return asyncio.run(main()), heard


def word(asker: Asker) -> Awaitable[object]:
    return asker.registers(3, 7, 1)


def test_only_functions_that_read_are_ever_asked() -> None:
    async def all_questions(asker: Asker) -> None:
        await asker.device_id()
        await asker.server_id()
        await asker.registers(3, 0, 1)
        await asker.registers(4, 0, 1)

    _, heard = tell(lambda transaction, pdu: [adu(transaction, bytes((pdu[0] | 0x80, 1)))], all_questions)

    assert [pdu[0] for pdu in heard] == [43, 17, 3, 4]
    assert heard[0] == bytes((43, 14, 1, 0))


@pytest.mark.parametrize("function", [1, 2, 5, 6, 15, 16, 22, 23])
def test_no_other_function_can_be_asked(function: int) -> None:
    async def story(asker: Asker) -> object:
        with pytest.raises(ValueError, match="none of those"):
            await asker.registers(function, 0, 1)
        return asker.asked

    assert tell(lambda transaction, pdu: [], story) == (0, [])


@pytest.mark.parametrize(
    "wrong",
    [
        [adu(1, b"\x83\x02")],
        [adu(1, b"\x03\x04\x00\x01\x00\x02")],
        [adu(1, b"\x03\x02\x00")],
        [adu(1, b"\x03")],
    ],
    ids=["refusal", "two registers instead of one", "cut off", "no count"],
)
def test_what_is_no_answer_to_the_question_is_none(wrong: list[bytes]) -> None:
    assert tell(lambda transaction, pdu: wrong, word)[0] is None


@pytest.mark.parametrize(
    "strange",
    [lambda n, pdu: adu(n + 5, pdu), lambda n, pdu: adu(n, pdu, unit=2), lambda n, pdu: adu(n, b"\x04\x02\0\0")],
    ids=["another transaction", "another unit", "another function"],
)
def test_a_reply_to_something_else_is_never_taken(strange: Callable[[int, bytes], bytes]) -> None:
    right = b"\x03\x02\x12\x34"

    assert tell(lambda transaction, pdu: [strange(transaction, right), adu(transaction, right)], word)[0] is None


def test_silence_is_none_and_a_late_reply_does_no_harm() -> None:
    late: list[bytes] = []

    def reply(transaction: int, pdu: bytes) -> list[bytes]:
        if not late:
            late.append(adu(transaction, b"\x03\x02\xff\xff"))
            return []
        return [late[0], adu(transaction, b"\x03\x02\x00\x07")]

    async def twice(asker: Asker) -> object:
        return await asker.registers(3, 7, 1), await asker.registers(3, 7, 1), asker.asked, asker.answered

    assert tell(reply, twice, timeout_s=0.3)[0] == (None, (7,), 2, 1)


def test_who_hangs_up_once_is_asked_again_on_a_new_connection() -> None:
    calls: list[int] = []

    def reply(transaction: int, pdu: bytes) -> list[bytes] | None:
        calls.append(transaction)
        return None if len(calls) == 1 else [adu(transaction, b"\x03\x02\x00\x07")]

    async def twice(asker: Asker) -> object:
        return await asker.registers(3, 7, 1), await asker.registers(3, 7, 1)

    assert tell(reply, twice)[0] == (None, (7,))


def test_who_always_hangs_up_is_given_up() -> None:
    async def many(asker: Asker) -> object:
        for _ in range(LOST_MAX - 1):
            assert await asker.registers(3, 7, 1) is None
        with pytest.raises(NotConnected, match="hangs up at every question"):
            await asker.registers(3, 7, 1)
        return asker.asked

    assert tell(lambda transaction, pdu: None, many)[0] == LOST_MAX


def test_garbage_is_none_and_the_next_question_has_a_new_connection() -> None:
    calls: list[int] = []

    def reply(transaction: int, pdu: bytes) -> list[bytes]:
        calls.append(transaction)
        return [b"\0" * 40] if len(calls) == 1 else [adu(transaction, b"\x03\x02\x00\x07")]

    async def twice(asker: Asker) -> object:
        return await asker.registers(3, 7, 1), await asker.registers(3, 7, 1)

    assert tell(reply, twice)[0] == (None, (7,))


def test_objects_of_several_replies_are_put_together() -> None:
    def reply(transaction: int, pdu: bytes) -> list[bytes]:
        if pdu[3] == 0:
            return [adu(transaction, b"\x2b\x0e\x01\x01\xff\x02\x02\x00\x04Acme\x01\x02M1")]
        return [adu(transaction, b"\x2b\x0e\x01\x01\x00\x00\x01\x02\x041.14")]

    assert tell(reply, lambda asker: asker.device_id())[0] == {0: "Acme", 1: "M1", 2: "1.14"}


def test_a_device_that_always_has_more_to_say_is_not_believed() -> None:
    def reply(transaction: int, pdu: bytes) -> list[bytes]:
        return [adu(transaction, pack(">BBBBBBBBB", 43, 14, 1, 1, 0xFF, pdu[3] + 1, 1, pdu[3], 1) + b"x")]

    found, heard = tell(reply, lambda asker: asker.device_id())

    assert len(heard) == REPLIES_MAX
    assert found == dict.fromkeys(range(REPLIES_MAX), "x")


@pytest.mark.parametrize("cut", range(7, 19))
def test_objects_that_are_cut_off_do_no_harm(cut: int) -> None:
    whole = b"\x2b\x0e\x01\x01\x00\x00\x02\x00\x04Acme\x01\x04M1-X"

    found, _ = tell(lambda transaction, pdu: [adu(transaction, whole[:cut])], lambda asker: asker.device_id())

    assert found == ({0: "Acme"} if cut >= 13 else None)


def test_nobody_there_is_not_connected() -> None:
    async def main() -> None:
        server = await asyncio.start_server(lambda reader, writer: None, "127.0.0.1", 0)
        port = server.sockets[0].getsockname()[1]
        server.close()
        await server.wait_closed()
        with pytest.raises(NotConnected, match="no connection to"):
            async with asking(port):
                raise AssertionError("it connected")

    asyncio.run(main())
