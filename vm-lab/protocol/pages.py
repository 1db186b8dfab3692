# SPDX-License-Identifier: Apache-2.0
"""User memory and pages of maps between two nodes: a program whose memory nobody brings keeps nobody else from the volume, and what it writes or
reads is one piece all the same, also from a map that comes slowly; what was stored into a
file without a name is read by who still has it open; what a device reads into a map is part of the file for the next owner, for a write beside it,
and reported lost when the device takes too long; references to pages that are only read, and requests without end cost a change of owner little; advice reaches the cache that has the pages; a confined program may use what its profile allows."""

import base64
import contextlib
import select
import zlib

from lablib.protocol import DEVICE, PLACE, PROGRAMS

LIMIT = 300
MARKERS = ["SELFTEST: held memory ok", "SELFTEST: whole requests ok", "SELFTEST: nameless stores ok", "SELFTEST: pages that are only read ok",
           "SELFTEST: pinned pages ok", "SELFTEST: slow maps ok",
           "SELFTEST: advice ok", "SELFTEST: confined ok"]
EXPECTED = []
PAGE = 4096
HOWS = ("write", "append", "direct-write", "read", "direct-read", "aio-read", "version")
# What apparmor_parser -S makes of this profile, compressed:
#   profile mxfs-test { /run/t/* mrix, /usr/** mrix, /etc/** r, /dev/** rw,
#                       /mnt/shared/ r, /mnt/shared/allowed/ r, /mnt/shared/allowed/** rw, }
PROFILE = (
    "eNrtlN1OwkAQhU+X0i0FKoqiAiqgovhzZ7zzxsTXMGm0NSQIhBLDpa/gG3u23caCqDGCV0yyvzM72875WtPGiz8Ku4M+RBaAaWM4GgTdng+ZdfA8CcLLsR+O"
    "YVoIet5TCCkYho/OnllHnSnx4A3D66tP4fEZZvO8x8CDVZZqA7X7yQ2HHUCWgP5gHPT8iXIYMBHbBZZpmVc3dRfwdns35Z9dp2PnWeKX//T8yzLx5fMbc+bJ"
    "aOq51KNSPaP3FWaW9iXNTsUpy+l4ZY5uee1X5wszdwmdM6vzFdlc7RW/qv+2YlABmZoBB7rNPxEhndxjuEtXZANlbGILFb2zF/WHOF/YHfs4Yv0yrJ6NJupo"
    "oYMzHLO+Dkpo44TVLlAlSVWKWMM6dlFFA6dY2Q//mSlOFGO1aKk0rURaxpz9XUuDyrjUpkR14uzVKHuLSi6KlDqpy/GNBN+rQQaaJKBDdgRJyZOXNmcy+gYt"
    "kuSQGcXtPvlZ2bdmvwMHCSHH")
PATIENCE = 10  # seconds for what another node asks of the volume; a change of owner takes a fraction of one


def run(stage):
    n1, n2 = stage.n1, stage.n2
    stage.mkfs()
    stage.mount(n1)
    stage.mount(n2)
    _held(stage, n1, n2)
    stage.marker("SELFTEST: held memory ok")
    _whole(stage, n1, n2)
    stage.marker("SELFTEST: whole requests ok")
    _nameless(stage, n1, n2)
    stage.marker("SELFTEST: nameless stores ok")
    _snagged(stage, n1, n2)
    stage.marker("SELFTEST: pages that are only read ok")
    _pinned(stage, n1, n2)
    stage.marker("SELFTEST: pinned pages ok")
    _slow_source(stage, n1, n2)
    _slow_map(stage, n1, n2)
    stage.marker("SELFTEST: slow maps ok")
    _advice(stage, n1)
    stage.marker("SELFTEST: advice ok")
    _confined(stage, n1, n2)
    stage.marker("SELFTEST: confined ok")
    stage.umount(n1)
    stage.umount(n2)
    stage.repair()


def _held(stage, n1, n2):
    """node1 waits for memory inside a system call, in seven ways at once; node2 has the volume meanwhile."""
    a = stage.keeper(n1)
    a.ok(f"chdir {PLACE}")
    for how in HOWS:
        a.ok(f"open 1 {how} +c")
        a.ok(f"write 1 0 {4 * PAGE} 7")
        a.ok("close 1")
    held = {how: stage.start(n1, f"{PROGRAMS}/held {PLACE}/{how} {how} {PAGE}") for how in HOWS}
    for program in held.values():
        stage.same(program.line(60), "held", "a program that waits for memory")
    b = stage.keeper(n2)
    for round_ in range(2):
        b.ok(f"chdir {PLACE}", limit=PATIENCE)
        b.ok(f"count {PLACE}", limit=PATIENCE)
        b.ok("open 2 append +a", limit=PATIENCE)
        b.ok(f"append 2 {PAGE} 7 {4 * PAGE + round_ * PAGE}", limit=PATIENCE)
        a.ok("exists write", limit=PATIENCE)
    for how, program in held.items():
        program.tell("go")
        expected = "done 0" if how == "version" else f"done {2 * PAGE}" + (" same" if "read" in how else "")
        stage.same(program.line(30), expected, f"{how}, when its memory came after the volume had been elsewhere")
        stage.same(program.finish(30).rc, 0, how)
    for how in ("write", "direct-write"):
        b.ok(f"open 3 {how} r")
        b.ok(f"check 3 0 {4 * PAGE} 7")
        b.ok("close 3")
    # What was appended is there, whole, and nothing of the other node's was overwritten.
    stage.same(b.ok("size 2"), str(8 * PAGE), "the length of a file that both appended to")
    b.ok(f"check 2 0 {6 * PAGE} 7")
    a.close()
    b.close()


def _whole(stage, n1, n2):
    """While node1 waits for memory in the midst of a request, node2 sees nothing of it, and does nothing in the midst of it."""
    b = stage.keeper(n2)
    b.ok(f"chdir {PLACE}")

    def wait(name, how, offset, size):
        program = stage.start(n1, f"{PROGRAMS}/held {PLACE}/{name} {how} {offset} {size}")
        stage.same(program.line(60), "held", f"{how} of {size} bytes")
        return program

    def go(program, expected, what):
        program.tell("go")
        stage.same(program.line(60), f"done {expected}", what)
        stage.same(program.finish(30).rc, 0, what)

    # Appended, with the other node's before and not within.
    for how, size in (("append", 2 * PAGE), ("append", 3 << 20), ("direct-append", 6 << 20)):
        name = f"whole-{how}-{size}"
        b.ok(f"open 1 {name} +ca")
        b.ok(f"append 1 {PAGE} 1 0")
        program = wait(name, how, 2 * PAGE, size)
        b.ok(f"append 1 {PAGE} 1 {PAGE}", limit=PATIENCE)
        go(program, size, f"{how} of {size} bytes")
        b.ok(f"append 1 {PAGE} 1 {2 * PAGE + size}")
        stage.same(b.ok("size 1"), str(3 * PAGE + size), f"length after {how} of {size} bytes")
        for at, length, seed in [(0, 2 * PAGE, 1), (2 * PAGE + size, PAGE, 1)] + [
                (2 * PAGE + part, min(size - part, 1 << 20), 7) for part in range(0, size, 1 << 20)]:
            b.ok(f"check 1 {at} {length} {seed}")
        b.ok("close 1")
        b.ok(f"unlink {name}")
    # Written in the midst of a file: all of it is there, or nothing.
    for size in (2 * PAGE, 1 << 20):
        b.ok("open 1 whole-write +c")
        b.ok(f"write 1 0 {size} 1")
        program = wait("whole-write", "write", 0, size)
        b.ok(f"check 1 0 {size} 1", limit=PATIENCE)
        go(program, size, f"a write of {size} bytes")
        b.ok(f"check 1 0 {size} 7")
        b.ok("close 1")
    # Read: what was there before, or what came since.
    for size in (2 * PAGE, 1 << 20):
        b.ok("open 1 whole-read +c")
        b.ok(f"write 1 0 {size} 7")
        program = wait("whole-read", "read", 0, size)
        b.ok(f"write 1 0 {size} 8", limit=PATIENCE)
        go(program, f"{size} other", f"a read of {size} bytes")
        b.ok("close 1")
    b.close()


def _nameless(stage, n1, n2):
    """Stored through a map, without a name, by a node that then lets go of it: the other one still has it open."""
    a, b = stage.keeper(n1), stage.keeper(n2)
    for keeper in (a, b):
        keeper.ok(f"chdir {PLACE}")
    for number, (mine, other) in enumerate(((a, b), (b, a))):
        name = f"nameless{number}"
        mine.ok(f"open 1 {name} +c")
        mine.ok("write 1 0 40000 1")
        other.ok(f"open 1 {name} +")
        other.ok("check 1 0 40000 1")
        # Removed by who stores, or by the other one.
        (mine if number == 0 else other).ok(f"unlink {name}")
        mine.ok("map 1 40000")
        mine.ok("store 1 0 40000 2")
        mine.ok("unmap 1")
        mine.ok("close 1")
        other.ok("check 1 0 40000 2")
        other.ok("close 1")
    a.close()
    b.close()


def _took(node, command):
    """Seconds, by the node's clock."""
    return int(node.run(f"s=$(date +%s%N); {command} >/dev/null; e=$(date +%s%N); echo $(((e - s) / 1000))", timeout=40).out) / 1e6


def _snagged(stage, n1, n2):
    """Whoever may read a file can refer to its pages as often as he likes; that costs nobody a change of owner, and nobody an fsync."""
    n1.run(f"head -c {2 * PAGE} /dev/zero >{PLACE}/snagged && chmod 644 {PLACE}/snagged && chmod 755 {PLACE}")
    keeper = stage.keeper(n1)
    keeper.ok(f"open 1 {PLACE}/snagged +")
    program = stage.start(n1, f"{PROGRAMS}/pinned {PLACE}/snagged snag")
    stage.same(program.line(30), "pinned", "a user who refers to a page")
    took = _took(n2, f"cat {PLACE}/snagged")
    stage.note(f"a change of owner while a page is referred to: {took:.2f} s")
    stage.check(took < 3 * stage.slowness, f"a change of owner took {took:.1f} s")
    keeper.ok("fsync 1")
    program.tell("go")
    stage.same(program.finish(30).rc, 0, "the program")
    keeper.close()
    n1.run(f"rm {PLACE}/snagged")


def _pinned(stage, n1, n2):
    """A device reads into pages of a map while somebody else wants the volume, or writes to the file."""
    pages = 64
    n1.run(f"modprobe dm-mod; head -c {pages * PAGE} /dev/zero | tr '\\0' d >/run/slow-device")
    loop = n1.run("losetup -f --show /run/slow-device").out.strip()
    device = n1.run(f"{PROGRAMS}/dm linear slow {loop}").out.strip()
    try:
        def begin():
            n1.run(f"cd {PLACE} && head -c {pages * PAGE} /dev/zero | tr '\\0' o >pinned")
            n1.run(f"{PROGRAMS}/dm suspend slow")
            program = stage.start(n1, f"{PROGRAMS}/pinned {PLACE}/pinned {device} {pages}")
            stage.same(program.line(30), "pinned", "a read from a device into a map")
            return program

        def end(program, fsync):
            program.tell("go")
            stage.same(program.line(30), f"done {pages * PAGE}", "the read from the device")
            program.tell("go")
            stage.same(program.line(30), f"fsync {fsync}", "fsync of the file that the device read into")
            stage.same(program.finish(30).rc, 0, "the program")

        # A write beside it, on the same node: both are in the file.
        program = begin()
        n1.run(f"printf {'w' * 100} | dd of={PLACE}/pinned bs=100 seek=81 conv=notrunc status=none", timeout=30)
        n1.run(f"{PROGRAMS}/dm resume slow")
        end(program, "0")
        stage.same(n1.run(f"tr -d d <{PLACE}/pinned | wc -c").out.strip(), "0", "bytes of the file that are not the device's, which came last")
        # The other node reads: it gets what the device read, once that is there.
        program = begin()
        reader = stage.start(n2, f"md5sum <{PLACE}/pinned")
        stage.until(lambda: stage.status(n1)["state"] == "detaching", 20, "the volume to be taken away")
        n1.run(f"{PROGRAMS}/dm resume slow")
        stage.same(reader.finish(30).out.split()[0], n1.run("md5sum </run/slow-device").out.split()[0], "what the other node reads")
        end(program, "0")
        # A device that does not come back in time: the other node gets the volume, and who waited for the data is told.
        program = begin()
        mark = stage.mark(n1)
        stage.same(n2.run(f"tr -d os <{PLACE}/pinned | wc -c", timeout=30).out.strip(), "0", "bytes of a device that hangs")
        stage.matches("what it writes from now on is lost", stage.kernel_log(n1, mark), "the kernel log")
        # The same request again costs the next changes of owner nothing, and a new one little.
        for what, limit in (("the same", 3), ("a new", 3)):
            n1.run(f"echo {what} >{PLACE}/beside")
            if what == "a new":
                second = stage.start(n1, f"{PROGRAMS}/pinned {PLACE}/pinned {device} {pages}")
                stage.same(second.line(30), "pinned", "a second read from the device")
            took = _took(n2, f"cat {PLACE}/beside")
            stage.note(f"a change of owner with {what} request under way: {took:.2f} s")
            stage.check(took < limit * stage.slowness, f"a change of owner with {what} request of a device that hangs took {took:.1f} s")
        n1.run(f"{PROGRAMS}/dm resume slow")
        end(program, "EIO")
        end(second, "EIO")
        # Requests that follow each other, of a device that needs its time for each.
        device = n1.run(f"modprobe dm-delay; {PROGRAMS}/dm slow delayed {loop} 60").out.strip()
        n1.run(f"umount {PLACE}")
        stage.mount(n1)  # so that a short patience is not what helps
        n1.run(f"cd {PLACE} && head -c {pages * PAGE} /dev/zero | tr '\\0' o >pinned")
        program = stage.start(n1, f"{PROGRAMS}/pinned {PLACE}/pinned {device} {pages} stream")
        stage.same(program.line(30), "pinned", "reads from a device into a map")
        for _ in range(3):
            n1.run(f"echo x >{PLACE}/beside")
            took = _took(n2, f"cat {PLACE}/beside")
            stage.note(f"a change of owner beside requests without end: {took:.2f} s")
            stage.check(took < 3 * stage.slowness, f"a change of owner beside requests without end took {took:.1f} s")
        program.tell("go")
        stage.check(int(program.line(30).split()[1]) >= 8, "requests")
        program.tell("go")
        stage.same(program.line(30), "fsync 0", "fsync after requests without end")
        stage.same(program.finish(30).rc, 0, "the program")
        stage.same(n2.run(f"md5sum <{PLACE}/pinned").out.split()[0], n1.run("md5sum </run/slow-device").out.split()[0], "what the other node reads")
        n1.run(f"rm {PLACE}/pinned {PLACE}/beside")
    finally:
        n1.run(f"{PROGRAMS}/dm resume slow; {PROGRAMS}/dm remove slow; {PROGRAMS}/dm remove delayed; losetup -d {loop}; rm -f /run/slow-device", check=False)


class _SlowDisk:
    """The shared disk is slow for some programs of a node: a control group, limited in bytes read a second."""

    GROUP = "/run/slow-group"

    def __init__(self, node):
        self.node = node

    def __call__(self, command):
        return f"sh -c 'echo $$ >{self.GROUP}/slow/cgroup.procs && exec {command}'"

    def rate(self, bytes_a_second):
        self.node.run(f"echo $(cat /sys/class/block/{DEVICE.removeprefix('/dev/')}/dev) rbps={bytes_a_second} >{self.GROUP}/slow/io.max")


@contextlib.contextmanager
def _slow_disk(node):
    group = _SlowDisk.GROUP
    node.run(f"mkdir {group} && mount -t cgroup2 none {group} && echo +io >{group}/cgroup.subtree_control && mkdir {group}/slow")
    try:
        yield _SlowDisk(node)
    finally:
        node.run(f"rmdir {group}/slow; umount {group} && rmdir {group}", check=False)


def _slow_map(stage, n1, n2):
    """
    A device reads into a map whose pages a slow disk has to bring, one after the other, when the other node wants the volume: some are pinned
    then, so the rest is brought in before the volume is given up.
    """
    size = 256 * PAGE
    loop = n1.run(f"head -c {size} /dev/zero | tr '\\0' d >/run/pinning && losetup -f --show /run/pinning").out.strip()
    n2.run(f"head -c {size} /dev/zero | tr '\\0' o >{PLACE}/cold")
    n1.run(f"touch {PLACE}/turn")
    try:
        with _slow_disk(n1) as slow:
            slow.rate(768 << 10)
            program = stage.start(n1, slow(f"{PROGRAMS}/pinned {PLACE}/cold {loop} {size // PAGE} cold"))
            stage.until(lambda: n1.run("awk '/^nr_foll_pin_acquired/ { a = $2 } /^nr_foll_pin_released/ { r = $2 } END { exit a == r }' /proc/vmstat",
                                       check=False).rc == 0, 20, "pages to be pinned")
            stage.same(n2.run(f"tr -d d <{PLACE}/cold | wc -c", timeout=30).out, "0\n", "bytes that are not the device's, read by the other node")
            for answer in ("pinned", f"done {size}", "fsync 0"):
                stage.same(program.line(30), answer, "a read from a device into a map that comes slowly")
                if answer != "fsync 0":
                    program.tell("go")
            stage.same(program.finish(30).rc, 0, "the program")
        n1.run(f"rm {PLACE}/cold")
    finally:
        n1.run(f"losetup -d {loop}; rm -f /run/pinning", check=False)


def _slow_source(stage, n1, n2):
    """
    Appended from a map of the same volume, which comes from a slow disk and has to come again after each change of owner: the other node has the
    volume again and again until it is appended, nothing is reported lost, and what is appended is one piece.
    """
    size = 4 << 20
    with _slow_disk(n1) as slow:
        a = stage.keeper(n1, slow(f"{PROGRAMS}/keeper"))
        a.ok(f"chdir {PLACE}")
        a.ok("open 1 source +c")
        for at in range(0, size, 1 << 20):
            a.ok(f"write 1 {at} {1 << 20} 7")
        a.ok("open 2 target +ca")
        a.ok(f"map 1 {size}")
        b = stage.keeper(n2)
        b.ok(f"chdir {PLACE}")
        b.ok("open 2 target +a")
        mark = stage.mark(n1)
        slow.rate(2 << 20)
        a.tell(f"spill 2 1 {size}")

        def over(limit):
            return select.select([a.process.stdout], [], [], limit)[0]

        at, turns = None, 0
        while not over(0):
            stage.until(lambda: stage.status(n1)["state"] == "attached" or over(0), 20, "the volume to be taken back")
            over(1)
            had = int(b.ok("size 2", limit=PATIENCE))
            if at is None and had != turns * PAGE:
                at = turns * PAGE
            stage.same(had, turns * PAGE + (0 if at is None else size), "the length of the file, in the midst of it")
            b.ok(f"append 2 {PAGE} 1 0", limit=PATIENCE)
            turns += 1
        stage.note(f"the other node had the volume {turns} times beside an append of {size >> 20} MiB from a slow disk")
        stage.check(turns >= 3, "the append was over too soon: the test did not test it")
        stage.same(a.line(60), f"ok {size}", "the append from the map")
        slow.rate("max")
        a.ok("fsync 1")
        stage.check("is lost" not in stage.kernel_log(n1, mark), "nothing is reported lost")
        stage.same(b.ok("size 2"), str(turns * PAGE + size), "the length of the file")
        at = turns * PAGE if at is None else at
        n2.run(f"cd {PLACE} && tail -c +{at + 1} target | head -c {size} | cmp - source && rm target source")
        a.close()
        b.close()


def _advice(stage, node):
    """In MiB of all page caches together: what is read ahead is read once, and what is not needed goes."""
    mib = 48
    node.run(f"head -c {mib}m /dev/urandom >{PLACE}/big; sync; echo 3 >/proc/sys/vm/drop_caches")

    def cached():
        return int(node.run("sed -n 's/^Cached: *\\([0-9]*\\) kB/\\1/p' /proc/meminfo").out) // 1024

    before = cached()
    node.run(f"cat {PLACE}/big >/dev/null")
    stage.check(cached() - before >= mib - 8, "reading fills the cache")
    node.run(f"dd if={PLACE}/big iflag=nocache count=0 status=none")
    stage.check(cached() - before <= 8, f"{cached() - before} MiB are kept after POSIX_FADV_DONTNEED")


def _confined(stage, n1, n2):
    """Under AppArmor: what the profile allows by the names that the program knows, before and after a change of owner."""
    stage.matches("apparmor", n1.run("mountpoint -q /sys/kernel/security || mount -t securityfs securityfs /sys/kernel/security; "
                                     "cat /sys/kernel/security/lsm").out, "security modules of the kernel")
    profile = stage.lab.share / "mxfs-test.profile"
    profile.write_bytes(zlib.decompress(base64.b64decode("".join(PROFILE))))
    n1.run(f"mkdir {PLACE}/allowed && echo secret >{PLACE}/other && cat /host/{profile.name} >/sys/kernel/security/apparmor/.replace")
    profile.unlink()
    try:
        keeper = stage.keeper(n1, f"sh -c 'echo changeprofile mxfs-test >/proc/self/attr/current && exec {PROGRAMS}/keeper'")
        keeper.fails(f"open 1 {PLACE}/other r", "errno EACCES")
        keeper.ok(f"open 1 {PLACE}/allowed/f +c")
        keeper.ok("write 1 0 50000 1")
        keeper.ok("map 1 50000")
        for seed in (1, 2):
            n2.run(f"ls {PLACE}/allowed")
            keeper.ok(f"load 1 0 50000 {seed}")
            keeper.ok(f"check 1 0 50000 {seed}")
            n2.run(f"ls {PLACE}/allowed")
            keeper.ok(f"store 1 0 50000 {seed + 1}")
            keeper.ok(f"check 1 0 50000 {seed + 1}")
            n2.run(f"ls {PLACE}/allowed")
            keeper.ok(f"write 1 0 100 {seed + 1}")
            keeper.ok("truncate 1 60000")
            keeper.ok("truncate 1 50000")
            keeper.ok("fsync 1")
        keeper.ok(f"count {PLACE}/allowed")
        # A file without a name is made below, where no path of the profile leads to.
        keeper.ok(f"tmpfile 2 {PLACE}/allowed")
        keeper.ok("write 2 0 5000 3")
        # Linking is a permission of its own, which the profile does not give, here as on XFS.
        keeper.fails(f"link 2 {PLACE}/allowed/named", "errno EACCES")
        n1.run(f"ln -L $(find /proc/$(pidof keeper)/fd -lname '*(deleted)') {PLACE}/allowed/named")
        stage.same(n2.run(f"stat -c %U:%s {PLACE}/allowed/named").out, "root:5000\n", "a file that was made without a name")
        keeper.ok(f"unlink {PLACE}/allowed/f")
        keeper.close()
    finally:
        n1.run("printf mxfs-test >/sys/kernel/security/apparmor/.remove", check=False)
