# SPDX-License-Identifier: Apache-2.0
"""What XFS cannot write when the volume is let go is told as on XFS, by fsync and syncfs; the end of an asynchronous request keeps no change
of owner waiting for a page that somebody else has locked. The disk here fails and hangs on purpose."""

import re

from lablib.protocol import DEVICE, PLACE, PROGRAMS

LIMIT = 180
MARKERS = ["SELFTEST: write errors are told ok", "SELFTEST: asynchronous ends ok"]
# A disk that fails on purpose.
EXPECTED = [r"I/O error, dev (dm-\d+|sda)", r"Buffer I/O error on dev", r"XFS \(dm-\d+\): .*(I/O|writeback) error", r"dm-\d+: writeback error"]


def run(stage):
    node = stage.n1
    with stage.solo(node) as daemon:
        daemon("")
        device = node.run(f"modprobe dm-mod; {PROGRAMS}/dm linear bad {DEVICE}").out.strip()
        try:
            node.run(f"mkfs.xfs -q -f {device}")
            stage.mount(node, device=device)
            _write_errors(stage, node)
            stage.marker(MARKERS[0])
            _asynchronous_end(stage, node)
            stage.marker(MARKERS[1])
            stage.umount(node)
            done = node.run(f"xfs_repair -n {device} 2>&1", check=False, timeout=120)
            stage.check(done.rc == 0, f"xfs_repair -n: {done.out[-1000:]}")
        finally:
            node.run(f"for d in bad other; do {PROGRAMS}/dm resume $d; done; umount /run/other; umount {PLACE}; "
                     f"for d in bad other; do {PROGRAMS}/dm remove $d; done; losetup -D; rm -f /run/other.img", check=False)


def _write_errors(stage, node):
    """What XFS cannot write when the volume is let go is told as on XFS: by fsync of the file, also of one that nobody had open, and by syncfs."""
    keeper = stage.keeper(node)
    keeper.ok(f"open 1 {PLACE}/open +c")
    keeper.ok("write 1 0 1000000 1")
    keeper.ok("fsync 1")
    node.run(f"for i in 1 2; do head -c 1000000 /dev/zero >{PLACE}/closed$i; done; head -c 1000000 /dev/zero >{PLACE}/fine; sync")

    def fail(file):
        extents = re.findall(r": (\d+)\.\.(\d+)$", node.run(f"xfs_io -r -c fiemap {PLACE}/{file}").out, re.M)
        stage.same(len(extents), 1, f"extents of {file}")
        first, last = (int(number) for number in extents[0])
        node.run(f"{PROGRAMS}/dm fail bad {DEVICE} {first} {last - first + 1}")

    def heal():
        node.run(f"{PROGRAMS}/dm heal bad {DEVICE}")

    # syncfs where the volume stays: the error is that of a file which nobody has open.
    fail("closed1")
    node.run(f"dd if=/dev/urandom of={PLACE}/closed1 bs=1000000 count=1 conv=notrunc 2>&1")
    done = node.run(f"sync -f {PLACE}", check=False)
    stage.check(done.rc == 1 and "Input/output error" in done.err, f"syncfs after an error: status {done.rc}: {done.err}")
    stage.same(node.run(f"sync -f {PLACE}", check=False).rc, 0, "the second syncfs")
    heal()
    # The same, found out by a detach.
    fail("closed2")
    node.run(f"dd if=/dev/urandom of={PLACE}/closed2 bs=1000000 count=1 conv=notrunc 2>&1")
    stage.detach_solo(node, 30)
    heal()
    done = node.run(f"sync -f {PLACE}", check=False)
    stage.check(done.rc == 1 and "Input/output error" in done.err, f"syncfs after a detach that failed to write: status {done.rc}: {done.err}")
    done = node.run(f"sync {PLACE}/closed2", check=False)
    stage.check(done.rc == 1 and "Input/output error" in done.err, f"fsync of a file that was closed: status {done.rc}: {done.err}")
    stage.same(node.run(f"sync {PLACE}/closed2 {PLACE}/fine", check=False).rc, 0, "fsync again, and of another file")
    # And of one that is open, by write and by map.
    for change in ("write 1 0 1000000 2", "store 1 0 1000000 3"):
        if "store" in change:
            # In memory before the disk fails: a page that cannot be read is a SIGBUS, as on XFS.
            keeper.ok("map 1 1000000")
            keeper.ok("store 1 0 1000000 4")
        fail("open")
        keeper.ok(change)
        stage.detach_solo(node, 30)
        heal()
        keeper.fails("fsync 1", "errno EIO")
        keeper.ok("fsync 1")
    _each_descriptor(stage, node, keeper, fail, heal)
    keeper.close()


def _each_descriptor(stage, node, keeper, fail, heal):
    """An error is told once to each descriptor that was open when it happened, whoever heard of it before, and to none that came later."""
    for gone in (False, True):
        keeper.ok("write 1 0 1000000 6")
        keeper.ok("fsync 1")
        keeper.ok(f"open 2 {PLACE}/open +")  # does nothing before the error, so that nothing is open below
        keeper.ok(f"open 3 {PLACE}/open +")
        keeper.ok("check 3 0 1000 6")
        fail("open")
        keeper.ok("write 1 0 1000000 5")
        keeper.fails("fsync 1", "errno EIO")
        keeper.ok(f"open 4 {PLACE}/open +")
        if gone:
            stage.detach_solo(node, 30)
        heal()
        keeper.fails("fsync 2", "errno EIO")
        keeper.fails("fsync 3", "errno EIO")
        for descriptor in (1, 2, 3, 4):
            keeper.ok(f"fsync {descriptor}")
        for descriptor in (2, 3, 4):
            keeper.ok(f"close {descriptor}")
    # So are writes that are to be on disk when they return.
    keeper.ok(f"open 2 {PLACE}/open +s")
    fail("open")
    keeper.ok("write 1 0 1000000 5")
    keeper.fails("fsync 1", "errno EIO")
    heal()
    # One that fails before anything is to be on disk leaves it to the next.
    keeper.fails("wild 2 0 1000", "errno EFAULT")
    keeper.fails("write 2 0 1000 5", "errno EIO")
    keeper.ok("write 2 0 1000 5")
    keeper.ok("close 2")


def _asynchronous_end(stage, node):
    """A read with O_DIRECT from mxfs into a map of another file system, one page of which is locked when it ends, by a truncate that waits for
    a disk that hangs: the request is no longer under way below, and a change of owner does not wait for that page."""
    node.run("truncate -s 64m /run/other.img && mkfs.ext4 -q -O ^has_journal /run/other.img && mkdir -p /run/other")
    loop = node.run("losetup -f --show /run/other.img").out.strip()
    other = node.run(f"{PROGRAMS}/dm linear other {loop}").out.strip()
    node.run(f"mount -t ext4 {other} /run/other && head -c 65536 /dev/zero >/run/other/map && head -c 65536 /dev/urandom >{PLACE}/source && sync")
    node.run(f"{PROGRAMS}/dm stop bad")
    program = stage.start(node, f"{PROGRAMS}/pinned /run/other/map {PLACE}/source 16")
    stage.same(program.line(30), "pinned", "a read with O_DIRECT into a map")
    # Its pages are written back, which does not end, so that they are clean; and truncated, which waits for that with a page locked.
    node.run(f"{PROGRAMS}/dm stop other")
    cutter = stage.start(node, "(sync /run/other/map &) ; until grep -q '^nr_writeback [1-9]' /proc/vmstat; do sleep 0.1; done; exec truncate -s 0 /run/other/map")
    stage.until(lambda: "truncate" in node.run("cat /proc/$(pidof truncate)/stack", check=False).out, 20, "a truncate to wait for a page")
    node.run(f"{PROGRAMS}/dm resume bad")
    stage.detach_solo(node, 15)
    node.run(f"{PROGRAMS}/dm resume other")
    for answer in ("done 65536", "fsync 0"):
        program.tell("go")
        stage.same(program.line(30), answer, "the read into the map")
    cutter.finish(30)
    node.run(f"umount /run/other && {PROGRAMS}/dm remove other && losetup -d {loop}")
