"""Who is served: the targets of a running buffer, when the configuration changes. Runs in the writer thread."""

from collections.abc import Sequence

from tidegate.buffer.state import State, faults


def serve(state: State, targets: Sequence[str]) -> None:
    """From now on these are the targets. One that was never seen is owed what is committed from now on."""
    with faults("cursors"):
        state.cursors.targets = tuple(targets)
        for target in targets:
            if not state.cursors.has(target, state.epoch):
                state.cursors.begin(target, state.epoch, state.last + 1)
        with state.transaction():
            pass
