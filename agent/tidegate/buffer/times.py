"""Times: of each start of the gateway, a moment at which the time was known, as control.db's boots have it.

Whoever sends a frame that was taken before that moment finds its right time so. It knows no frame.
"""

from tidegate.buffer.control import Control
from tidegate.clock import Clock, Known, Trust


class Times:
    """The known moments by boot. Read by the loop, written by the writer thread.

    Made when `clock.boot` is counted and not yet written down; the clock hears of what was known earlier in this start
    of the machine, `kernel`.
    """

    def __init__(self, control: Control, clock: Clock, kernel: str) -> None:
        self._known: dict[int, Known] = {}
        # A machine has one monotonic clock from its start on: its starts of the gateway share what any of them knew.
        self._kernels: dict[int, str] = {}
        self._shared: dict[str, Known] = {}
        self._told = Trust.UNSET
        for boot, of, wall_us, mono_us in control.boots():
            self._kernels[boot] = of
            if wall_us is not None and mono_us is not None:
                self._keep(boot, Known(wall_us, mono_us))
        self._kernels[clock.boot] = kernel
        known = self.known(clock.boot)
        if known is not None:
            clock.remember(known)

    def known(self, boot: int) -> Known | None:
        """A moment at which the time was known, on the monotonic clock of this boot; None while there was none."""
        return self._known.get(boot) or self._shared.get(self._kernels.get(boot, ""))

    def same_machine_start(self, one: int, other: int) -> bool:
        """Whether two boots were within one start of the machine, and so by one monotonic clock."""
        kernel = self._kernels.get(one, "")
        return bool(kernel) and kernel == self._kernels.get(other)

    def news(self, clock: Clock) -> Known | None:
        """The time of now, where it is known and nothing as good is written down for this boot."""
        moment = clock.moment()
        return Known(moment.wall_us, moment.mono_us, moment.trust) if moment.trust > self._told else None

    def told(self, boot: int, known: Known) -> None:
        """It is written down."""
        self._told = known.trust
        self._keep(boot, known)

    def _keep(self, boot: int, known: Known) -> None:
        self._known[boot] = known
        if self._kernels.get(boot):
            self._shared[self._kernels[boot]] = known
