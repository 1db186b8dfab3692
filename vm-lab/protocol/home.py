# SPDX-License-Identifier: Apache-2.0
"""A metadata block that the disk does not take, while its log can be written: XFS tries for ever. What has to be written home has an end all the
same: after a bound, and at once on a node that was fenced; and what was not written is not said to be. The disk here fails on purpose."""

import re

from lablib.protocol import DEVICE, PLACE, PROGRAMS

LIMIT = 240
MARKERS = ["SELFTEST: a first attach ends ok", "SELFTEST: quotas end ok", "SELFTEST: a suspended device keeps no quota command ok"]
# A disk that fails on purpose; XFS that is shut down.
EXPECTED = [r"I/O error, dev (dm-\d+|sda)", r"Buffer I/O error on dev", r"XFS \(dm-\d+\): "]

Q_XQUOTAON, Q_XQUOTAOFF, UDQ_ENFD = 0x5801, 0x5802, 2  # linux/dqblk_xfs.h
SECONDS = "/sys/module/mxfs/parameters/home_seconds"
WRITES_HOME = "xfs_ail_push_all_sync"  # fs/xfs/xfs_trans_ail.c, on the way of a freeze
BOUND = 5


def run(stage):
    node = stage.n1
    before = node.run(f"cat {SECONDS}").out.strip()
    with stage.solo(node) as daemon:
        device = node.run(f"modprobe dm-mod; modprobe dm-flakey; {PROGRAMS}/dm linear bad {DEVICE}").out.strip()
        try:
            for fenced in (False, True):
                node.run(f"echo {before if fenced else BOUND} >{SECONDS}")
                _first_attach(stage, node, daemon, device, fenced)
            stage.marker(MARKERS[0])
            for fenced in (False, True):
                node.run(f"echo {before if fenced else BOUND} >{SECONDS}")
                _quotas(stage, node, daemon, device, fenced)
            stage.marker(MARKERS[1])
            _suspended(stage, node, daemon, device)
            stage.marker(MARKERS[2])
        finally:
            node.run(f"{PROGRAMS}/dm resume bad; {PROGRAMS}/dm heal bad {DEVICE}; umount {PLACE}; {PROGRAMS}/dm remove bad; echo {before} >{SECONDS}", check=False)


def _refuse(node, device, inode):
    """Writes of this inode's chunk fail: 64 inodes of 512 bytes (fs/xfs/libxfs/xfs_format.h)."""
    first = int(node.run(f"xfs_db -r -c 'convert ino {inode - inode % 64} daddr' {device}").out.split("(")[1].split(")")[0])
    node.run(f"{PROGRAMS}/dm refuse bad {DEVICE} {first} 64")


def _ends(stage, node, program, fenced, what):
    """It hangs until it has a reason not to."""
    stage.until(lambda: WRITES_HOME in node.run("cat /proc/[0-9]*/stack", check=False).out, 30, f"{what}: a write home that does not end")
    if fenced:
        node.run("kill -USR2 $(pidof mxfsd_solo)")
    return program.finish(20 if fenced else 60)


def _first_attach(stage, node, daemon, device, fenced):
    """What the first attach makes is to be found by those who replay no log."""
    what = f"a first mount, {'fenced' if fenced else 'with a bound'}"
    node.run(f"{PROGRAMS}/dm heal bad {DEVICE}; mkfs.xfs -q -f {device}")
    _refuse(node, device, int(node.run(f"xfs_db -r -c 'sb 0' -c 'p rootino' {device}").out.split()[-1]))
    daemon("--alone --lockstate --fenced")
    mark = stage.mark(node)
    # The daemon of this test does not give up by itself.
    ready = f"ready_ms={min(20000 * stage.slowness, 60000):.0f}"
    mount = stage.start(node, f"{stage.mount_command(ready)} {device} {PLACE}")
    done = _ends(stage, node, mount, fenced, what)
    stage.check(done.rc != 0, f"{what}: mounted, and what it made is in the log only")
    log = stage.kernel_log(node, mark)
    stage.same(bool(re.search(r"mxfs.*could not write its log home within 5 s", log)), not fenced, f"{what}: word of the bound: {log[-2000:]}")
    stage.same(stage.leftovers(node), [], f"{what}: on the node")
    # XFS below is gone: the device can be had, and what its log has is there.
    node.run(f"{PROGRAMS}/dm heal bad {DEVICE}; mount -t xfs {device} {PLACE} && umount {PLACE} && xfs_repair -n {device}", timeout=120)


def _quotas(stage, node, daemon, device, fenced):
    """Which quotas are on is read without the log."""
    what = f"quotactl(2), {'fenced' if fenced else 'with a bound'}"
    node.run(f"mkfs.xfs -q -f {device}")
    daemon("--alone --lockstate --fenced")
    stage.mount(node, "uquota", device=device)
    node.run(f"touch {PLACE}/file && sync")
    _refuse(node, device, int(node.run(f"stat -c %i {PLACE}/file").out))
    node.run(f"chmod 600 {PLACE}/file")
    off = stage.start(node, f"exec {_quotactl(device, Q_XQUOTAOFF)}")
    done = _ends(stage, node, off, fenced, what)
    stage.matches("^errno 5$", done.out, f"{what}, of which nothing is on the disk")
    done = node.run(f"touch {PLACE}/more", check=False)
    stage.check(done.rc == 1 and "Input/output error" in done.err, f"{what}: a create behind it: status {done.rc}, {done.err}")
    stage.ends(node, f"umount {PLACE}", 40, f"umount after {what}")
    node.run(f"{PROGRAMS}/dm heal bad {DEVICE}; mount -t xfs -o uquota {device} {PLACE}; stat -c %a {PLACE}/file; umount {PLACE}; xfs_repair -n {device}", timeout=120)


def _quotactl(device, command):
    return (f"python3 -c 'import ctypes; c = ctypes.CDLL(None, use_errno=True); "
            f"print(\"errno\", c.quotactl({command << 8}, b\"{device}\", 0, ctypes.byref(ctypes.c_uint({UDQ_ENFD}))) and ctypes.get_errno())'")


def _suspended(stage, node, daemon, device):
    """XFS below waits for the end of a freeze, and quotactl(2) keeps the mount meanwhile, which umount and sync(2) wait for."""
    node.run(f"mkfs.xfs -q -f {device}")
    daemon("")
    stage.mount(node, "uquota", device=device)
    node.run(f"{PROGRAMS}/dm suspend bad")
    for command in ("limit -u bhard=1m user1", "timer -u 3d"):
        done = stage.ends(node, f"xfs_quota -f -x -c '{command}' {PLACE} 2>&1", 20, f"xfs_quota '{command}' on a device that is suspended")
        stage.matches("busy", done.out, f"xfs_quota '{command}' on a device that is suspended")
    stage.matches("^errno 16$", stage.ends(node, _quotactl(device, Q_XQUOTAOFF), 20, "quotactl(2) on a device that is suspended").out, "Q_XQUOTAOFF")
    node.run(f"{PROGRAMS}/dm resume bad && xfs_quota -f -x -c 'limit -u bhard=1m user1' {PLACE}")
    stage.umount(node)
