# SPDX-License-Identifier: Apache-2.0
"""Crash takeover, which the product has off (docs/takeover.md), switched on for nodes of the lab."""

from .lockstate import Heartbeats
from .node import Node
from .protocol import DEVICE, Stage

LEASE_MS, BEAT_MS = 8000, 1000
SILENT_MS = LEASE_MS + LEASE_MS // 4 + 2 * BEAT_MS  # docs/takeover.md: a lease, a quarter of one, two beats
MOUNT = f"lease_ms={LEASE_MS}"
OPTIONS = "/usr/lib/mxfs/options"


def switch_on(node: Node, how: str = "reset") -> None:
    """For mounts from now on. By a reset: the nodes' disk is QEMU's, so what a dead QEMU had sent has ended with it, and one that is paused sends nothing."""
    node.run(f"test -e {OPTIONS}.kept || {{ touch {OPTIONS} && cp {OPTIONS} {OPTIONS}.kept; }}; cp {OPTIONS}.kept {OPTIONS} && "
             f"printf '%s\\n' -Dmxfs.beats={BEAT_MS} -Dmxfs.takeover={how} >>{OPTIONS}")


def switch_off(nodes: list[Node]) -> None:
    """Of those that run: else what failed would not be told."""
    for node in nodes:
        if node.state == "running":
            node.run(f"test ! -e {OPTIONS}.kept || mv -f {OPTIONS}.kept {OPTIONS}", check=False)


def both_beat(stage: Stage, device: str = DEVICE) -> None:
    """Who has no heartbeat slot is not known to be silent, ever."""
    disk = Heartbeats(stage.n1, device)
    stage.until(lambda: disk.hosts() == [stage.n1.name, stage.n2.name], 90, "the heartbeats of both nodes")
