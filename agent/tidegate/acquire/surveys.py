"""The surveys that are installed: found as entry points, none known by name."""

from collections.abc import Iterable
from importlib.metadata import EntryPoint, entry_points

from tidegate.acquire.survey import SURVEY_CONTRACT, SURVEYS, Browser, Survey


def surveys(points: Iterable[EntryPoint] | None = None) -> list[type[Survey]]:
    """Those that can be loaded and speak this contract."""
    found: list[type[Survey]] = []
    for point in sorted(entry_points(group=SURVEYS) if points is None else points):
        try:
            loaded = point.load()
        except Exception:  # whatever a foreign module raises, the other surveys can be used
            continue
        if getattr(loaded, "contract", None) == SURVEY_CONTRACT:
            found.append(loaded)
    return found


def of_address(known: Iterable[type[Survey]], address: str, listening: bool) -> type[Survey]:
    """The survey for an address, by its scheme; a plain path is a line. Raises ValueError that lists what there is."""
    usable = [survey for survey in known if survey.listens or not listening]
    scheme, _, rest = address.partition("://")
    if not rest and listening and address.startswith("/") and len(usable) == 1:
        return usable[0]
    for survey in usable:
        if rest and scheme in survey.schemes:
            return survey
    schemes = ", ".join(f"{scheme}://" for survey in usable for scheme in survey.schemes)
    raise ValueError(f"{address!r} has no known beginning; known are: {schemes or 'none, no survey is installed'}")


def browser_of(known: Iterable[type[Survey]], address: str) -> Browser:
    """The one that can browse a device at this address. Raises ValueError that lists what can be browsed."""
    usable = [(survey.schemes, browser) for survey in known if (browser := _browser(survey)) is not None]
    scheme, _, rest = address.partition("://")
    for schemes, browser in usable:
        if rest and scheme.lower() in schemes:
            return browser
    named = ", ".join(f"{scheme}://" for schemes, _ in usable for scheme in schemes)
    raise ValueError(f"{address!r} can't be browsed; these can: {named or 'none, no such driver is installed'}")


def _browser(survey: object) -> Browser | None:
    return survey if isinstance(survey, Browser) else None
