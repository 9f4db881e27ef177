"""Refusals: what one device was seen to refuse, for all its groups. It outlives connections, and asks nothing itself.

It does not outlive the gateway: finding it again costs a few requests once, and by then the device may be another.

field ──refused──▶ resting, a minute ──▶ looked at, one a read ──refused──▶ resting
                                          └──answered──▶ forgotten, with all cuts
"""

from bisect import insort
from collections.abc import Sequence
from dataclasses import dataclass

from tidegate.model.refused import RefusedTag
from tidegate_drivers.modbus.plan import Avoided, Request
from tidegate_drivers.modbus.point import Function

REST_S = 60.0
# A place that no request may reach across costs one request more; whether it still does is tried after so long.
CUTS_KEPT_S = 3600.0
# Whether a device that met holes with silence still does is tried after so long: it costs a few reads.
BARE_S = 86_400.0
ILLEGAL_FUNCTION = 1


@dataclass(slots=True)
class Field:
    """A field that is refused: where it is, the tags in it, what was said, and until when it is not asked for."""

    function: Function
    address: int
    where: str
    names: tuple[str, ...]
    code: int
    what: str
    until: float


class Refusals:
    """Times are the loop's, in seconds. `version` grows when another plan is due, `told` is for people."""

    def __init__(self) -> None:
        self.version = 0
        self.told: tuple[RefusedTag, ...] = ()
        self._fields: dict[bytes, Field] = {}
        self._cuts: dict[Function, list[int]] = {}
        self._cuts_until = 0.0
        self._bare_until = 0.0

    def __bool__(self) -> bool:
        return bool(self._fields)

    def rests(self, request: Request, now: float) -> bool:
        """Whether it was refused, and is not to be asked for now."""
        field = self._fields.get(request.question)
        return field is not None and now < field.until

    def knows(self, request: Request) -> bool:
        """Whether it was refused before."""
        return request.question in self._fields

    def refuse(self, request: Request, names: tuple[str, ...], code: int, what: str, now: float) -> None:
        """A field was refused, for good as it seems."""
        known = self._fields.get(request.question)
        if known is None:
            where = f"{request.function.word} 0x{request.members[0][1].address:04X}"
            self._fields[request.question] = Field(
                request.function, request.members[0][1].address, where, names, code, what, now + REST_S
            )
            self._changed()
            return
        known.until, known.code, known.what = now + REST_S, code, what
        if code == ILLEGAL_FUNCTION:
            # What one of them says holds for all.
            for other in self._fields.values():
                if other.function == request.function and other.code == code:
                    other.until = known.until
        if not set(names) <= set(known.names):
            known.names += tuple(name for name in names if name not in known.names)
            self._changed()

    def answer(self, request: Request) -> None:
        """A field that was refused was answered: the device has changed, and few requests may do again."""
        field = self._fields.pop(request.question, None)
        if field is None:
            return
        self._fields = {
            question: other
            for question, other in self._fields.items()
            if other.code != ILLEGAL_FUNCTION or other.function != field.function
        }
        self._cuts.clear()
        self._changed()

    def cut(self, function: Function, addresses: Sequence[int], now: float) -> None:
        """No request may reach across these addresses: to either side of them all was answered, and together not."""
        for address in addresses:
            if address not in self._cuts.setdefault(function, []):
                insort(self._cuts[function], address)
        self._cuts_until = now + CUTS_KEPT_S
        self._changed()

    def avoided(self) -> Avoided:
        """What a plan must do without."""
        cuts = {function: list(addresses) for function, addresses in self._cuts.items()}
        for field in self._fields.values():
            insort(cuts.setdefault(field.function, []), field.address)
        return Avoided(frozenset(self._fields), cuts, self._bare_until > 0)

    def blame_holes(self, now: float) -> None:
        """Requests across holes get no answer, and others do."""
        self._bare_until = now + BARE_S
        self._changed()

    def pass_time(self, now: float) -> None:
        """Forget what was learnt of holes long ago."""
        if self._cuts and now >= self._cuts_until:
            self._cuts.clear()
            self._changed()
        if self._bare_until and now >= self._bare_until:
            self._bare_until = 0.0
            self._changed()

    def _changed(self) -> None:
        self.version += 1
        self.told = tuple(
            RefusedTag(name, field.where, field.what) for field in self._fields.values() for name in field.names
        )
