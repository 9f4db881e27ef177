"""`tidegate run CONFIG`: the agent, in the foreground, until SIGTERM or SIGINT."""

import asyncio
import gc
import logging
import os
import signal
import sys
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path

import click

from tidegate import logs, loop, twins
from tidegate.acquire.registry import broken, drivers
from tidegate.clock import Clock
from tidegate.config.apart import load_apart
from tidegate.config.loaded import Config
from tidegate.gateway import Gateway
from tidegate.notify import Notifier

log = logging.getLogger("tidegate")


@click.command()
@click.argument("config", type=click.Path(path_type=Path, readable=False))
@click.option("--log-level", type=click.Choice(logs.LEVELS), default="info", show_default=True, help="How much to log.")
@click.option("--log-format", type=click.Choice(logs.FORMATS), default="text", show_default=True, help="One line each.")
def command(config: Path, log_level: str, log_format: str) -> None:
    """Run the gateway that CONFIG (a TOML file) describes, until SIGTERM or Ctrl-C.

    SIGHUP has it read CONFIG again and change what differs.
    """
    logs.set_up(sys.stderr, log_level, log_format, os.environ)
    loaded = load_apart(config, os.environ)
    number = version("tidegate")
    # Looks into the drivers, so that their twins are chosen, too.
    problems = (*broken(), *loaded.warnings)
    chosen = twins.running()
    pure = [name for name, twin in chosen.items() if twin == "pure"]
    which = f"pure: {', '.join(pure)}" if pure else f"{len(chosen)} compiled twins"
    log.info("tidegate %s, %s, %s", number, which, loop.name())
    for problem in problems:
        log.warning("%s", problem)

    def again() -> Config:
        _settle()
        return load_apart(config, os.environ)

    with asyncio.Runner(loop_factory=loop.new) as runner:
        runner.run(_run(loaded, number, again))


def _settle() -> None:
    """What is loaded by now stays: to look through it again and again would hold up every device for tens of ms.

    What the reload before left behind goes: nobody else would look for it.
    """
    gc.unfreeze()
    gc.collect()
    gc.freeze()


async def _run(config: Config, number: str, again: Callable[[], Config]) -> None:
    _settle()
    stop = asyncio.Event()
    running = asyncio.get_running_loop()
    for name in (signal.SIGTERM, signal.SIGINT):
        running.add_signal_handler(name, stop.set)
    gateway = Gateway(config, drivers(), Clock(source=config.clock), number, Notifier(os.environ), again)
    running.add_signal_handler(signal.SIGHUP, gateway.reload)
    await gateway.run(stop)
