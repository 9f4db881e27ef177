"""A folder of profiles that a test writes, with one meter of two firmwares in it."""

from collections.abc import Callable
from pathlib import Path

import pytest

PROFILE = """vendor = "Acme"
model = "M1"
description = "A meter"
evidence = "single source"

[[sources]]
id = "manual"
document = "Acme M1, manual"
place = "p. 7"

[[set]]
name = "old"
firmware = "<1.14"
registers = "old.csv"
vectors = "old-vectors.csv"

[[set]]
name = "new"
firmware = ">=1.14"

[[identity]]
ask = "registers"
at = "holding 0x0010"
type = "string"
length = 8
is = "M1*"
firmware = { at = "holding 0x0014", type = "dotted", length = 2 }

[bus]
unit = 7
even_only = true

[table]
registers = "input"
order = "ABCD"

[device]
registers_max = 10
"""
NEW = "name,address,type,scale,unit,source\nU,0x0000,float32,,V,manual\nE,0x0020,uint32,0.1,kWh,manual\n"
OLD = "name,address,type,scale,unit,source\nU,0x0002,float32,,V,manual\nE,0x0020,uint32,0.01,kWh,manual\n"
NEW_VECTORS = "tag,at,words,raw,value\nU,input 0x0000,4366 4000,230.25,230.25\nE,input 0x0020,0001 2345,74565,7456.5\n"
OLD_VECTORS = "tag,at,words,raw,value\nU,input 0x0002,4366 4000,230.25,230.25\nE,input 0x0020,0001 2345,74565,745.65\n"

Folder = Callable[..., Path]


@pytest.fixture
def folder(tmp_path: Path) -> Folder:
    """Writes the meter's profile, with some of its files otherwise, and gives the folder of the vendors."""

    def write(profile: str = PROFILE, **files: str) -> Path:
        place = tmp_path / "acme" / "m1"
        place.mkdir(parents=True, exist_ok=True)
        usual = {"registers": NEW, "old": OLD, "vectors": NEW_VECTORS, "old-vectors": OLD_VECTORS}
        for name, text in {**usual, **{name.replace("_", "-"): text for name, text in files.items()}}.items():
            (place / f"{name}.csv").write_text(text)
        (place / "profile.toml").write_text(profile)
        return tmp_path

    return write
