"""Overload: warns of buses that can't do what the configuration asks of them. It knows no protocol."""

from collections.abc import Iterator, Mapping, Sequence

from tidegate.acquire.capacity import judge
from tidegate.acquire.driver import Driver, Plans
from tidegate.config.devices import Placed
from tidegate.config.problems import Problems
from tidegate.errors import Problem
from tidegate.model.busplan import BusPlan
from tidegate.model.device import Device


def foresee(devices: Sequence[Device], drivers: Mapping[str, type[Driver]]) -> Iterator[BusPlan]:
    """The plans of all buses whose driver can foresee one. The devices have no fatal problem."""
    by_driver: dict[str, list[Device]] = {}
    for device in devices:
        by_driver.setdefault(device.driver, []).append(device)
    for name, theirs in by_driver.items():
        driver = drivers.get(name)
        if isinstance(driver, Plans):
            yield from driver.plan(theirs)


def warn_overload(placed: Sequence[Placed], drivers: Mapping[str, type[Driver]], problems: Problems) -> None:
    """A warning for each bus that can't hold its intervals, at the first of its devices."""
    places = {one.device.name: one for one in placed}
    try:
        plans = list(foresee([one.device for one in placed], drivers))
    except Exception as error:  # A driver is foreign code, and this is only about how fast it is.
        problems.warn("", "drivers", f"a driver failed at planning ({error!r})", "Report it to who made the driver")
        return
    for plan in plans:
        found = judge(plan)
        if not found.holds:
            one = places[plan.groups[0].device]
            remedy = f"Do this: {found.remedy}. `tidegate plan` shows all of it"
            about = Problem("", one.device.name, f"{plan.bus}: {found.what}", remedy, one.device.row, None, False)
            problems.add(one.place(about))
