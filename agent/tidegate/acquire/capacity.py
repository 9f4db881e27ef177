"""Capacity: whether a bus can do what it is planned to do at the intervals that are asked for; if not, what helps."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from tidegate.model.busplan import BusPlan, PlannedGroup

# More than this leaves no time for what goes wrong: a silent unit, a request that is asked in pieces.
LOAD_MAX = 0.8
NICE_S = (0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 3.0, 5.0, 10.0, 15.0, 20.0, 30.0, 60.0, 120.0, 300.0, 600.0, 1800.0, 3600.0)
REMEDIES_MAX = 5


@dataclass(frozen=True, slots=True)
class Capacity:
    """What comes of a plan. `what` says what it can't hold ("" when it can), `remedies` what to do.

    `notes` are about what it holds with little to spare.
    """

    holds: bool
    what: str = ""
    remedies: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()

    @property
    def remedy(self) -> str:
        """What to do: one of several."""
        return ", or ".join(self.remedies)


def judge(plan: BusPlan) -> Capacity:
    """Whether the bus can hold its intervals, and each read its group's deadline."""
    long = [group for group in plan.groups if group.time_s > min(group.interval_s, group.deadline_s)]
    if plan.load > 1:
        return _too_much(plan)
    if long:
        return _too_long(plan, max(long, key=lambda group: group.time_s))
    return Capacity(True, notes=(*_full(plan), *_waits(plan)))


def measured(plan: BusPlan, typical_s: Mapping[str, float]) -> BusPlan:
    """The same, with reads as long as they were seen to take: by device the median of its last reads, of any group.

    What the driver would change is left out: it was reckoned with other times.
    """
    groups: list[PlannedGroup] = []
    for group in plan.groups:
        factor = 1.0
        if group.device in typical_s:
            foreseen_s = _typical_s([other for other in plan.groups if other.device == group.device])
            factor = typical_s[group.device] / foreseen_s
        requests = tuple(replace(request, time_s=request.time_s * factor) for request in group.requests)
        groups.append(replace(group, requests=requests, time_s=group.time_s * factor))
    seen = sum(device in typical_s for device in {group.device for group in plan.groups})
    words = f"{plan.words}; reads as measured of {seen} device{'' if seen == 1 else 's'}" if seen else plan.words
    return replace(plan, groups=tuple(groups), words=words, remedies=() if seen else plan.remedies)


def _typical_s(groups: Sequence[PlannedGroup]) -> float:
    """The median of a device's reads, as they should be: a group that is read more often counts more."""
    left = sum(1 / group.interval_s for group in groups) / 2
    for group in sorted(groups, key=lambda group: group.time_s):
        left -= 1 / group.interval_s
        if left <= 0:
            break
    return group.time_s


def _too_much(plan: BusPlan) -> Capacity:
    fast_s = min(group.interval_s for group in plan.groups)
    fast = [group for group in plan.groups if group.interval_s == fast_s]
    named = " and ".join(f"[groups.{name}]" for name in sorted({group.group for group in fast}))
    needed_s, enough_s = _interval_s(plan, fast, 1.0), _interval_s(plan, fast, LOAD_MAX)
    if needed_s is None:
        # The slower groups alone are too much.
        what = f"this {plan.kind} cannot hold its intervals: it needs {plan.load:.1f} times as long"
    else:
        what = f"this {plan.kind} cannot hold {time(fast_s)}: it needs {time(needed_s)}"
    interval_s = _nice(max(enough_s, *(group.time_s for group in fast))) if enough_s is not None else None
    own = [f"make all intervals {math.ceil(10 * plan.load / LOAD_MAX) / 10:g} times as long"]
    if interval_s is not None:
        own = [f'write interval = "{written(interval_s)}" in {named}']
    tagged = sum(len(request.tags) for group in fast for request in group.requests)
    if tagged > len(fast):
        own.append("put tags that can wait into a slower group")
    return Capacity(False, what, (*own[:1], *plan.remedies, *_elsewhere(plan), *own[1:])[:REMEDIES_MAX])


def _too_long(plan: BusPlan, worst: PlannedGroup) -> Capacity:
    limit, limit_s = (
        ("interval", worst.interval_s) if worst.time_s > worst.interval_s else ("deadline", worst.deadline_s)
    )
    what = (
        f"a read of {worst.device}, group {worst.group}, cannot hold its {limit} of {time(limit_s)}: "
        f"it needs {time(worst.time_s)}"
    )
    enough_s = _nice(worst.time_s / LOAD_MAX)
    own = [f'write {limit} = "{written(enough_s)}" in [groups.{worst.group}]'] if enough_s else []
    return Capacity(False, what, (*own, *plan.remedies, "put tags that can wait into a slower group")[:REMEDIES_MAX])


def _interval_s(plan: BusPlan, fast: Sequence[PlannedGroup], load_max: float) -> float | None:
    """The interval of these groups at which the bus is loaded so far; None when the others are too much for that."""
    left = load_max * plan.lanes - sum(group.load for group in plan.groups if group not in fast)
    return sum(group.time_s for group in fast) / left if left > 0 else None


def _elsewhere(plan: BusPlan) -> list[str]:
    """How many devices would have to go."""
    loads: dict[str, float] = {}
    for group in plan.groups:
        loads[group.device] = loads.get(group.device, 0.0) + group.load
    room, kept = LOAD_MAX * plan.lanes, 0
    for load in sorted(loads.values()):
        room -= load
        if room < 0:
            break
        kept += 1
    if not kept:
        return []
    return [f"move {len(loads) - kept} of its {len(loads)} devices to another {plan.kind}"]


def _full(plan: BusPlan) -> list[str]:
    if plan.load <= LOAD_MAX:
        return []
    return [f"it holds, with {1 - plan.load:.0%} of its time to spare: a silent device takes that"]


def _waits(plan: BusPlan) -> list[str]:
    """The group that misses cycles while another one is read, where one is read at a time."""
    if plan.lanes > 1 or len(plan.groups) < 2:
        return []
    slow = max(plan.groups, key=lambda group: group.time_s)
    for group in sorted(plan.groups, key=lambda group: group.interval_s):
        if group is not slow and slow.time_s + group.time_s > group.interval_s:
            return [
                f"{group.device}, group {group.group}, is due each {time(group.interval_s)}, and waits while "
                f"{slow.device}, group {slow.group}, is read for {time(slow.time_s)}: it misses cycles then"
            ]
    return []


def _nice(seconds: float) -> float | None:
    """The next longer interval that people would write."""
    return next((nice for nice in NICE_S if nice >= seconds), None)


def time(seconds: float) -> str:
    """`1.4 s`, `85 ms`; rounded up, so that what is needed is never understated."""
    if seconds >= 1:
        return f"{math.ceil(seconds * 10 - 1e-9) / 10:g} s"
    return f"{math.ceil(seconds * 1e3 - 1e-9):g} ms"


def written(seconds: float) -> str:
    """As the configuration has it."""
    if seconds < 1:
        return f"{seconds * 1e3:g}ms"
    return f"{seconds / 60:g}min" if seconds >= 60 else f"{seconds:g}s"
