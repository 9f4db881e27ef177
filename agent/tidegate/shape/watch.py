"""A watch on the limits of one tag: an alarm's level, with hysteresis and delays. It knows neither tags nor frames.

2 high_high   1 high   0 normal   -1 low   -2 low_low

value > limit for on_delay ─▶ on ─▶ value <= limit - hysteresis for off_delay ─▶ off      (low ones the other way)
"""

from tidegate.model.status import UNCERTAIN_LAST_USABLE_VALUE, is_bad
from tidegate.shape.formula import Alarm

MEANING = "2 high high, 1 high, 0 normal, -1 low, -2 low low"


class _Limit:
    """One limit. `sign` is 1 for one that is crossed upwards, else -1."""

    def __init__(self, level: int, limit: float) -> None:
        self.level = level
        self.active = False
        self._sign = 1 if level > 0 else -1
        self._limit = limit * self._sign
        self._since_us: int | None = None

    def look(self, number: float, mono_us: int, hysteresis: float, on_us: int, off_us: int) -> None:
        beyond = number * self._sign > (self._limit - hysteresis if self.active else self._limit)
        if beyond == self.active:
            self._since_us = None
            return
        if self._since_us is None:
            self._since_us = mono_us
        if mono_us - self._since_us >= (on_us if beyond else off_us):
            self.active, self._since_us = beyond, None

    def wait_anew(self) -> None:
        """A delay counts only time in which the tag was known."""
        self._since_us = None


class Watch:
    """The alarm of one tag. A reading that comes more than `age_us` after the last one begins its delays anew."""

    def __init__(self, alarm: Alarm, age_us: int) -> None:
        self._hysteresis = alarm.hysteresis
        self._on_us, self._off_us = round(alarm.on_delay_s * 1e6), round(alarm.off_delay_s * 1e6)
        self._age_us = age_us
        limits = ((2, alarm.high_high), (1, alarm.high), (-2, alarm.low_low), (-1, alarm.low))
        self._limits = [_Limit(level, limit) for level, limit in limits if limit is not None]
        self._seen_us: int | None = None

    def take(self, mono_us: int, number: float, status: int) -> tuple[int, int]:
        """The level after a reading, and its status. A Bad reading neither sets an alarm nor clears one."""
        if is_bad(status):
            for limit in self._limits:
                limit.wait_anew()
            return self._level(), status if self._seen_us is None else UNCERTAIN_LAST_USABLE_VALUE
        for limit in self._limits:
            if self._seen_us is not None and mono_us - self._seen_us > self._age_us:
                limit.wait_anew()
            limit.look(number, mono_us, self._hysteresis, self._on_us, self._off_us)
        self._seen_us = mono_us
        return self._level(), status

    def _level(self) -> int:
        return next((limit.level for limit in self._limits if limit.active), 0)
