"""Arrays: a row of a tag table that stands for many tags, which lie one after the other in the device.

It knows no addresses: each tag's option `count` says which element of how many it is (`3/10`), and the driver knows how
far one lies from the next. A driver that has no such option says so.
"""

import re
from collections.abc import Sequence
from dataclasses import replace

from tidegate.config.quantities import Unfit
from tidegate.model.tag import Tag

COLUMN = "count"
ELEMENTS_MAX = 1000
# Of a name, so that a number fits behind it.
NAME_LETTERS_MAX = 120

_COUNT = re.compile(r"(?:(\d{1,4})\s*\.\.\s*)?(\d{1,5})", re.ASCII)


def numbers(text: str) -> range:
    """The numbers of the elements: `10` is 0 to 9, `1..10` is 1 to 10. Raises Unfit."""
    matched = _COUNT.fullmatch(text.strip())
    if matched is None:
        raise Unfit(f"{text!r} is no number of elements", "Write 10, or 1..10 to count them from 1")
    first, last = (0, int(matched[2]) - 1) if matched[1] is None else (int(matched[1]), int(matched[2]))
    if not 1 <= last - first + 1 <= ELEMENTS_MAX:
        raise Unfit(f"{text!r} has {max(0, last - first + 1):,} elements", f"Use 1 to {ELEMENTS_MAX:,} in one row")
    return range(first, last + 1)


def elements(tag: Tag, of: range) -> list[Tag]:
    """The tags that a row stands for: `name_0`, `name_1`, …, which is a word in formulas too. Raises Unfit."""
    if len(tag.name) > NAME_LETTERS_MAX:
        raise Unfit(f"the name has no room for a number after its {len(tag.name)} letters",
                    f"Use at most {NAME_LETTERS_MAX}")  # fmt: skip
    return [
        replace(tag, name=f"{tag.name}_{number}", options=(*tag.options, (COLUMN, f"{index}/{len(of)}")))
        for index, number in enumerate(of)
    ]


def firsts(tags: Sequence[Tag]) -> list[Tag]:
    """The tags without all but the first element of each row, where something is wrong with a row as a whole."""
    return [tag for tag in tags if tag.option(COLUMN, "0/").startswith("0/")]
