"""A certificate that seems not valid yet to a gateway whose clock is not set is the fault of its clock."""

import asyncio
import datetime
import ssl
from pathlib import Path

import pytest
import trustme

from tests.fakes.buffer import MemoryBuffer
from tests.fakes.frames import table
from tests.fakes.mqtt_broker import until
from tidegate.clock import BUILT_US, Clock
from tidegate.publish.faults import CertificateTime, by_the_clock
from tidegate.publish.settings import TargetSettings
from tidegate.publish.standing import State
from tidegate.publish.target import Target

METER = table()
NEXT_YEAR = datetime.datetime.now(datetime.UTC) + datetime.timedelta(days=365)


def serving(folder: Path) -> tuple[Path, ssl.SSLContext]:
    """The authority's file and a server's context whose certificate begins next year."""
    authority = trustme.CA()
    authority.cert_pem.write_to_path(str(folder / "ca.pem"))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    made = authority.issue_cert("127.0.0.1", not_before=NEXT_YEAR, not_after=NEXT_YEAR + datetime.timedelta(days=30))
    made.configure_cert(context)
    return folder / "ca.pem", context


@pytest.mark.parametrize(("wall_us", "told"), [(0, "clock: it is not set"), (BUILT_US + 10**12, "TLS: certificate")])
def test_a_certificate_of_the_future_is_the_clocks_fault_when_that_is_not_set(
    tmp_path: Path, wall_us: int, told: str
) -> None:
    authority, context = serving(tmp_path)

    async def main() -> None:
        server = await asyncio.start_server(lambda *_: None, "127.0.0.1", 0, ssl=context)
        port = server.sockets[0].getsockname()[1]
        settings = TargetSettings("cloud", f"mqtts://127.0.0.1:{port}", ca=authority, back_off_s_min=0.05)
        clock = Clock(lambda: wall_us, lambda: 0)
        buffer = MemoryBuffer.of(METER, 5)
        target = Target(settings, "g1", buffer, clock, lambda: (1, 0), "0.1", "")  # type: ignore[arg-type]
        task = asyncio.create_task(target.run())
        await until(lambda: target.status().state == State.WAITING and bool(target.status().why))
        status = target.status()
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        server.close()

        assert told in status.why
        assert status.backlog == 5

    asyncio.run(main())


def test_another_fault_is_never_the_clocks() -> None:
    fault = CertificateTime("it expired")

    assert by_the_clock(fault, Clock(lambda: BUILT_US, lambda: 0)) is fault


@pytest.mark.parametrize("begins", ["unset", "wrong"])
def test_a_target_that_waits_for_the_time_is_back_at_once_when_it_is_known(tmp_path: Path, begins: str) -> None:
    authority, context = serving(tmp_path)
    wall_us = [0 if begins == "unset" else BUILT_US + 10**12]

    async def main() -> None:
        attempts = 0

        def attempted(sock: ssl.SSLObject, name: str | None, context: ssl.SSLContext) -> None:
            nonlocal attempts
            attempts += 1

        context.sni_callback = attempted
        server = await asyncio.start_server(lambda *_: None, "127.0.0.1", 0, ssl=context)
        port = server.sockets[0].getsockname()[1]
        # Left to its pauses alone, it would come back in ten minutes at the earliest.
        settings = TargetSettings("cloud", f"mqtts://127.0.0.1:{port}", ca=authority, back_off_s_min=1200.0)
        target = Target(
            settings, "g1", MemoryBuffer.of(METER, 5), Clock(lambda: wall_us[0], lambda: 0), lambda: (1, 0), "0.1", ""
        )  # type: ignore[arg-type]
        task = asyncio.create_task(target.run())
        await until(lambda: target.status().state == State.WAITING and bool(target.status().why))
        before, pause_s = attempts, target.status().next_try_s or 0.0
        wall_us[0] = BUILT_US + 2 * 10**12
        await until(lambda: attempts > before)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        server.close()

        assert pause_s > 500

    asyncio.run(main())
