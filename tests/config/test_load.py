"""A configuration becomes what the stages are made of, exactly as it was written."""

from pathlib import Path
from typing import Any

import openpyxl
import pytest

from tidegate.clock import Source
from tidegate.errors import Problem
from tidegate.model.device import Group
from tidegate.model.tag import Scale, Type


def test_a_small_configuration_needs_no_more_than_a_page(place: Any) -> None:
    config = place.load()
    device = config.devices[0]

    assert config.warnings == ()
    assert config.gateway == "g1"
    assert config.state == config.buffer.folder == place.folder / "state"
    assert (device.name, device.driver, device.address, device.unit) == ("press1", "modbus", "tcp://10.0.0.1:502", 1)
    assert device.groups == (Group("press1", "default", 1.0, 1.0, (0, 1)),)
    assert [tag.name for tag in device.table.tags] == ["pressure", "strokes"]
    assert config.targets[0].url == "mqtt://127.0.0.1:1883"


def test_every_column_of_a_tag_table_arrives(place: Any) -> None:
    place.change("[devices]", '[groups.fast]\ninterval = "100ms"\n[devices]')
    place.write(
        "press.csv",
        "Name,ADDRESS,type,scale,offset,unit,group,deadband,heartbeat,low,high,label,identifier,access,description,order\n"
        '油压 1,40001,int32,0.1,-5,bar,fast,1%,60s,0,400,重要,88.100.1/p,write,"A, B",CDAB\n',
    )
    config = place.load()
    tag = config.devices[0].table.tags[0]

    assert (tag.name, tag.address, tag.raw, tag.type, tag.row) == ("油压 1", "40001", Type.INT32, Type.FLOAT64, 2)
    assert (tag.scale, tag.range, tag.deadband, tag.heartbeat_s) == (Scale(1, 10, -5.0), (0.0, 400.0), 4.0, 60.0)
    assert (tag.unit, tag.group, tag.label, tag.access) == ("bar", "fast", "important", "write")
    assert (tag.identifier, tag.description) == ("88.100.1/p", "A, B")
    assert dict(tag.options) == {"base": "modicon", "order": "CDAB"}
    assert config.devices[0].groups == (Group("press1", "fast", 0.1, 1.0, (0,)),)


@pytest.mark.parametrize(
    ("scale", "offset", "expected"),
    [("", "", Type.UINT64), ("1", "0", Type.UINT64), ("2/2", "", Type.UINT64), ("0.1", "", Type.FLOAT64),
     ("", "1", Type.FLOAT64)],
)  # fmt: skip
def test_a_value_is_published_as_it_is_read_unless_it_is_scaled(
    place: Any, scale: str, offset: str, expected: Type
) -> None:
    place.write("press.csv", f"name,address,type,scale,offset\nn,40001,uint64,{scale},{offset}\n")

    assert place.load().devices[0].table.tags[0].type == expected


def test_an_empty_deadband_reports_every_reading_and_zero_every_change(place: Any) -> None:
    place.write("press.csv", "name,address,type,deadband\na,40001,int16,\nb,40002,int16,0\n")

    assert [tag.deadband for tag in place.load().devices[0].table.tags] == [None, 0.0]


def test_a_default_of_a_table_holds_where_a_row_is_empty(place: Any) -> None:
    place.change('base = "modicon"', 'base = "modicon"\norder = "CDAB"\nunit = "bar"\nheartbeat = "5s"\ndeadband = 0.5')
    place.write("press.csv", "name,address,type,unit,order\na,40001,int32,,\nb,40003,int32,mm,ABCD\n")
    first, second = place.load().devices[0].table.tags

    assert (first.unit, first.option("order"), first.deadband, first.heartbeat_s) == ("bar", "CDAB", 0.5, 5.0)
    assert (second.unit, second.option("order"), second.deadband, second.heartbeat_s) == ("mm", "ABCD", 0.5, 5.0)


def test_a_deadband_for_a_whole_table_reports_every_change_of_what_has_no_distance(place: Any) -> None:
    place.change('base = "modicon"', 'base = "modicon"\ndeadband = "1%"\nheartbeat = "1min"\nscale = 0.1')
    place.write("press.csv", "name,address,type,low,high\na,40001,int16,0,100\nb,10001,bool,,\n")
    config = place.load()
    number, switch = config.devices[0].table.tags

    assert config.warnings == ()
    assert (number.deadband, number.scale) == (1.0, Scale(1, 10))
    assert (switch.deadband, switch.scale, switch.type) == (0.0, Scale(), Type.BOOL)


def test_a_deadband_in_per_cent_for_a_whole_table_is_told_at_the_row_that_has_no_range(place: Any) -> None:
    place.change('base = "modicon"', 'base = "modicon"\ndeadband = "1%"')
    place.write("press.csv", "name,address,type,low,high\na,40001,int16,0,100\nb,40002,int16,,\n")

    assert len(place.problems()) == 1
    assert "press.csv:3 [deadband] b: '1%' is a part of a range" in place.problems()[0]


def test_sixty_machines_are_sixty_rows_that_share_their_tags(place: Any) -> None:
    rows = [f"press{n},press,tcp://10.0.0.{n}:502,1" for n in range(1, 61)]
    place.write("devices.csv", "\n".join(["name,table,address,unit", *rows]))
    devices = place.load().devices

    assert len(devices) == 60
    assert len({id(device.table.tags) for device in devices}) == 1
    assert len({device.table.hash for device in devices}) == 60


def test_a_label_is_the_tags_else_the_devices_else_the_gateways(place: Any) -> None:
    place.change('state = "state"', 'state = "state"\nlabel = "public"')
    place.write("devices.csv", "name,table,address,label\na,press,tcp://10.0.0.1,core\nb,press,tcp://10.0.0.2,\n")
    place.write("press.csv", "name,address,type,label\nx,40001,int16,\ny,40002,int16,重要\n")
    labels = [[tag.label for tag in device.table.tags] for device in place.load().devices]

    assert labels == [["core", "important"], ["public", "important"]]


def test_options_of_a_device_win_over_its_profile_and_that_over_the_drivers(place: Any) -> None:
    place.change("[devices]", '[drivers.modbus]\nregisters_max = 100\ntimeout = "3s"\n[devices]')
    place.write(
        "devices.csv",
        "name,table,address,registers_max\n"
        "a,eastron/sdm630,tcp://10.0.0.1,20\nb,eastron/sdm630,tcp://10.0.0.2,\nc,press,tcp://10.0.0.3,\n",
    )
    options = [dict(device.options) for device in place.load().devices]

    assert [option["registers_max"] for option in options] == ["20", "60", "100"]
    assert {option["timeout"] for option in options} == {"3s"}


def test_devices_can_stand_in_the_file_itself(place: Any) -> None:
    place.change('[devices]\nfile = "devices.csv"\n', "")
    toml = '[[device]]\nname = "电表1"\ntable = "eastron/sdm630"\naddress = "tcp://[::1]"\nunit = 7\ntimeout = "2s"\n'
    place.write("gateway.toml", (place.path).read_text().replace("[tables.press]\n", f"{toml}[tables.press]\n"))
    device = place.load().devices[0]

    assert (device.name, device.unit, device.options["timeout"], device.row) == ("电表1", 7, "2s", 4)


def test_placeholders_are_filled_in_from_the_environment_in_every_text(place: Any) -> None:
    place.env.update(NAME="g9", HOST="10.9.9.9", STATE="/somewhere")
    place.change('"g1"', '"${env:NAME}"')
    place.change('"state"', '"${env:STATE}/tidegate"')
    place.change("10.0.0.1", "${env:HOST}", "devices.csv")
    config = place.load()

    assert (config.gateway, config.state) == ("g9", Path("/somewhere/tidegate"))
    assert config.devices[0].address == "tcp://10.9.9.9:502"


def test_tables_in_a_workbook_and_in_gb18030_load_like_any_other(place: Any) -> None:
    book = openpyxl.Workbook()
    sheet = book.create_sheet("Tags")
    for row in (("name", "address", "type", "scale"), ("油压", 40001, "int16", 0.1)):
        sheet.append(row)
    book.save(place.folder / "press.xlsx")
    place.change('file = "press.csv"', 'file = "press.xlsx"\nsheet = "Tags"')
    place.write("devices.csv", "name;table;address;area\n压机1;press;tcp://10.0.0.1;一号车间\n".encode("gb18030"))
    device = place.load().devices[0]
    tag = device.table.tags[0]

    assert (device.name, device.area) == ("压机1", "一号车间")
    assert (tag.name, tag.address, tag.scale) == ("油压", "40001", Scale(1, 10))


def test_where_semicolons_separate_a_comma_is_a_decimal_point(place: Any) -> None:
    place.write("press.csv", "name;address;type;scale;deadband;low;high\na;40001;int16;0,1;0,5;-1,5;2\n")
    tag = place.load().devices[0].table.tags[0]

    assert (tag.scale, tag.deadband, tag.range) == (Scale(1, 10), 0.5, (-1.5, 2.0))


@pytest.mark.parametrize(
    ("text", "expected"),
    [("", 1.0), ('policy = "strict"', 0.1), ('policy = "flash-saver"', 5.0), ('commit_interval = "250ms"', 0.25)],
    ids=["normal", "strict", "flash-saver", "own"],
)
def test_the_policy_says_how_long_a_commit_may_wait(place: Any, text: str, expected: float) -> None:
    place.change("[devices]", f"[buffer]\n{text}\n[devices]")

    assert expected == place.load().buffer.commit_interval_s


def test_sizes_of_the_buffer_arrive(place: Any) -> None:
    sizes = 'quota = "100MB"\nsegment = "1MiB"\nsegment_age = "1h"\ncommit_readings = 10'
    place.change("[devices]", f"[buffer]\n{sizes}\n[devices]")
    buffer = place.load().buffer

    assert (buffer.quota_bytes, buffer.segment_bytes) == (100_000_000, 1 << 20)
    assert (buffer.segment_age_s, buffer.commit_readings) == (3600.0, 10)


@pytest.mark.parametrize("name", ["gateway.toml", "devices.csv", "press.csv"])
def test_the_fingerprint_changes_with_every_file(place: Any, name: str) -> None:
    before = place.load().fingerprint
    place.write(name, (place.folder / name).read_bytes() + b"\n")
    after = place.load().fingerprint

    assert len(before) == 16
    assert before != after


def test_the_fingerprint_does_not_change_with_the_folder(place: Any, tmp_path_factory: Any) -> None:
    other = type(place)(tmp_path_factory.mktemp("other"))

    assert place.load().fingerprint == other.load().fingerprint


def test_a_text_with_a_bom_and_windows_line_ends_loads(place: Any) -> None:
    place.write("gateway.toml", b"\xef\xbb\xbf" + place.path.read_bytes().replace(b"\n", b"\r\n"))

    assert place.load().gateway == "g1"


class Grumbler:
    """A driver that finds fault with everything: see acquire.driver."""

    @classmethod
    def check(cls, devices: list[Any]) -> list[Problem]:
        of_devices = [Problem("", d.name, "bad host", "Mend it", d.row, "address") for d in devices]
        of_options = [Problem("", d.name, "bad speed", "Mend it", d.row, "speed") for d in devices]
        rows = {(tag.name, tag.row) for device in devices for tag in device.table.tags}
        of_tags = [Problem("", name, "bad order", "Mend it", row, "order") for name, row in sorted(rows)]
        return [*of_devices, *of_options, *of_tags]


def test_what_a_driver_finds_is_put_where_the_text_stands(place: Any) -> None:
    place.change("[devices]", '[tables.two]\nfile = "two.csv"\norder = 9\n[drivers.modbus]\nspeed = 3\n[devices]')
    place.write("two.csv", "name,address,type,order\na,1,int16,\nb,2,int16,1\n")
    place.write("devices.csv", "name,table,address,speed\nx,press,1,\ny,two,2,4\n")
    found = {(Path(p.file).name, p.row, p.column, p.key, p.what) for p in place.found({"modbus": Grumbler}) if p.fatal}

    assert found == {
        ("devices.csv", 2, "address", "x", "bad host"),
        ("devices.csv", 3, "address", "y", "bad host"),
        ("devices.csv", 3, "speed", "y", "bad speed"),
        ("gateway.toml", 11, None, "drivers.modbus.speed", "bad speed"),
        ("gateway.toml", 9, None, "tables.two.order", "bad order"),
        ("two.csv", 3, "order", "b", "bad order"),
        ("press.csv", 2, "order", "pressure", "bad order"),
        ("press.csv", 3, "order", "strokes", "bad order"),
    }


class Faulty:
    """A driver whose check itself fails."""

    @classmethod
    def check(cls, devices: list[Any]) -> list[Problem]:
        raise ZeroDivisionError("oops")


def test_a_driver_that_breaks_down_is_told_and_does_not_stop_the_check(place: Any) -> None:
    place.change('name = "local"', 'name = "l/l"')
    found = [p.what for p in place.found({"modbus": Faulty})]

    assert len(found) == 2
    assert any("ZeroDivisionError: oops" in what for what in found)


def test_the_clock_is_trusted_by_the_kernels_word_unless_another_source_is_declared(place: Any) -> None:
    usual = place.load().clock
    place.change("[devices]", '[clock]\nsource = "system"\n[devices]')

    assert (usual, place.load().clock) == (Source.AUTO, Source.SYSTEM)
