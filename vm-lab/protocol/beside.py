# SPDX-License-Identifier: Apache-2.0
"""What is written, copied or punched beside a page of a map that a device has stays, also while that page is written back; an error of write-back is told by fsync of
each descriptor, not by who reads or writes another part of the file, and not in place of another error. A change beside such a page takes nothing away where it
fails, a sync waits for its end, and a writer who is killed has written. Disks here hang and fail on purpose."""

import re

from lablib.protocol import DEVICE, PLACE, PROGRAMS

LIMIT = 300
MARKERS = ["SELFTEST: write beside a device ok", "SELFTEST: write that fails beside a device ok", "SELFTEST: errors of other pages ok",
           "SELFTEST: own errors ok", "SELFTEST: killed writer ok", "SELFTEST: sync beside a change that fails ok",
           "SELFTEST: page that cannot be read ok", "SELFTEST: queued write that fails ok", "SELFTEST: pages that do not change ok"]
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
                     "rm -f /run/slow-device /run/written /run/much", check=False, timeout=60)


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
    _killed(stage, node, disk, slow)
    stage.marker(MARKERS[4])
    _change_fails(stage, node, disk, slow)
    stage.marker(MARKERS[5])
    _unreadable(stage, node, disk, slow)
    stage.marker(MARKERS[6])
    _queued(stage, node)
    stage.marker(MARKERS[7])
    _untouched(stage, node, disk, slow)
    stage.marker(MARKERS[8])


def _begin(stage, node, slow, pages="1"):
    """A device reads into the first sector of a file of four pages, or another page. What was stored there before is on the disk; the page is clean, and pinned."""
    node.run(f"head -c {4 * PAGE} /dev/zero | tr '\\0' o >{FILE}; sync {FILE}; {DM} suspend slow")
    program = stage.start(node, f"{PROGRAMS}/pinned {FILE} {slow} {pages} 512")
    stage.same(program.line(30), "pinned", "a read from a device into a map")
    node.run(f"sync {FILE}")
    return program


def _device_ends(stage, node, program):
    node.run(f"{DM} resume slow")
    program.tell("go")
    stage.same(program.line(30), "done 512", "the read from the device")


def _end(stage, program, fsync):
    program.tell("go")
    stage.same(program.line(30), f"fsync {fsync}", "fsync of the file that the device read into")
    stage.same(program.finish(30).rc, 0, "the program")


def _waits(stage, node, program, where):
    stage.until(lambda: re.search(where, node.run(f"cat /proc/$(pidof {program})/stack", check=False).out), 20, f"{program} to wait for the disk")


def _content(node, command=f"head -c {PAGE} {FILE}"):
    """First and last byte of each run of sectors, with z for zero."""
    return node.run(f"{command} | tr '\\0' z | fold -w 512 | uniq | cut -c 1,512").out.split()


def _is_kept(stage, node, disk, expected, what, command=f"head -c {PAGE} {FILE}"):
    stage.same(_content(node, command), expected, f"the file in memory {what}")
    stage.umount(node)
    stage.mount(node, device=disk)
    stage.same(_content(node, command), expected, f"the file on the disk {what}")


def _forget(node, name):
    """XFS has to read the file again."""
    node.run(f"dd if={name} iflag=nocache count=0 status=none")


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
    _waits(stage, node, "sync", "mxfs_cache_left_out|xfs_file_fsync|flush_work|folio_wait")
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


def _extent(stage, node, name):
    """Where the file is on the disk: first sector, number of sectors."""
    extents = re.findall(r": (\d+)\.\.(\d+)$", node.run(f"xfs_io -r -c fiemap {name}").out, re.M)
    stage.same(len(extents), 1, f"extents of {name}")
    first, last = (int(number) for number in extents[0])
    return first, last - first + 1


def _fail(stage, node, name):
    first, count = _extent(stage, node, name)
    node.run(f"{DM} fail bad {DEVICE} {first} {count}")


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
    _forget(node, FILE)
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


def _killed(stage, node, disk, slow):
    """
    Who is killed while he waits for the disk, in the sync of his write or in the midst of it, has written: the page that had to stay has it, too. Nothing
    was lost, so there is no error to be told.
    """
    node.run(f"head -c {PAGE + 512} /dev/zero | tr '\\0' w >/run/much")
    for command, where, expected in (
            (f"dd if=/run/written of={FILE} bs=512 seek=2 conv=notrunc oflag=dsync status=none", "xfs_file_fsync", ["dd", "oo", "ww", "oo"]),
            # All of the page, and then a sector of the next one, which XFS has to read.
            (f"dd if=/run/much of={FILE} bs={PAGE + 512} conv=notrunc status=none", "submit_bio_wait", ["dd", "ww"])):
        program = _begin(stage, node, slow)
        if "much" in command:
            _forget(node, FILE)
        node.run(f"{DM} stop bad")
        writer = stage.start(node, command)
        _waits(stage, node, "dd", where)
        node.run(f"kill -KILL $(pidof dd); {DM} resume bad")
        done = writer.finish(30)
        stage.check(done.rc in (137, 255), f"'{command}', killed: status {done.rc}: {done.out}")
        _device_ends(stage, node, program)
        _end(stage, program, "0")
        _is_kept(stage, node, disk, expected, f"after '{command}' was killed")
        node.run(f"rm {FILE}")


def _change_fails(stage, node, disk, slow):
    """
    A write of a part of the first page, which XFS has to read, and of the second one, which a device has; the disk fails to read. What the device has
    brought meanwhile stays, and a sync that began meanwhile has brought it to the disk when it says so.
    """
    node.run(f"head -c {2 * PAGE - 512} /dev/zero | tr '\\0' w >/run/much")
    second = f"dd if={FILE} bs={PAGE} skip=1 count=1 status=none"
    for flags, sync, where in (("", f"sync -d {FILE}", "mxfs_cache_left_out|xfs_file_fsync"), ("", f"sync -f {PLACE}", "mxfs_sync_fs"),
                               (",direct", None, None)):
        program = _begin(stage, node, slow, "1+1")
        first, _count = _extent(stage, node, FILE)
        _forget(node, FILE)
        node.run(f"{DM} stop bad")
        writer = stage.start(node, f"dd if=/run/much of={FILE} bs={2 * PAGE - 512} seek=512 oflag=seek_bytes{flags} conv=notrunc status=none")
        _waits(stage, node, "dd", "submit_bio_wait")
        _device_ends(stage, node, program)
        if sync:
            syncer = stage.start(node, sync)
            _waits(stage, node, "sync", where)
        node.run(f"{DM} fail bad {DEVICE} {first} {PAGE // 512}")
        done = writer.finish(30)
        stage.check(done.rc and "Input/output error" in done.out, f"a write that has to read from a disk that fails: status {done.rc}: {done.out}")
        if sync:
            stage.same(syncer.finish(30).rc, 0, sync)
            on_disk = _content(node, f"dd if={DEVICE} bs=512 skip={first + PAGE // 512} count={PAGE // 512} iflag=direct status=none")
            stage.same(on_disk, ["dd", "oo"], f"on the disk when '{sync}' is over")
        _heal(node)
        _end(stage, program, "0")
        _is_kept(stage, node, disk, ["dd", "oo"], f"after a write{flags} that failed", second)
        stage.same(_content(node), ["oo"], "the part of the file before it")
        node.run(f"rm {FILE}")


def _unreadable(stage, node, disk, slow):
    """A change is done, and the page that had to stay cannot be made to hold it: it must not undo the change. What the device brings is lost, and fsync says so."""
    node.run(f"head -c {PAGE} /dev/zero | tr '\\0' c >{PLACE}/clone; sync {PLACE}/clone")
    program = _begin(stage, node, slow)
    _forget(node, f"{PLACE}/clone")
    _fail(stage, node, f"{PLACE}/clone")
    node.run(f"xfs_io -c 'reflink {PLACE}/clone 0 0 {PAGE}' {FILE}")
    _heal(node)
    _device_ends(stage, node, program)
    _end(stage, program, "EIO")
    _is_kept(stage, node, disk, ["cc"], "whose page was cloned and could not be read")
    node.run(f"rm {FILE} {PLACE}/clone")


def _queued(stage, node):
    """An asynchronous O_DIRECT write fails. What was stored through a map meanwhile stays. (The blocks were never written: no fault has to wait for the disk.)"""
    name = f"{PLACE}/queued"
    node.run(f"xfs_io -f -c 'falloc 0 {PAGE}' -c fsync {name}")
    first, count = _extent(stage, node, name)
    node.run(f"{DM} stop bad")
    program = stage.start(node, f"{PROGRAMS}/queued {name}")
    stage.same(program.line(30), "begun", "a write to a disk that hangs")
    program.tell("go")
    stage.same(program.line(30), "stored", "a store meanwhile")
    node.run(f"{DM} fail bad {DEVICE} {first} {count}")
    program.tell("go")
    stage.same(program.line(30), "done -5", "the write, when the disk fails")
    program.tell("go")
    stage.same(program.line(30), "map m", "what was stored meanwhile")
    _heal(node)
    _end(stage, program, "0")
    stage.same(_content(node, f"cat {name}"), ["mm"], "the file after a write that failed")
    node.run(f"rm {name}")


def _untouched(stage, node, disk, slow):
    """What changes another page, or no byte, takes nothing from a page that a device has: it brings its data while that waits for the disk."""
    node.run(f"head -c {4 * PAGE} /dev/zero | tr '\\0' o >{PLACE}/same; sync {PLACE}/same")
    for pages, command in (("1+2", f"xfs_io -c 'fpunch 512 512' {FILE}"), ("1", f"xfs_io -c 'dedupe {PLACE}/same 0 0 {PAGE}' {FILE}")):
        program = _begin(stage, node, slow, pages)
        _forget(node, FILE)
        _forget(node, f"{PLACE}/same")
        node.run(f"{DM} stop bad")
        changer = stage.start(node, command)
        _waits(stage, node, "xfs_io", "submit_bio_wait|folio_wait|iomap_")
        _device_ends(stage, node, program)
        node.run(f"{DM} resume bad")
        stage.same(changer.finish(30).rc, 0, command)
        _end(stage, program, "0")
        _is_kept(stage, node, disk, ["dd", "oo"], f"after '{command}'", f"dd if={FILE} bs={PAGE} skip={pages[2:] or 0} count=1 status=none")
        node.run(f"rm {FILE}")
    node.run(f"rm {PLACE}/same")
