"""RefusedTag: a tag that its machine won't give, though it gives others."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class RefusedTag:
    """Its name, where it lies in the driver's words (`holding 0x1234`), and what the machine says to it."""

    tag: str
    where: str
    why: str

    def __str__(self) -> str:
        return f"{self.tag} at {self.where} is refused: {self.why}"
