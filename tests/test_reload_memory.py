"""What a reload leaves behind of the configuration before it goes with the next one."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from demo.broker import Mosquitto
from tests.test_gateway import CONFIG
from tests.test_reload import Service, connected

TAGS = 3_000
RELOADS = 8
# Far less than one configuration of so many tags takes.
GROWTH_BYTES_MAX = 1_500_000


@pytest.fixture
def service(tmp_path: Path, broker: Mosquitto) -> Iterator[Service]:
    rows = [f"t{tag},counter,uint32,0,,,slow" for tag in range(TAGS)]
    (tmp_path / "machine.csv").write_text("\n".join(["name,address,type,from,to,period,group", *rows]) + "\n")
    text = CONFIG.format(url=broker.url).replace("[groups.fast]", '[groups.slow]\ninterval = "10s"\n\n[groups.fast]')
    service = Service(tmp_path, text)
    yield service
    service.close()


def test_reloads_do_not_add_up(service: Service) -> None:
    service.wait(connected)
    taken = []
    for reload in range(RELOADS):
        service.reload(service.text.replace("sim://hall1", f"sim://hall{reload % 2 + 2}"))
        taken.append(service.health()["memory_bytes"])

    assert min(taken[-2:]) - max(taken[1:3]) <= GROWTH_BYTES_MAX
