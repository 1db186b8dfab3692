# SPDX-License-Identifier: Apache-2.0
"""A device without persistent reservations (a loop device) is mounted for this node alone, which the log says; the volume works and
stays plain XFS. A second volume beside it has a daemon of its own, and neither minds the other. A volume on a partition of such a device is
announced by the id that the node has anywhere, by a daemon that was started anew, too: mxfs 0.2.0 hears no other."""

import struct
import uuid

from lablib.protocol import FIND_DAEMON

LIMIT = 180
MARKERS = ["SELFTEST: device without reservations ok"]
EXPECTED = []
OWN_BOOT = True
WORK = "/run/alone"


def run(stage):
    node = stage.n1
    node.run(f"mkdir -p {WORK} && mount -t tmpfs -o size=500m tmpfs {WORK} && truncate -s 400m {WORK}/image && mkfs.xfs -q {WORK}/image")
    device = node.run(f"losetup -f --show {WORK}/image").out.strip()
    try:
        mark = stage.mark(node)
        stage.mount(node, device=device)
        stage.matches("no SCSI-3 persistent reservations.*this node alone", stage.kernel_log(node, mark), "the kernel log")
        stage.same(stage.status(node)["clustered"], "0", "status: clustered")
        node.run("cd /mnt/shared && head -c 3000000 /dev/urandom >f && mkdir d && cp f d/g && mv d/g d/h && cmp f d/h && "
                 "sha256sum f | sed 's,f$,/mnt/shared/d/h,' >/run/alone.sum && sync")
        _second_volume(stage, node)
        stage.umount(node)
        stage.mount(node, device=device)
        node.run("sha256sum -c /run/alone.sum")
        stage.umount(node)
        node.run(f"xfs_repair -n {device} 2>&1")
        node.run(f"mount -t xfs {device} /mnt/shared && sha256sum -c /run/alone.sum")
        stage.umount(node)
        node.run("losetup -D")
        _on_a_partition(stage, node)
    finally:
        node.run(f"umount /mnt/shared; losetup -D; umount {WORK}", check=False)
    stage.marker("SELFTEST: device without reservations ok")


def _second_volume(stage, node):
    """Another volume on the same node, by another port: two daemons, fully independent."""
    stage.mkfs()
    node.run("mkdir -p /mnt/second")
    stage.mount(node, "port=7610", place="/mnt/second")
    try:
        stage.same(len(node.run(FIND_DAEMON).out.split()), 2, "daemons of two volumes")
        node.run("cp /mnt/shared/f /mnt/second/f && cmp /mnt/shared/f /mnt/second/f && test ! -e /mnt/second/d")
    finally:
        stage.umount(node, place="/mnt/second")
    stage.same(len(node.run(FIND_DAEMON).out.split()), 1, "daemons when one volume was unmounted")
    node.run("cmp /mnt/shared/f /mnt/shared/d/h")


def _on_a_partition(stage, node):
    announced = _announced(stage, stage.n2)
    who = uuid.UUID(node.run("cat /etc/mxfs/node.uuid").out.strip())
    plain = _node_id(who.bytes)
    number = 2 if plain & 0xff == 1 else 1  # another than what the id ends with
    table = bytearray(512)
    struct.pack_into("<BxxxBxxxII", table, 446 + 16 * (number - 1), 0, 0x83, 2048, (400 << 11) - 2048)
    table[510:] = b"\x55\xaa"
    file = stage.lab.folder / "one-partition"
    file.write_bytes(table)
    node.push(file, f"{WORK}/table")
    file.unlink()
    node.run(f"rm {WORK}/image && truncate -s 400m {WORK}/image && dd if={WORK}/table of={WORK}/image conv=notrunc status=none")
    device = node.run(f"losetup -P -f --show {WORK}/image").out.strip() + f"p{number}"
    stage.until(lambda: node.run(f"test -b {device}", check=False).rc == 0, 20, f"{device} to be there")
    node.run(f"mkfs.xfs -q {device}")
    volume = uuid.UUID(node.run(f"blkid -p -s UUID -o value {device}").out.strip())

    def heard(what: str) -> None:
        """The next announcement of the volume that was not heard before."""
        while True:
            packet = bytes.fromhex(announced.line(30))
            if packet[8:40] == who.bytes + volume.bytes:
                break
        key = struct.unpack_from("<Q", packet, 40)[0]
        stage.same(f"{key:016x}", f"{plain:08x}00000000", f"the key that is announced by {what}")

    mark = stage.mark(node)
    stage.mount(node, device=device)
    stage.matches("no SCSI-3 persistent reservations.*this node alone", stage.kernel_log(node, mark), "the kernel log")
    stage.same(stage.status(node)["clustered"], "0", "status: clustered")
    heard("who has a partition")
    node.run("echo kept >/mnt/shared/f")
    pid, mark = stage.daemon_pid(node), stage.mark(node)
    node.run(f"kill -9 {pid}")
    stage.until(lambda: "a new daemon" in stage.kernel_log(node, mark), 60, "a new daemon")
    announced.close()
    announced = _announced(stage, stage.n2)
    heard("its next daemon")
    stage.same(node.run("cat /mnt/shared/f && echo more >>/mnt/shared/f && cat /mnt/shared/f").out, "kept\nkept\nmore\n", "what is on it")
    stage.umount(node)
    announced.close()
    node.run(f"xfs_repair -n {device} 2>&1")


def _announced(stage, node):
    """What is announced to the default group, each packet as a line in hexadecimal."""
    listen = ("use Socket; $g = inet_aton(\"239.66.83.1\"); open(I, \"/sys/class/net/lan0/ifindex\") or die; "
              "socket(S, PF_INET, SOCK_DGRAM, 0) or die; setsockopt(S, SOL_SOCKET, SO_REUSEADDR, 1) or die; "
              "bind(S, sockaddr_in(7601, $g)) or die; "
              "setsockopt(S, 0, 35, $g . pack(\"x4i\", <I>)) or die; "  # IP_ADD_MEMBERSHIP, struct ip_mreqn
              "$| = 1; print \"ready\\n\"; while (defined(recv(S, $p, 2000, 0))) { print unpack(\"H*\", $p), \"\\n\"; }")
    program = stage.start(node, f"perl -e '{listen}'")
    stage.same(program.line(20), "ready", "the listener")
    return program


def _node_id(node: bytes) -> int:
    """FNV-1a-32, as docs/daemon.md says."""
    value = 0x811c9dc5
    for byte in node:
        value = ((value ^ byte) * 0x01000193) & 0xffffffff
    return value or 0x811c9dc5
