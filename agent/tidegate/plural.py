"""Plural: a number with its noun, as a sentence has it."""


def counted(number: int, noun: str) -> str:
    """`1 device`, `2 devices`, `4,000 readings`; of a noun of several words the last one changes."""
    plural = "es" if noun.endswith("s") else "s"
    return f"{number:,} {noun}{'' if number == 1 else plural}"
