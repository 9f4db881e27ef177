"""One group's reads: asks the requests of its plan over a link and makes a frame of the replies.

It isolates what a device refuses: a refused request is split, again and again until one field is left, which then rests
for a minute while the others are read in few requests around it. It knows no connections and no intervals.

    whole plan ──refused──▶ searching, in ever smaller pieces ──found──▶ whole plan, around what is refused
"""

from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import replace
from struct import Struct
from typing import Any, NamedTuple

from tidegate.clock import Clock, Moment
from tidegate.errors import NoAnswer, Refused
from tidegate.model.device import Group
from tidegate.model.frame import ALL_GOOD, I64, U32, Frame
from tidegate.model.status import (
    BAD_CONFIGURATION_ERROR,
    BAD_DEVICE_FAILURE,
    BAD_NO_COMMUNICATION,
    BAD_TIMEOUT,
    GOOD,
)
from tidegate_drivers.modbus.columns import fill, marked, spread
from tidegate_drivers.modbus.depth import Depth
from tidegate_drivers.modbus.doubt import Doubt
from tidegate_drivers.modbus.line_link import LineLink
from tidegate_drivers.modbus.link import Link, Question, Reply
from tidegate_drivers.modbus.pace import Pace
from tidegate_drivers.modbus.plan import Avoided, Plan, Request, arrange
from tidegate_drivers.modbus.refusals import ILLEGAL_FUNCTION, Refusals

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


class Machine(NamedTuple):
    """What all groups of one device share: its unit, how it is asked, and what was learnt of it. `names`: of its tags.

    Waiting for `pace` is no part of `timeout_s`.
    """

    table: bytes
    names: tuple[str, ...]
    unit: int
    timeout_s: float
    depth: Depth
    pace: Pace
    refusals: Refusals


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


class Begun(NamedTuple):
    """What became of requests that were asked at once: each reply; whether all are data; the silence that ended it."""

    replies: Sequence[Reply]
    whole: bool
    silence: NoAnswer | None = None


class Poll:
    """Reads one group of one device, one read at a time. `make` plans its requests around what is refused."""

    def __init__(self, group: Group, machine: Machine, make: Callable[[Avoided], Plan], clock: Clock) -> None:
        self.group = group
        self._machine = machine
        self._refusals = machine.refusals
        self._make = make
        self._clock = clock
        self._doubt = Doubt()
        self._plan: Plan
        self._questions: list[Question]
        self._bare = self._holed = False
        self._plan_anew()
        # While it searches: the plan that it began with.
        self._sought: Plan | None = None
        self._all_answered = False
        # Whether the unit fell silent in the last read, though it answered a part of it.
        self.fell_silent = False
        # Which way a search goes at each halving, as bits.
        self._turn = 0
        self._tags = Struct(f"<{len(group.tags)}I").pack(*group.tags)

    @property
    def answered(self) -> tuple[Request, ...]:
        """The requests of the last read, when each was answered and may follow the one before at once; else none."""
        return self._plan.requests if self._all_answered and not self._machine.pace.pause_s else ()

    async def read(self, link: Link | LineLink) -> Frame:
        """One reading of every tag. Raises what Driver.read does, when the unit gave nothing at all."""
        self._all_answered = self.fell_silent = False
        self._refusals.pass_time(link.time())
        if self._sought is None and (self._version, self._bare) != (self._refusals.version, self._doubt.bare):
            self._plan_anew()
        deadline, begun = link.time() + self.group.deadline_s, None
        if not self._refusals and self._sought is None and not self._machine.pace.pause_s:
            # Nearly every read: nothing is known against any request, and all of them are answered.
            begun = await self._at_once(link, self._questions, deadline)
            if begun.whole:
                if self._holed:
                    self._doubt.judge(False)
                return self._whole(link, begun.replies)
        outcomes, splits = await self._ask(link, deadline, begun)
        if self._holed and self._sought is None:
            self._doubt_holes(outcomes, link.time())
        plan = self._learn(outcomes, splits, link.time())
        if len(outcomes) > 1 and any(o.request is not r for o, r in zip(outcomes, plan.requests, strict=True)):
            # What was refused, or rests, did not come in its turn.
            by_slot = {outcome.request.members[0][0]: outcome for outcome in outcomes}
            outcomes = [by_slot[request.members[0][0]] for request in plan.requests]
        count = len(self.group.tags)
        values, side = bytearray(SLOT_BYTES * count), bytearray()
        marks: list[tuple[int, int]] = []
        for outcome in outcomes:
            if outcome.status == GOOD:
                fill(outcome.request, outcome.block, values, side, marks)
        # One look at the clock for the whole frame: a step of it can't come between a time and what is said of it.
        now = self._clock.moment()
        ahead_us, mono_us = now.wall_us - now.mono_us, link.mono_us
        source_us, status = I64.pack(outcomes[0].mono_us + ahead_us), ALL_GOOD
        if any(outcome.mono_us != outcomes[0].mono_us for outcome in outcomes):
            source_us = spread(plan, [I64.pack(outcome.mono_us + ahead_us) for outcome in outcomes])
        self._all_answered = not any(outcome.status for outcome in outcomes)
        if not self._all_answered:
            status = spread(plan, [U32.pack(outcome.status) for outcome in outcomes])
            self.fell_silent = any(outcome.status in SILENT for outcome in outcomes)
            if not any(outcome.status == GOOD for outcome in outcomes):
                # All of it rests: the last reply that came over this link, if one did, was another's.
                mono_us = now.mono_us
        if marks:
            status = marked(status, count, marks)
        return self._frame(mono_us, now, source_us, status, values, side)

    def _whole(self, link: Link | LineLink, replies: Sequence[Any]) -> Frame:
        """The frame of a read of which every request was answered: replies are monotonic µs and data."""
        count, plan = len(self.group.tags), self._plan
        values, side = bytearray(SLOT_BYTES * count), bytearray()
        marks: list[tuple[int, int]] = []
        first_us = replies[0][0]
        together = True
        for request, (mono_us, block) in zip(plan.requests, replies, strict=True):
            fill(request, block, values, side, marks)
            together = together and mono_us == first_us
        self._all_answered = True
        now = self._clock.moment()
        ahead_us = now.wall_us - now.mono_us
        if together:
            source_us = I64.pack(first_us + ahead_us)
        else:
            source_us = spread(plan, [I64.pack(mono_us + ahead_us) for mono_us, _ in replies])
        status = marked(ALL_GOOD, count, marks) if marks else ALL_GOOD
        return self._frame(link.mono_us, now, source_us, status, values, side)

    def _frame(
        self, mono_us: int, now: Moment, source_us: bytes, status: bytes, values: bytearray, side: bytearray
    ) -> Frame:
        ahead_us = now.wall_us - now.mono_us
        return Frame(
            self.group.device, self._machine.table, len(self.group.tags), self._clock.boot, mono_us,
            mono_us + ahead_us, self._tags, source_us, status, bytes(values), bytes(side), clock=now.state,
        )  # fmt: skip

    async def _ask(self, link: Link | LineLink, deadline: float, begun: "Begun | None") -> tuple[list[Outcome], int]:
        """Ask what there is to ask within the deadline: what became of each request, and how many were split.

        `begun` is what became of all requests of the plan, where they were asked at once already.
        """
        outcomes: list[Outcome] = []
        todo, looks = deque(Task(request) for request in self._plan.requests), deque[Request]()
        if begun is None:
            todo, looks = self._due(link.time(), outcomes)
        if begun is None and len(todo) > 1 and not self._machine.pace.pause_s:
            begun = await self._at_once(link, [task.request.asked for task in todo], deadline)
        if begun is not None:
            todo = _sorted(todo, begun, outcomes)
        stopped = GOOD
        splits = 0
        pieces: list[Task] = []
        while todo or pieces:
            # One field that is refused is found before the next is looked for: then the others can be read around it.
            task = todo.popleft() if todo else pieces.pop()
            request, now = task.request, link.time()
            if task.error is None and (stopped or now >= deadline):
                outcome = Outcome(request, stopped or BAD_TIMEOUT, self._clock.mono_us())
            else:
                if task.error is not None:
                    outcome = self._unanswered(request, task.error)
                else:
                    outcome = await self._one(link, request, deadline)
                if outcome.code in SPLITTING and splits < SPLITS_MAX and request.splittable:
                    first, second = request.split()
                    pieces += [Task(first), Task(second)] if self._turn >> splits & 1 else [Task(second), Task(first)]
                    splits += 1
                    continue
                if outcome.status in SILENT:
                    # More questions to a silent unit would only hold up the others on its bus.
                    stopped = outcome.status
            outcomes.append(outcome)
        if looks:
            await self._look_again(link, looks, outcomes, deadline)
        return outcomes, splits

    def _due(self, now: float, outcomes: list[Outcome]) -> tuple[deque[Task], deque[Request]]:
        """What is to be asked for, and what has rested and may be looked at. What rests is an outcome already."""
        if not self._refusals:
            return deque(Task(request) for request in self._plan.requests), deque()
        todo: deque[Task] = deque()
        looks: deque[Request] = deque()
        for request in self._plan.requests:
            if not self._refusals.knows(request):
                todo.append(Task(request))
            elif self._refusals.rests(request, now):
                outcomes.append(self._resting(request))
            else:
                looks.append(request)
        return todo, looks

    async def _look_again(
        self, link: Link | LineLink, looks: deque[Request], outcomes: list[Outcome], deadline: float
    ) -> None:
        """Look at one field that was refused; as long as such are answered the device has changed: look at the next."""
        silent = any(outcome.status in SILENT for outcome in outcomes)
        while looks and not silent and link.time() < deadline:
            outcomes.append(await self._one(link, looks.popleft(), deadline))
            if outcomes[-1].status != GOOD:
                break
        outcomes += [self._resting(request) for request in looks]

    def _resting(self, request: Request) -> Outcome:
        return Outcome(request, BAD_CONFIGURATION_ERROR, self._clock.mono_us())

    async def _at_once(self, link: Link | LineLink, questions: Sequence[Question], deadline: float) -> "Begun":
        """Ask all of these, and wake up once for it."""
        machine = self._machine
        replies, asked = link.ask_all(
            self.group.device, machine.unit, questions, machine.timeout_s, deadline, machine.depth.now
        )
        try:
            await asked
        except NoAnswer as error:
            # Without its frames, of which this one would hold it.
            return Begun(replies, False, error.with_traceback(None))
        except Refused as error:
            # It stands among the replies.
            error.with_traceback(None)
            return Begun(replies, False)
        finally:
            del asked
        return Begun(replies, None not in replies)

    async def _one(self, link: Link | LineLink, request: Request, deadline: float) -> Outcome:
        """Ask one request, once, when its unit wants to be asked again."""
        machine = self._machine
        if machine.pace.pause_s:
            await machine.pace.wait(link.time)
        until = min(deadline, link.time() + machine.timeout_s)
        try:
            block = await link.ask(self.group.device, machine.unit, request.question, request.reply_bytes, until)
        except (NoAnswer, Refused) as error:
            return self._unanswered(request, error)
        finally:
            machine.pace.begin(link.time())
        return Outcome(request, GOOD, link.mono_us, block)

    def _unanswered(self, request: Request, error: NoAnswer | Refused) -> Outcome:
        """What a request comes to that was not answered, or with an exception."""
        mono_us = self._clock.mono_us()
        if isinstance(error, NoAnswer):
            return Outcome(request, BAD_TIMEOUT, mono_us, what=error.what)
        if error.code in UNIT_GONE:
            return Outcome(request, BAD_NO_COMMUNICATION, mono_us, what=error.what)
        status = BAD_CONFIGURATION_ERROR if error.code in PERMANENT else BAD_DEVICE_FAILURE
        return Outcome(request, status, mono_us, what=error.what, code=error.code)

    def _learn(self, outcomes: list[Outcome], splits: int, now: float) -> Plan:
        """The plan that these outcomes belong to, in its order; the next read asks what this one taught.

        Raises what is wrong with the unit when no request was answered. Then nothing is learnt and nothing forgotten: a
        device that is silent, or refuses everything, is starting, or is not the device that was configured.
        """
        if not any(outcome.status == GOOD for outcome in outcomes):
            if any(outcome.what or outcome.status != BAD_CONFIGURATION_ERROR for outcome in outcomes):
                # Where much is missing, the next search has to go another way to find what is there.
                self._turn += splits > 0
                raise self._worst(outcomes)
            return self._plan  # All of it rests, as was learnt from another group.
        if splits:
            self._sought = self._sought or self._plan
            self._use(arrange([outcome.request for outcome in outcomes]))
        plan, lasting = self._plan, False
        for outcome in outcomes:
            if outcome.code == ILLEGAL_FUNCTION or (outcome.code in SPLITTING and not outcome.request.splittable):
                for one in outcome.request.fields():
                    names = tuple(self._machine.names[self.group.tags[slot]] for slot, _ in one.members)
                    self._refusals.refuse(one, names, outcome.code, outcome.what, now)
            elif outcome.code in SPLITTING:
                lasting = True
            elif outcome.status == GOOD and self._refusals:
                self._refusals.answer(outcome.request)
        if self._sought is not None and not lasting:
            self._found(self._sought, outcomes, now)
        return plan

    def _found(self, sought: Plan, outcomes: list[Outcome], now: float) -> None:
        """The end of a search. A request of which all pieces were answered can't be made whole again."""
        self._sought = None
        for whole in sought.requests:
            slots = {slot for slot, _ in whole.members}
            pieces = [outcome for outcome in outcomes if outcome.request.members[0][0] in slots]
            if len(pieces) > 1 and all(piece.status == GOOD for piece in pieces):
                cuts = [piece.request.members[0][1].address for piece in pieces[1:]]
                self._refusals.cut(whole.function, cuts, now)
        self._plan_anew()

    def _use(self, plan: Plan) -> None:
        self._plan, self._questions = plan, [request.asked for request in plan.requests]

    def _plan_anew(self) -> None:
        avoided = self._refusals.avoided()
        self._version, self._bare = self._refusals.version, self._doubt.bare
        self._use(self._make(replace(avoided, bare=avoided.bare or self._bare)))
        if not self._bare:
            # Whether there is something to doubt.
            self._holed = any(request.unused for request in self._plan.requests)

    def _doubt_holes(self, outcomes: list[Outcome], now: float) -> None:
        """See doubt.py. What there was no time for is no silence."""
        if self._doubt.judge(any(outcome.status in SILENT and outcome.what for outcome in outcomes)):
            self._refusals.blame_holes(now)

    def _worst(self, outcomes: list[Outcome]) -> NoAnswer | Refused:
        """The error that says most about a unit that gave nothing: its silence, else its first refusal."""
        told = sorted((o for o in outcomes if o.what), key=lambda o: (o.request.function, o.request.address))
        for outcome in told:
            if outcome.status in SILENT:
                of = "" if outcome.status == BAD_TIMEOUT else f"{outcome.request}: "
                return NoAnswer(self.group.device, of + outcome.what)
        if told:
            return Refused(self.group.device, f"{told[0].request}: {told[0].what}", told[0].code)
        return NoAnswer(self.group.device, "its deadline left no time to ask")


def _sorted(todo: deque[Task], begun: Begun, outcomes: list[Outcome]) -> deque[Task]:
    """What was answered moves over to the outcomes; what is left has not been asked, or has what is wrong with it."""
    left: deque[Task] = deque()
    silence = begun.silence
    for task, reply in zip(todo, begun.replies, strict=True):
        if isinstance(reply, tuple):
            outcomes.append(Outcome(task.request, GOOD, *reply))
        elif reply is not None:
            left.append(Task(task.request, reply))
        else:
            # The first that has no reply was asked when the device fell silent.
            left.append(Task(task.request, silence))
            silence = None
    return left
