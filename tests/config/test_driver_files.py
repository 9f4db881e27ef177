"""Options that name files are paths from the folder of the configuration, wherever the command was given."""

from typing import Any

from tests.fakes.certificates import certificates

ROW = "name,table,address,tls_ca\npress1,press,tls://10.0.0.1,plant/ca.pem\n"


def test_a_certificate_is_looked_for_from_the_folder_of_the_configuration(place: Any) -> None:
    place.write("plant/ca.pem", certificates().authority.read_bytes())
    place.write("devices.csv", ROW)
    (device,) = place.load().devices

    assert str(place.folder / "plant" / "ca.pem") == device.options["tls_ca"]


def test_one_that_is_not_there_is_a_problem_of_its_cell(place: Any) -> None:
    place.write("devices.csv", ROW)
    (missing, _) = sorted(place.found(), key=lambda problem: not problem.fatal)

    assert (2, "tls_ca", True) == (missing.row, missing.column, missing.fatal)
    assert str(place.folder / "plant" / "ca.pem") in missing.what
