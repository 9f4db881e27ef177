"""`tidegate browse` of servers that others have written: trees, usable tables, bounds, and what is wrong."""

import csv
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from tests.drivers.opcua.peers import COUNTERS, THINGS, Peer, asyncua_server, node_opcua
from tidegate.cli.main import group

STARTS = f"nsu={THINGS};s=things"
MANY = 450
LIMITS = {"maxNodesPerBrowse": 7}


@pytest.fixture(scope="module", params=[asyncua_server, node_opcua])
def peer(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Peer]:
    with request.param(
        tmp_path_factory.mktemp("peer"), counters=MANY, operation_limits={"maxNodesPerBrowse": 7}
    ) as peer:
        yield peer


def browse(*arguments: str) -> Result:
    return CliRunner().invoke(group, ["browse", *arguments])


def entries(peer: Peer, *arguments: str) -> dict[str, dict[str, Any]]:
    lines = browse(peer.url, "--json", *arguments).stdout.splitlines()
    return {"/".join(entry["path"]): entry for entry in map(json.loads, lines)}


def test_a_tree_shows_each_node_below_its_parent_with_type_value_and_unit(peer: Peer) -> None:
    lines = browse(peer.url, STARTS).stdout.splitlines()
    boiler = next(number for number, line in enumerate(lines) if line.startswith("  boiler  object"))

    assert f".  object  {STARTS}" == lines[0]
    assert "    level  float64  = 50" in lines[boiler + 1]
    assert any("temperature  float64  = 21.5 °C [-40, 260]" in line for line in lines)
    assert any("mode  int32  = 1 (Running)" in line for line in lines)


def test_a_node_of_more_references_than_fit_an_answer_is_shown_whole(peer: Peer) -> None:
    found = entries(peer, f"nsu={COUNTERS};s=counters")

    assert 1 + MANY == len(found)
    assert f"nsu={COUNTERS};s=c00449" == found["c00449"]["address"]


def test_depth_and_nodes_bound_what_is_looked_at_and_a_note_says_so(peer: Peer) -> None:
    flat, few = browse(peer.url, "--depth", "1"), browse(peer.url, "--nodes", "3")

    assert "Things" in flat.stdout
    assert "temperature" not in flat.stdout
    assert 1 + 3 == len(few.stdout.splitlines())
    assert "more than 3 nodes" in few.stderr


def test_types_are_named_where_they_are_wanted(peer: Peer) -> None:
    found = entries(peer, STARTS, "--types")

    assert "BaseObjectType" == found["boiler"]["made_of"]
    assert {"BaseDataVariableType", "AnalogItemType"} >= {found["temperature"]["made_of"]}


def test_rows_are_a_tag_table_that_the_gateway_reads(peer: Peer, tmp_path: Path) -> None:
    told = browse(peer.url, STARTS, "--csv")
    rows = list(csv.DictReader(told.stdout.splitlines()))
    (tmp_path / "tags.csv").write_text(told.stdout)
    (tmp_path / "gateway.toml").write_text(
        f'[gateway]\nname = "g1"\nstate = "state"\n[tables.t]\nfile = "tags.csv"\n[[device]]\nname = "plc"\n'
        f'driver = "opcua"\ntable = "t"\naddress = "{peer.url}"\n[[target]]\nname = "local"\nurl = "mqtt://127.0.0.1:1883"\n'
    )
    checked = CliRunner().invoke(group, ["check", str(tmp_path / "gateway.toml")])
    warm = next(row for row in rows if row["name"] == "temperature")

    assert ("float64", "°C", "-40", "260", "read") == tuple(warm[c] for c in ("type", "unit", "low", "high", "access"))
    assert 0 == checked.exit_code, checked.output
    assert {"read"} == {row["access"] for row in rows}
    assert "denied" not in {row["name"] for row in rows if "node-opcua" in peer.wanted.pki}


def test_a_device_of_a_configuration_is_browsed_by_its_name(peer: Peer, tmp_path: Path) -> None:
    (tmp_path / "tags.csv").write_text("name,address,type\nwarm,s=temperature,float64\n")
    (tmp_path / "gateway.toml").write_text(
        f'[gateway]\nname = "g1"\nstate = "state"\n[tables.t]\nfile = "tags.csv"\n[[device]]\nname = "plc"\n'
        f'driver = "opcua"\ntable = "t"\naddress = "{peer.url}"\nnamespace = "{THINGS}"\n'
        f'[[target]]\nname = "local"\nurl = "mqtt://127.0.0.1:1883"\n'
    )
    config = str(tmp_path / "gateway.toml")

    assert "= 21.5" in browse(config, "plc", "s=temperature").stdout
    assert "there is no device 'pcl'" in browse(config, "pcl").output


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("opc.tcp://127.0.0.1:1",), "no session with opc.tcp://127.0.0.1:1"),
        (("tcp://127.0.0.1",), "can't be browsed; these can: opc.tcp://"),
        (("opc.tcp://127.0.0.1:1", "ns=2;s=x"), "write nsu= and its URI"),
        (("opc.tcp://127.0.0.1:1", "--depth", "x"), "--depth"),
    ],
)
def test_what_can_not_be_browsed_is_told_why(arguments: tuple[str, ...], words: str) -> None:
    told = browse(*arguments)

    assert 0 != told.exit_code
    assert words in told.output + str(told.exception)


def test_a_node_that_is_not_there_is_told_as_that(peer: Peer) -> None:
    told = browse(peer.url, "nsu=urn:nobody;s=x")

    assert "no namespace urn:nobody" in str(told.exception)
    assert "there is no" in str(browse(peer.url, f"nsu={THINGS};s=nothing").exception)
