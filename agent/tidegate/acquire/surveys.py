"""The surveys that are installed: found as entry points, none known by name."""

from collections.abc import Iterable
from importlib.metadata import EntryPoint, entry_points

from tidegate.acquire.survey import SURVEY_CONTRACT, SURVEYS, Survey


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
