"""Whatever is done to a configuration, it loads, or every problem is told: nothing else comes out."""

import tempfile
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tidegate.config.load import load
from tidegate.errors import ConfigError

EXAMPLE = Path(__file__).parent.parent.parent / "docs" / "example"
FILES = sorted(path.name for path in EXAMPLE.iterdir())
BITS = st.sampled_from(
    [b"", b"\x00", b"\xff", b"\n", b",", b";", b'"', b"'", b"=", b"[", b"]", b"{", b"}", b"#", b"${", b"${env:",
     b"1e99", b"-", b"nan", b'"""', b"[[target]]\n", b"[gateway]\n", b"\xc4\xe3", b"\xef\xbb\xbf", b"1979-05-27",
     b"true", b"."]
)  # fmt: skip
CUTS = st.tuples(st.floats(0, 1), st.integers(0, 40), BITS)


def mangled(data: bytes, cuts: list[tuple[float, int, bytes]]) -> bytes:
    """Each cut takes some bytes out at a place, and puts others in."""
    for where, length, put in cuts:
        at = int(where * len(data))
        data = data[:at] + put + data[at + length :]
    return data


@pytest.mark.parametrize("name", FILES)
@settings(max_examples=80, deadline=None, suppress_health_check=list(HealthCheck))
@given(cuts=st.lists(CUTS, min_size=1, max_size=4))
def test_a_mangled_file_is_told_or_loads(name: str, cuts: list[tuple[float, int, bytes]]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        for path in EXAMPLE.iterdir():
            data = path.read_bytes()
            (Path(folder) / path.name).write_bytes(mangled(data, cuts) if path.name == name else data)
        told: tuple[object, ...] = ("loaded",)
        try:
            load(Path(folder) / "gateway.toml", {})
        except ConfigError as error:
            told = error.problems

        assert told
