"""What a person wishes of a survey: texts of options into units, speeds, parities and times. It asks nobody."""

from collections.abc import Mapping

from tidegate.model.option import duration_s
from tidegate_drivers.modbus.framing import Framing
from tidegate_drivers.modbus.line import BAUDS, PARITIES, Line

# The usual settings, the most usual first.
USUAL = (
    (9600, "N"), (19200, "E"), (9600, "E"), (19200, "N"), (38400, "N"), (115200, "N"), (38400, "E"), (57600, "N"),
    (115200, "E"), (57600, "E"), (4800, "N"), (4800, "E"), (2400, "E"),
)  # fmt: skip
UNIT_MAX = 255


class Wishes:
    """Options of one survey by name; whatever was not asked for by the end is refused."""

    def __init__(self, texts: Mapping[str, str]) -> None:
        self._texts = {name: text.strip() for name, text in texts.items() if text.strip()}
        self._asked: set[str] = set()

    def text(self, name: str, default: str = "") -> str:
        """The text of an option."""
        self._asked.add(name)
        return self._texts.get(name, default)

    def flag(self, name: str) -> bool:
        """Whether it is set."""
        return self.text(name) == "true"

    def seconds(self, name: str, default_s: float, least_s: float, most_s: float) -> float:
        """A duration such as 300ms. Raises ValueError."""
        text = self.text(name)
        try:
            found = duration_s(text) if text else default_s
        except ValueError as wrong:
            raise ValueError(f"--{name} {text}: {wrong}") from None
        if not least_s <= found <= most_s:
            raise ValueError(f"--{name} {text}: choose {least_s:g} s to {most_s:g} s")
        return found

    def number(self, name: str, default: float, least: float, most: float) -> float:
        """A number. Raises ValueError."""
        text = self.text(name)
        try:
            found = float(text) if text else default
        except ValueError:
            raise ValueError(f"--{name} {text} is no number") from None
        if not least <= found <= most:
            raise ValueError(f"--{name} {text}: choose {least:g} to {most:g}")
        return found

    def units(self, default: str) -> tuple[int, ...]:
        """Unit ids of `1-247`, `1,2,5-9`. Raises ValueError."""
        found: dict[int, None] = {}
        for piece in self.text("units", default).split(","):
            first, dash, last = piece.strip().partition("-")
            if not first.isdecimal() or (dash and not last.isdecimal()):
                raise ValueError(f"--units {piece.strip()!r}: write 1-247, or 1,2,5-9")
            low, high = int(first), int(last or first)
            if not low <= high <= UNIT_MAX:
                raise ValueError(f"--units {piece.strip()!r}: unit ids go from 0 to {UNIT_MAX}, the lower first")
            found.update(dict.fromkeys(range(low, high + 1)))
        return tuple(found)

    def lines(self, every: bool, framing: Framing) -> tuple[Line, ...]:
        """The settings to try: those that were named, combined; else, with `every`, the usual ones, or the first."""
        bauds, parities = self.text("baud"), self.text("parity")
        stop = int(self.number("stop", 1, 1, 2))
        wanted = [_baud(text) for text in bauds.split(",")] if bauds else []
        said = dict(_parity(text) for text in parities.split(",")) if parities else {}
        letters = list(said)
        pairs = [(b, p) for b, p in USUAL if (not wanted or b in wanted) and (not letters or p in letters)]
        pairs += [(b, p) for b in wanted for p in letters or ("N", "E") if (b, p) not in pairs]
        pairs += [(b, p) for p in letters for b in wanted or (9600, 19200) if (b, p) not in pairs]
        found = []
        for baud, parity in pairs if every else pairs[:1]:
            # Without a parity there are 8 bits, whatever the framing: a character has ten at least.
            bits = said.get(parity, 0) or (8 if parity == "N" else framing.bits[0])
            found.append(Line(baud, parity, stop, 0.0, False, framing, bits))
        return tuple(found)

    def refuse_unknown(self) -> None:
        """Raises ValueError for the first option that nobody asked for."""
        for name in self._texts:
            if name not in self._asked:
                raise ValueError(f"--{name} means nothing for this address")


def _baud(text: str) -> int:
    if text.strip() not in {str(baud) for baud in BAUDS}:
        raise ValueError(f"--baud {text.strip()!r}: choose of {', '.join(str(baud) for baud in BAUDS)}")
    return int(text)


def _parity(text: str) -> tuple[str, int]:
    """The letter, and the data bits where they are said, as in 7E1; else 0."""
    word = text.strip().lower()
    if word not in PARITIES:
        raise ValueError(f"--parity {text.strip()!r}: choose of {', '.join(PARITIES)}")
    return PARITIES[word], int(word[0]) if word[0].isdecimal() else 0
