# SPDX-License-Identifier: Apache-2.0
"""`.mxfs/lockstate`: made once, whole, by a node that is alone; in the same place for all nodes, those too that never had XFS mounted; left as it is when a
slot of it is torn, made anew when it is none; without it, where there is no room, the volume is mounted all the same. An error says nothing about what is
there; an attach that finds another one than the daemon was told of fails."""

import base64
import struct
import time

from lablib.errors import LabError
from lablib.lockstate import SLOTS, Heartbeats, crc32c, heartbeat, read, told_of, volume_of
from lablib.protocol import DEVICE, PLACE, PROGRAMS

LIMIT = 900
MARKERS = ["SELFTEST: lock state ok"]
EXPECTED = [r"I/O error, dev (dm-\d+|sda)", r"Buffer I/O error on dev dm-\d+", r"XFS \(sda\): (User initiated shutdown|Metadata I/O Error .* xfs_fs_goingdown|Please unmount)"]
OWN_BOOT = True  # no maps of files
OURS = f"{PLACE}/.mxfs/lockstate"
ENOENT, EIO, ENOSPC, EPROTO, EUCLEAN, ESTALE = 2, 5, 28, 71, 117, 116
DM = f"{PROGRAMS}/dm"
ALONE_SECONDS = 10  # MXFS_ALONE_NANOS of kmod/local/lockstate.c


def run(stage):
    n1, n2 = stage.n1, stage.n2
    _made(stage, n1, n2)
    _unpublished(stage, n1, n2)
    # What the module does by itself, with a daemon that needs no JVM.
    with stage.solo(n1) as options:
        options("--alone --lockstate")
        _torn(stage, n1)
        _none(stage, n1)
        options("")
        _not_alone(stage, n1)
        options("--alone --lockstate")
        _full(stage, n1)
        _inherits_nothing(stage, n1)
        _large_blocks(stage, n1)
        failed = []
        for part in (_told, _half, _other_versions, _error, _moved, _replayed, _word, _slow):
            # A part that fails says nothing about the others.
            try:
                options("--alone --lockstate")
                part(stage, n1, n2, options)
            except LabError as error:
                failed.append(f"{part.__name__}: {error}")
            finally:
                stage.close_programs()
                n1.run(f"{DM} resume bad; umount {PLACE}; {DM} remove bad; {DM} remove broken; true", check=False, timeout=90)
        stage.check(not failed, "\n".join(failed))
    stage.marker("SELFTEST: lock state ok")


# ---- an independent reader

def _slot(uuid: bytes, index: int, slot: int, version: int = 1, checksum: bool = True, key: int = 0) -> bytes:
    """A slot that nobody has, or `key`, as docs/daemon.md says."""
    record = struct.pack("<4sHHII16sQQQ", b"MXLS", version, 1, index, slot, uuid, key, 0, 0).ljust(508, b"\0")
    return (record + struct.pack("<I", crc32c(record) if checksum else 0)).ljust(slot, b"\0")


def _write(node, at: int, data: bytes, device=DEVICE) -> None:
    node.run(f"echo {base64.b64encode(data).decode()} | base64 -d | dd of={device} oflag=seek_bytes,direct iflag=fullblock bs={len(data)} seek={at} conv=notrunc status=none")


def _place(extents, index: int, slot: int) -> int:
    for file, at, length in extents:
        if file <= index * slot < file + length:
            return at + index * slot - file
    raise AssertionError(f"no slot {index} in {extents}")


def _beating(stage, nodes, uuid: bytes) -> None:
    """Where daemons write heartbeats, each has a slot, and no slot has two; all the others are nobody's."""
    n1 = nodes[0]
    beats = n1.run("grep -o '^-Dmxfs.beats=[0-9]*' /usr/lib/mxfs/options", check=False).out.strip() not in ("", "-Dmxfs.beats=0")
    want = [node.name for node in nodes] if beats else []
    disk = Heartbeats(n1)
    stage.until(lambda: disk.hosts() == want, 30, f"heartbeats of {want or 'nobody'} on the device")


def _whole(stage, node, uuid: bytes, slot: int = 512, device=DEVICE, daemons: bool = False) -> dict:
    """It is there, and each slot on the device is one that nobody has; where there have been `daemons`, a heartbeat of this volume."""
    told = told_of(node)
    stage.same(told["errno"], 0, f"{node.name}: the lock state: {told}")
    stage.same(sum(length for _, _, length in told["extents"]), SLOTS * slot, f"bytes of the lock state: {told}")
    stage.same(told["damaged"], 0, "damaged slots")
    data = read(node, told["extents"], device)
    for index in range(SLOTS):
        one = data[index * slot:(index + 1) * slot]
        if daemons:
            heartbeat(uuid, index, slot, one)
        else:
            stage.check(one == _slot(uuid, index, slot), f"slot {index} on the device is not what it should be")
    return told


def _plain(stage, command: str) -> str:
    return stage.plain.run(f"mount -t xfs {DEVICE} {PLACE} && cd {PLACE} && {{ {command}; rc=$?; }}; cd / && umount {PLACE} && exit $rc").out


def _write_all(node, extents, data: bytes) -> None:
    for file, at, length in extents:
        _write(node, at, data[file:file + length])


def _remount(stage, node, *, made: bool, errno: int = 0, options: str = "", device=DEVICE) -> dict:
    """Mounts; whether a lock state was made then."""
    mark = stage.mark(node)
    stage.mount(node, options, device=device)
    told, log = told_of(node), stage.kernel_log(node, mark)
    stage.same(told["errno"], errno, f"the lock state: {told}\n{log}")
    stage.same("lockstate was made" in log, made, f"whether a lock state was made: {log}")
    return told


# ---- what has to hold

def _made(stage, n1, n2):
    stage.mkfs()
    uuid = volume_of(n1)
    # Not by who may not write.
    stage.same(_remount(stage, n1, made=False, errno=ENOENT, options="ro")["reason"], "there is none", "a volume mounted read-only")
    stage.umount(n1)
    _remount(stage, n1, made=True)
    first = _whole(stage, n1, uuid, daemons=True)
    stage.same(first["published"], 1, "published")
    # By a node that has no XFS mounted: before it can be the owner.
    stage.mount(n2)
    second = _whole(stage, n2, uuid, daemons=True)
    stage.same((second["extents"], second["generation"]), (first["extents"], 1), "where the second node finds it, at its first look")
    for turn in range(2):
        for node in (n2, n1):
            stage.take(node)
            stage.same(told_of(node)["extents"], first["extents"], f"{node.name}: where it is after a change of owner")
    stage.same([told_of(node)["generation"] for node in (n1, n2)], [2, 1], "how often the answer has changed")
    _beating(stage, (n1, n2), uuid)
    for command in (f"cat {OURS}", f"stat {OURS}", f"rm {OURS}"):
        stage.check(n1.run(command, check=False).rc, f"'{command}' reaches the lock state")
    stage.umount(n2)
    stage.umount(n1)
    # As plain XFS sees it.
    said = _plain(stage, "lsattr .mxfs/lockstate; stat -c '%a %u %g %h %s' .mxfs/lockstate; for c in 'rm -f' 'mv -t /mnt/shared' 'truncate -s 0' 'chmod 644'; do "
                  "$c .mxfs/lockstate 2>/dev/null && echo \"$c was not refused\"; done; true").splitlines()
    stage.matches("^----i", said[0], "its flags")
    stage.same(said[1:], [f"600 0 0 1 {SLOTS * 512}"], "mode, owner, names and size; what is not refused")
    # Mutable, because somebody made it so: immutable again.
    _plain(stage, "chattr -i .mxfs .mxfs/lockstate")
    stage.same(_remount(stage, n1, made=False)["extents"], first["extents"], "where it is at the next mount")
    _whole(stage, n1, uuid, daemons=True)
    stage.umount(n1)
    for flags in _plain(stage, "lsattr -d .mxfs .mxfs/lockstate").splitlines():
        stage.matches("^----i", flags, "flags of it and of the folder, after they had been taken away")
    stage.repair()


def _unpublished(stage, n1, n2):
    """In XFS's log only: who replays the log finds it, and brings it home for those who do not."""
    _plain(stage, "chattr -i .mxfs .mxfs/lockstate && mv .mxfs/lockstate .")
    stage.plain.run(f"mount -t xfs {DEVICE} {PLACE} && cd {PLACE} && mv lockstate .mxfs/ && cd / && xfs_io -x -c 'shutdown -f' {PLACE} && umount {PLACE}")
    told = _remount(stage, n1, made=False)
    stage.same((told["generation"], told["published"]), (2, 1), f"found by log replay, and published: {told}")
    stage.mount(n2)
    second = told_of(n2)
    stage.same((second["extents"], second["generation"]), (told["extents"], 1), "where a node finds it that replays no log, at its first look")
    stage.umount(n2)
    stage.umount(n1)


def _torn(stage, node):
    """What a node wrote last before it died, and what a newer version has written, stay."""
    uuid = volume_of(node)
    extents = _remount(stage, node, made=False)["extents"]
    stage.umount(node)
    for index in (5, 63):
        _write(node, _place(extents, index, 512), b"\xa5" * 512)
    mark = stage.mark(node)
    told = _remount(stage, node, made=False)
    stage.same((told["damaged"], told["extents"]), (2, extents), "two torn slots")
    stage.matches("2 of its 64 slots are torn", stage.kernel_log(node, mark), "the kernel log")
    stage.umount(node)
    stage.same(read(node, extents)[5 * 512:6 * 512], b"\xa5" * 512, "the torn slot afterwards")
    # A later version may need more of it.
    _plain(stage, "chattr -i .mxfs/lockstate && truncate -s 1m .mxfs/lockstate")
    stage.same(_remount(stage, node, made=False)["extents"], extents, "the beginning of a longer one")
    stage.umount(node)
    newer = b"".join(_slot(uuid, index, 512, version=2) for index in range(SLOTS))
    for file, at, length in extents:
        _write(node, at, newer[file:file + length])
    told = _remount(stage, node, made=False, errno=EPROTO)
    stage.matches("newer version", told["reason"], "why it is not used")
    stage.umount(node)
    stage.same(read(node, extents)[:512], _slot(uuid, 0, 512, version=2), "the newer version's slot afterwards")


def _none(stage, node):
    """What is no lock state of this volume is made anew, by who is alone; what may be one, and may not be written to past XFS, is left."""
    extents = [(0, 0, 0)]
    cases = [
        ("the newer version's is removed", "chattr -i .mxfs .mxfs/lockstate && rm .mxfs/lockstate", True),
        ("zeros", None, True),
        ("too short", "chattr -i .mxfs/lockstate && truncate -s 32767 .mxfs/lockstate", True),
        ("holes", "chattr -i .mxfs/lockstate && truncate -s 0 .mxfs/lockstate && truncate -s 32768 .mxfs/lockstate", True),
        ("shared blocks", "chattr -i .mxfs/lockstate && cp --reflink=always .mxfs/lockstate twin", False),
        ("shared blocks, removed", "rm twin; chattr -i .mxfs .mxfs/lockstate && rm .mxfs/lockstate", True),
        ("not written", "chattr -i .mxfs/lockstate && truncate -s 0 .mxfs/lockstate && fallocate -l 32768 .mxfs/lockstate", False),
        ("not written, removed", "chattr -i .mxfs .mxfs/lockstate && rm .mxfs/lockstate", True),
        ("another volume's", "true", True),
    ]
    for what, command, made in cases:
        if command is None:
            for file, at, length in extents:
                _write(node, at, bytes(length))
        else:
            _plain(stage, command)
        if what.startswith("another"):
            node.run(f"xfs_admin -U generate {DEVICE}")
        stage.note(what)
        told = _remount(stage, node, made=made, errno=0 if made else EUCLEAN)
        if made:
            extents = _whole(stage, node, volume_of(node))["extents"]
        node.run(f"touch {PLACE}/f")
        stage.umount(node)
    stage.repair()


def _not_alone(stage, node):
    """Nor by who does not know: an ATTACH without a word about it, as of a daemon of before."""
    extents = _remount(stage, node, made=False)["extents"]
    stage.umount(node)
    for file, at, length in extents:
        _write(node, at, bytes(length))
    told = _remount(stage, node, made=False, errno=EUCLEAN)
    stage.matches("no lock state of this volume", told["reason"], "why it is not used")
    stage.umount(node)
    stage.same(read(node, extents), bytes(32768), "what was no lock state, where nobody said that it may be made")


def _told(stage, n1, n2, _options):
    """A daemon that was told where it is may be writing there: it is told that it is gone, and none is made."""
    for file, at, length in _fresh(stage, n1):
        _write(n1, at, bytes(length))
    n1.run("rm -f /run/mxfsd_solo.log")
    told = _remount(stage, n1, made=True)
    stage.until(lambda: n1.run("grep -c ^lockstate /run/mxfsd_solo.log", check=False).out == "2\n", 20, "two answers to the daemon")
    stage.same(n1.run("cat /run/mxfsd_solo.log").out.split("\n")[:6],
               ["generation 1", "lockstate 117", "attached 0", f"generation {told['generation']}", f"extent {told['extents'][0][1]}", "lockstate 0"],
               "what the daemon was told")
    _elsewhere(stage, n1, n2, "chattr -i .mxfs .mxfs/lockstate && rm .mxfs/lockstate")
    n1.run("rm -f /run/mxfsd_solo.log")
    mark = stage.mark(n1)
    # It fails, unless the daemon has asked again, and attached, before it hears of that.
    n1.run(f"touch {PLACE}/f", check=False)
    stage.same(told_of(n1)["errno"], ENOENT, "the lock state that was removed elsewhere")
    stage.until(lambda: n1.run("tail -n 1 /run/mxfsd_solo.log").out == "lockstate 2\n", 20, "the daemon to be told")
    stage.same(n1.run("head -n 2 /run/mxfsd_solo.log").out.splitlines(), [f"attached {ESTALE}", f"generation {told['generation'] + 1}"],
               "what the daemon heard")
    stage.matches("another one than the daemon was told of", stage.kernel_log(n1, mark), "the kernel log")
    n1.run(f"touch {PLACE}/f")
    stage.same(told_of(n1)["errno"], ENOENT, "once the daemon knows that it is gone")
    stage.check("lockstate was made" not in stage.kernel_log(n1, mark), "it was made anew under a daemon that had been told of one")
    stage.umount(n1)
    # A new mount has told nobody.
    _remount(stage, n1, made=True)
    stage.umount(n1)
    stage.repair()


def _full(stage, node):
    """Without a free block: said once, with what is missing."""
    stage.mkfs(options="-d size=300m")
    _plain(stage, "dd if=/dev/zero of=fill bs=1M status=none; dd if=/dev/zero of=rest bs=512 status=none; sync; true")
    mark = stage.mark(node)
    told = _remount(stage, node, made=False, errno=ENOSPC)
    stage.matches(r"^the volume is too full to make it: it takes 32768 bytes, and \d+ are free", told["reason"], "why there is none")
    for turn in range(3):
        stage.detach_solo(node)
        node.run(f"head -c 1 {PLACE}/fill >/dev/null")
        stage.same(told_of(node), told, "what is told after another attach")
    stage.same(stage.kernel_log(node, mark).count("too full"), 1, "lines about it")
    stage.umount(node)
    _plain(stage, "rm fill")
    _remount(stage, node, made=True)
    _whole(stage, node, volume_of(node))
    stage.umount(node)
    stage.repair()


def _inherits_nothing(stage, node):
    """Below a root with a project, a group, a size of extents and an access control list for its files."""
    stage.mkfs()
    _plain(stage, f"chgrp 7 . && chmod g+s . && setfacl -d -m u:user1:rwx . && xfs_io -c 'chproj 7' -c 'chattr +P' -c 'extsize 1m' {PLACE}")
    _remount(stage, node, made=True)
    told = _whole(stage, node, volume_of(node))
    stage.same(len(told["extents"]), 1, f"pieces: {told}")
    stage.umount(node)
    said = _plain(stage, "stat -c '%a %u %g %h %b' .mxfs/lockstate; xfs_io -r -c 'lsproj' -c 'extsize' .mxfs/lockstate; lsattr .mxfs/lockstate").splitlines()
    stage.same(said[:3], ["600 0 0 1 64", "projid = 0", "[0] .mxfs/lockstate"], "what it inherits")
    stage.same(set(said[3].split()[0]) - {"-"}, {"i"}, "its flags")
    stage.repair()


def _large_blocks(stage, node):
    """Slots of a logical block each, where that is 4 KiB; of 512 bytes in file system blocks of 1 KiB."""
    for sector, options in ((4096, "-s size=4096"), (512, "-b size=1024")):
        device = node.run(f"truncate -s 320m /run/image && losetup -b {sector} -f --show /run/image").out.strip()
        node.run(f"mkfs.xfs -q -f {options} {device}")
        try:
            stage.mount(node, device=device)
            took = int(stage.status(node)["last_attach_us"]) / 1000
            stage.note(f"slots of {sector} bytes: the attach that made them took {took:.0f} ms")
            stage.check(took < 3000 * stage.slowness, f"an attach that made slots of {sector} bytes took {took:.0f} ms")
            _whole(stage, node, volume_of(node, device), slot=sector, device=device)
            stage.umount(node)
        finally:
            node.run(f"losetup -d {device}; rm /run/image")


# ---- what is there, and what is not known

def _elsewhere(stage, node, other, command: str) -> None:
    """What another node does to the volume in its turn."""
    stage.detach_solo(node)
    other.run(f"mount -t xfs {DEVICE} {PLACE} && cd {PLACE} && {{ {command}; rc=$?; }}; cd / && umount {PLACE} && exit $rc")


def _fresh(stage, node, device=DEVICE) -> list:
    """A new volume, unmounted; where its lock state is."""
    node.run(f"mkfs.xfs -q -f {device}")
    extents = _remount(stage, node, made=True, device=device)["extents"]
    stage.umount(node)
    return extents


def _half(stage, node, _other, _options):
    """With half of its slots it is one; with less it is not used, and left."""
    extents = _fresh(stage, node)
    good = read(node, extents)
    _write_all(node, extents, b"\xa5" * 32 * 512 + good[32 * 512:])
    told = _remount(stage, node, made=False)
    stage.same((told["damaged"], told["extents"]), (32, extents), "with 32 slots that are none")
    stage.umount(node)
    for left in (31, 1):
        before = bytes((SLOTS - left) * 512) + good[(SLOTS - left) * 512:]
        _write_all(node, extents, before)
        told = _remount(stage, node, made=False, errno=EUCLEAN)
        stage.matches(f"^only {left} of its 64 slots", told["reason"], "why it is not used")
        stage.umount(node)
        stage.check(read(node, extents) == before, f"what was there with {left} good slots has changed")


def _other_versions(stage, node, _other, _options):
    """What a newer version has made, whose checksum may be elsewhere, or a disk with other blocks, is left as it is; also where it is shorter."""
    extents, uuid = _fresh(stage, node), volume_of(node)
    newer = b"".join(_slot(uuid, index, 512, version=2, checksum=False) for index in range(SLOTS))
    wider = b"".join(_slot(uuid, index, 4096) for index in range(SLOTS // 8))
    for what, data, command in (("a checksum elsewhere", newer, ""), ("slots of 4 KiB", wider, ""),
                                ("shorter", newer, "chattr -i .mxfs/lockstate && truncate -s 16384 .mxfs/lockstate")):
        stage.note(what)
        _write_all(node, extents, data)
        if command:
            _plain(stage, command)
        told = _remount(stage, node, made=False, errno=EPROTO)
        stage.matches("another version", told["reason"], "why it is not used")
        stage.umount(node)
        stage.check(read(node, extents)[:16384] == data[:16384], f"{what}: what was there has changed")
    stage.note("shorter, with a record of a node")
    _write_all(node, extents, b"".join(_slot(uuid, index, 512, key=0x1234) for index in range(SLOTS)))
    told = _remount(stage, node, made=False, errno=EUCLEAN)
    stage.matches("has records of nodes", told["reason"], "why it is not used")
    stage.umount(node)


def _error(stage, node, other, _options):
    """Slots that cannot be read say nothing; nor does an error take the place of what was found, after a daemon was told of it."""
    node.run("modprobe dm-mod")
    device = node.run(f"{DM} linear bad {DEVICE}").out.strip()
    extents = _fresh(stage, node, device)
    _, at, length = extents[0]
    node.run(f"{DM} fail bad {DEVICE} {at // 512} {length // 512}")
    told = _remount(stage, node, made=False, errno=EIO, device=device)
    stage.matches("cannot be read", told["reason"], "why it is not used")
    stage.umount(node)
    node.run(f"{DM} heal bad {DEVICE}")
    stage.same(_remount(stage, node, made=False, device=device)["extents"], extents, "where it is when it can be read again")
    stage.umount(node)
    node.run(f"{DM} remove bad")
    # bmap() says 0 for blocks that are shared, as for an error.
    told = _remount(stage, node, made=False)
    mark = stage.mark(node)
    _elsewhere(stage, node, other, "chattr -i .mxfs/lockstate && cp --reflink=always .mxfs/lockstate twin")
    for turn in range(2):
        node.run(f"touch {PLACE}/f")
        stage.same(told_of(node), told, "what is told where it cannot be told where it is")
        stage.detach_solo(node)
    stage.same(stage.kernel_log(node, mark).count("taken to be where it was"), 1, "lines about it")
    stage.umount(node)


def _moved(stage, node, other, _options):
    """Another one than the daemon was told of: XFS is not attached before the daemon knows."""
    stage.mkfs()
    told = _remount(stage, node, made=True)
    node.run(f"touch {PLACE}/f")
    _elsewhere(stage, node, other, "chattr -i .mxfs .mxfs/lockstate && dd if=.mxfs/lockstate of=new bs=32k status=none && chmod 600 new && mv new .mxfs/lockstate && sync")
    node.run("rm -f /run/mxfsd_solo.log")
    node.run(f"touch {PLACE}/f", check=False)  # as in _told()
    stage.until(lambda: node.run("tail -n 1 /run/mxfsd_solo.log").out == "lockstate 0\n", 20, "the daemon to be told")
    stage.same(node.run("head -n 1 /run/mxfsd_solo.log").out, f"attached {ESTALE}\n", "what the daemon heard first")
    node.run(f"touch {PLACE}/f")
    now = told_of(node)
    stage.check(now["errno"] == 0 and now["extents"] != told["extents"], f"where it is now: {now}")
    stage.umount(node)


def _replayed(stage, node, other, _options):
    """The same where only log replay finds the other one: the daemon was told of what the probe saw."""
    first = _fresh(stage, node)
    node.run("rm -f /run/mxfsd_solo.log")
    other.run(f"mount -t xfs {DEVICE} {PLACE} && cd {PLACE} && chattr -i .mxfs .mxfs/lockstate && dd if=.mxfs/lockstate of=new bs=32k status=none && chmod 600 new && sync && cd / && umount {PLACE} && "
              f"mount -t xfs {DEVICE} {PLACE} && cd {PLACE} && mv new .mxfs/lockstate && cd / && xfs_io -x -c 'shutdown -f' {PLACE} && umount {PLACE}")
    stage.refused(node, "ETIMEDOUT", "was not ready within 3000 ms", "ready_ms=3000", what="a lock state that log replay replaced")
    stage.same(node.run("cat /run/mxfsd_solo.log").out.split("\n")[1:4], [f"extent {first[0][1]}", "lockstate 0", f"attached {ESTALE}"],
               "what the daemon heard")
    now = _remount(stage, node, made=False)
    stage.check(now["errno"] == 0 and now["extents"] != first, f"where it is now: {now}")
    stage.umount(node)


def _word(stage, node, _other, options):
    """That no other node is registered is the word of a daemon that lives, and of now: XFS may have taken long to replay its log."""
    node.run("modprobe dm-mod")
    device = node.run(f"{DM} linear bad {DEVICE}").out.strip()
    node.run(f"mkfs.xfs -q -f {device}")
    options("--lockstate")
    mark = stage.mark(node)
    stage.mount(node, device=device)
    starts = 1

    def succeed(by: str) -> None:
        nonlocal starts
        options(by)
        node.run("kill -9 $(pidof mxfsd_solo)")
        starts += 1
        stage.until(lambda: (lambda now: now["daemon_starts"] == str(starts) and now["frozen"] == "0")(stage.status(node)), 20, "the next daemon")

    def hang(meanwhile) -> None:
        stage.detach_solo(node)
        node.run(f"{DM} stop bad")
        program = stage.start(node, f"touch {PLACE}/f")
        stage.until(lambda: stage.status(node)["state"] == "attaching", 20, "an attach that hangs")
        meanwhile()
        node.run(f"{DM} resume bad")
        program.finish(40)
        stage.same(told_of(node)["errno"], ENOENT, "the lock state")
        stage.check("lockstate was made" not in stage.kernel_log(node, mark), "it was made")

    succeed("--alone --lockstate")
    hang(lambda: succeed("--lockstate"))
    succeed("--alone --lockstate")
    hang(lambda: time.sleep((ALONE_SECONDS + 1) * stage.slowness))
    # The next one is as good as the first.
    stage.detach_solo(node)
    node.run(f"touch {PLACE}/f")
    stage.same(told_of(node)["errno"], 0, "the lock state, by a word of now")
    stage.matches("lockstate was made", stage.kernel_log(node, mark), "the kernel log")
    stage.umount(node)


def _slow(stage, node, _other, _options, ms=3000):
    """A disk that takes its time for each bad sector: a mount reads for a few seconds, once."""
    node.run("modprobe dm-mod && modprobe dm-delay")
    device = node.run(f"{DM} linear bad {DEVICE}").out.strip()
    broken = node.run(f"{DM} linear broken {DEVICE}").out.strip()
    extents = _fresh(stage, node, device)
    first = extents[0][1] // 512
    node.run(f"{DM} fail broken {DEVICE} {first} 40 && {DM} part bad {DEVICE} {broken} {first} 40 {ms}")
    mark = stage.mark(node)
    took = stage.mount(node, device=device)
    stage.note(f"mounted in {took / 1000:.1f} s, where each bad sector takes {ms / 1000:.0f} s")
    told = told_of(node)
    stage.same(told["errno"], EIO, f"the lock state: {told}")
    stage.check("lockstate was made" not in stage.kernel_log(node, mark), "it was made")
    stage.check(took < 20000 * stage.slowness, f"a mount took {took:.0f} ms where each bad sector takes {ms}")
    stage.umount(node)
