"""Locks: one for each device of a profile with an identity. A device that is not who was accepted is locked.

nobody accepted ──first answer──▶ accepted ──another answer──▶ locked ──the accepted one again──▶ accepted
   └── the registers of its table are not for it ──▶ locked ──somebody accepts──▶ accepted
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Iterable, Mapping
from typing import Protocol

from tidegate.acquire.lock import Lock
from tidegate.errors import TidegateError
from tidegate.model.device import Device
from tidegate.profiles.asking import Asker
from tidegate.profiles.finding import Finding, Match, find
from tidegate.profiles.profile import Profile
from tidegate.profiles.seen import Entry, Seen
from tidegate.profiles.shelf import CHOICE, split

log = logging.getLogger("tidegate.profiles")


class NotLocked(TidegateError):
    """There is nothing to accept."""


class Keep(Protocol):
    """Where entries are kept."""

    def write(self, entries: Mapping[str, Entry]) -> None:
        """For good when it returns. Raises OSError."""
        ...


class Locks:
    """The inspector of a gateway: see acquire.lock.Inspector.

    `entries` are what `keep` kept; `profiles` are those that a device may be of.
    """

    def __init__(self, profiles: Iterable[Profile], keep: Keep, entries: Mapping[str, Entry]) -> None:
        self._profiles: dict[str, Profile] = {}
        self._keep = keep
        self._entries = dict(entries)
        self._locks: dict[tuple[str, str], Lock] = {}
        self._writing = asyncio.Lock()
        self.know(profiles)

    def know(self, profiles: Iterable[Profile]) -> None:
        """Profiles of another configuration."""
        self._profiles |= {profile.name: profile for profile in profiles}

    def lock(self, device: Device) -> Lock | None:
        """The lock of a device whose profile can tell it; locked from the start if it was when it was last seen."""
        profile = self._profiles.get(split(device.profile)[0])
        if profile is None or not profile.identity:
            return None
        key = device.name, device.profile
        if key not in self._locks:
            made = self._locks[key] = Lock()
            entry = self._entry(device)
            if entry is not None:
                made.said = str(entry.found or entry.accepted)
                if entry.found is not None:
                    made.why, made.offer = _why(entry), entry.offer
        return self._locks[key]

    async def inspect(self, device: Device, ask: Callable[[bytes], Awaitable[bytes]]) -> None:
        """Ask a device what its profile wants to be asked; see acquire.lock.Inspector."""
        profile, lock = self._profiles[split(device.profile)[0]], self.lock(device)
        assert lock is not None
        asker = Asker(ask, profile.bus.pause_s or 0.0, strict=True)
        finding = await find([profile], asker, in_any_case=False)
        entry = self._entry(device)
        seen = _seen(finding, entry)
        if seen is None:
            # Nothing that it was accepted by was answered: nobody can say whether it is another.
            return
        if entry is not None and entry.found == entry.accepted and seen != entry.accepted:
            # Nobody has accepted it so far.
            entry = None
        fits = finding.matches[0] if finding.matches else None
        fit = bool(fits and fits.set and device.profile == _table(fits))
        if entry is None:
            if fits is None:
                log.warning("%s says %s, which %s does not know: it is read, and watched from now on", device.name,
                            seen, profile.name)  # fmt: skip
            entry = Entry(device.profile, seen, None if fit or fits is None else seen)
        elif seen == entry.accepted and entry.found != entry.accepted:
            entry = Entry(device.profile, seen)
        elif seen != entry.found:
            entry = Entry(device.profile, entry.accepted, seen)
        if entry.found is not None and not entry.offer:
            entry = Entry(entry.table, entry.accepted, entry.found, await self._offer(device, fits, fit, ask))
        lock.said, lock.fits = str(seen), fit
        await self._become(device.name, lock, entry)

    async def accept(self, name: str) -> str:
        """Take a locked device for what it says it is; returns that. Raises NotLocked."""
        locked = [(key[1], lock) for key, lock in self._locks.items() if key[0] == name and lock.why]
        entry = self._entries.get(name)
        if not locked or entry is None or entry.found is None:
            raise NotLocked(f"{name} is not locked: there is nothing to accept")
        table, lock = locked[-1]
        await self._become(name, lock, Entry(table, entry.found))
        return str(entry.found)

    def _entry(self, device: Device) -> Entry | None:
        """What is kept of a device, under the table that it has now: who changes that has looked at it."""
        entry = self._entries.get(device.name)
        return entry if entry is not None and entry.table == device.profile else None

    async def _become(self, name: str, lock: Lock, entry: Entry) -> None:
        lock.why, lock.offer = _why(entry), entry.offer
        if self._entries.get(name) == entry:
            return
        self._entries[name] = entry
        async with self._writing:
            try:
                await asyncio.to_thread(self._keep.write, dict(self._entries))
            except OSError as error:
                log.error("who %s is could not be kept: %s; it is after a restart as it was before", name, error)

    async def _offer(
        self, device: Device, fits: Match | None, fit: bool, ask: Callable[[bytes], Awaitable[bytes]]
    ) -> str:
        """What to do, with what to write where another profile, or another set of registers, is for it."""
        accept = f"tidegate profile accept CONFIG {device.name}"
        if fit:
            return f"As far as is known {device.profile} is for it, too: compare a few values, then: {accept}"
        if fits is None:
            others = [profile for profile in self._profiles.values() if profile.driver == device.driver]
            found = await find(others, Asker(ask), in_any_case=False)
            fits = next((match for match in found.matches if match.set is not None), None)
        if fits is None or fits.set is None:
            return f"No profile is for it: correct `table` of the device, or, if its values are right: {accept}"
        table = fits.profile.name if len(fits.profile.sets) == 1 else _table(fits)
        return f"Write for the device: table = {table}, and reload; or, if its values are right: {accept}"


def _table(match: Match) -> str:
    """How a configuration names the registers of a match."""
    assert match.set is not None
    return f"{match.profile.name}{CHOICE}{match.set.name}"


def _why(entry: Entry) -> str:
    if entry.found is None:
        return ""
    if entry.found == entry.accepted:
        return f"it is {entry.found}, and {entry.table} is not for that"
    return f"it is {entry.found}, and was {entry.accepted}"


def _seen(finding: Finding, entry: Entry | None) -> Seen | None:
    """Who a device says it is; None where it did not answer what it is told by."""
    if finding.matches:
        match = finding.matches[0]
        return Seen(match.question, match.vendor, match.answer, match.firmware)
    answers = dict(finding.said)
    if entry is not None and entry.accepted.question not in answers:
        return None
    question = entry.accepted.question if entry is not None else next(iter(answers), "")
    return Seen(question, "", answers[question], "") if question else None
