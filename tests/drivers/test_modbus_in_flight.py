"""Several questions of one asker: in a row or in flight together, each has its own reply and no other's."""

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

import pytest

from tidegate.clock import Clock
from tidegate.errors import InvalidReply, NoAnswer, Refused
from tidegate_drivers.modbus.dial import dial
from tidegate_drivers.modbus.link import Link, Question

QUESTION = bytes.fromhex("0300000002")


def run(serve: Any, answer: Any, story: Callable[[Link, Any], Coroutine[Any, Any, None]]) -> None:
    async def main() -> None:
        async with serve(answer) as peer:
            link = await dial("127.0.0.1", peer.port, lambda name: Link(Clock(), name))
            try:
                await story(link, peer)
            finally:
                link.close()

    asyncio.run(main())


def numbered(request: bytes) -> bytes:
    """A valid reply that holds the address which was asked for, twice."""
    return request[:4] + bytes([0, 7]) + request[6:8] + bytes([4]) + 2 * request[8:10]


def ask_three(link: Link, timeout_s: float = 2.0, until_s: float = 5.0, at_once: int = 1) -> Any:
    questions = [Question(bytes([3, 0, address, 0, 2]), 4) for address in (1, 2, 3)]
    return link.ask_all("m1", 1, questions, timeout_s, link.time() + until_s, at_once)


def asked(peer: Any) -> list[int]:
    """The addresses of the questions that came."""
    return [request[9] for request in peer.requests]


def test_questions_in_a_row_are_answered_in_their_order_with_the_times_of_their_replies(serve: Any) -> None:
    async def story(link: Link, peer: Any) -> None:
        replies, done = ask_three(link)
        last = await done

        assert [data for _, data in replies] == [bytes([0, n, 0, n]) for n in (1, 2, 3)]
        assert [at_us for at_us, _ in replies] == sorted(at_us for at_us, _ in replies)
        assert (last, link.mono_us) == (replies[-1][1], replies[-1][0])

    run(serve, numbered, story)


def test_the_next_question_of_a_row_waits_for_the_reply_before_it(serve: Any) -> None:
    async def story(link: Link, peer: Any) -> None:
        replies, done = ask_three(link, timeout_s=0.1)
        with pytest.raises(NoAnswer):
            await done

        assert (replies, asked(peer)) == ([None, None, None], [1])

    run(serve, lambda request: None, story)


def test_a_refusal_ends_a_row_and_what_came_before_it_is_kept(serve: Any) -> None:
    def answer(request: bytes) -> bytes:
        return request[:4] + bytes([0, 3, 1, 0x83, 2]) if request[9] == 2 else numbered(request)

    async def story(link: Link, peer: Any) -> None:
        replies, done = ask_three(link)
        with pytest.raises(Refused):
            await done

        assert (replies[0][1], replies[1].code, replies[2]) == (bytes([0, 1, 0, 1]), 2, None)
        assert asked(peer) == [1, 2]
        assert await link.ask("m1", 1, QUESTION, 4, link.time() + 2) == bytes(4)

    run(serve, answer, story)


def test_a_row_ends_when_its_time_is_over_whatever_each_question_may_take(serve: Any) -> None:
    async def slowly(request: bytes) -> bytes:
        await asyncio.sleep(0.1)
        return numbered(request)

    async def story(link: Link, peer: Any) -> None:
        replies, done = ask_three(link, until_s=0.15)
        with pytest.raises(NoAnswer):
            await done

        assert replies[1:] == [None, None]
        assert len(asked(peer)) <= 2

    run(serve, slowly, story)


def test_a_row_that_is_given_up_asks_nothing_more(serve: Any) -> None:
    async def story(link: Link, peer: Any) -> None:
        _, done = ask_three(link)
        await asyncio.sleep(0)
        done.cancel()
        await asyncio.sleep(0.05)
        before = asked(peer)

        assert before == [1]
        assert await link.ask("m1", 1, QUESTION, 4, link.time() + 2) == bytes(4)
        assert asked(peer) == [1, 0]

    run(serve, numbered, story)


def test_a_wrong_reply_in_a_row_closes_the_link(serve: Any) -> None:
    async def story(link: Link, peer: Any) -> None:
        replies, done = ask_three(link)
        with pytest.raises(InvalidReply):
            await done

        assert (replies[1:], link.closed) == ([None, None], True)

    run(
        serve,
        lambda request: numbered(request)[:6] + (b"\2" if request[9] == 2 else b"\1") + numbered(request)[7:],
        story,
    )


def held_back(then: Callable[[list[bytes]], bytes]) -> Any:
    """Answers nothing until three requests are there, and then what is made of them."""
    came: list[bytes] = []

    def answer(request: bytes) -> bytes | None:
        came.append(request)
        return then(came) if len(came) == 3 else None

    return answer


def test_so_many_questions_as_are_allowed_are_under_way_at_a_time(serve: Any) -> None:
    async def story(link: Link, peer: Any) -> None:
        _, done = ask_three(link, timeout_s=0.1, at_once=2)
        with pytest.raises(NoAnswer):
            await done

        assert asked(peer) == [1, 2]

    run(serve, lambda request: None, story)


@pytest.mark.parametrize("order", [(0, 1, 2), (2, 1, 0), (1, 2, 0)])
def test_replies_to_several_questions_may_come_in_any_order(serve: Any, order: tuple[int, ...]) -> None:
    async def story(link: Link, peer: Any) -> None:
        replies, done = ask_three(link, at_once=3)
        await done

        assert [data for _, data in replies] == [bytes([0, n, 0, n]) for n in (1, 2, 3)]

    run(serve, held_back(lambda came: b"".join(numbered(came[i]) for i in order)), story)


@pytest.mark.parametrize("cut", range(1, 39))
def test_replies_to_several_questions_may_be_cut_anywhere(serve: Any, cut: int) -> None:
    async def story(link: Link, peer: Any) -> None:
        replies, done = ask_three(link, at_once=3)
        while len(peer.requests) < 3:  # noqa: ASYNC110  # the peer has no event for it; the test's deadline ends it
            await asyncio.sleep(0.001)
        whole = b"".join(numbered(request) for request in peer.requests)
        peer._writers[0].write(whole[:cut])
        await asyncio.sleep(0.002)
        peer._writers[0].write(whole[cut:])
        await done

        assert [data for _, data in replies] == [bytes([0, n, 0, n]) for n in (1, 2, 3)]

    run(serve, lambda request: None, story)


def test_a_refusal_among_several_questions_leaves_the_others_theirs(serve: Any) -> None:
    async def story(link: Link, peer: Any) -> None:
        replies, done = ask_three(link, at_once=3)
        with pytest.raises(Refused):
            await done

        assert (replies[0][1], replies[1].code, replies[2][1]) == (bytes([0, 1, 0, 1]), 2, bytes([0, 3, 0, 3]))

    refused = held_back(
        lambda came: numbered(came[0]) + came[1][:4] + bytes([0, 3, 1, 0x83, 2]) + numbered(came[2])
    )  # fmt: skip
    run(serve, refused, story)


def test_the_same_reply_twice_is_not_taken_for_that_of_another_question(serve: Any) -> None:
    async def story(link: Link, peer: Any) -> None:
        replies, done = ask_three(link, at_once=3)
        with pytest.raises(InvalidReply):
            await done

        assert replies == [None, None, None]

    run(serve, held_back(lambda came: 2 * numbered(came[0]) + numbered(came[2])), story)


def test_each_of_several_questions_is_checked_by_its_own_length(serve: Any) -> None:
    async def story(link: Link, peer: Any) -> None:
        questions = [Question(bytes.fromhex("0300010002"), 4), Question(bytes.fromhex("0300020001"), 2)]
        replies, done = link.ask_all("m1", 1, questions, 2.0, link.time() + 2, 2)
        with pytest.raises(InvalidReply):
            await done

        assert (replies, link.closed) == ([None, None], True)

    # The second gets a reply as long as the first one's.
    run(serve, lambda request: numbered(request) if request[9] == 2 else None, story)


def test_late_replies_to_several_questions_are_dropped(serve: Any) -> None:
    async def story(link: Link, peer: Any) -> None:
        _, done = ask_three(link, timeout_s=0.1, at_once=2)
        with pytest.raises(NoAnswer):
            await done
        waiting = link.ask("m1", 1, QUESTION, 4, link.time() + 2)

        assert await waiting == bytes(4)
        assert not link.closed

    # The third answers for all, late ones first.
    run(serve, held_back(lambda came: b"".join(numbered(request) for request in came)), story)
