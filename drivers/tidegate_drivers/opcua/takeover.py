"""Takeover: how delivery goes on over a new connection, in this process or the next (OPC 10000-4 §6.7).

    the session goes on ──▶ its subscriptions too
    else TransferSubscriptions ──good──▶ Republish all that is there and was not committed
                               └─bad──▶ CreateSubscription ──▶ history of the outage, or a gap

Some servers answer a Republish of any number for ever: only numbers that the server names are asked for, once each.
Some hand a subscription over and never tell anything of it again: one that stays silent is made anew.
"""

import logging
from collections.abc import Collection, Sequence
from struct import Struct
from typing import TYPE_CHECKING, Any

from asyncua import ua

from tidegate.acquire.driver import Feed
from tidegate.model.frame import Frame, place, unpack_value
from tidegate.model.tag import Type
from tidegate_drivers.opcua.connection import Connection
from tidegate_drivers.opcua.event import ids
from tidegate_drivers.opcua.framer import Framer
from tidegate_drivers.opcua.marks import Mark
from tidegate_drivers.opcua.sequence import after, ahead, newer
from tidegate_drivers.opcua.subscription import Subscription
from tidegate_drivers.opcua.words import status_word, words

if TYPE_CHECKING:
    from tidegate_drivers.opcua.delivery import Delivery

# A server that claims to keep more than this keeps it for nobody.
REPUBLISHED_MAX = 10_000
# So often a subscription is taken over, or goes on, without having told anything; then it is made anew.
TRIES_MAX = 3
RUN_US = 1_000_000
PAIR = Struct("<I")
SLOT = 8

log = logging.getLogger(__name__)

# Tag and source time of a value, tag and EventId of an event.
Seen = set[tuple[int, int | str]]


async def begin(delivery: "Delivery", one: Subscription, connection: Connection, feed: Feed, mark: Mark | None) -> None:
    """Have a subscription told over this connection. `mark` is what a process before left of it.

    Raises as Connection.call does, where nothing can be had.
    """
    if mark is not None:
        one.seen = await _taken_up(delivery, one, connection, feed, mark)
    await _distrusted(one, connection)
    if one.id:
        one.tries += 1
        one.fresh = False
        delivery.framer(one).expect_repeats()
        if connection.resumed and one.session == connection.name:
            return
        if await _transferred(delivery, one, connection, feed, one.seen, mark is None or mark.whole):
            one.session, one.seen = connection.name, set()
            return
    since_us, seen, one.seen = one.until_us, one.seen, set()
    if one.stray:
        stray, one.stray = one.stray, 0
        await discard(connection, [stray])
    delivery.reset(one)
    await one.create(connection)
    await delivery.growth.listen(connection, one)
    if since_us:
        await delivery.missed(feed, one, connection, since_us, seen)
    else:
        one.until_us = one.committed_us = delivery.clock.now_us()


async def _taken_up(delivery: "Delivery", one: Subscription, connection: Connection, feed: Feed, mark: Mark) -> Seen:
    """Go on where a process before was; what the buffer has of what it may be told again."""
    one.until_us = one.committed_us = mark.until_us
    if not mark.subscription or not same_run(mark.started, connection.started):
        # The server was started again since: whatever has this number now is somebody else's.
        return set()
    if mark.items != one.meaning:
        await discard(connection, [mark.subscription])
        return set()
    one.id, one.sequence, one.committed = mark.subscription, mark.sequence, mark.sequence
    one.started, one.made_for = mark.started, mark.items
    delivery.framer(one).believe(mark.skew_us)
    return await committed(feed, one, mark, delivery.framer(one))


async def _distrusted(one: Subscription, connection: Connection) -> None:
    """Leave a subscription that can't be what it was: its server runs anew, its nodes are others, it stays silent."""
    if not one.id:
        return
    if not same_run(one.started, connection.started):
        one.id = 0
    elif one.made_for != one.meaning or one.tries >= TRIES_MAX:
        log.info("%s, group %s: its subscription is made anew", *one.key)
        one.stray, one.id = one.id, 0


def same_run(one_us: int, other_us: int) -> bool:
    """Whether a server that said it began to run at these times is the same run of it; some reckon it anew each time.

    0 is a server that does not say.
    """
    return abs(one_us - other_us) <= RUN_US


async def told_again(
    delivery: "Delivery", one: Subscription, connection: Connection, feed: Feed, first: int, count: int
) -> bool:
    """Have so many messages told again, from a number on; whether all of them came."""
    if count > REPUBLISHED_MAX:
        return False
    whole = True
    for _ in range(count):
        whole = await _again(delivery, one, connection, feed, first, None) and whole
        first = after(first)
    return whole


async def committed(feed: Feed, one: Subscription, mark: Mark, framer: Framer) -> Seen:
    """All that the buffer took since a mark, which the server may tell again."""
    seen: Seen = set()
    lately, table = framer.lately, framer.table
    async for frame in feed.committed(one.device.name, mark.epoch, mark.number):
        seen |= told(frame, one.events)
        lately.told(frame, table)
    return seen


def told(frame: Frame, events: Collection[int] = ()) -> Seen:
    """What the readings of a frame are known by; `events` are the tags of events, by index."""
    tags, times = memoryview(frame.tags).cast("I"), memoryview(frame.source_us).cast("q")
    seen: Seen = set()
    for i in range(frame.count):
        tag = tags[0 if len(tags) == 1 else i]
        if tag in events:
            at = place(frame.values, i, SLOT)
            text = unpack_value(Type.STRING, frame.values[at : at + SLOT], frame.side)
            seen |= {(tag, one) for one in ids([str(text)])}
        else:
            seen.add((tag, times[0 if len(times) == 1 else i]))
    return seen


async def discard(connection: Connection, subscriptions: Sequence[int]) -> None:
    """Have the server forget subscriptions that nobody reads any more. It is no matter when it can't."""
    request = ua.TransferSubscriptionsRequest()
    request.Parameters.SubscriptionIds = list(subscriptions)
    request.Parameters.SendInitialValues = False
    deletion = ua.DeleteSubscriptionsRequest()
    deletion.Parameters.SubscriptionIds = list(subscriptions)
    for one, answer in ((request, ua.TransferSubscriptionsResponse), (deletion, ua.DeleteSubscriptionsResponse)):
        try:
            await connection.call(one, answer)
        except (ua.UaStatusCodeError, TimeoutError) as error:
            log.info("subscriptions %s are left to end by themselves: %s", subscriptions, words(error))


async def _transferred(
    delivery: "Delivery", one: Subscription, connection: Connection, feed: Feed, seen: Seen, whole_before: bool
) -> bool:
    """Take a subscription over from another session, and have told what it kept; whether the server gave it."""
    request = ua.TransferSubscriptionsRequest()
    request.Parameters.SubscriptionIds = [one.id]
    request.Parameters.SendInitialValues = False
    try:
        [result] = (await connection.call(request, ua.TransferSubscriptionsResponse)).Parameters.Results
    except ua.UaStatusCodeError as error:
        log.info("%s, group %s: its subscription is not handed over: %s", *one.key, status_word(error.code))
        return False
    # The connection was lost before the answer came that the session, which goes on, has it already.
    ours = connection.resumed and result.StatusCode.value == ua.StatusCodes.BadNothingToDo
    if not ours and not result.StatusCode.is_good():
        log.info("%s, group %s: its subscription is gone: %s", *one.key, result.StatusCode.name)
        return False
    if not any(one.monitored) and not await one.learn(connection, whole_before):
        log.info("%s, group %s: what its subscription monitors can't be known", *one.key)
        one.stray, one.id = one.id, 0
        return False
    since_us, whole = one.until_us, True
    available = result.AvailableSequenceNumbers or ()
    # What was committed, but not acknowledged before the connection or the process ended, the server would keep.
    delivery.acknowledge(one, [number for number in available if ahead(number, one.committed) <= 0])
    for number in newer(available, one.sequence)[:REPUBLISHED_MAX]:
        whole = whole and ahead(number, after(one.sequence)) <= 0
        whole = await _again(delivery, one, connection, feed, number, seen) and whole
    if not whole:
        delivery.lose(feed, one, since_us)
    return True


async def _again(
    delivery: "Delivery", one: Subscription, connection: Connection, feed: Feed, number: int, seen: Seen | None
) -> bool:
    """Have one message told again; whether the server still had it."""
    request = ua.RepublishRequest()
    request.Parameters.SubscriptionId = one.id
    request.Parameters.RetransmitSequenceNumber = number
    try:
        answer: Any = await connection.call(request, ua.RepublishResponse)
    except ua.UaStatusCodeError as error:
        if error.code != ua.StatusCodes.BadMessageNotAvailable:
            log.info("%s, group %s: message %d: %s", *one.key, number, status_word(error.code))
        return False
    try:
        message = delivery.read_again(one, answer.NotificationMessage)
    except ValueError as error:
        log.warning("%s, group %s: message %d can't be read: %s", *one.key, number, error)
        return False
    if message.status is not None:
        # It ended meanwhile: what comes next says so, too.
        return True
    if message.sequence != number or message.keepalive:
        # Seen of a server that answers any number with an empty message.
        return False
    await delivery.take_message(feed, one, message, seen, again=True)
    return True
