"""What runs between machines and brokers, changed while the disk refuses: nothing stands still for it."""

import asyncio
from collections.abc import Sequence
from pathlib import Path

from tests.test_gateway import CONFIG, TABLE
from tidegate.acquire.registry import drivers
from tidegate.buffer.buffer import Buffer
from tidegate.clock import Clock
from tidegate.config.load import load
from tidegate.errors import BufferFault
from tidegate.stages import Stages

NOBODY = "mqtt://127.0.0.1:9"


class Refusing(Buffer):
    """A buffer whose disk keeps nothing about who is served."""

    async def serve(self, targets: Sequence[str]) -> None:
        await super().serve(targets)
        raise BufferFault("cursors failed: database or disk is full")


def test_a_reload_on_a_full_disk_leaves_no_target_behind(tmp_path: Path) -> None:
    (tmp_path / "machine.csv").write_text(TABLE)
    path = tmp_path / "gateway.toml"

    def configured(more: str) -> None:
        path.write_text(CONFIG.format(url=NOBODY) + more)

    async def main() -> None:
        configured("")
        config, clock = load(path, {}), Clock()
        buffer = Refusing.open(config.buffer, clock, ["cloud"])
        await buffer.start()
        stages = Stages(config, drivers(), clock, "1", buffer)
        stages.start()
        try:
            configured('window = 4\n\n[[target]]\nname = "second"\nurl = "mqtt://127.0.0.1:9"\n')
            await stages.change(load(path, {}))

            assert ["cloud", "second"] == [target.name for target in stages.targets]
            assert {"target cloud", "target second"} < {task.get_name() for task in stages.tasks()}
        finally:
            await stages.end()
            await buffer.close()

    asyncio.run(main())
