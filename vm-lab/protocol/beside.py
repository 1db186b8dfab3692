# SPDX-License-Identifier: Apache-2.0
"""What is written, copied or punched beside a page of a map that a device has stays, also while that page is written back; an error of write-back is told by fsync of
each descriptor, not by who reads or writes another part of the file, and not in place of another error. Disks here hang and fail on purpose."""

import re

from lablib.protocol import DEVICE, PLACE, PROGRAMS

LIMIT = 180
MARKERS = ["SELFTEST: write beside a device ok", "SELFTEST: write that fails beside a device ok", "SELFTEST: errors of other pages ok",
           "SELFTEST: own errors ok"]
# A disk that fails on purpose.
EXPECTED = [r"I/O error, dev (dm-[01]|sda)", r"Buffer I/O error on dev", r"XFS \(dm-[01]\): .*(I/O|writeback) error", r"dm-[01]: writeback error"]
PAGE = 4096
DM = f"{PROGRAMS}/dm"
FILE = f"{PLACE}/beside"


def run(stage):
    node = stage.n1
    with stage.solo(node) as daemon:
        daemon("")
        node.run(f"modprobe dm-mod; head -c {PAGE} /dev/zero | tr '\\0' d >/run/slow-device; head -c 512 /dev/zero | tr '\\0' w >/run/written")
        try:
            disk = node.run(f"{DM} linear bad {DEVICE}").out.strip()
            slow = node.run(f"{DM} linear slow $(losetup -f --show /run/slow-device)").out.strip()
            node.run(f"mkfs.xfs -q -f {disk}")
            stage.mount(node, device=disk)
            _all(stage, node, disk, slow)
            stage.umount(node)
            done = node.run(f"xfs_repair -n {disk} 2>&1", check=False, timeout=120)
            stage.check(done.rc == 0, f"xfs_repair -n: {done.out[-1000:]}")
        finally:
            stage.close_programs()
            node.run(f"for d in bad slow; do {DM} resume $d; done; umount {PLACE}; for d in bad slow; do {DM} remove $d; done; losetup -D; "
                     "rm -f /run/slow-device /run/written", check=False, timeout=60)


def _all(stage, node, disk, slow):
    node.run(f"cp /run/written {PLACE}/written")
    for command, where in ((f"dd if=/run/written of={FILE} bs=512 seek=2 conv=notrunc oflag=dsync status=none", "xfs_file_fsync"),
                           (f"dd if=/run/written of={FILE} bs=512 seek=2 conv=notrunc oflag=dsync,direct status=none", "xfs_file_fsync|iomap_dio_rw"),
                           (f"xfs_io -s -c 'copy_range -s 0 -d 1024 -l 512 {PLACE}/written' {FILE}", "xfs_file_fsync"),
                           (f"xfs_io -s -c 'fpunch 0 {PAGE}' {FILE}", "xfs_log_force")):
        _beside(stage, node, disk, slow, command, where)
    stage.marker(MARKERS[0])
    _fails_beside(stage, node, slow)
    stage.marker(MARKERS[1])
    _other_pages(stage, node, slow)
    stage.marker(MARKERS[2])
    _own_error(stage, node)
    stage.marker(MARKERS[3])


def _tell(program):
    program.process.stdin.write(b"go\n")
    program.process.stdin.flush()


def _begin(stage, node, slow):
    """A device reads into the first sector of a file of four pages. What was stored there before is on the disk; the page is clean, and pinned."""
    node.run(f"head -c {4 * PAGE} /dev/zero | tr '\\0' o >{FILE}; sync {FILE}; {DM} suspend slow")
    program = stage.start(node, f"{PROGRAMS}/pinned {FILE} {slow} 1 512")
    stage.same(program.line(30), "pinned", "a read from a device into a map")
    node.run(f"sync {FILE}")
    return program


def _device_ends(stage, node, program):
    node.run(f"{DM} resume slow")
    _tell(program)
    stage.same(program.line(30), "done 512", "the read from the device")


def _end(stage, program, fsync):
    _tell(program)
    stage.same(program.line(30), f"fsync {fsync}", "fsync of the file that the device read into")
    stage.same(program.finish(30).rc, 0, "the program")


def _waits(stage, node, program, where):
    stage.until(lambda: re.search(where, node.run(f"cat /proc/$(pidof {program})/stack", check=False).out), 20, f"{program} to wait for the disk")


def _content(node):
    """First and last byte of each run of sectors, with z for zero."""
    return node.run(f"head -c {PAGE} {FILE} | tr '\\0' z | fold -w 512 | uniq | cut -c 1,512").out.split()


def _beside(stage, node, disk, slow, command, where):
    """
    Another sector of the page is changed, or the page becomes a hole, which waits for the disk. Meanwhile the device ends, which makes the page dirty, and an fsync
    writes it back.
    """
    program = _begin(stage, node, slow)
    node.run(f"cat {PLACE}/written >/dev/null; {DM} stop bad")
    writer = stage.start(node, command)
    _waits(stage, node, command.split()[0], where)
    _device_ends(stage, node, program)
    syncer = stage.start(node, f"sync -d {FILE}")
    _waits(stage, node, "sync", "xfs_file_fsync|flush_work|folio_wait")
    node.run(f"{DM} resume bad")
    stage.same(writer.finish(30).rc, 0, command)
    stage.same(syncer.finish(30).rc, 0, "the fsync")
    _end(stage, program, "0")
    for what in ("in memory", "on the disk"):
        content = _content(node)
        if "fpunch" in command:  # the device may come before or after it
            stage.check(content in (["zz"], ["dd", "zz"]), f"the file {what} after '{command}': {content}")
        else:
            stage.same(content, ["dd", "oo", "ww", "oo"], f"the file {what} after '{command}'")
        if what == "in memory":
            stage.umount(node)
            stage.mount(node, device=disk)
    node.run(f"rm {FILE}")


def _fail(stage, node, name):
    extents = re.findall(r": (\d+)\.\.(\d+)$", node.run(f"xfs_io -r -c fiemap {name}").out, re.M)
    stage.same(len(extents), 1, f"extents of {name}")
    first, last = (int(number) for number in extents[0])
    node.run(f"{DM} fail bad {DEVICE} {first} {last - first + 1}")


def _heal(node):
    node.run(f"{DM} heal bad {DEVICE}")


def _fails_beside(stage, node, slow):
    """A write that fails in its sync is in memory, as on XFS: in the page that had to stay, too."""
    program = _begin(stage, node, slow)
    _fail(stage, node, FILE)
    done = node.run(f"dd if=/run/written of={FILE} bs=512 seek=2 conv=notrunc oflag=dsync status=none", check=False)
    stage.check(done.rc and "Input/output error" in done.err, f"a write to a disk that fails: status {done.rc}: {done.err}")
    _heal(node)
    _device_ends(stage, node, program)
    _end(stage, program, "EIO")
    stage.same(_content(node), ["dd", "oo", "ww", "oo"], "the file after a write that failed")
    node.run(f"rm {FILE}")


def _other_pages(stage, node, slow):
    """A page cannot be written back; who reads, writes, seeks in or shortens the file otherwise has nothing to do with that."""
    program = _begin(stage, node, slow)
    node.run(f"dd if={FILE} iflag=nocache count=0 status=none")  # XFS has to read the page again
    _fail(stage, node, FILE)
    _device_ends(stage, node, program)
    node.run(f"sync -f {PLACE}", check=False)
    _heal(node)
    for what in ("dd if={0} bs=4096 skip=2 count=1 status=none | tr -d o | wc -c | grep -qx 0",
                 "head -c 4096 /dev/zero | tr '\\0' x | dd of={0} bs=4096 seek=2 conv=notrunc status=none",
                 "xfs_io -c 'seek -d 0' -c fiemap {0} >/dev/null", "truncate -s 12000 {0}"):
        done = node.run("set -o pipefail; " + what.format(FILE), check=False)
        stage.check(done.rc == 0, f"'{what}' after another page could not be written: status {done.rc}: {done.err}")
    _end(stage, program, "EIO")
    node.run(f"rm {FILE}")


def _own_error(stage, node):
    """A write fails by itself with the errno of an error that its descriptor has not been told: that is for fsync yet."""
    keeper = stage.keeper(node)
    keeper.ok(f"open 1 {PLACE}/own +c")
    keeper.ok("write 1 0 1000000 1")
    keeper.ok("fsync 1")
    keeper.ok(f"open 2 {PLACE}/own +ds")
    _fail(stage, node, f"{PLACE}/own")
    keeper.ok("write 1 0 1000000 5")
    keeper.fails("fsync 1", "errno EIO")
    keeper.fails("write 2 0 4096 5", "errno EIO")
    _heal(node)
    keeper.fails("fsync 2", "errno EIO")
    keeper.ok("fsync 2")
    keeper.ok("write 2 0 4096 5")
    keeper.close()
