"""A command finds the state folder by itself or by the configuration, whatever else is wrong with that."""

from pathlib import Path

import pytest

from tidegate.config.place import state_folder
from tidegate.errors import ConfigError


def test_a_folder_is_the_state_folder(tmp_path: Path) -> None:
    assert state_folder(tmp_path) == tmp_path


def test_a_configuration_names_it_even_when_its_tables_are_wrong(tmp_path: Path) -> None:
    path = tmp_path / "g.toml"
    path.write_text('[gateway]\nstate = "${env:WHERE}/state"\n[tables.x]\nfile = "none.csv"\n')

    assert state_folder(path, {"WHERE": "here"}) == tmp_path / "here/state"


@pytest.mark.parametrize(
    "text",
    ["", "[gateway]\n", "gateway = 1\n", "[gateway]\nstate = 1\n", '[gateway]\nstate = "${env:NO}"\n', "[", "\xff"],
)
def test_a_file_that_names_none_is_refused_with_what_would(tmp_path: Path, text: str) -> None:
    path = tmp_path / "g.toml"
    path.write_bytes(text.encode("latin-1"))
    with pytest.raises(ConfigError) as refused:
        state_folder(path, {})

    assert len(refused.value.problems) == 1


def test_a_path_where_nothing_is_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="does not exist"):
        state_folder(tmp_path / "none", {})
