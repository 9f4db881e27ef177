"""Every variable of node-opcua's conformance address space is read, as asyncua reads the same bytes."""

import asyncio
import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from asyncua import Client, ua
from asyncua.ua.ua_binary import struct_from_binary

from tests.drivers.opcua.peers import node_opcua
from tidegate.model.frame import unpack_value
from tidegate.model.status import BAD_NO_DATA
from tidegate.model.tag import Type
from tidegate_drivers.opcua.asking import Asking
from tidegate_drivers.opcua.definitions import learn_nodes
from tidegate_drivers.opcua.standard import standard_types
from tidegate_drivers.opcua.structures import Types
from tidegate_drivers.opcua.values import Part, reading
from tidegate_drivers.opcua.wire import Identifier, Sample

# A whole address space, read by two readers.
pytestmark = pytest.mark.timeout(300)

OBJECTS = Identifier(0, 85)
HIERARCHICAL, VALUE, NODE_CLASS, VARIABLE = 33, 13, 2, 2
VARIABLES_MIN = 1500


@dataclass(frozen=True, slots=True)
class Heard:
    """The variables, what was read of each, and what asyncua made of the same bytes."""

    nodes: Sequence[Identifier]
    data_types: Sequence[Identifier | None]
    samples: Sequence[Sample]
    second: Sequence[Any]
    types: Types


@pytest.fixture(scope="module")
def heard(tmp_path_factory: pytest.TempPathFactory) -> Heard:
    folder: Path = tmp_path_factory.mktemp("conformance")
    with node_opcua(folder, conformance=True) as peer:
        return asyncio.run(_hear(peer.url))


async def _hear(url: str) -> Heard:
    async with Client(url) as client:
        second: list[Any] = []
        keeping = False

        async def send(request: Any) -> Any:
            answer = await client.uaclient.protocol.send_request(request)
            if keeping:
                second.extend(struct_from_binary(ua.ReadResponse, answer.copy()).Results)
            return answer

        ask, types = Asking(send), standard_types(tuple(await client.get_namespace_array()))
        nodes = await _variables(ask)
        data_types = await learn_nodes(ask, types, nodes)
        keeping = True
        samples = await ask.read(nodes, VALUE)
        return Heard(nodes, data_types, samples, second, types)


async def _variables(ask: Asking) -> list[Identifier]:
    seen: set[Identifier] = set()
    wave = [OBJECTS]
    while wave:
        found = {one.node for ends in await ask.browse(wave, HIERARCHICAL) for one in ends} - seen
        seen |= found
        wave = sorted(found, key=str)
    nodes = sorted(seen, key=str)
    classes = await ask.read(nodes, NODE_CLASS)
    return [node for node, one in zip(nodes, classes, strict=True) if one.datum.content == VARIABLE]


def _kind(sample: Sample) -> Type:
    """The type of a tag that takes the value: a string where it is no number."""
    builtin = sample.datum.builtin
    if sample.datum.shape is None and builtin == ua.VariantType.StatusCode:
        return Type.UINT32
    return Type(builtin) if sample.datum.shape is None and 0 < builtin < Type.STRING else Type.STRING


def test_each_variable_has_a_value_or_the_status_that_the_server_gave(heard: Heard) -> None:
    odd = []
    for node, data_type, sample in zip(heard.nodes, heard.data_types, heard.samples, strict=True):
        names = heard.types.enumerations.get(data_type) if data_type else None
        _, status = reading(Part(_kind(sample)), sample, bytearray(), heard.types, names)
        if status not in (sample.status, BAD_NO_DATA) and sample.datum.builtin != ua.VariantType.Variant:
            odd.append((node, sample, hex(status)))

    assert len(heard.nodes) > VARIABLES_MIN
    assert [] == odd


def test_all_built_in_types_were_met_alone_and_in_arrays(heard: Heard) -> None:
    met = {(sample.datum.builtin, sample.datum.shape is not None) for sample in heard.samples}

    assert {(builtin, False) for builtin in range(1, 26)} - {(ua.VariantType.ExpandedNodeId, False)} <= met
    assert len({builtin for builtin, array in met if array}) >= 20


def test_numbers_and_texts_are_those_that_asyncua_reads_in_the_same_bytes(heard: Heard) -> None:
    for sample, second in zip(heard.samples, heard.second, strict=True):
        datum, variant = sample.datum, second.Value
        if not 0 < datum.builtin <= ua.VariantType.String:
            continue
        values = (ua.flatten(variant.Value) if datum.shape is not None else [variant.Value]) or ()
        mine = datum.content if datum.shape is not None else (datum.content,)

        assert (datum.builtin, sample.status) == (variant.VariantType, second.StatusCode.value)
        assert all(
            one == other or (math.isnan(one) and math.isnan(other)) for one, other in zip(mine, values, strict=True)
        )


def test_a_number_is_in_its_slot_as_it_was_on_the_wire(heard: Heard) -> None:
    for sample in heard.samples:
        kind = _kind(sample)
        if kind == Type.STRING or sample.status >= 0x80000000:
            continue
        found, status = reading(Part(kind), sample, bytearray(), heard.types)

        assert (sample.datum.content, sample.status) == (unpack_value(kind, found), status)


def test_all_structures_that_were_met_are_defined(heard: Heard) -> None:
    assert set() == heard.types.unknown
    assert heard.types.asked <= set(heard.types.encodings)
