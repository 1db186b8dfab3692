# SPDX-License-Identifier: Apache-2.0
"""Mount options: a wrong one fails the mount and is named, with its range; right ones are accepted, shown and do what they say; ours and
XFS's; at a second mount and at a remount too."""

from lablib.protocol import DEVICE, PLACE, PROGRAMS

LIMIT = 180
MARKERS = ["SELFTEST: mount options ok"]
EXPECTED = []
SECOND = "/mnt/second"
STAT = "/sys/block/sda/stat"

WRONG = (("bogus", "bogus"), ("bogus=1", "bogus"), ("port=0", "port=0.*1 to 65535"),
         ("port=70000", "port=70000.*1 to 65535"), ("port=abc", "port"), ("lease_ms=1", "lease_ms=1.*2000 to"),
         ("lease_ms=-5", "lease_ms"), ("quantum_ms=99999", "quantum_ms=99999.*0 to 10000"),
         ("ready_ms=1", "ready_ms=1.*100 to"), ("errors=halt", "errors"), ("errors=panic", "errors"),
         ("port", "port"), ("debug=7", "debug"), ("iface=", "iface"),
         # XFS's own: what it does not know, what it does not take, what makes no sense on a shared volume.
         ("logbufs=many", "logbufs=many"), ("logbsize=7", "with logbsize=7"), ("allocsize", "allocsize"),
         ("logdev=/dev/sdb", "logdev is not possible"), ("rtdev=/dev/sdb", "rtdev is not possible"),
         ("norecovery", "norecovery is not possible"))


def run(stage):
    node = stage.n1
    stage.mkfs()
    _wrong(stage, node)
    stage.refused(node, "ENOTBLK", "/dev/null|block device", device="/dev/null", what="mount of what is no block device")
    stage.refused(node, "ENOENT", "/dev/none|block device", device="/dev/none", what="mount of what does not exist")
    # What only the daemon can judge: it says so, and nothing stays.
    tried = stage.try_mount(node, "iface=none0")
    stage.check(not tried.mounted, "iface=none0 was mounted")
    stage.matches("none0", tried.said, "mount with an interface that does not exist")
    tried = stage.try_mount(node, "multicast=10.1.2.3")
    stage.check(not tried.mounted, "multicast=10.1.2.3 was mounted, and is no multicast address")
    stage.matches("10.1.2.3", tried.said, "mount with an address that is no multicast address")
    stage.same(stage.leftovers(node), [], "after refused mounts")

    own = ("debug", "port=7700", "lease_ms=10000", "quantum_ms=50", "ready_ms=20000", "iface=lan0", "multicast=239.66.83.2")
    xfs = ("discard", "logbsize=64k", "inode64", "swalloc", "allocsize=64k", "nouuid")
    stage.mount(node, ",".join(own + xfs + ("noatime", "nosuid")))
    line = node.run("grep ' mxfs ' /proc/mounts").out
    for shown in own + xfs + ("noatime", "nosuid"):
        stage.matches(rf"[ ,]{shown}[ ,]", line, "/proc/mounts")
    stage.matches(":7700", node.run("ss -tln").out, "the daemon's port")
    node.run(f"echo text >{PLACE}/f && test \"$(cat {PLACE}/f)\" = text")
    _again(stage, node)
    stage.umount(node)
    _flags(stage, node)
    stage.marker("SELFTEST: mount options ok")


def _wrong(stage, node):
    """Each is refused and named. One command: a trip to a node is dear."""
    out = node.run("; ".join(f"{PROGRAMS}/try_mount mxfs {DEVICE} {PLACE} {option}; echo ==" for option, _ in WRONG)).out
    said = out.split("==\n")
    stage.same(len(said), len(WRONG) + 1, f"answers to wrong options: {out}")
    for (option, pattern), answer in zip(WRONG, said):
        stage.matches("^errno EINVAL$", answer.splitlines()[0], f"mount with {option}: {answer}")
        stage.matches(pattern, answer, f"mount with {option}: the mounter's message")


def _again(stage, node):
    """A second mount and a remount may say the same again, or nothing; what they say otherwise is named and refused."""
    node.run(f"mkdir -p {SECOND}")
    for options in ((), ("lease_ms=10000",), ("discard", "logbsize=64k")):
        tried = stage.try_mount(node, *options, place=SECOND)
        stage.check(tried.mounted, f"a second mount with {options or 'no options'}: {tried.said}")
        node.run(f"umount {SECOND}")
    for option, name in (("lease_ms=9000", "lease_ms"), ("port=7600", "port"), ("iface=mgmt0", "iface"), ("logbsize=32k", "logbsize"),
                         ("nodiscard", "nodiscard"), ("usrquota", "quota")):
        stage.refused(node, "EBUSY", f"already mounted.*{name}", option, place=SECOND, what=f"a second mount with {option}")
        done = node.run(f"mount -o remount,{option} {PLACE}", check=False)
        stage.check(done.rc, f"a remount with {option} was not refused")
        stage.matches(f"{name}.* cannot be changed", done.err, f"a remount with {option}")
    node.run(f"mount -o remount,lease_ms=10000,ro {PLACE} && ! touch {PLACE}/g 2>/dev/null && mount -o remount,rw {PLACE} && touch {PLACE}/g")


def _flags(stage, node):
    """Of 20 new directories, and of 20 writes, each is on the disk when it was made, with sync (dirsync: the directories); else none is
    written at once. Reading a directory moves its access time, but not with nodiratime."""
    for option, atime, made, written, moves in (("rw", "relatime", False, False, True), ("sync", "nodiratime", True, True, False),
                                                ("dirsync", "noatime", True, False, False)):
        stage.mount(node, f"{option},{atime}")
        stage.matches(rf"[ ,]{option}[ ,]", node.run("grep ' mxfs ' /proc/mounts").out, "/proc/mounts")
        out = node.run(f"writes() {{ awk '{{print $5}}' {STAT}; }}; cd {PLACE} && mkdir {option} && sync && a=$(writes) && "
                       f"for i in $(seq 20); do mkdir {option}/$i; done; b=$(writes); for i in $(seq 20); do echo $i; done >{option}/f; "
                       f"c=$(writes); touch -a -d 2001-01-01 {option}/1 && ls {option}/1 && echo $((b - a)) $((c - b)) $(stat -c %x {option}/1)").out
        counted = out.split()
        stage.same(int(counted[0]) >= 20, made, f"{option}: of 20 new directories, each is written at once: {out}")
        stage.same(int(counted[1]) >= 20, written, f"{option}: of 20 writes to a file, each is written at once: {out}")
        stage.same(not counted[2].startswith("2001"), moves, f"{atime}: reading a directory moves its access time: {out}")
        stage.umount(node)
