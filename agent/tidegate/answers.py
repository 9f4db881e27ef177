"""Answers: what a running gateway says to the commands that ask it at its local socket, word by word.

Each is what JSON can hold. How a question comes in is not known here.
"""

from typing import Any

from tidegate.buffer.buffer import Buffer
from tidegate.errors import TidegateError
from tidegate.health import Sources, plain
from tidegate.publish.target import Target
from tidegate.stages import Stages


class UnknownTarget(TidegateError):
    """No target of this gateway is meant, or more than one."""


class Answers:
    """Each public method is a word that can be asked; its arguments are the details that may come with it."""

    def __init__(self, sources: Sources, buffer: Buffer, stages: Stages) -> None:
        self._sources = sources
        self._buffer = buffer
        self._stages = stages

    def status(self) -> Any:
        """How everything is."""
        return plain(self._sources.look())

    def scrub(self) -> Any:
        """Begin to prove all sealed segments; how far that is."""
        return plain(self._buffer.scrub())

    def letters(self) -> Any:
        """The dead letters that are kept."""
        return [plain(gap) for gap in self._buffer.letters.kept()]

    def resubmit(self, target: str = "") -> Any:
        """Send dead letters again: how many, by target."""
        return {of.name: of.resubmit() for of in self._stages.targets if target in ("", of.name)}

    async def replay(self, target: str = "", **wanted: Any) -> Any:
        """Have a target (the only one, where none is named) send kept numbers again: see Target.replay."""
        chosen = self._named(target)
        status = await chosen.replay(**wanted)
        return {"target": chosen.name, "connected": chosen.connected, **plain(status)}

    def replayed(self, target: str, id: str) -> Any:
        """How far such a replay is."""
        chosen = self._named(target)
        return {"target": chosen.name, "connected": chosen.connected, **plain(chosen.replayed(id))}

    async def accept(self, device: str) -> Any:
        """Unlock a device: who it says it is."""
        return await self._stages.locks.accept(device)

    def _named(self, name: str) -> Target:
        targets = self._stages.targets
        names = ", ".join(target.name for target in targets) or "none"
        if not name and len(targets) != 1:
            raise UnknownTarget(f"say which target with --target; this gateway has {names}")
        for target in targets:
            if name in ("", target.name):
                return target
        raise UnknownTarget(f"there is no target {name!r}; this gateway has {names}")
