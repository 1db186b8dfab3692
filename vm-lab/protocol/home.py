# SPDX-License-Identifier: Apache-2.0
"""A metadata block that the disk does not take, while its log can be written: XFS tries for ever. What has to be written home has an end all the
same: after a bound, begun at once on a node that was fenced, and where the mount is given up; and what was not written is not said to be. The disk here
fails on purpose."""

import re
import time

from lablib.protocol import DEVICE, LONGEST_READY_MS, PLACE, PROGRAMS

LIMIT = 300
MARKERS = ["SELFTEST: a first attach ends ok", "SELFTEST: quotas end ok", "SELFTEST: a suspended device keeps no quota command ok"]
# A disk that fails on purpose; XFS that is shut down.
EXPECTED = [r"I/O error, dev (dm-\d+|sda)", r"Buffer I/O error on dev", r"XFS \(dm-\d+\): (metadata I/O error|Block device removal)"]
OWN_BOOT = True  # plain XFS on the nodes

Q_XQUOTAOFF, Q_XGETQSTAT, UDQ_ENFD = 0x5802, 0x5805, 2  # linux/dqblk_xfs.h
SECONDS = "/sys/module/mxfs/parameters/home_seconds"
WRITES_HOME = "xfs_ail_push_all_sync"  # fs/xfs/xfs_trans_ail.c, on the way of a freeze
BOUND = 10


def run(stage):
    node = stage.n1
    before = node.run(f"cat {SECONDS}").out.strip()
    with stage.solo(node) as daemon:
        device = node.run(f"modprobe dm-mod; modprobe dm-flakey; {PROGRAMS}/dm linear bad {DEVICE}").out.strip()
        try:
            for part, marker in ((_first_attach, MARKERS[0]), (_quotas, MARKERS[1])):
                for fenced in (False, True):
                    node.run(f"echo {before} >{SECONDS}")
                    part(stage, node, daemon, device, fenced)
                if part is _first_attach:
                    node.run(f"echo {before} >{SECONDS}")
                    _given_up(stage, node, daemon, device)
                stage.marker(marker)
            _suspended(stage, node, daemon, device)
            stage.marker(MARKERS[2])
        finally:
            node.run(f"{PROGRAMS}/dm resume bad; {PROGRAMS}/dm heal bad {DEVICE}; umount {PLACE}; {PROGRAMS}/dm remove bad; echo {before} >{SECONDS}", check=False)


def _refuse(node, device, inode):
    """Writes of this inode's chunk fail: 64 inodes of 512 bytes (fs/xfs/libxfs/xfs_format.h)."""
    first = int(node.run(f"xfs_db -r -c 'convert ino {inode - inode % 64} daddr' {device}").out.split("(")[1].split(")")[0])
    node.run(f"{PROGRAMS}/dm refuse bad {DEVICE} {first} 64")


def _hangs(stage, node, command, what):
    """It writes home, and that does not end."""
    program = stage.start(node, command)
    stage.until(lambda: WRITES_HOME in node.run("cat /proc/[0-9]*/stack", check=False).out, 30, f"{what}: a write home that does not end")
    return program


def _ends(stage, node, command, fenced, what, then=None):
    """It hangs until it has a reason not to, and the log says which one; `then`: what ends the program itself after the bound."""
    mark = stage.mark(node)
    bound = round(BOUND * stage.slowness)
    told = f"mxfs.*could not write its log home within {bound} s"
    if not fenced:
        node.run(f"echo {bound} >{SECONDS}")
    began = time.monotonic()
    program = _hangs(stage, node, command, what)
    if fenced:
        began = time.monotonic()
        node.run("kill -USR2 $(pidof mxfsd_solo)")
    else:
        stage.until(lambda: re.search(told, stage.kernel_log(node, mark)), 4 * BOUND, f"{what}: a line like '{told}' in the log")
        took = time.monotonic() - began
        stage.check(took > bound / 2, f"{what}: over after {took:.1f} s, with a bound of {bound} s")
        if then:
            then()
    done = program.finish(20)
    stage.note(f"{what}: over after {time.monotonic() - began:.1f} s")
    stage.check(not fenced or not re.search("write its log home within", stage.kernel_log(node, mark)), f"{what}: the bound, though it is not over")
    return done


def _first_attach(stage, node, daemon, device, fenced):
    """What the first attach makes is to be found by those who replay no log."""
    what = f"a first mount, {'fenced' if fenced else 'with a bound'}"
    command = _before_first_attach(stage, node, daemon, device, LONGEST_READY_MS)

    def then():
        """The daemon of this test does not give up by itself."""
        stage.until(lambda: "attached 5" in node.run("cat /run/mxfsd_solo.log").out.splitlines(), 20, f"{what}: the daemon to hear of it")
        node.run("kill -9 $(pidof mxfsd_solo)")

    done = _ends(stage, node, command, fenced, what, then)
    _after_first_attach(stage, node, device, done, what)


def _given_up(stage, node, daemon, device):
    """A mount that is not ready in time fails then, and not when the bound is over."""
    what = "a first mount that is not ready in time"
    ready = min(20000 * stage.slowness, LONGEST_READY_MS)
    command = _before_first_attach(stage, node, daemon, device, ready)
    began = time.monotonic()
    done = _hangs(stage, node, command, what).finish(60)
    took = time.monotonic() - began
    stage.note(f"{what}: over after {took:.1f} s")
    stage.check(took > ready / 1000, f"{what}: over after {took:.1f} s of {ready / 1000:.0f}")
    stage.matches(rf"XFS was still writing its log home after {ready:.0f} ms", done.out, f"{what}: what mount says")
    _after_first_attach(stage, node, device, done, what)


def _before_first_attach(stage, node, daemon, device, ready):
    """That quotas are switched on is written home, too, where the word that the node is alone holds no longer, and no lock state is made."""
    node.run(f"{PROGRAMS}/dm heal bad {DEVICE} && mkfs.xfs -q -f {device} && rm -f /run/mxfsd_solo.log")
    _refuse(node, device, int(node.run(f"xfs_db -r -c 'sb 0' -c 'p rootino' {device}").out.split()[-1]))
    daemon("--alone --lockstate --fenced")
    return f"{stage.mount_command(f'uquota,ready_ms={ready:.0f}')} {device} {PLACE} 2>&1"


def _after_first_attach(stage, node, device, done, what):
    stage.check(done.rc != 0, f"{what}: mounted, and what it made is in the log only")
    stage.same(stage.leftovers(node), [], f"{what}: on the node")
    # XFS below is gone: the device can be had, and what its log has is there.
    made = "true" if stage.slowness > 1 else f"test -s {PLACE}/.mxfs/lockstate"
    node.run(f"{PROGRAMS}/dm heal bad {DEVICE} && mount -t xfs {device} {PLACE} && {made} && umount {PLACE} && xfs_repair -n {device}", timeout=120)


def _quotas(stage, node, daemon, device, fenced):
    """Which quotas are on is read without the log."""
    what = f"quotactl(2), {'fenced' if fenced else 'with a bound'}"
    node.run(f"mkfs.xfs -q -f {device}")
    daemon("--alone --lockstate --fenced")
    stage.mount(node, "uquota", device=device)
    node.run(f"touch {PLACE}/file && sync")
    _refuse(node, device, int(node.run(f"stat -c %i {PLACE}/file").out))
    node.run(f"chmod 600 {PLACE}/file")
    done = _ends(stage, node, f"exec {_quotactl(device, Q_XQUOTAOFF)}", fenced, what)
    stage.matches("^errno 5$", done.out, f"{what}, of which nothing is on the disk")
    done = node.run(f"touch {PLACE}/more", check=False)
    stage.check(done.rc == 1 and "Input/output error" in done.err, f"{what}: a create behind it: status {done.rc}, {done.err}")
    stage.ends(node, f"umount {PLACE}", 40, f"umount after {what}")
    said = node.run(f"{PROGRAMS}/dm heal bad {DEVICE} && mount -t xfs -o uquota {device} {PLACE} && stat -c %a {PLACE}/file && umount {PLACE} && "
                    f"xfs_repair -n {device} 2>/dev/null", timeout=120).out
    stage.matches(r"\A600\n", said, f"{what}: the mode that was in the log")


def _quotactl(device, command):
    return (f"python3 -c 'import ctypes; c = ctypes.CDLL(None, use_errno=True); "
            f"print(\"errno\", c.quotactl({command << 8}, b\"{device}\", 0, (ctypes.c_uint * 64)({UDQ_ENFD})) and ctypes.get_errno())'")


def _suspended(stage, node, daemon, device):
    """XFS below waits for the end of a freeze, and quotactl(2) keeps the mount meanwhile, which umount and sync(2) wait for."""
    node.run(f"mkfs.xfs -q -f {device}")
    daemon("")
    stage.mount(node, "uquota", device=device)
    node.run(f"{PROGRAMS}/dm suspend bad")
    for command in ("limit -u bhard=1m user1", "timer -u 3d"):
        done = stage.ends(node, f"xfs_quota -f -x -c '{command}' {PLACE} 2>&1", 20, f"xfs_quota '{command}' on a device that is suspended")
        stage.matches("busy", done.out, f"xfs_quota '{command}' on a device that is suspended")
    for command in (Q_XQUOTAOFF, Q_XGETQSTAT):
        what = f"quotactl(2), command {command:#x}, on a device that is suspended"
        stage.matches("^errno 16$", stage.ends(node, _quotactl(device, command), 20, what).out, what)
    node.run(f"{PROGRAMS}/dm resume bad && xfs_quota -f -x -c 'limit -u bhard=1m user1' {PLACE}")
    stage.umount(node)
