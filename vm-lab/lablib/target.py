# SPDX-License-Identifier: Apache-2.0
"""The shared disk: a tgt of our own on a loopback port, with one LUN on a sparse file.

tgt implements SCSI-3 persistent reservations; QEMU's own disk emulation does not. Each node logs in with its
own initiator name through QEMU's iscsi driver, so each is an I_T nexus of its own.
"""

import os
import socket
from dataclasses import dataclass
from pathlib import Path

from . import host, proc
from .errors import LabError

IQN = "iqn.2026-11.lab.mxfs"


@dataclass
class Target:
    folder: Path   # backing file, log, pid file
    sockets: Path  # short path for unix sockets
    port: int = 0
    sector_size: int = 512
    disks: int = 1  # LUNs 1, 2, ..., each on a file of its own

    @property
    def pid_file(self) -> Path:
        return self.folder / "tgtd.pid"

    @property
    def backing(self) -> Path:
        return self.folder / "shared.img"

    @property
    def name(self) -> str:
        return f"{IQN}:shared"

    def _environment(self) -> dict[str, str]:
        # Without this every tgtd of the machine would want /var/run/tgtd, which is root's.
        return {"TGT_IPC_SOCKET": str(self.sockets / "tgt")}

    def _admin(self, *arguments: str):
        return host.call([host.tool("tgtadm"), "-C", "0", "--lld", "iscsi", *arguments], f"tgtadm {' '.join(arguments)}",
                         env={**os.environ, **self._environment()})

    def _backing(self, lun: int) -> Path:
        return self.backing if lun == 1 else self.folder / f"shared{lun}.img"

    def start(self, size: int, guarded: bool) -> None:
        self.folder.mkdir(parents=True, exist_ok=True)
        for lun in range(1, self.disks + 1):
            with open(self._backing(lun), "wb") as file:
                file.truncate(size)
        log = self.folder / "tgtd.log"
        for attempt in range(5):
            with socket.socket() as probe:
                probe.bind(("127.0.0.1", 0))
                self.port = probe.getsockname()[1]
            proc.spawn([host.tool("tgtd"), "-f", "-C", "0", "--iscsi", f"portal=127.0.0.1:{self.port}"], self.pid_file,
                       log, guarded, self._environment())
            if self._answers(log):
                break
            # Somebody else took the port between our asking and tgtd's binding; anything else is an error.
            if attempt == 4 or "Address already in use" not in log.read_text(errors="replace"):
                raise LabError(f"tgtd ended at once: {log.read_text(errors='replace').strip()[-600:]}", f"see {log}")
        self._admin("--mode", "target", "--op", "new", "--tid", "1", "--targetname", self.name)
        for lun in range(1, self.disks + 1):
            self._admin("--mode", "logicalunit", "--op", "new", "--tid", "1", "--lun", str(lun), "--backing-store",
                        str(self._backing(lun)), "--blocksize", str(self.sector_size))
            # lbppbe=0: physical blocks as large as logical ones (tgt's default says 4096, and mkfs.xfs follows).
            suffix = "" if lun == 1 else f"-{lun}"
            self._admin("--mode", "logicalunit", "--op", "update", "--tid", "1", "--lun", str(lun), "--params", "lbppbe=0,"
                        "vendor_id=MXFS,product_id=LABDISK,product_rev=1,"
                        f"scsi_sn=lab{self.port:05d}{suffix},scsi_id=mxfs-lab-{self.port:05d}{suffix},thin_provisioning=1")
        self._admin("--mode", "target", "--op", "bind", "--tid", "1", "--initiator-address", "127.0.0.1")

    def _answers(self, log: Path) -> bool:
        def answers():
            if not proc.alive(self.pid_file):
                return "ended"
            try:
                self._admin("--mode", "sys", "--op", "show")
                return "up"
            except LabError:
                return None
        return proc.wait_until(answers, 20, f"tgtd to answer (log: {log})") == "up"

    def show(self) -> str:
        return self._admin("--mode", "target", "--op", "show").stdout

    def stop(self) -> None:
        proc.end(self.pid_file)
        for lun in range(1, self.disks + 1):
            self._backing(lun).unlink(missing_ok=True)
