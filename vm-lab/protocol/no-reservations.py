# SPDX-License-Identifier: Apache-2.0
"""A device without persistent reservations (a loop device) is mounted for this node alone, which the log says; the volume works and
stays plain XFS. A second volume beside it has a daemon of its own, and neither minds the other."""

from lablib.protocol import FIND_DAEMON

LIMIT = 120
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
