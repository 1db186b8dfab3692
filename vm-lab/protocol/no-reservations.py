# SPDX-License-Identifier: Apache-2.0
"""A device without persistent reservations (a loop device) is mounted for this node alone, which the log says; the volume works and
stays plain XFS."""

LIMIT = 90
MARKERS = ["SELFTEST: device without reservations ok"]
EXPECTED = []
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
