# SPDX-License-Identifier: Apache-2.0
"""What others do to the XFS below: a path that hangs while the node is fenced stops nobody else's netlink; an XFS that the kernel shuts down is
let go of, and the other node goes on; a device that is frozen, taken by another program, or offline, is waited for, but not by umount, and past the lease nothing is
mounted behind that; a trim leaves the volume to who waits."""

import re
import time

from lablib.errors import LabError, TimedOut
from lablib.protocol import DEVICE, PLACE, PROGRAMS

LIMIT = 600
ETIME = 62
MARKERS = ["SELFTEST: shut down below ok", "SELFTEST: fenced on a path that hangs ok", "SELFTEST: XFS shut down is let go of ok",
           "SELFTEST: last changes ok", "SELFTEST: offline device ok", "SELFTEST: unmount without the device ok", "SELFTEST: frozen device ok", "SELFTEST: late fault ok", "SELFTEST: device taken ok",
           "SELFTEST: nothing mounted past the lease ok", "SELFTEST: remount broken off ok", "SELFTEST: trim ok"]
# Disks that fail, and metadata that is broken, on purpose.
EXPECTED = [r"I/O error, dev (dm-\d+|sda)", r"Buffer I/O error on dev", r"XFS \((dm-\d+|sda)\)", r"log I/O error", r"[Cc]orruption", r"Metadata CRC error"]
DAEMON = "/usr/sbin/mxfsd"
LOG = "/run/mxfsd_solo.log"
DM = f"{PROGRAMS}/dm"
# XFS says one or the other.
XFS_DOWN = r"XFS \(\S+\): .*(Shutting down filesystem|Filesystem has been shut down)"
ENOUGH = "/run/enough"


def run(stage):
    n1, n2 = stage.n1, stage.n2
    _broken(stage, n1, n2)
    stage.marker(MARKERS[0])
    n1.run(f"mv {DAEMON} {DAEMON}.kept; modprobe dm-mod")
    failed = []
    try:
        for marker, part in zip(MARKERS[1:], (_fenced, _shut_down, _last_changes, _offline, _unmount_taken, _frozen, _late_fault, _taken, _late_remount, _broken_off,
                                                _trim)):
            # A part that fails says nothing about the others.
            try:
                part(stage, n1, DEVICE if part is _offline else n1.run(f"{DM} linear bad {DEVICE}").out.strip())
                stage.marker(marker)
            except LabError as error:
                failed.append(f"{part.__name__}: {error}")
            finally:
                _tidy(stage, n1)
    finally:
        n1.run(f"mv -f {DAEMON}.kept {DAEMON}", check=False)
    stage.check(not failed, "\n".join(failed))


def _tidy(stage, node):
    """Whatever state a part that failed has left: the next one finds no mount, and no program that turns."""
    stage.close_programs()
    node.run(f"echo running >/sys/block/{DEVICE[5:]}/device/state; touch {ENOUGH}; {DM} resume bad; for i in $(seq 200); do grep -q ' {PLACE} mxfs ' /proc/mounts || break; umount {PLACE}; sleep 0.1; done; "
             f"{DM} remove bad; losetup -D; rm -f /run/disk {LOG} {ENOUGH}", check=False, timeout=90)


def _fresh(stage, node, device, options="", mount=""):
    """A volume with a file, mounted by the daemon for tests."""
    node.run(f"mkfs.xfs -q -f {device}")
    _solo(stage, node, options)
    stage.mount(node, mount, device=device)
    node.run(f"mkdir {PLACE}/d; echo text >{PLACE}/d/f; sync")


def _solo(stage, node, options=""):
    node.run(f"printf '#!/bin/sh\\nexec {PROGRAMS}/mxfsd_solo {options} \"$@\"\\n' >{DAEMON}; chmod 755 {DAEMON}; rm -f {LOG}")


def _signal(node, which):
    node.run(f"kill -{which} $(pidof mxfsd_solo)")


def _said(node):
    """What the kernel answered, in order."""
    return node.run(f"cat {LOG}", check=False).out.splitlines()


def _is_eio(stage, node, command, what):
    done = node.run(command, check=False, timeout=30)
    stage.check(done.rc != 0 and "Input/output error" in done.err, f"{what}: status {done.rc}: {done.out}{done.err}")


def _ends(stage, node, command, limit, what):
    began = time.monotonic()
    done = node.run(f"timeout -s KILL {limit} {command} || exit $?", check=False, timeout=limit + 30)
    stage.check(done.rc not in (124, 137), f"{what}: not over after {limit} s")
    stage.note(f"{what}: {time.monotonic() - began:.1f} s, status {done.rc}")
    return done


def _broken(stage, n1, n2):
    """Metadata on the disk is broken while node1 has it: its XFS shuts itself down. node2 goes on; node1 answers EIO, and leaves in order."""
    stage.mkfs()
    stage.mount(n1)
    stage.mount(n2)
    n1.run(f"echo one >{PLACE}/one; head -c 3000000 /dev/urandom >{PLACE}/big; sync")
    geometry = dict(re.findall(r"(agcount|agblocks|blocksize) = (\d+)", n1.run(f"xfs_db -r -c 'sb 0' -c 'p agcount agblocks blocksize' {DEVICE}").out))
    step, count, block = (int(geometry[name]) for name in ("agblocks", "agcount", "blocksize"))
    n2.run(f"ls {PLACE}")
    n1.run(f"echo more >>{PLACE}/one; sync")  # attached anew, and nothing of the free space is in memory
    stage.same(stage.owner(), n1, "the owner")
    # The roots of the trees of free space: blocks 1 and 2 of each allocation group.
    for group in range(count):
        n1.run(f"dd if={DEVICE} of=/run/kept{group} bs={block} skip={group * step + 1} count=2 iflag=direct status=none; "
               f"dd if=/dev/zero of={DEVICE} bs={block} seek={group * step + 1} count=2 conv=notrunc oflag=direct status=none")
    mark = stage.mark(n1)
    keeper = stage.keeper(n1)
    keeper.ok(f"open 1 {PLACE}/one r")
    n1.run(f"rm {PLACE}/big; sync -f {PLACE}", check=False)
    stage.until(lambda: re.search(XFS_DOWN, stage.kernel_log(n1, mark)), 30, "XFS to shut down")
    for group in range(count):
        n1.run(f"dd if=/run/kept{group} of={DEVICE} bs={block} seek={group * step + 1} count=2 conv=notrunc oflag=direct status=none; rm /run/kept{group}")
    mine = stage.holder(n1)
    began = time.monotonic()
    stage.same(n2.run(f"cat {PLACE}/one; echo two >{PLACE}/two; cat {PLACE}/two", timeout=40).out, "one\nmore\ntwo\n", "the other node")
    stage.note(f"the other node had the volume after {time.monotonic() - began:.1f} s")
    stage.check(stage.holder(n1) != mine, "the reservation moved")
    # What was under way here may be lost, so nothing goes on as if it were not.
    keeper.fails("check 1 0 3 1", "errno EIO")
    keeper.close()
    for command in (f"cat {PLACE}/one", f"ls {PLACE}", f"touch {PLACE}/new"):
        _is_eio(stage, n1, command, f"'{command}' after XFS was shut down")
    stage.check(stage.daemon_pid(n1), "the daemon of a mount whose XFS was shut down")
    stage.matches("XFS was shut down", stage.kernel_log(n1, mark), "the kernel log")
    stage.umount(n1)
    stage.check(mine not in stage.keys(n2), f"the key {mine} is still registered after umount")
    # And it may come back.
    stage.mount(n1)
    stage.same(n1.run(f"cat {PLACE}/two").out, "two\n", "mounted again")
    stage.umount(n1)
    stage.umount(n2)
    stage.repair()


def _snatch(stage, node, device):
    snatch = stage.start(node, f"{PROGRAMS}/snatch {device}")
    stage.same(snatch.line(20), "looking", "snatch")
    return snatch


def _let_go(snatch):
    """Whether it had the device."""
    snatch.tell("go")
    return "taken" in snatch.finish(30).out


def _fenced(stage, node, device):
    """FENCED while the disk hangs and the log is dirty: shutting XFS down waits for the disk, and nobody else does."""
    _fresh(stage, node, device, "--fenced")
    keeper = stage.keeper(node)
    keeper.ok(f"open 1 {PLACE}/mapped +c")
    keeper.ok("write 1 0 100 7")
    keeper.ok("map 1 4096")
    keeper.ok("load 1 0 100 7")
    # Not after it stops: a change may need what is not in memory.
    node.run(f"for i in $(seq 50); do echo $i >{PLACE}/new$i; done; stat {PLACE}/new1; {DM} stop bad")
    try:
        mark = stage.mark(node)
        _signal(node, "USR2")
        stage.until(lambda: "shutting down" in stage.kernel_log(node, mark), 20, "the mount to be shut down")
        _ends(stage, node, f"{PROGRAMS}/mxfsd_solo --ask", 10, "a question to generic netlink")
        stage.until(lambda: "answer 0" in _said(node), 10, "the answer to FENCED")
        _is_eio(stage, node, f"stat {PLACE}/new1", "a name that is known, on a fenced node whose disk hangs")
        stage.until(lambda: keeper.say("load 1 0 100 7") == "SIGBUS", 10, "maps to be unmapped on a fenced node whose disk hangs")
        stage.until(lambda: "status 5" in _said(node), 10, "the answer to what was asked behind it")
        stage.same(_said(node)[-2:], ["answer 0", "status 5"], "the answers, in order")
        _is_eio(stage, node, f"cat {PLACE}/d/f", "a read on a fenced node whose disk hangs")
    finally:
        node.run(f"{DM} resume bad")
    keeper.close()
    _ends(stage, node, f"umount {PLACE}", 40, "umount of a fenced node")
    stage.same(stage.leftovers(node), [], "after it")


def _log_of(node, device):
    """First sector and length of the log."""
    out = node.run(f"xfs_db -r -c 'sb 0' -c 'p logstart logblocks blocksize' {device}").out
    start, blocks, size = (int(re.search(rf"{name} = (\d+)", out)[1]) for name in ("logstart", "logblocks", "blocksize"))
    sector = re.search(r"\((\d+)\)", node.run(f"xfs_db -r -c 'convert fsblock {start} daddr' {device}").out)[1]
    return int(sector), blocks * size // 512


def _shut_down(stage, node, device):
    """The log cannot be written: XFS shuts down. A DETACH is answered, and what was open or known is EIO from then on."""
    _fresh(stage, node, device)
    first, count = _log_of(node, device)
    keeper = stage.keeper(node)
    keeper.ok(f"open 1 {PLACE}/d/f +")
    keeper.ok("map 1 4096")
    keeper.ok("touch 1 0")
    node.run(f"{DM} fail bad {DEVICE} {first} {count}")
    mark = stage.mark(node)
    node.run(f"touch {PLACE}/d/lost; sync -f {PLACE}", check=False)
    stage.until(lambda: re.search(XFS_DOWN, stage.kernel_log(node, mark)), 20, "XFS to shut down")
    node.run(f"{DM} heal bad {DEVICE}")
    # Who may take the device in between: also while it is waited for nobody is told that all is well.
    snatch = _snatch(stage, node, device)
    _signal(node, "USR1")
    stage.until(lambda: "XFS was shut down on this node" in stage.kernel_log(node, mark), 20, "the mount to end")
    keeper.fails("fsync 1", "errno EIO")
    stage.note(f"the device was {'taken' if _let_go(snatch) else 'not taken'} by another program as XFS was unmounted")
    stage.until(lambda: [line for line in _said(node) if line.startswith("detached")], 20, "an answer to DETACH")
    stage.same(_said(node)[-1], "detached 0", "the answer to DETACH")
    stage.same(stage.status(node)["state"], "dead", "the mount")
    for command in (f"cat {PLACE}/d/f", f"stat {PLACE}/d/f", f"ls {PLACE}/d/none", f"touch {PLACE}/d/new"):
        _is_eio(stage, node, command, f"'{command}' after XFS was shut down")
    keeper.fails("check 1 0 3 1", "errno EIO")
    keeper.fails("fsync 1", "errno EIO")
    keeper.fails("touch 1 0", "SIGBUS")
    keeper.close()
    # Whoever asks once more hears the same.
    pid = node.run("pidof mxfsd_solo").out
    stage.check(pid, "the daemon lives")
    _ends(stage, node, f"umount {PLACE}", 20, "umount")
    stage.check("did not leave" not in stage.kernel_log(node, mark), "the daemon left in order")
    stage.mount(node, device=device)
    stage.same(node.run(f"cat {PLACE}/d/f").out, "text\n", "mounted again")
    stage.umount(node)


def _last_changes(stage, node, device):
    """What a detach itself changes (a name for a file that is held without one) cannot be written: the next owner would free the file, so this mount ends."""
    _fresh(stage, node, device)
    first, count = _log_of(node, device)
    keeper = stage.keeper(node)
    keeper.ok(f"open 1 {PLACE}/nameless +c")
    keeper.ok("write 1 0 5000 7")
    node.run(f"rm {PLACE}/nameless; sync -f {PLACE}")
    keeper.ok("fsync 1")
    node.run(f"{DM} fail bad {DEVICE} {first} {count}")  # freezes XFS for it, which leaves nothing to be written
    mark = stage.mark(node)
    _signal(node, "USR1")
    stage.until(lambda: [line for line in _said(node) if line.startswith("detached")], 30, "an answer to DETACH")
    stage.same(stage.status(node)["state"], "dead", "the mount")
    stage.matches("XFS was shut down on this node", stage.kernel_log(node, mark), "the kernel log")
    keeper.fails("fsync 1", "errno EIO")
    keeper.close()
    node.run(f"{DM} heal bad {DEVICE}")
    _ends(stage, node, f"umount {PLACE}", 20, "umount")


def _offline(stage, node, device):
    """A device whose path is gone cannot be attached, nor claimed: programs hear it, and the mount goes on when it is back."""
    _fresh(stage, node, device, "--lease 60000")
    stage.umount(node)
    stage.mount(node, "ro", device=device)  # else quotas are asked for first, and XFS is not mounted at all
    node.run(f"cat {PLACE}/d/f")
    _signal(node, "USR1")
    stage.until(lambda: _said(node)[-1:] == ["detached 0"], 20, "the volume to be given up")
    mark = stage.mark(node)
    node.run(f"echo offline >/sys/block/{device[5:]}/device/state")
    _is_eio(stage, node, f"cat {PLACE}/d/f", "a read while the device is offline")
    stage.until(lambda: "the device cannot be had" in stage.kernel_log(node, mark), 20, "word of it")
    stage.same(stage.status(node)["state"], "detached", "the mount of a device that is offline")
    node.run(f"echo running >/sys/block/{device[5:]}/device/state")
    stage.until(lambda: "is free again" in stage.kernel_log(node, mark), 20, "the device to be back")
    stage.same(node.run(f"cat {PLACE}/d/f", timeout=20).out, "text\n", "with the device back")
    stage.umount(node)


def _unmount_taken(stage, node, device, tries=60):
    """Another program has the device after XFS was unmounted: umount ends, and says that this node is still in the cluster."""
    _fresh(stage, node, device, "--lease 60000")
    for _ in range(tries):
        node.run(f"cat {PLACE}/d/f")
        snatch = _snatch(stage, node, device)
        mark = stage.mark(node)
        _signal(node, "USR1")
        stage.until(lambda: stage.status(node)["state"] == "detached" or "still busy" in stage.kernel_log(node, mark), 20, "XFS to be unmounted")
        if stage.status(node)["state"] == "detaching":
            break
        _let_go(snatch)
    else:
        raise LabError(f"no program was quick enough in {tries} turns")
    stage.same(snatch.line(20), "taken", "snatch")
    done = _ends(stage, node, f"umount {PLACE}", 40, "umount while another program has the device")
    stage.same(done.rc, 0, "umount")
    stage.matches("does not leave the cluster", stage.kernel_log(node, mark), "the kernel log")
    _let_go(snatch)
    stage.same(stage.leftovers(node), [], "after it")


def _frozen(stage, node, device):
    """The device is suspended from outside, which freezes XFS: what is asked to be given up is given up when that is over."""
    _fresh(stage, node, device, "--lease 60000")
    node.run(f"cat {PLACE}/d/f; {DM} suspend bad")
    mark = stage.mark(node)
    _signal(node, "USR1")
    stage.until(lambda: "frozen" in stage.kernel_log(node, mark), 20, "word of a device that is frozen")
    stage.same(stage.status(node)["state"], "attached", "while the device is frozen")
    stage.same(node.run(f"cat {PLACE}/d/f", timeout=20).out, "text\n", "a read while the device is frozen")
    node.run(f"{DM} resume bad")
    stage.until(lambda: _said(node)[-1:] == ["detached 0"], 20, "the volume to be given up")
    stage.same(node.run(f"cat {PLACE}/d/f", timeout=20).out, "text\n", "attached again")
    # Umount waits for it, too, but not for ever.
    node.run(f"{DM} suspend bad")
    done = _ends(stage, node, f"umount {PLACE}", 40, "umount while the device is frozen")
    stage.same(done.rc, 0, "umount")
    stage.matches("does not leave the cluster", stage.kernel_log(node, mark), "the kernel log")
    node.run(f"{DM} resume bad")
    stage.mount(node, "ro", device=device)
    stage.same(node.run(f"cat {PLACE}/d/f").out, "text\n", "mounted again")
    # Frozen while the volume is elsewhere: who wants it waits until that is over. (Where XFS is to write, quotas are asked for, and the disk does not answer.)
    _signal(node, "USR1")
    stage.until(lambda: _said(node)[-1:] == ["detached 0"], 20, "the volume to be given up")
    mark = stage.mark(node)
    node.run(f"{DM} suspend bad")
    reader = stage.start(node, f"cat {PLACE}/d/f")
    stage.until(lambda: stage.kernel_log(node, mark).count("blockdev is frozen") > 1, 20, "a second try")
    stage.same(stage.kernel_log(node, mark).count("XFS is mounted when that is over"), 1, "lines about a device that is frozen")
    node.run(f"{DM} resume bad")
    stage.same(reader.finish(20).out, "text\n", "a read that waited for a frozen device")
    stage.umount(node)
    _frozen_and_changed(stage, node, device)


def _frozen_and_changed(stage, node, device):
    """What is changed meanwhile waits where it holds nothing that the end of the freeze waits for: sync has XFS's superblock, and waits for pages."""
    _fresh(stage, node, device, "--lease 60000")
    node.run(f"head -c 1000 /dev/zero >{PLACE}/d/part; sync; cat {PLACE}/d/part >/dev/null; {DM} suspend bad")
    longer = stage.start(node, f"exec truncate -s 1000000 {PLACE}/d/part")
    stack = lambda name: node.run(f"cat /proc/$(pgrep -x {name})/stack", check=False).out
    stage.until(lambda: re.search("percpu_rwsem_wait|folio_wait|xfs_", stack("truncate")), 20, "a truncate on a device that is suspended")
    sync = stage.start(node, "sync; echo over")
    stage.until(lambda: sync.process.poll() is not None or re.search("wait_sb_inodes|xfs_", stack("sync")), 20, "a sync beside it")
    _ends(stage, node, f"{DM} resume bad", 20, "the end of the suspension")
    stage.same((longer.finish(20).rc, sync.finish(20).out, node.run(f"stat -c %s {PLACE}/d/part").out), (0, "over\n", "1000000\n"), "truncate and sync")
    stage.umount(node)


def _late_fault(stage, node, device):
    """A fault waits for the disk while the lease ends: what it brings is not there to be read without a fault for ever after."""
    _fresh(stage, node, device, "--lease 4000")
    keeper = stage.keeper(node)
    keeper.ok(f"open 1 {PLACE}/late +c")
    keeper.ok("write 1 0 100000 7")
    keeper.ok("fsync 1")
    keeper.ok("map 1 100000")
    node.run(f"echo 3 >/proc/sys/vm/drop_caches; {DM} stop bad")
    keeper.tell("load 1 0 100 7")
    stage.until(lambda: " D " in node.run("cat /proc/$(pidof keeper)/stat").out, 20, "a fault to wait for the disk")
    pid = node.run("pidof mxfsd_solo").out.strip()
    node.run(f"kill -STOP {pid}")
    stage.until(lambda: stage.status(node)["lease_ms"] == "0", 30, "the lease to be over")
    time.sleep(1)  # the work that unmaps comes a moment after that
    node.run(f"{DM} resume bad")
    answered = 0
    for _ in range(2):
        try:
            stage.same(keeper.line(4), "ok 100", "a load")
        except TimedOut:
            break
        answered += 1
        keeper.tell("load 1 0 100 7")
    stage.note(f"{answered} loads answered past the lease")
    stage.check(answered < 2, "a page that came past the end of the lease is read without a fault")
    node.run(f"kill -CONT {pid}")
    stage.same(keeper.line(30), "ok 100", "the load when the daemon goes on")
    keeper.close()
    stage.umount(node)


def _taken(stage, node, device, turns=60):
    """Another program takes the device as XFS is about to be mounted: a remount does not wait for that program, and the mount goes on behind it."""
    _fresh(stage, node, device, "--lease 60000")
    stage.umount(node)
    stage.mount(node, "ro,quantum_ms=0", device=device)
    node.run(f"cat {PLACE}/d/f")
    snatch = _snatch(stage, node, device)
    mark = stage.mark(node)
    # One turn after the other, until it was quick enough: before XFS is mounted, or after it was unmounted.
    turner = stage.start(node, f"for i in $(seq {turns}); do test ! -e {ENOUGH} || break; kill -USR1 $(pidof mxfsd_solo); sleep 0.3; timeout 3 cat {PLACE}/d/f || break; done >/dev/null 2>&1")
    stage.same(snatch.line(120), "taken", "snatch")
    stage.until(lambda: re.search("another program has taken it|taken by another program", stage.kernel_log(node, mark)), 20, "word of it")
    done = _ends(stage, node, f"mount -o remount,rw {PLACE}", 15, "remount while another program has the device")
    stage.check(done.rc != 0 and re.search("busy", done.err + done.out), f"remount: status {done.rc}: {done.err}{done.out}")
    _let_go(snatch)
    stage.until(lambda: "is free again" in stage.kernel_log(node, mark), 20, "the device to be free")
    node.run(f"touch {ENOUGH}")
    turner.finish(30)
    node.run(f"rm {ENOUGH}")
    stage.same(node.run(f"cat {PLACE}/d/f", timeout=20).out, "text\n", "with the device free again")
    node.run(f"mount -o remount,rw {PLACE} && echo more >>{PLACE}/d/f && cat {PLACE}/d/f", timeout=20)
    stage.umount(node)


def _snatched_remount(stage, node, device, tries):
    """Another program has taken the device in the middle of a remount, which was refused."""
    for _ in range(tries):
        stage.mount(node, "ro", device=device)
        node.run(f"cat {PLACE}/d/f")
        snatch = _snatch(stage, node, device)
        refused = node.run(f"mount -o remount,rw {PLACE}", check=False, timeout=60).rc != 0
        if refused and stage.status(node)["state"] == "detaching":
            stage.same(snatch.line(20), "taken", "snatch")
            return snatch
        # Too late, or in the moment before XFS is mounted: that is asked for anew.
        stage.same(_let_go(snatch), refused, "another program had the device, and the remount was refused")
        stage.umount(node)
    raise LabError(f"no program was quick enough in {tries} turns")


def _late_remount(stage, node, device, tries=60):
    """
    Another program takes the device in the middle of a remount, and keeps it until the lease is over and the daemon stands still: XFS is not
    mounted again before the daemon goes on.
    """
    _fresh(stage, node, device, "--lease 8000")
    stage.umount(node)
    snatch = _snatched_remount(stage, node, device, tries)
    node.run("kill -STOP $(pidof mxfsd_solo)")
    stage.until(lambda: stage.status(node)["lease_ms"] == "0", 30, "the lease to be over")
    mark = stage.mark(node)
    _let_go(snatch)
    stage.until(lambda: "is free again" in stage.kernel_log(node, mark), 20, "the device to be free")
    stage.until(lambda: stage.status(node)["state"] != "detaching", 20, "what was begun to end")
    time.sleep(1)  # for a mount of XFS that must not come
    stage.same(stage.status(node)["state"], "detached", "the mount past the lease")
    stage.check("Mounting" not in stage.kernel_log(node, mark), "XFS was mounted past the lease")
    node.run("kill -CONT $(pidof mxfsd_solo)")
    stage.same(node.run(f"cat {PLACE}/d/f", timeout=30).out, "text\n", "when the daemon goes on")
    stage.check(f"attached {ETIME}" in _said(node), f"what the daemon heard: {_said(node)}")
    node.run(f"mount -o remount,rw {PLACE} && echo more >>{PLACE}/d/f && cat {PLACE}/d/f", timeout=30)
    stage.umount(node)


def _broken_off(stage, node, device, tries=60):
    """The same, and umount breaks it off: a daemon that came meanwhile, and was told that XFS is being attached, hears what became of that."""
    _fresh(stage, node, device, "--lease 60000")
    stage.umount(node)
    snatch = _snatched_remount(stage, node, device, tries)
    node.run(f"kill -9 $(pidof mxfsd_solo); rm -f {LOG}")
    stage.until(lambda: (lambda now: now["daemon_starts"] == "2" and now["frozen"] == "0")(stage.status(node)), 20, "the next daemon")
    mark = stage.mark(node)
    umount = stage.start(node, f"umount {PLACE}")
    stage.until(lambda: not node.run(f"grep ' {PLACE} mxfs ' /proc/mounts", check=False).out, 20, "umount to be on its way")
    _let_go(snatch)
    stage.same(umount.finish(40).rc, 0, "umount")
    stage.check("is free again" not in stage.kernel_log(node, mark), "the device was free before umount broke off what waited for it")
    stage.check(any(line.startswith("attached ") for line in _said(node)), f"what the daemon heard: {_said(node)}")
    stage.same(stage.leftovers(node), [], "after it")


# Begins a change of owner; milliseconds until the volume is given up.
HAND_OVER = """n=$(sed -n 's/^detaches //p' $status); s=$(date +%s%N); kill -USR1 $(pidof mxfsd_solo)
for i in $(seq 1000); do while read -r k v; do [ $k = detaches ] && break; done <$status; [ $v = $n ] || break; sleep 0.01; done
echo $((($(date +%s%N) - s) / 1000000))"""


def _trim(stage, node, _device):
    """FITRIM on a disk that takes its time: the blocks are given back, and who waits for the volume has it within a quantum and a little."""
    node.run("truncate -s 2G /run/disk")
    loop = node.run("losetup -f --show /run/disk").out.strip()
    stage.check(node.run(f"cat /sys/block/{loop[5:]}/queue/discard_max_bytes").out.strip() != "0", "a loop device that discards")
    # XFS hands over requests to discard without waiting for their end: what it can be ahead of the disk is the disk's queue.
    node.run(f"echo 16 >/sys/block/{loop[5:]}/queue/nr_requests; mkfs.xfs -q -f {loop}")
    _solo(stage, node, "--lease 60000")
    stage.mount(node, "quantum_ms=100", device=loop)
    status = f"/sys/kernel/debug/mxfs/{loop[5:]}/status"
    # 48 MiB with a hole in every second block.
    node.run(f"head -c 48M /dev/zero | tr '\\0' x >{PLACE}/holes && sync && seq 0 8192 50300000 | sed 's/.*/fpunch & 4096/' >/run/punch && "
             f"xfs_io {PLACE}/holes </run/punch >/dev/null && sync && rm /run/punch", timeout=120)
    before = int(node.run("du -k /run/disk").out.split()[0])
    trim = stage.start(node, f"s=$(date +%s%N); fstrim -v {PLACE}; r=$?; e=$(date +%s%N); echo $(((e - s) / 1000000)) ms; exit $r")
    took = []
    for _ in range(4):
        time.sleep(0.2)
        if trim.process.poll() is not None:
            break
        took.append(int(node.run(f"status={status}; {HAND_OVER}", timeout=60).out) / 1000)
    done = trim.finish(120)
    stage.note(f"hand-overs beside a trim: {took} s; {done.out.strip()}")
    stage.same(done.rc, 0, f"fstrim: {done.out}")
    stage.check(took, "the trim was over before the volume was asked for: the test did not test it")
    stage.check(max(took) < 1.5 * stage.slowness, f"a hand-over beside a trim took {max(took):.2f} s")
    after = int(node.run("du -k /run/disk").out.split()[0])
    stage.note(f"the disk's file: {before} KiB before, {after} KiB after")
    stage.check(after < before - 20 * 1024, f"{before} KiB before, {after} KiB after: the trim freed too little")
    stage.same(node.run(f"head -c 8192 {PLACE}/holes | tr -d '\\0' | wc -c; tail -c 4096 {PLACE}/holes | tr -d x | tr -d '\\0' | wc -c").out.split(), ["4096", "0"],
               "what the file holds")
    stage.umount(node)
    done = node.run(f"xfs_repair -n {loop} 2>&1", check=False, timeout=120)
    stage.check(done.rc == 0, f"xfs_repair -n: {done.out[-1000:]}")
