# SPDX-License-Identifier: Apache-2.0
"""Quotas belong to the volume: a node that was not told of them keeps them; limits hold on both nodes and are asked for on both."""

from lablib.protocol import PLACE

LIMIT = 120
MARKERS = ["SELFTEST: quotas ok"]
EXPECTED = []


def run(stage):
    n1, n2 = stage.n1, stage.n2
    stage.mkfs()
    stage.mount(n1, "usrquota,prjquota")
    stage.matches("[ ,]usrquota,prjquota[ ,]", n1.run("grep ' mxfs ' /proc/mounts").out, "/proc/mounts")
    n1.run(f"chmod 1777 {PLACE} && xfs_quota -f -x -c 'limit -u bhard=1m user1' {PLACE}")
    stage.mount(n2)
    for turn in range(2):
        for node in (n1, n2):
            done = node.run(f"su user1 -s /bin/sh -c 'dd if=/dev/zero of={PLACE}/full{turn} bs=64k count=32 status=none'", check=False)
            stage.matches("quota", done.err, f"{node.name}: 2 MiB of a user who may have 1")
            node.run(f"rm {PLACE}/full{turn}")
            stage.matches(r"(?m)^user1 +\d+ +0 +1024 ", node.run(f"xfs_quota -f -x -c 'report -u' {PLACE}").out, f"{node.name}: the report")
    stage.matches("[ ,]usrquota,prjquota[ ,]", n2.run("grep ' mxfs ' /proc/mounts").out, "/proc/mounts of the other node")
    stage.umount(n1)
    stage.umount(n2)
    # Off again: said by one, true for both.
    stage.mount(n1)
    stage.matches("[ ,]usrquota[ ,]", n1.run(f"ls {PLACE} >/dev/null; grep ' mxfs ' /proc/mounts").out, "/proc/mounts, where nothing was said")
    stage.mount(n2, "noquota")
    n2.run(f"touch {PLACE}/off")
    n1.run(f"ls {PLACE} >/dev/null")
    for node in (n1, n2):
        line = node.run("grep ' mxfs ' /proc/mounts").out
        stage.check("quota" not in line.replace("noquota", ""), f"{node.name}: quotas are off, but shown: {line}")
        stage.umount(node)
    stage.repair()
    stage.marker("SELFTEST: quotas ok")
