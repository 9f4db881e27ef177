"""Names of a tag's values (2 is `Fault`) and of its bits (bit 3 is `Door open`): for people, beside the number."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

# By type, in the words of tag tables: how many bits a value has.
WIDTH_BITS = {
    "bool": 1, "int8": 8, "uint8": 8, "int16": 16, "uint16": 16, "int32": 32, "uint32": 32, "int64": 64, "uint64": 64,
}  # fmt: skip
BITS_MAX = max(WIDTH_BITS.values())


@dataclass(frozen=True, slots=True)
class Names:
    """Names by value, or by bit (0 = least significant), in ascending order. A tag has the ones, the others, or none.

    A value without a name is as good as any: it is what the machine said, and a new firmware may well say more than its
    manual knew.
    """

    values: tuple[tuple[int, str], ...] = ()
    bits: tuple[tuple[int, str], ...] = ()

    def __bool__(self) -> bool:
        return bool(self.values or self.bits)

    def __str__(self) -> str:
        named = self.values or self.bits
        return "; ".join(f"{'' if self.values else 'bit '}{number} = {name}" for number, name in named)

    @property
    def described(self) -> dict[str, dict[str, str]]:
        """What a published tag table says of them: nothing where there are none, numbers as decimal texts."""
        both = {"values": self.values, "bits": self.bits}
        return {key: {str(number): name for number, name in named} for key, named in both.items() if named}

    @classmethod
    def of(cls, entry: Mapping[str, Any]) -> "Names":
        """Those of a tag in a published table. Raises ValueError when they are not as `described` says."""
        found = cls(_read(entry.get("values")), _read(entry.get("bits")))
        if not all(0 <= bit < BITS_MAX for bit, _ in found.bits):
            raise ValueError(f"there are bits 0 to {BITS_MAX - 1}")
        return found

    def of_value(self, value: int) -> tuple[str, ...]:
        """The names that a value has: one, or those of its bits that are set."""
        if self.bits:
            return tuple(name for bit, name in self.bits if value >> bit & 1)
        return tuple(name for number, name in self.values if number == value)

    def shown(self, value: int, kind: str) -> str:
        """A value with its names: `2 (Fault)`, `0x0009 (Overload, Door open)`; set bits without a name are told too.

        `kind` is the type's word.
        """
        width = WIDTH_BITS.get(kind, BITS_MAX)
        if self.bits:
            bits = value % (1 << width)
            named = dict(self.bits)
            told = [named.get(bit, f"bit {bit}") for bit in range(width) if bits >> bit & 1]
            text = f"0x{bits:0{max(2, width // 4)}X}"
        else:
            told = list(self.of_value(value))
            text = str(bool(value)).lower() if kind == "bool" else str(value)
        return f"{text} ({', '.join(told)})" if told else text


UNNAMED = Names()


def _read(named: Any) -> tuple[tuple[int, str], ...]:
    if named is None:
        return ()
    if not isinstance(named, dict) or not all(isinstance(name, str) for name in named.values()):
        raise ValueError("names are texts by number")
    return tuple(sorted((int(number), name) for number, name in named.items()))
