"""One group's reads: asks the requests of its plan over a link and makes a frame of the replies.

It isolates what a device refuses: a refused request is split, again and again until one tag is left, which then rests
for a minute while the others keep their pace. It knows no connections and no intervals.
"""

from collections import deque
from collections.abc import Iterable
from struct import Struct
from typing import NamedTuple

from tidegate.clock import Clock
from tidegate.errors import NoAnswer, Refused
from tidegate.model.device import Group
from tidegate.model.frame import ALL_GOOD, I64, U32, Frame
from tidegate.model.status import (
    BAD_CONFIGURATION_ERROR,
    BAD_DECODING_ERROR,
    BAD_DEVICE_FAILURE,
    BAD_NO_COMMUNICATION,
    BAD_TIMEOUT,
    GOOD,
)
from tidegate_drivers.modbus import codec
from tidegate_drivers.modbus.depth import Depth
from tidegate_drivers.modbus.link import Link, Question
from tidegate_drivers.modbus.plan import Plan, Request, arrange
from tidegate_drivers.modbus.rtu import RtuLink

SLOT_BYTES = 8
# Exceptions that asking again does not change: function, address, value.
PERMANENT = frozenset({1, 2, 3})
# Those of them that are about the addresses asked for, so that fewer addresses may be answered.
SPLITTING = frozenset({2, 3})
# Exceptions of a gateway that speaks for a silent unit behind it.
UNIT_GONE = frozenset({10, 11})
SILENT = frozenset({BAD_TIMEOUT, BAD_NO_COMMUNICATION})
# Seven halvings find one register of 125. Each costs the bus two requests, so that one read makes few more.
SPLITS_MAX = 8
REST_S = 60.0


class Outcome(NamedTuple):
    """What became of one request: its status, when that was known, and the data of a good one.

    `mono_us` is on the monotonic clock; `what` is wrong with one that failed, `code` that of an exception. No error
    is kept: with its frames it would hold on to itself, until the garbage collector stops everything to free it.
    """

    request: Request
    status: int
    mono_us: int
    block: bytes = b""
    what: str = ""
    code: int = 0


class Task(NamedTuple):
    """A request to be asked; `error` is what is wrong with it where it was, and gave nothing."""

    request: Request
    error: NoAnswer | Refused | None = None


class Poll:
    """Reads one group of one device, one read at a time; keeps what it learnt of refused addresses."""

    def __init__(
        self, group: Group, table: bytes, unit: int, timeout_s: float, depth: Depth, whole: Plan, clock: Clock
    ) -> None:
        self.group = group
        self._table = table
        self._unit = unit
        self._timeout_s = timeout_s
        self._depth = depth
        self._clock = clock
        self._whole = whole
        self._plan = whole
        self._all_answered = False
        # Questions that were refused for good, each with the loop's time until which it is not asked again.
        self._resting: dict[bytes, float] = {}
        self._tags = Struct(f"<{len(group.tags)}I").pack(*group.tags)

    def forget(self) -> None:
        """Begin again with the whole plan: what was refused before may be answered now."""
        self._plan = self._whole
        self._resting.clear()

    @property
    def answered(self) -> tuple[Request, ...]:
        """The requests of the last read, when each was answered; else none."""
        return self._plan.requests if self._all_answered else ()

    async def read(self, link: Link | RtuLink) -> Frame:
        """One reading of every tag. Raises what Driver.read does, when the unit gave nothing at all."""
        self._all_answered = False
        outcomes, splits = await self._ask(link)
        if len(outcomes) > 1:
            # What was refused comes after what was answered.
            outcomes.sort(key=lambda outcome: (outcome.request.function, outcome.request.address))
        plan = self._learn(outcomes, splits, link.time())
        count = len(self.group.tags)
        values, side = bytearray(SLOT_BYTES * count), bytearray()
        marks: list[tuple[int, int]] = []
        for outcome in outcomes:
            if outcome.status == GOOD:
                codec.decode(outcome.block, outcome.request.steps, values)
                for slot, place, point in outcome.request.texts:
                    if not codec.decode_text(outcome.block, place, point, values, slot, side):
                        marks.append((slot, BAD_DECODING_ERROR))
                if outcome.request.rules:
                    marks += [outcome.request.marks[i] for i in codec.refine(values, outcome.request.rules)]
        # One look at the clock for the whole frame: a step of it can't come between a time and what is said of it.
        now = self._clock.moment()
        ahead_us = now.wall_us - now.mono_us
        source_us, status = I64.pack(outcomes[0].mono_us + ahead_us), ALL_GOOD
        if any(outcome.mono_us != outcomes[0].mono_us for outcome in outcomes):
            source_us = _spread(plan, [I64.pack(outcome.mono_us + ahead_us) for outcome in outcomes])
        self._all_answered = not any(outcome.status for outcome in outcomes)
        if not self._all_answered:
            status = _spread(plan, [U32.pack(outcome.status) for outcome in outcomes])
        if marks:
            status = _marked(status, count, marks)
        return Frame(
            self.group.device, self._table, count, self._clock.boot, link.mono_us, link.mono_us + ahead_us, self._tags,
            source_us, status, bytes(values), bytes(side), clock=now.state,
        )  # fmt: skip

    async def _ask(self, link: Link | RtuLink) -> tuple[list[Outcome], int]:
        """Ask what there is to ask within the deadline: what became of each request, and how many were split."""
        deadline = link.time() + self.group.deadline_s
        todo = deque(Task(request) for request in self._plan.requests)
        outcomes: list[Outcome] = []
        if len(todo) > 1 and not self._resting:
            await self._ask_all(link, todo, outcomes, deadline)
        stopped = GOOD
        splits = 0
        while todo:
            task = todo.popleft()
            request, now = task.request, link.time()
            if task.error is None and (stopped or now >= deadline):
                outcome = Outcome(request, stopped or BAD_TIMEOUT, self._clock.mono_us())
            elif self._resting and self._resting.get(request.question, now) > now:
                outcome = Outcome(request, BAD_CONFIGURATION_ERROR, self._clock.mono_us())
            else:
                if task.error is not None:
                    outcome = self._unanswered(request, task.error)
                else:
                    outcome = await self._one(link, request, min(deadline, now + self._timeout_s))
                if outcome.code in SPLITTING and splits < SPLITS_MAX and len(request.members) > 1:
                    splits += 1
                    todo.extend(Task(half) for half in request.split())
                    continue
                if outcome.status in SILENT:
                    # More questions to a silent unit would only hold up the others on its bus.
                    stopped = outcome.status
            outcomes.append(outcome)
        return outcomes, splits

    async def _ask_all(self, link: Link | RtuLink, todo: deque[Task], outcomes: list[Outcome], deadline: float) -> None:
        """Ask all that is to do, and wake up once for it; what was answered moves over to the outcomes.

        What is left to do has not been asked, or has what is wrong with it.
        """
        tasks = list(todo)
        questions = [Question(task.request.question, task.request.reply_bytes) for task in tasks]
        replies, asked = link.ask_all(
            self.group.device, self._unit, questions, self._timeout_s, deadline, self._depth.now
        )  # fmt: skip
        silence: NoAnswer | None = None
        try:
            await asked
        except NoAnswer as error:
            # Without its frames, of which this one would hold it.
            silence = error.with_traceback(None)
        except Refused as error:
            # It stands among the replies.
            error.with_traceback(None)
        finally:
            del asked
        todo.clear()
        for task, reply in zip(tasks, replies, strict=True):
            if isinstance(reply, tuple):
                outcomes.append(Outcome(task.request, GOOD, *reply))
            elif reply is not None:
                todo.append(Task(task.request, reply))
            else:
                # The first that has no reply was asked when the device fell silent.
                todo.append(Task(task.request, silence))
                silence = None

    async def _one(self, link: Link | RtuLink, request: Request, deadline: float) -> Outcome:
        """Ask one request, once."""
        try:
            block = await link.ask(self.group.device, self._unit, request.question, request.reply_bytes, deadline)
        except (NoAnswer, Refused) as error:
            return self._unanswered(request, error)
        return Outcome(request, GOOD, link.mono_us, block)

    def _unanswered(self, request: Request, error: NoAnswer | Refused) -> Outcome:
        """What a request comes to that was not answered, or with an exception."""
        mono_us = self._clock.mono_us()
        if isinstance(error, NoAnswer):
            return Outcome(request, BAD_TIMEOUT, mono_us, what=error.what)
        what = f"{request}: {error.what}"
        if error.code in UNIT_GONE:
            return Outcome(request, BAD_NO_COMMUNICATION, mono_us, what=what)
        status = BAD_CONFIGURATION_ERROR if error.code in PERMANENT else BAD_DEVICE_FAILURE
        return Outcome(request, status, mono_us, what=what, code=error.code)

    def _learn(self, outcomes: list[Outcome], splits: int, now: float) -> Plan:
        """The plan that these outcomes belong to, in its order; the next read asks what this one taught.

        Raises what is wrong with the unit when no request was answered. Then nothing is learnt: a device that refuses
        everything is starting, or is not the device that was configured.
        """
        if not any(outcome.status == GOOD for outcome in outcomes):
            self.forget()
            raise self._worst(outcomes)
        if splits:
            self._plan = arrange([outcome.request for outcome in outcomes])
        plan, recovered = self._plan, False
        for outcome in outcomes:
            if outcome.code in PERMANENT and (outcome.code not in SPLITTING or len(outcome.request.members) == 1):
                self._resting[outcome.request.question] = now + REST_S
            elif outcome.status == GOOD and outcome.request.question in self._resting:
                recovered = True
        if recovered:
            # The device has changed: few requests may do again.
            self.forget()
        return plan

    def _worst(self, outcomes: list[Outcome]) -> NoAnswer | Refused:
        """The error that says most about a unit that gave nothing: its silence, else its first refusal."""
        told = [outcome for outcome in outcomes if outcome.what]
        for outcome in told:
            if outcome.status in SILENT:
                return NoAnswer(self.group.device, outcome.what)
        if told:
            return Refused(self.group.device, told[0].what, told[0].code)
        return NoAnswer(self.group.device, "its deadline left no time to ask")


def _spread(plan: Plan, items: list[bytes]) -> bytes:
    """A column: for each run of slots the item of its request."""
    return b"".join([items[index] * length for index, length in plan.runs])


def _marked(status: bytes, count: int, marks: Iterable[tuple[int, int]]) -> bytes:
    """A status column with marks at some slots."""
    column = bytearray(status * count if len(status) == U32.size else status)
    for slot, mark in marks:
        U32.pack_into(column, U32.size * slot, mark)
    return bytes(column)
