"""Back-off: waits that double, with jitter, so that a hall full of gateways does not knock at the same moment."""

from random import Random

WAIT_S_MIN = 1.0
WAIT_S_MAX = 30.0


class Backoff:
    """Waits within WAIT_S_MIN..WAIT_S_MAX: each between the half and the whole of a bound that doubles."""

    def __init__(self, rng: Random) -> None:
        self._rng = rng
        self._bound_s = 2 * WAIT_S_MIN

    def next_s(self) -> float:
        """How long to wait this time, in seconds."""
        bound_s, self._bound_s = self._bound_s, min(2 * self._bound_s, WAIT_S_MAX)
        return self._rng.uniform(bound_s / 2, bound_s)

    def reset(self) -> None:
        """It worked: begin with short waits again."""
        self._bound_s = 2 * WAIT_S_MIN
