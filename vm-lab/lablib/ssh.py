# SPDX-License-Identifier: Apache-2.0
"""ssh into a node over one kept connection, so that a command costs milliseconds and not a key exchange."""

import os
from dataclasses import dataclass
from pathlib import Path

from . import host, proc
from .errors import NodeUnreachable
from .image import Image


@dataclass
class Connection:
    folder: Path   # pid file, log
    sockets: Path  # control socket
    name: str
    port: int
    image: Image

    @property
    def pid_file(self) -> Path:
        return self.folder / "ssh.pid"

    @property
    def control(self) -> Path:
        return self.sockets / f"{self.name}.ssh"

    def _options(self, master: bool) -> list[str]:
        known = self.folder / "known_hosts"
        if not known.exists():
            known.write_text(f"mxfs-lab ssh-ed25519 {self.image.host_key}\n")
        settings = {"UserKnownHostsFile": known, "GlobalKnownHostsFile": "/dev/null", "HostKeyAlias": "mxfs-lab",
                    "StrictHostKeyChecking": "yes", "CheckHostIP": "no", "IdentityFile": self.image.key,
                    "IdentitiesOnly": "yes", "BatchMode": "yes", "LogLevel": "ERROR", "ConnectTimeout": round(20 * self.image.slowness),
                    # The cheapest key exchange: post-quantum ones take seconds on an emulated processor.
                    "KexAlgorithms": "curve25519-sha256", "Compression": "no",
                    "ControlPath": self.control, "ControlMaster": "yes" if master else "no"}
        return ["-F", "/dev/null", "-p", str(self.port), *[f"-o{name}={value}" for name, value in settings.items()]]

    def open(self, guarded: bool, gone) -> None:
        """Starts the kept connection; it ends by itself when the node does."""
        self.close()
        self.control.unlink(missing_ok=True)
        log = self.folder / "ssh.log"
        proc.spawn([host.tool("ssh"), *self._options(True), "-N", "root@127.0.0.1"], self.pid_file, log, guarded)
        # The control socket is made after authentication: when it is there, commands work.
        proc.wait_until(self.control.exists, 60 * self.image.slowness, f"ssh to {self.name}",
                        gone=lambda: gone() or (None if proc.alive(self.pid_file)
                                                else f"ssh ended: {log.read_text(errors='replace')[-400:]}"))

    def close(self) -> None:
        proc.end(self.pid_file)

    def argv(self, command: str | None, tty: bool = False) -> list[str]:
        """The ssh command line; `command` is one line for the node's shell, None asks for a login shell."""
        line = [host.tool("ssh"), *self._options(False), *(["-t"] if tty else []), "root@127.0.0.1"]
        return line if command is None else [*line, "--", command]

    def unreachable(self, why: str) -> NodeUnreachable:
        return NodeUnreachable(f"{self.name} cannot be reached by ssh (127.0.0.1:{self.port}): {why}",
                               f"'lab status', 'lab console {self.name}', or {self.folder / 'console.log'}")


def environment() -> dict[str, str]:
    """No agent, no foreign configuration: the lab's key is the only one in play."""
    return {name: value for name, value in os.environ.items() if name not in ("SSH_AUTH_SOCK", "SSH_ASKPASS")}
