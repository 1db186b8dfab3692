# SPDX-License-Identifier: Apache-2.0
"""Quotas belong to the volume: a node that was not told of them keeps them; limits hold on both nodes and are asked for on both. The module's own
folder is nobody's quota."""

from lablib.protocol import DEVICE, PLACE

LIMIT = 180
Q_XQUOTAON, Q_XQUOTAOFF, FS_QUOTA_UDQ_ENFD = 0x5801, 0x5802, 2  # linux/dqblk_xfs.h
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
    _home(stage, n1)
    _used_up(stage, n1)
    stage.marker("SELFTEST: quotas ok")


def _home(stage, node):
    """Which quotas are on is on the disk when the command ends, past XFS's log: who attaches after a crash asks the disk before that is replayed."""
    def on_disk():  # sb_qflags: XFS_UQUOTA_ACCT, _ENFD, _CHKD of fs/xfs/libxfs/xfs_log_format.h
        return int(node.run(f"dd if={DEVICE} bs=4096 count=1 iflag=direct status=none | od -An -tx1 -j176 -N2").out.replace(" ", ""), 16)
    stage.mkfs()
    stage.mount(node)
    stage.umount(node)
    stage.same(on_disk(), 0, "quotas that are on, on the disk, before any are")
    stage.mount(node, "uquota")
    stage.same(on_disk(), 7, "after a mount that switches them on")
    for command, want in ((Q_XQUOTAOFF, 5), (Q_XQUOTAON, 7), (Q_XQUOTAOFF, 5)):
        # xfs_quota(8) switches what it takes for XFS only.
        node.run(f"python3 -c 'import ctypes; assert not ctypes.CDLL(None).quotactl({command << 8}, b\"{DEVICE}\", 0, ctypes.byref(ctypes.c_uint({FS_QUOTA_UDQ_ENFD})))'")
        stage.same(on_disk(), want, f"after quotactl(2), command {command:#x}")
    stage.umount(node)


def _used_up(stage, node):
    """Below a root whose group and project have used up their quotas .mxfs is made all the same, and the limits hold afterwards."""
    quotas = "xfs_quota -x -c 'report -g -i -N' -c 'report -p -i -N'"
    for what, inherits, limits in (("a group", "chmod g+s .", "-g"), ("a project", "xfs_io -c 'chproj 7' -c 'chattr +P' .", "-p")):
        stage.mkfs()
        stage.plain.run(f"mount -t xfs -o gquota,pquota {DEVICE} {PLACE} && cd {PLACE} && chgrp 7 . && {inherits} && touch used && "
                        f"xfs_quota -x -c 'limit {limits} ihard=1 bhard=4k 7' {PLACE} && ! touch more 2>/dev/null && cd / && umount {PLACE}")
        flags = node.run(f"xfs_db -r -c 'sb 0' -c 'p qflags' {DEVICE}").out
        mark = stage.mark(node)
        stage.mount(node)
        stage.check(node.run(f"touch {PLACE}/more", check=False).rc == 1, f"{what}: its limit does not hold any more")
        stage.check("cannot be made" not in stage.kernel_log(node, mark), f"{what}: {stage.kernel_log(node, mark)}")
        stage.umount(node)
        stage.same(node.run(f"xfs_db -r -c 'sb 0' -c 'p qflags' {DEVICE}").out, flags, f"{what}: quotas that are on, on the disk")
        said = stage.plain.run(f"mount -t xfs -o gquota,pquota {DEVICE} {PLACE} && cd {PLACE} && stat -c '%n %g' .mxfs .mxfs/* && xfs_io -r -c lsproj .mxfs && "
                               f"{quotas} {PLACE}; cd / && umount {PLACE}").out
        # The word that a node is alone is 10 s old at most when the lock state is made: a debug kernel may need longer for an attach.
        for name in (".mxfs", ".mxfs/open", ".mxfs/orphans", ".mxfs/reserve", *(() if stage.slowness > 1 else (".mxfs/lockstate",))):
            stage.matches(rf"(?m)^{name} 0$", said, f"{what}: what was made, and its group")
        stage.matches("projid = 0", said, f"{what}: the project of .mxfs")
        stage.matches(r"(?m)^(lp|#7) +2 +0 +1 ", said, f"{what}: inodes of it")
        stage.repair()
