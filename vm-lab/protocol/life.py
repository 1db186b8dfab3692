# SPDX-License-Identifier: Apache-2.0
"""Coming, going, waiting: umount while the other node takes the volume again and again; a daemon that is stopped, that dies or is never ready
once XFS is attached, whose first thread ends, whose last thread lingers; what fails to be written as the volume is let go is told."""

import re
import time

from lablib.errors import TimedOut
from lablib.protocol import DEVICE, PLACE, PROGRAMS

LIMIT = 420
MARKERS = ["SELFTEST: umount under turns ok", "SELFTEST: daemon stopped ok", "SELFTEST: bad ends of a daemon ok", "SELFTEST: write errors are told ok"]
# A disk that fails on purpose.
EXPECTED = [r"I/O error, dev (dm-0|sda)", r"Buffer I/O error on dev", r"XFS \(dm-0\): .*(I/O|writeback) error", r"dm-0: writeback error"]
DAEMON = "/usr/sbin/mxfsd"


def run(stage):
    n1, n2 = stage.n1, stage.n2
    stage.mkfs()
    _umount_under_turns(stage, n1, n2)
    stage.marker(MARKERS[0])
    _stopped(stage, n1)
    stage.marker(MARKERS[1])
    _given_up(stage, n1)
    n1.run(f"mv {DAEMON} {DAEMON}.kept")
    try:
        _umount_under_detach(stage, n1)
        _bad_ends(stage, n1)
        stage.marker(MARKERS[2])
        _write_errors(stage, n1)
        stage.marker(MARKERS[3])
    finally:
        n1.run(f"mv -f {DAEMON}.kept {DAEMON}; umount {PLACE}; for d in bad slow; do {PROGRAMS}/dm resume $d; {PROGRAMS}/dm remove $d; done; losetup -D; "
               "rm -f /run/disk", check=False)


def _umount_under_turns(stage, n1, n2):
    """Dirty pages of closed files are written by the detach, which the other node asks for, while this node's umount is on its way.

    The quantum lets this node work until it is idle: that is in the middle of its umount.
    """
    stage.mount(n2)
    n2.run(f"mkdir {PLACE}/m; rm -f /run/enough")
    reader = stage.start(n2, f"while test ! -e /run/enough; do ls {PLACE}/m; sleep 0.02; done >/dev/null 2>&1")
    for turn in range(2):
        stage.mount(n1, "quantum_ms=10000")
        took = n1.run(f"{PROGRAMS}/map_many {PLACE}/m 300 8192 && s=$(date +%s%N) && umount {PLACE} && "
                      "e=$(date +%s%N) && echo $(((e - s) / 1000000))", timeout=60).out
        stage.note(f"umount {turn}: {took.strip()} ms")
        stage.same(stage.leftovers(n1), [], "after umount under turns")
    n2.run("touch /run/enough")
    reader.finish(30)
    n2.run("rm /run/enough")  # posix, on the same nodes, looks for it as well
    stage.same(n2.run(f"cat {PLACE}/m/* | tr -d m | tr -d '\\0' | wc -c; cat {PLACE}/m/* | tr -d '\\0' | wc -c").out.split(), ["0", "600"],
               "what was stored through maps")
    stage.umount(n2)


def _ends(stage, node, command, limit, what):
    """Ends by itself; its status and how long it took."""
    began = time.monotonic()
    done = node.run(f"timeout -s KILL {limit * stage.slowness:g} {command} || exit $?", check=False, timeout=limit + 30)
    took = time.monotonic() - began
    stage.check(done.rc not in (124, 137), f"{what}: not over after {limit} s")
    stage.note(f"{what}: {took:.1f} s, status {done.rc}")
    return done


def _waits(stage, node, command, what):
    """Waits as long as nothing may start, and can be killed."""
    done = node.run(f"timeout -s KILL {2 * stage.slowness:g} {command} || exit $?", check=False, timeout=40)
    stage.check(done.rc in (124, 137), f"{what} was answered, though nothing may start: status {done.rc}: {done.out}{done.err}")


def _unanswered(keeper, command):
    try:
        keeper.ok(command, limit=3)
    except TimedOut:
        return True
    return False


def _stopped(stage, node):
    """SIGSTOP and the lease over: what would start waits, killable, names and permissions too; sync and umount end by themselves."""
    stage.mount(node, "lease_ms=3000")
    node.run(f"mkdir {PLACE}/d && echo text >{PLACE}/d/f && chmod 755 {PLACE}/d && ls -l {PLACE}/d && ! test -r {PLACE}/d/none")
    keeper = stage.keeper(node)
    keeper.ok(f"open 1 {PLACE}/d/kept +c")
    keeper.ok("write 1 0 100000 7")
    keeper.ok("map 1 100000")
    keeper.ok("store 1 0 5000 8")
    reader = stage.keeper(node)
    reader.ok(f"open 1 {PLACE}/d/kept r")
    reader.ok("map 1 100000")
    reader.ok("load 1 0 5000 8")
    pid = stage.daemon_pid(node)
    node.run(f"kill -STOP {pid}")
    stage.until(lambda: stage.status(node)["lease_ms"] == "0", 30, "the lease to be over")
    for command, what in ((f"test -r {PLACE}/d/f", "access to a file"), (f"test -r {PLACE}/d/none", "a name that is known not to be there"),
                          (f"test -r {PLACE}/d", "access to a folder"), (f"stat {PLACE}/d/f", "stat"), (f"cat {PLACE}/d/f", "read")):
        _waits(stage, node, command, what)
    # Pages that were mapped are no answer either. They are unmapped by work, which may come a moment after the end of the lease.
    waiting = int(stage.status(node)["waiters"])
    stage.until(lambda: _unanswered(reader, "load 1 0 5000 8"), 20, "a load from a map past the lease to wait")
    stage.same(int(stage.status(node)["waiters"]), waiting + 1, "who waits: the load, too")
    # What was stored goes below, and is written from there; nothing new starts by that.
    _ends(stage, node, "sync", 20, "sync of everything while the daemon is stopped")
    keeper.process.stdin.write(b"fsync 1\n")
    keeper.process.stdin.flush()
    _ends(stage, node, f"stat -f {PLACE}", 20, "statfs while the daemon is stopped")
    node.run("kill -KILL $(pidof keeper)")
    stage.until(lambda: not node.run("pidof keeper", check=False).out.strip(), 10, "a killed fsync to end")
    # Once the daemon goes on, all is as it was.
    node.run(f"kill -CONT {pid}")
    stage.same(node.run(f"cat {PLACE}/d/f; test -r {PLACE}/d/none || echo none", timeout=40).out, "text\nnone\n", "after SIGCONT")
    node.run(f"kill -STOP {pid}")
    stage.until(lambda: stage.status(node)["lease_ms"] == "0", 30, "the lease to be over")
    _ends(stage, node, f"umount {PLACE}", 30, "umount while the daemon is stopped")
    stage.same(stage.leftovers(node), [], "after umount with a stopped daemon")
    stage.clear_keys()
    # As on a crash, nothing that was accepted is lost where the array still let this node write.
    stage.mount(node)
    other = stage.keeper(node)
    other.ok(f"open 1 {PLACE}/d/kept r")
    other.ok("check 1 0 5000 8")
    other.ok("check 1 5000 95000 7")
    other.close()
    stage.umount(node)


def _umount_under_detach(stage, node, turns=5):
    """The same, by a daemon that asks for the volume at many moments of an umount."""
    _daemon(node, "")
    for turn in range(turns):
        stage.mount(node, "quantum_ms=0")
        node.run(f"mkdir -p {PLACE}/u && {PROGRAMS}/map_many {PLACE}/u 400 4096 && pid=$(pidof mxfsd_solo) && "
                 f"{{ (sleep {turn * 0.03:.2f}; kill -USR1 $pid) & umount {PLACE}; }}; s=$?; wait; exit $s", timeout=60)
    stage.same(stage.leftovers(node), [], "after umount under detach")


def _given_up(stage, node):
    """A mount that gives up wherever its daemon is by then leaves no key and no daemon."""
    for ready in (500, 1500, 3000):
        tried = stage.try_mount(node, f"ready_ms={ready}")
        stage.check(tried.errno in ("0", "ETIMEDOUT"), f"mount with ready_ms={ready}: {tried.said}")
        stage.note(f"ready_ms={ready}: {tried.errno}")
        if tried.mounted:
            stage.umount(node)
        stage.same(stage.leftovers(node), [], f"after a mount with ready_ms={ready}")
        stage.same(stage.keys(node), [], f"keys after a mount with ready_ms={ready}")


def _daemon(node, options):
    node.run(f"printf '#!/bin/sh\\nexec {PROGRAMS}/mxfsd_solo {options} \"$@\"\\n' >{DAEMON}; chmod 755 {DAEMON}")


def _solo(node):
    return int(node.run("pidof mxfsd_solo", check=False).out.split()[0])


def _bad_ends(stage, node):
    for options, errno, pattern in (("--die-attached", "EIO", "ended before it was ready"),
                                    ("--never-ready --lease 1000", "ETIMEDOUT", "not ready within 3000 ms")):
        _daemon(node, options)
        began = time.monotonic()
        trial = stage.start(node, f"{PROGRAMS}/try_mount mxfs {DEVICE} {PLACE} ready_ms=3000")
        if "never" in options:
            stage.until(lambda: node.run("grep -c attached /sys/kernel/debug/mxfs/*/status", check=False).out.strip() == "1", 20, "XFS to be attached")
            _ends(stage, node, "sync", 20, "sync of everything while a mount fails")
        said = trial.finish(40).out
        stage.check(f"errno {errno}" in said and pattern in said, f"mount with a daemon that does {options}: {said}")
        stage.note(f"{options}: {time.monotonic() - began:.1f} s")
        stage.same(stage.leftovers(node), [], f"after a daemon that does {options}")
        stage.check(not node.run("pidof mxfsd_solo", check=False).out, f"a daemon that does {options} is still there")
    # A result that the socket had no room for is sent again.
    _daemon(node, "--full-socket")
    stage.mount(node)
    stage.umount(node)
    # The lease ends when the daemon said, whenever the message arrives.
    _daemon(node, "--stale-lease")
    stage.mount(node)
    node.run(f"kill -USR2 {_solo(node)}")
    stage.until(lambda: stage.status(node)["lease_ms"] == "0", 20, "a lease that was over when it arrived to be over")
    _waits(stage, node, f"cat {PLACE}/d/f", "a read past the lease")
    _ends(stage, node, f"umount {PLACE}", 20, "umount past the lease")
    # A first thread that ended is no dead daemon.
    _daemon(node, "--second-thread")
    stage.mount(node)
    node.run(f"echo thread >{PLACE}/thread; cat {PLACE}/thread")
    stage.same(stage.status(node)["daemon_starts"], "1", "daemons, where the first thread ended")
    stage.umount(node)
    # A thread that hangs in the kernel may still do something to the disk: no other daemon starts before it is gone.
    node.run("modprobe dm-mod; truncate -s 1M /run/disk")
    loop = node.run("losetup -f --show /run/disk").out.strip()
    slow = node.run(f"{PROGRAMS}/dm linear slow {loop}").out.strip()
    _daemon(node, f"--linger {slow}")
    stage.mount(node)
    node.run(f"{PROGRAMS}/dm suspend slow")
    pid = _solo(node)
    stage.until(lambda: " D " in node.run(f"cat /proc/{pid}/task/*/stat", check=False).out, 20, "a thread to hang")
    mark = stage.mark(node)
    node.run(f"kill -USR2 {pid}")
    stage.until(lambda: stage.status(node)["frozen"] == "1", 20, "the mount to be frozen")
    stage.until(lambda: "does not die" in stage.kernel_log(node, mark), 40, "word of a daemon that does not die")
    stage.same(stage.status(node)["daemon_starts"], "1", "daemons, while a thread of the first one hangs")
    node.run(f"{PROGRAMS}/dm resume slow")
    stage.until(lambda: "a new daemon" in stage.kernel_log(node, mark), 40, "the new daemon to take over")
    stage.same(node.run(f"cat {PLACE}/thread", timeout=40).out, "thread\n", "with the new daemon")
    # And umount ends, but the next mount is refused until it is gone.
    node.run(f"{PROGRAMS}/dm suspend slow")
    pid = _solo(node)
    stage.until(lambda: " D " in node.run(f"cat /proc/{pid}/task/*/stat", check=False).out, 20, "a thread to hang")
    _ends(stage, node, f"umount {PLACE}", 40, "umount while a thread of the daemon hangs")
    stage.refused(node, "EBUSY", "earlier daemon", what="mount while a thread of an earlier daemon hangs")
    node.run(f"{PROGRAMS}/dm resume slow")
    stage.until(lambda: not node.run("pidof mxfsd_solo", check=False).out, 20, "the daemon to be gone")
    stage.mount(node)
    stage.umount(node)
    node.run(f"{PROGRAMS}/dm remove slow; losetup -d {loop}")


def _write_errors(stage, node):
    """What XFS cannot write when the volume is let go is told as on XFS: by fsync of the file, also of one that nobody had open, and by syncfs."""
    _daemon(node, "")
    device = node.run(f"modprobe dm-mod; {PROGRAMS}/dm linear bad {DEVICE}").out.strip()
    node.run(f"mkfs.xfs -q -f {device}")
    stage.mount(node, device=device)
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

    def detach():
        before = stage.status(node)["detaches"]
        node.run(f"kill -USR1 {_solo(node)}")
        stage.until(lambda: stage.status(node)["detaches"] != before, 30, "the volume to be let go")

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
    detach()
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
        detach()
        heal()
        keeper.fails("fsync 1", "errno EIO")
        keeper.ok("fsync 1")
    _each_descriptor(stage, keeper, fail, heal, detach)
    keeper.close()
    stage.umount(node)
    done = node.run(f"xfs_repair -n {device} 2>&1", check=False, timeout=120)
    stage.check(done.rc == 0, f"xfs_repair -n: {done.out[-1000:]}")
    node.run(f"{PROGRAMS}/dm remove bad")


def _each_descriptor(stage, keeper, fail, heal, detach):
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
            detach()
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
