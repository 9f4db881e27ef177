"""Computed tags in whole frames: what comes along, with which status and time, and what it leaves alone."""

import struct
from dataclasses import replace

from tidegate.clock import ClockState
from tidegate.model.device import Device, Group
from tidegate.model.frame import I64, U32, Frame, Origin, Reading, pack_value, readings
from tidegate.model.status import (
    BAD_NO_COMMUNICATION,
    BAD_OUT_OF_RANGE,
    BAD_TIMEOUT,
    BAD_WAITING_FOR_INITIAL_DATA,
    GOOD,
    UNCERTAIN,
    UNCERTAIN_DATA_SUB_NORMAL,
    UNCERTAIN_LAST_USABLE_VALUE,
)
from tidegate.model.tag import Scale, Tag, TagTable, Type
from tidegate.shape.recipe import recipe
from tidegate.shape.shaper import Shaper

S = 1_000_000
HOUR = 1_795_000_000 // 3600 * 3600 * S
READ = (
    Tag("p1", Type.FLOAT64, Type.INT16, scale=Scale(1, 10)),
    Tag("p2", Type.INT32, Type.INT32),
    Tag("run", Type.BOOL, Type.BOOL),
    Tag("name", Type.STRING, Type.STRING),
    Tag("slow", Type.FLOAT64, Type.FLOAT64, group="slow"),
)


def computed(name: str, formula: str, type: Type = Type.FLOAT64, **more: object) -> Tag:
    return replace(Tag(name, type, type, formula=formula), **more)  # type: ignore[arg-type]  # whatever a tag has


def device(*tags: Tag) -> Device:
    groups = (Group("m", "default", 1.0, 1.0, (0, 1, 2, 3)), Group("m", "slow", 10.0, 1.0, (4,)))
    return Device("m", "any", "", None, TagTable("m", READ), groups, {}, computed=TagTable("m", (*READ, *tags)))


class Line:
    """A shaper for one device with these computed tags; `poll` gives what it makes of readings, by tag."""

    def __init__(self, *tags: Tag) -> None:
        self.device = device(*tags)
        made = recipe(self.device)
        assert made is not None
        self.shaper = Shaper([self.device.table], [made])
        self.clock = ClockState.SET

    def frame(self, at_s: float, status: dict[str, int] | None = None, **values: object) -> Frame:
        names = [tag.name for tag in READ]
        side = bytearray()
        tags = [names.index(name) for name in values]
        slots = b"".join(
            pack_value(READ[tag].raw, value, side) for tag, value in zip(tags, values.values(), strict=True)
        )  # type: ignore[arg-type]  # any value
        codes = [(status or {}).get(name, GOOD) for name in values]
        us = round(at_s * S)
        return Frame(
            "m", self.device.table.hash, len(tags), 1, 7 * S + us, HOUR + us,
            struct.pack(f"<{len(tags)}I", *tags), I64.pack(HOUR + us),
            U32.pack(codes[0]) if len(set(codes)) == 1 else struct.pack(f"<{len(codes)}I", *codes),
            slots, bytes(side), clock=self.clock,
        )  # fmt: skip

    def shape(self, frame: Frame) -> list[Reading]:
        shaped = self.shaper.shape(frame)
        if shaped is None:
            return []
        assert shaped.table == self.device.published.hash
        assert Frame.decode(shaped.encode()) == shaped
        return list(readings(shaped, self.device.published))

    def poll(
        self, at_s: float, status: dict[str, int] | None = None, **values: object
    ) -> dict[str, tuple[object, int]]:
        return {one.tag: (one.value, one.status) for one in self.shape(self.frame(at_s, status, **values))}


def test_what_is_computed_comes_after_what_was_read_in_one_frame() -> None:
    line = Line(computed("total", "p1 + p2"), computed("high", "total > 10", Type.BOOL))

    assert {
        "p1": (2.5, GOOD),
        "name": ("a", GOOD),
        "p2": (10, GOOD),
        "total": (12.5, GOOD),
        "high": (True, GOOD),
    } == line.poll(0, p1=25, name="a", p2=10)


def test_formulas_may_stand_in_any_order() -> None:
    line = Line(computed("c", "b + 1"), computed("b", "a + 1"), computed("a", "p2 + 1"))

    assert line.poll(0, p2=1)["c"] == (4.0, GOOD)


def test_another_group_counts_with_its_last_reading_while_it_is_young_enough() -> None:
    line = Line(computed("sum", "p2 + slow"))

    assert line.poll(0, p2=1)["sum"] == (0.0, BAD_WAITING_FOR_INITIAL_DATA)
    assert line.poll(1, slow=100.0)["sum"] == (101.0, GOOD)
    assert line.poll(30, p2=2)["sum"] == (102.0, GOOD)
    assert line.poll(32.5, p2=3)["sum"] == (0.0, BAD_NO_COMMUNICATION)
    assert line.poll(33, slow=50.0)["sum"] == (53.0, GOOD)


def test_nothing_good_follows_from_bad_and_nothing_certain_from_uncertain() -> None:
    line = Line(computed("sum", "p1 + p2"), computed("twice", "sum * 2"), computed("choice", "if(run, p1, p2)"))

    bad = line.poll(0, {"p1": UNCERTAIN, "p2": BAD_TIMEOUT}, p1=1, p2=1, run=True)
    uncertain = line.poll(1, {"p1": UNCERTAIN}, p1=10, p2=1, run=False)

    assert {BAD_TIMEOUT} == {bad[name][1] for name in ("sum", "twice", "choice")}
    assert [(2.0, UNCERTAIN), (4.0, UNCERTAIN), (1.0, UNCERTAIN)] == [uncertain[n] for n in ("sum", "twice", "choice")]


def test_what_has_no_result_is_bad_and_the_rest_of_the_frame_is_not() -> None:
    line = Line(
        computed("ratio", "p2 / p1"), computed("small", "p2 * 100", Type.UINT8), computed("root", "sqrt(p2)"),
        computed("next", "ratio + 1"), computed("fine", "p2 + 1", Type.INT16),
    )  # fmt: skip
    said = line.poll(0, p1=0, p2=-3)

    assert {BAD_OUT_OF_RANGE} == {said[name][1] for name in ("ratio", "small", "root", "next")}
    assert said["fine"] == (-2, GOOD)
    assert said["p2"] == (-3, GOOD)


def test_numbers_that_are_none_are_bad_as_inputs() -> None:
    line = Line(computed("twice", "slow * 2"), computed("watch", "alarm(slow, high=5)", Type.INT8))
    said = line.poll(0, slow=float("nan"))

    assert (0.0, BAD_OUT_OF_RANGE) == said["twice"]
    assert BAD_OUT_OF_RANGE == said["watch"][1]


def test_the_time_of_a_computed_value_is_that_of_its_newest_input() -> None:
    line = Line(computed("sum", "p2 + slow"))
    line.poll(0, p2=1)
    line.poll(5, slow=1.0)
    frame = line.frame(6, p2=1, p1=1)
    two_times = replace(frame, source_us=struct.pack("<2q", HOUR + 2 * S, HOUR + 6 * S))
    times = {one.tag: one.source_us for one in line.shape(two_times)}

    assert HOUR + 5 * S == times["sum"]


def test_a_frame_of_constant_columns_keeps_them() -> None:
    line = Line(computed("twice", "p2 * 2"))
    shaped = line.shaper.shape(line.frame(0, p2=4, p1=3))

    assert shaped is not None
    assert (8, 4) == (len(shaped.source_us), len(shaped.status))
    assert 3 == shaped.count


def test_a_server_time_column_grows_by_the_gateways_time() -> None:
    line = Line(computed("twice", "p2 * 2"))
    said = line.shape(replace(line.frame(0, p2=4), server_us=I64.pack(5)))

    assert {"p2": 5, "twice": HOUR} == {one.tag: one.server_us for one in said}


def test_a_window_is_reported_once_at_its_end_and_others_may_use_it() -> None:
    line = Line(computed("mean", "mean(p2, 1min)"), computed("kilo", "mean / 1000"))
    said = [one for i in range(121) for one in line.shape(line.frame(i, p2=2000)) if one.tag in ("mean", "kilo")]

    assert [("mean", 2000.0, GOOD), ("kilo", 2.0, GOOD)] * 2 == [(one.tag, one.value, one.status) for one in said]
    assert [HOUR + 60 * S] * 2 + [HOUR + 120 * S] * 2 == [one.source_us for one in said]


def test_a_window_closes_with_any_frame_of_its_device() -> None:
    line = Line(computed("mean", "mean(p2, 1min)"))
    for i in range(58):
        line.poll(i, p2=1)

    assert line.poll(60.5, slow=1.0)["mean"] == (1.0, GOOD)


def test_a_restart_in_the_middle_of_a_window_makes_it_uncertain() -> None:
    line = Line(computed("energy", "difference(p2, 1min)"))
    for i in range(30, 60):
        line.poll(i, p2=i)

    assert line.poll(60, p2=60)["energy"] == (29.0, UNCERTAIN_DATA_SUB_NORMAL)


def test_a_window_over_a_computed_tag_sees_what_it_gives() -> None:
    line = Line(computed("peak", "max(total, 1min)"), computed("total", "p1 + p2"))
    for i in range(60):
        line.poll(i, p1=10 * i, p2=1)

    assert line.poll(60, p1=0, p2=0)["peak"] == (60.0, GOOD)


def test_an_alarm_is_reported_on_change_and_by_its_heartbeat() -> None:
    line = Line(computed("hot", "alarm(p2, high=80, hysteresis=5)", Type.INT8, deadband=0.0, heartbeat_s=60.0))
    changes = []
    for i in range(130):
        shaped = line.poll(i, p2=90 if 3 <= i < 10 else 70)
        if "hot" in shaped:
            changes.append((i, shaped["hot"][0]))

    assert [(0, 0), (3, 1), (10, 0), (70, 0)] == changes


def test_a_bad_input_does_not_clear_an_alarm() -> None:
    line = Line(computed("hot", "alarm(p2, high=80)", Type.INT8))
    line.poll(0, p2=90)

    assert line.poll(1, {"p2": BAD_NO_COMMUNICATION}, p2=0)["hot"] == (1, UNCERTAIN_LAST_USABLE_VALUE)
    assert line.poll(2, p2=90)["hot"] == (1, GOOD)


def test_history_is_passed_on_and_changes_nothing() -> None:
    line = Line(computed("twice", "p2 * 2"), computed("sum", "p2 + slow"))
    line.poll(0, p2=1, slow=1.0)
    old = line.shape(replace(line.frame(1, p2=50), origin=Origin.BACKFILL))

    assert ["p2"] == [one.tag for one in old]
    assert line.poll(2, slow=1.0)["sum"] == (2.0, GOOD)


def test_a_table_that_stays_keeps_what_its_windows_saw_over_a_reload() -> None:
    line = Line(computed("energy", "difference(p2, 1min)"))
    for i in range(60):
        line.poll(i, p2=i)
        again = recipe(line.device)
        assert again is not None
        line.shaper.change([line.device.table], [again])

    assert line.poll(60, p2=60)["energy"] == (59.0, GOOD)


def test_a_formula_that_changed_is_computed_anew() -> None:
    line = Line(computed("x", "p2 + 1"))
    line.poll(0, p2=1)
    line.device = device(computed("x", "p2 + 2"))
    changed = recipe(line.device)
    assert changed is not None
    line.shaper.change([line.device.table], [changed])

    assert line.poll(1, p2=1)["x"] == (3.0, GOOD)


def test_other_formulas_see_a_value_as_it_is_published() -> None:
    line = Line(computed("whole", "p2 / 4", Type.INT16), computed("twice", "whole * 2"))

    assert line.poll(0, p2=5)["twice"] == (2.0, GOOD)


def test_a_device_without_formulas_has_no_recipe() -> None:
    assert recipe(replace(device(), computed=None)) is None
