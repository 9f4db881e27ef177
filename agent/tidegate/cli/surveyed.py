"""What `tidegate scan` and `tidegate sniff` share: lines or JSON, one a thing that is told, and an end by Ctrl-C."""

import asyncio
import dataclasses
import json
import signal
from collections.abc import Callable, Coroutine
from typing import Any

import click

from tidegate.logs import visible

STOPS = (signal.SIGINT, signal.SIGTERM)


def printer(as_json: bool) -> Callable[[object], None]:
    """Prints one thing: its text with what might steer a terminal escaped, or its fields as one line of JSON."""

    def show(told: object) -> None:
        if as_json:
            assert dataclasses.is_dataclass(told)
            assert not isinstance(told, type)
            fields = {"told": type(told).__name__.lower(), **dataclasses.asdict(told)}
            click.echo(json.dumps(fields, ensure_ascii=False, default=_plain))
        else:
            for line in str(told).splitlines():
                click.echo(visible(line))

    return show


def _plain(value: object) -> str:
    if isinstance(value, bytes):
        return value.hex()
    raise TypeError(f"{type(value).__name__} has no JSON")


def until_stopped(work: Coroutine[Any, Any, None]) -> bool:
    """Run it to its end, or until SIGINT or SIGTERM; whether it came to its end."""

    async def main() -> bool:
        loop = asyncio.get_running_loop()
        task = asyncio.ensure_future(work)
        for stop in STOPS:
            loop.add_signal_handler(stop, task.cancel)
        try:
            await task
        except asyncio.CancelledError:
            return False
        finally:
            for stop in STOPS:
                loop.remove_signal_handler(stop)
        return True

    return asyncio.run(main())
