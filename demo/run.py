"""The demo: starts plant, broker, gateway and subscriber as processes, shows what the subscriber proves, and ends it.

    python -m demo.run --seconds 40 --outage 10 --broker amqtt

Without --seconds it runs until Ctrl-C. The exit code is 0 only when the subscriber proved that it missed nothing.
"""

import argparse
import os
import shutil
import signal
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from rich.console import Console

from demo.broker import Amqtt, BrokerFailed, BrokerMissing, Mosquitto, choose
from demo.child import ROOT, Child, ChildFailed, start_plant, tidegate, wait_for
from demo.view import Scene, View, plain
from demo.watch import Watch

TICK_S = 0.25
FIRST_READINGS_DEADLINE_S = 30.0
OUTAGE_AFTER_S = 8.0
# After an outage the gateway comes back at its own time (back-off with jitter), and hands over what it kept.
DRAIN_DEADLINE_S = 75.0
STOP_DEADLINE_S = 20.0
PROOF_DEADLINE_S = 20.0
# After Ctrl-C: holes are asked for after 5 s of grace.
SETTLE_DEADLINE_S = 20.0
REPORT_S = 1.5
# A reply that the plant gave while the gateway was being stopped belongs to no commit.
LAST_MOMENT_S = 2.0
INTERRUPTED = 130


class Demo:
    """One run of the demo, in a folder that is removed with it."""

    def __init__(self, folder: Path, broker: Mosquitto | Amqtt) -> None:
        self.broker = broker
        self._folder = folder
        self._children: list[Child] = []

    def start(self) -> None:
        """Start everything, from the machines to the subscriber. Raises BrokerFailed or ChildFailed."""
        folder, broker = self._folder, self.broker
        broker.start()
        self.plant, ports = start_plant(folder)
        self._children.append(self.plant)
        environment = {
            **os.environ,
            "TIDEGATE_DEMO_STATE": str(folder / "state"),
            "TIDEGATE_DEMO_BROKER": broker.url,
            "TIDEGATE_DEMO_MQTT": broker.mqtt,
            "TIDEGATE_DEMO_PLANT": f"127.0.0.1:{ports[0]}",
        }
        configuration = ROOT / "demo" / "gateway.toml"
        report, log = folder / "report.jsonl", folder / "received.jsonl"
        tail = ("tail", broker.url, "--gateway", "demo", "--target", "view", "--mqtt", broker.mqtt,
                "--json", "--log", str(log))  # fmt: skip
        self.subscriber = Child("subscriber", tidegate(*tail), folder, out=report)
        self._children.append(self.subscriber)
        self.gateway = Child("gateway", tidegate("run", str(configuration)), folder, environment)
        self._children.append(self.gateway)
        self.watch = Watch(report, log, folder / "truth.log", folder / "state")

    def expect_all(self) -> None:
        """Raise ChildFailed when a process ended that should run."""
        for child in self._children:
            child.expect()

    def end(self) -> list[tuple[bool, str]]:
        """Let the subscriber fill its holes, stop in order, and return the verdict line by line."""
        # Once the gateway is gone, nobody answers who asks for what is missing.
        self._wait_for(lambda: self.watch.settled, SETTLE_DEADLINE_S)
        stopped_us = time.time_ns() // 1000
        code = self.gateway.stop(STOP_DEADLINE_S)
        # One more of its reports, so that the last numbers are in it.
        time.sleep(REPORT_S)
        self._wait_for(lambda: self.watch.report.complete, PROOF_DEADLINE_S)
        self.subscriber.send(signal.SIGINT)
        proven = self.subscriber.wait(STOP_DEADLINE_S)
        self.plant.stop()
        self.watch.look()
        report = self.watch.report
        answered = self.watch.answered()
        lost = {poll for poll, at in answered.items() if poll not in self.watch.counted}
        late = {poll for poll in lost if answered[poll] > stopped_us - LAST_MOMENT_S * 1e6}
        delivered = len(answered) - len(lost)
        return [
            (report.readings > 0 and report.missing == 0 and report.complete and proven == 0,
             f"{report.readings:,} readings received and proven complete: {report.missing} missing, "
             f"{report.asked} asked for again, {report.duplicates} duplicates, {report.gaps} gaps told"),
            (delivered > 0 and not lost - late,
             f"the plant's own log agrees: of {len(answered)} replies of the press {delivered} arrived, "
             f"{f'{len(late)} fell into the moment of stopping, ' if late else ''}{len(lost - late)} are lost"),
            (code == 0, f"the gateway stopped cleanly (exit {code})"),
        ]  # fmt: skip

    def _wait_for(self, until: Callable[[], bool], deadline_s: float) -> None:
        """Look until it is so; past the deadline the verdict will say what is missing."""
        end = time.monotonic() + deadline_s
        self.watch.look()
        while not until() and time.monotonic() < end:
            time.sleep(TICK_S)
            self.watch.look()

    def close(self) -> None:
        """End whatever still runs."""
        for child in reversed(self._children):
            child.kill()
        self.broker.kill()


class Interruption:
    """Ctrl-C, SIGTERM and a closed terminal: remembered once; the second time it ends at once."""

    def __init__(self) -> None:
        self.came = False
        for name in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            signal.signal(name, self._take)

    def _take(self, number: int, _frame: object) -> None:
        if self.came:
            sys.exit(128 + number)
        self.came = True


def show(demo: Demo, console: Console, interruption: Interruption, seconds: float | None, outage_s: float) -> bool:
    """The picture, until the time is up and all has drained, or Ctrl-C; False when that came while the broker was away.

    Raises ChildFailed when a process dies, or the backlog does not drain in time.
    """
    watch, begin = demo.watch, time.monotonic()
    wait_for("the first readings", lambda: interruption.came or _has_readings(watch), FIRST_READINGS_DEADLINE_S,
             demo.gateway, demo.subscriber)  # fmt: skip
    first_s = time.monotonic() - begin
    away_at_s = first_s + (OUTAGE_AFTER_S if seconds is None else max(3.0, (seconds - outage_s) * 0.25))
    back_at_s = away_at_s + outage_s
    with View(console) as view:
        while not interruption.came:
            at_s = time.monotonic() - begin
            demo.expect_all()
            watch.look()
            away = bool(outage_s) and away_at_s <= at_s < back_at_s
            if away and demo.broker.running:
                demo.broker.stop()
            elif not away and not demo.broker.running:
                demo.broker.start()
            now = _now(watch, away, bool(outage_s) and at_s >= back_at_s, max(0.0, back_at_s - at_s))
            view.draw(Scene(at_s, now, demo.broker.name, demo.broker.running), watch)
            if seconds is not None and at_s >= max(seconds, back_at_s):
                if watch.settled:
                    break
                if at_s >= max(seconds, back_at_s) + DRAIN_DEADLINE_S:
                    raise ChildFailed(f"the backlog did not drain: {plain(Scene(at_s, now, '', True), watch)}")
            time.sleep(TICK_S)
    return demo.broker.running


def _has_readings(watch: Watch) -> bool:
    watch.look()
    return watch.report.readings > 0


def _now(watch: Watch, away: bool, was_away: bool, left_s: float) -> str:
    if away:
        return "The broker is stopped: readings go on into the buffer."
    if was_away and watch.target[0] != "connected":
        return "The broker is back; the gateway tries again at its own pace."
    if was_away and not watch.settled:
        return "Connected again: live data first, the backlog drains, and the subscriber asks for what it missed."
    if was_away:
        return "Drained: nothing is missing. Ctrl-C ends it."
    return "Readings flow. Ctrl-C ends it."


def main() -> None:
    """The command: see the module's text."""
    parser = argparse.ArgumentParser(prog="python -m demo.run", description="Tidegate, from a machine to a subscriber.")
    parser.add_argument("--seconds", type=float, help="end by itself after so long; otherwise Ctrl-C ends it")
    parser.add_argument("--outage", type=float, default=0.0, help="stop the broker for so many seconds in the middle")
    parser.add_argument("--broker", default="", help="mosquitto or amqtt; mosquitto when it is installed")
    given = parser.parse_args()
    console = Console()
    interruption = Interruption()
    folder = Path(tempfile.mkdtemp(prefix="tidegate-demo-"))
    demo: Demo | None = None
    code = 1
    try:
        broker = choose(folder / "broker", given.broker)
        demo = Demo(folder, broker)
        demo.start()
        console.print(f"Simulated plant (Modbus TCP), {broker.name} (MQTT {broker.mqtt}), gateway, and a subscriber of "
                      "its own: four processes", highlight=False, soft_wrap=True)  # fmt: skip
        if show(demo, console, interruption, given.seconds, given.outage):
            console.print("The subscriber checks the last numbers, and the gateway stops.", highlight=False)
            verdict = demo.end()
            for holds, words in verdict:
                console.print(f"  {'ok  ' if holds else 'FAIL'}  {words}", highlight=False, soft_wrap=True)
            code = 0 if all(holds for holds, _ in verdict) else 1
        else:
            console.print("Ended during the outage: nothing was proven.", highlight=False, soft_wrap=True)
            code = INTERRUPTED
    except (BrokerMissing, BrokerFailed, ChildFailed) as failure:
        console.print(f"  FAIL  {failure}", highlight=False, markup=False, soft_wrap=True)
    finally:
        if demo is not None:
            demo.close()
        failed = code not in (0, INTERRUPTED) and demo is not None
        if not failed:
            shutil.rmtree(folder, ignore_errors=True)
    if failed:
        console.print(f"What the processes wrote is in {folder}", highlight=False, soft_wrap=True)
    sys.exit(code)


if __name__ == "__main__":
    main()
