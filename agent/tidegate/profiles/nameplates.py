"""Nameplates: whether profiles of machines that say who they are in words are found by that, and locked by another.

No server is needed for it: what the machine would answer is made up of what its profile wants to hear.
"""

import json
from collections.abc import Awaitable, Callable, Sequence

from tidegate.model.device import Device
from tidegate.model.tag import TagTable
from tidegate.profiles.asking import Asker
from tidegate.profiles.finding import find
from tidegate.profiles.firmware import key
from tidegate.profiles.likeness import version_of
from tidegate.profiles.locks import Locks
from tidegate.profiles.profile import Profile, RegisterSet
from tidegate.profiles.seen import Forgetful
from tidegate.profiles.shelf import CHOICE

# What an altered machine says of its software.
OTHERS = ("2.1", "7.3")
# What one says that its profile does not ask for.
ANYTHING = "Example"

Ask = Callable[[bytes], Awaitable[bytes]]


async def tried(profiles: Sequence[Profile], profile: Profile, one: RegisterSet) -> tuple[str, str]:
    """Why a machine of this set is not found among profiles by its nameplate, and why another software does not lock
    it; "" where that is as it must be, or where it has no identity."""  # fmt: skip
    if not profile.identity:
        return "", ""
    firmware = version_of(one.firmware)
    alike = [other for other in profiles if other.driver == profile.driver]
    found = await find(alike, Asker(_saying(profile, firmware), 0.0), in_any_case=False)
    names = [match.profile.name for match in found.matches]
    lost = ""
    if profile.name not in names:
        lost = "its own machine is not recognised"
    elif len(names) > 1:
        lost = f"its machine is taken for {' and '.join(name for name in names if name != profile.name)} as well"
    return lost, await _locked(profile, one, firmware)


async def _locked(profile: Profile, one: RegisterSet, firmware: str) -> str:
    device = Device("trial", profile.driver, "", None, TagTable("trial", ()), (), {},
                    profile=f"{profile.name}{CHOICE}{one.name}")  # fmt: skip
    locks = Locks([profile], Forgetful(), {})
    lock = locks.lock(device)
    if lock is None:
        return "its own machine has no lock"
    altered = next(version for version in OTHERS if key(version) != key(firmware))
    for version, wanted in ((firmware, False), (altered, True), (firmware, False)):
        await locks.inspect(device, _saying(profile, version))
        if bool(lock.why) != wanted:
            return f"it is locked: {lock.why}" if lock.why else f"another software does not lock it: {lock.said}"
    return ""


def _saying(profile: Profile, revision: str) -> Ask:
    """A machine of a profile, with this software."""
    wanted = {one.field: one.example for one in profile.identity[0].wanted}
    said = {"type": "", "vendor": ANYTHING, "product": ANYTHING, **wanted, "revision": revision}

    async def ask(_: bytes) -> bytes:
        return json.dumps(said).encode()

    return ask
