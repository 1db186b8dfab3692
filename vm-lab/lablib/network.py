# SPDX-License-Identifier: Apache-2.0
"""The nodes' private network: a vde_switch over unix sockets. It floods multicast like a plain Ethernet hub."""

from dataclasses import dataclass
from pathlib import Path

from . import host, proc
from .errors import LabError


@dataclass
class Switch:
    folder: Path
    sockets: Path

    @property
    def pid_file(self) -> Path:
        return self.folder / "vde.pid"

    @property
    def plug(self) -> Path:
        return self.sockets / "vde"

    def start(self, ports: int, guarded: bool) -> None:
        log = self.folder / "vde.log"
        proc.spawn([host.tool("vde_switch"), "-s", str(self.plug), "-n", str(ports)], self.pid_file, log, guarded,
                   endless_input=True)
        proc.wait_until(lambda: (self.plug / "ctl").exists(), 10, "vde_switch to listen",
                        gone=lambda: None if proc.alive(self.pid_file) else log.read_text(errors="replace")[-400:])

    def stop(self) -> None:
        proc.end(self.pid_file)


def user_forward_port(usernet: str) -> int:
    """The host port that the kernel chose for a forward (HMP 'info usernet')."""
    for line in usernet.splitlines():
        words = line.split()
        if words and words[0] == "TCP[HOST_FORWARD]":
            return int(words[3])
    raise LabError(f"QEMU shows no forward to ssh:\n{usernet}")
