"""The shelf: which profiles are there, and the files of each. It understands none of them."""

from importlib import resources
from importlib.resources.abc import Traversable

from tidegate.profiles.profile import PROFILE_FILE

PACKAGE = "tidegate_profiles"
FILE_BYTES_MAX = 1024 * 1024
# In `vendor/model@1.14`: what is behind it chooses a set of registers.
CHOICE = "@"


class Shelf:
    """Device profiles: each is a folder `vendor/model` of one folder, that of the shipped ones unless told."""

    def __init__(self, folder: Traversable | None = None) -> None:
        self._folder = folder if folder is not None else resources.files(PACKAGE).joinpath("devices")

    def names(self) -> list[str]:
        """The names of the profiles, sorted: `eastron/sdm630`."""
        if not self._folder.is_dir():
            return []
        vendors = [vendor for vendor in self._folder.iterdir() if vendor.is_dir()]
        return sorted(
            f"{vendor.name}/{model.name}"
            for vendor in vendors
            for model in vendor.iterdir()
            if model.is_dir() and model.joinpath(PROFILE_FILE).is_file()
        )

    def read(self, name: str, file: str) -> bytes | None:
        """The bytes of a file of the profile `name`; None when there is none of at most FILE_BYTES_MAX."""
        found = self._folder.joinpath(*name.split("/"), file)
        if not found.is_file():
            return None
        data = found.read_bytes()
        return data if len(data) <= FILE_BYTES_MAX else None


def split(name: str) -> tuple[str, str]:
    """`vendor/model@1.14` as name and choice; the choice may be empty."""
    name, _, choice = name.partition(CHOICE)
    return name.strip(), choice.strip()
