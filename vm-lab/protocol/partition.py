# SPDX-License-Identifier: Apache-2.0
"""A partition of the shared disk is mounted on both nodes, which take turns, also after its daemon died, and where its next one cannot start
at first; the log says that the reservation covers the whole disk. While it is mounted nobody on these nodes gets another partition, and while another one is in use here (mounted,
swap, a map, a program) it is refused by name. Two volumes of one disk are not mounted at once, neither on one node nor on two,
whether the first has an owner or members alone; nor beside a key of another partition that a crash left, not even this node's own: what the
message says to do about it is done as it was printed. Of partitions that somebody took while there was no daemon the others are held all the same.
What the table on the disk does not say any more is refused, so are logical partitions; a map over a partition stays refused."""

import re
import struct
import uuid
import zlib

from lablib.protocol import DEVICE, PLACE

LIMIT = 400
MARKERS = ["SELFTEST: a partition is shared", "SELFTEST: partitions of one disk ok"]
EXPECTED = []
WORK = "/run/partition"
MIB = 1 << 20
ENTRIES = 128
LINUX = uuid.UUID("0fc63daf-8483-4772-8e79-3d69d8477de4")
# In MiB: where each begins, and how long it is. The first lies where a file system on the whole disk has nothing.
PARTS = {1: (64, 600), 2: (700, 600), 3: (1400, 200)}
ONE, TWO, THREE = (f"{DEVICE}{number}" for number in PARTS)
OTHER = "/mnt/other"


def run(stage):
    n1, n2 = stage.lab.nodes[:2]
    table = Table(stage, n1)
    try:
        table.gpt(PARTS)
        for node in (n1, n2):
            table.read_anew(node)
            node.run(f"mkdir -p {OTHER}")
        n1.run(f"mkfs.xfs -q -f {ONE} && mkfs.xfs -q -f {TWO} && mkfs.ext4 -q -F {THREE}")
        _in_use(stage, n1)
        _shared(stage, n1, n2)
        _two_volumes(stage, n1, n2)
        _keys(stage, n1, n2)
        _tables(stage, n1, n2, table)
    finally:
        for node in (n1, n2):
            node.run(f"umount {OTHER}; umount {PLACE}; swapoff -a; dmsetup remove -f lab-part", check=False)
        table.wipe()
        for node in (n1, n2):
            table.read_anew(node)
    stage.marker("SELFTEST: partitions of one disk ok")


class Table:
    """Partition tables by their bytes: UEFI 2.10, 5.2 and 5.3. The image has no program that makes them."""

    def __init__(self, stage, node):
        self.stage, self.node = stage, node
        self.sector = int(node.run(f"blockdev --getss {DEVICE}").out)
        self.sectors = int(node.run(f"blockdev --getsize64 {DEVICE}").out) // self.sector

    def _write(self, data: bytes, at: int) -> None:
        file = self.stage.lab.folder / "partition-table"
        file.write_bytes(data)
        self.node.push(file, f"{WORK}/table")
        file.unlink()
        self.node.run(f"dd if={WORK}/table of={DEVICE} bs={self.sector} seek={at} oflag=direct conv=notrunc,fsync status=none")

    def _in_sectors(self, mib: int) -> int:
        return mib * MIB // self.sector

    def _mbr(self, entries: list[tuple[int, int, int, int]]) -> bytes:
        """Each entry is (slot, type, first sector, sectors)."""
        data = bytearray(self.sector)
        for slot, kind, first, count in entries:
            struct.pack_into("<BxxxBxxxII", data, 446 + 16 * (slot - 1), 0, kind, first, count)
        data[510:512] = b"\x55\xaa"
        return bytes(data)

    def gpt(self, parts: dict[int, tuple[int, int]]) -> None:
        entries = bytearray(128 * ENTRIES)
        for number, (first, size) in parts.items():
            begin = self._in_sectors(first)
            struct.pack_into("<16s16sQQQ", entries, 128 * (number - 1), LINUX.bytes_le, uuid.uuid4().bytes_le,
                             begin, begin + self._in_sectors(size) - 1, 0)
        taken = -(-len(entries) // self.sector)
        entries = bytes(entries).ljust(taken * self.sector, b"\0")
        disk = uuid.uuid4().bytes_le

        def header(here: int, there: int, at: int) -> bytes:
            def packed(crc: int) -> bytes:
                return struct.pack("<8sIIIIQQQQ16sQIII", b"EFI PART", 0x10000, 92, crc, 0, here, there, 2 + taken, self.sectors - taken - 2,
                                   disk, at, ENTRIES, 128, zlib.crc32(entries[:128 * ENTRIES]))
            return packed(zlib.crc32(packed(0))).ljust(self.sector, b"\0")

        last = self.sectors - 1
        self._write(self._mbr([(1, 0xee, 1, min(last, 0xffffffff))]) + header(1, last, 2) + entries, 0)
        self._write(entries + header(last, 1, last - taken), last - taken)

    def mbr(self, primary: tuple[int, int], logical: tuple[int, int]) -> None:
        """Partition 1, and an extended one, 2, that begins a MiB before the logical one, 5."""
        begin = self._in_sectors(logical[0] - 1)
        self._write(self._mbr([(1, 0x83, *map(self._in_sectors, primary)), (2, 0x0f, begin, self._in_sectors(logical[1] + 1))]), 0)
        self._write(self._mbr([(1, 0x83, *map(self._in_sectors, (1, logical[1])))]), begin)

    def wipe(self) -> None:
        for at in (0, self.sectors - 64):
            self._write(bytes(64 * self.sector), at)

    def read_anew(self, node) -> None:
        node.run(f"blockdev --flushbufs {DEVICE} && blockdev --rereadpt {DEVICE}")


def _in_use(stage, node):
    """Whatever has another partition, or the whole disk, is told by name; and the partition is left as it was."""
    def refused(pattern: str, what: str) -> None:
        stage.refused(node, "EBUSY", pattern, device=ONE, what=what, log=pattern)
        stage.same(stage.keys(node), [], f"keys after a mount that was refused beside {what}")

    node.run(f"mount -t ext4 {THREE} {OTHER} && echo kept >{OTHER}/f && sync")
    refused(f"{THREE}, on the same disk, is mounted as ext4 on {OTHER}", "a partition that is mounted")
    stage.same(node.run(f"cat {OTHER}/f").out, "kept\n", "the file system beside it")
    node.run(f"modprobe dm-mod && umount {OTHER} && mkswap {THREE} >/dev/null && swapon {THREE}")
    refused(f"{THREE}, on the same disk, is in use as swap", "swap")
    node.run(f"swapoff {THREE} && dmsetup create lab-part --table '0 2048 linear {THREE} 0'")
    refused(rf"{THREE}, on the same disk, is held by dm-\d", "a map")
    node.run(f"dmsetup remove lab-part && mkfs.ext4 -q -F {THREE}")
    for device, pattern in ((THREE, f"{THREE}, on the same disk, is held by something"), (DEVICE, "cannot be had exclusively")):
        holder = stage.start(node, f"perl -e 'use Fcntl; sysopen(F, \"{device}\", O_RDONLY | O_EXCL) or die; $| = 1; print \"held\\n\"; <STDIN>;'")
        stage.same(holder.line(20), "held", f"the holder of {device}")
        refused(pattern, f"a program that has {device}")
        holder.close()
    # A map over the partition itself stays refused, by the SCSI disk that is below it.
    size = node.run(f"blockdev --getsz {ONE}").out.strip()
    node.run(f"dmsetup create lab-part --table '0 {size} linear {ONE} 0' && dmsetup mknodes")
    stage.refused(node, "EOPNOTSUPP", "lies over SCSI disks", device="/dev/mapper/lab-part", what="a map over a partition")
    node.run("dmsetup remove lab-part")
    done = node.run(f"mxfsctl scsi check {ONE}", check=False, timeout=60)
    stage.same(done.rc, 4, "status of mxfsctl scsi check on a partition")
    stage.matches("name the disk that it is on", done.out, "mxfsctl scsi check on a partition")


def _shared(stage, n1, n2):
    stage.mount(n1, device=ONE)
    volume = n1.run(f"blkid -p -s UUID -o value {ONE}").out.strip()
    said = n1.run(f"grep -c 'WARN.*{ONE} is a partition, and the reservation covers the whole disk {DEVICE}:.*{TWO}, {THREE}. are held' /var/log/mxfs/{volume}.log")
    stage.same(said.out.strip(), "1", "lines of the daemon about the whole disk")
    stage.mount(n2, device=ONE)
    stage.same(stage.status(n1)["clustered"], "1", "status: clustered")
    _turns(stage, n1, n2, "a partition")
    keys = stage.keys(n1)
    stage.same([key.rjust(16, "0")[6:8] for key in keys], ["01", "01"], f"the partition that the keys {keys} tell")
    for node in (n1, n2):
        _kept_out(stage, node, "a mount")
    stage.marker("SELFTEST: a partition is shared")
    # The daemon had the other partitions, and its successor has them again.
    pid = stage.daemon_pid(n1)
    n1.run(f"kill -9 {pid}")
    stage.until(lambda: (now := stage.daemon_pid(n1)) and now != pid, 60, "a new daemon")
    _turns(stage, n1, n2, "after the daemon was killed")
    _kept_out(stage, n1, "a daemon that was killed")
    _taken_meanwhile(stage, n1, n2, volume)
    _cannot_start_at_first(stage, n1, n2, volume)
    # When umount returns, the others are anybody's.
    for node in (n1, n2):
        stage.umount(node)
        node.run(f"mount -t ext4 {THREE} {OTHER} && umount {OTHER}")


def _taken_meanwhile(stage, n1, n2, volume):
    """Somebody gets a partition between two daemons: the mount goes on, the others are held, and so is that one when he is done with it."""
    def logged(pattern: str) -> bool:
        return n1.run(f"grep -q '{pattern}' /var/log/mxfs/{volume}.log", check=False).rc == 0

    taker = stage.start(n1, f"perl -e 'use Fcntl; until (sysopen(F, \"{THREE}\", O_RDONLY | O_EXCL)) {{ select(undef, undef, undef, 0.005); }} "
                            "$| = 1; print \"held\\n\"; <STDIN>;'")
    pid = stage.daemon_pid(n1)
    n1.run(f"kill -9 {pid}")
    stage.same(taker.line(20), "held", "who takes a partition between two daemons")
    stage.until(lambda: logged(f"WARN.*{THREE}, on the disk of {ONE}, was free while there was no daemon .*is held by something"), 60,
                "a word of the next daemon about the partition that was taken")
    _turns(stage, n1, n2, "beside a partition that was taken")
    stage.same(stage.try_mount(n1, device=TWO, place="/mnt", kind="xfs").errno, "EBUSY", f"mount -t xfs of {TWO} when {THREE} was taken")
    taker.close()
    stage.until(lambda: logged(f"{THREE} is held again"), 30, "the partition to be held again")
    _kept_out(stage, n1, "a partition that was taken for a while")


def _cannot_start_at_first(stage, n1, n2, volume):
    """What may be over in a moment does not end a mount that is there: the kernel starts another daemon."""
    file = "/etc/mxfs/node.uuid"
    n2.run(f"cp -p {file} {file}.kept && echo none >{file} && kill -9 {stage.daemon_pid(n2)}")
    try:
        stage.until(lambda: n2.run(f"grep -q 'the daemon ends: .*node.uuid' /var/log/mxfs/{volume}.log", check=False).rc == 0, 60,
                    "a daemon that cannot start")
    finally:
        n2.run(f"mv {file}.kept {file}")
    _turns(stage, n1, n2, "after a daemon that could not start")
    _kept_out(stage, n2, "a daemon that could not start")


def _turns(stage, n1, n2, what):
    for turn in range(3):
        for here, there in ((n1, n2), (n2, n1)):
            text = f"{what} {turn} {here.name}"
            here.run(f"echo {text} >{PLACE}/{here.name}")
            stage.same(there.run(f"cat {PLACE}/{here.name}").out, text + "\n", f"{what}: what {here.name} wrote, on {there.name}")


def _kept_out(stage, node, what):
    for device in (TWO, THREE):
        stage.same(stage.try_mount(node, device=device, place="/mnt", kind="xfs").errno, "EBUSY", f"{node.name}: mount -t xfs of {device} beside {what}")
    # Its own kernel module says so of the second volume on one node.
    stage.refused(node, "EBUSY", "another partition of the disk", device=TWO, place="/mnt", what=f"a second volume of the disk beside {what}")
    stage.check(node.run(f"mkfs.ext4 -q {THREE} </dev/null", check=False).rc != 0, f"{node.name}: mkfs of {THREE} beside {what} was not refused")


def _two_volumes(stage, n1, n2):
    """One disk has one reservation: the second volume is refused on another node, too, also where nobody holds it."""
    def refused(what: str) -> None:
        before = stage.keys(n1)
        stage.refused(n2, "EBUSY", "key 0x[0-9a-f]+ is registered on the disk of this partition, 2, for partition 1", device=TWO, what=what)
        stage.same(stage.keys(n1), before, f"keys after {what}")

    stage.mount(n1, device=ONE)
    refused("a second volume beside an owner")
    stage.mount(n2, device=ONE)
    n2.run(f"echo last >{PLACE}/last")
    stage.umount(n2)
    # Nothing but the key of the member that stays tells of the first volume now.
    stage.same((stage.holder(n1), len(stage.keys(n1))), (None, 1), "holder and number of keys when the owner has left")
    refused("a second volume beside a member")
    stage.same(n1.run(f"cat {PLACE}/last").out, "last\n", "the first volume, after the second was refused")
    stage.umount(n1)
    # And now it is the other's turn.
    stage.mount(n2, device=TWO)
    n2.run(f"echo two >{PLACE}/f")
    stage.refused(n1, "EBUSY", "key 0x[0-9a-f]+ is registered on the disk of this partition, 1, for partition 2", device=ONE,
                  what="the first volume beside the second")
    stage.umount(n2)
    for device in (ONE, TWO):
        done = n1.run(f"xfs_repair -n {device} 2>&1", check=False, timeout=300)
        stage.same(done.rc, 0, f"xfs_repair -n {device}: {done.out[-1000:]}")


def _keys(stage, n1, n2):
    """What a crash leaves: a key of another partition, on another node's path or on this node's own."""
    stage.mount(n1, device=ONE)
    ours = stage.keys(n1)[0].rjust(16, "0")
    stage.umount(n1)
    theirs = ours[:6] + "02" + ours[8:]
    for path in (n1, n2):
        stage.persist(path, f"-o -G -S 0x{theirs}")
        stage.persist(path, f"-o -R -T 5 -K 0x{theirs}")
        said = stage.refused(n1, "EBUSY", f"key 0x{theirs} is registered on the disk of this partition, 1, for partition 2", device=ONE, what=f"a key of this node's on {path.name}'s path").said
        stage.same((stage.keys(n2), stage.holder(n2)), ([theirs.lstrip("0")], theirs.lstrip("0")), "the key that is not ours to take")
        remedy = re.search(r"off for certain: (D=.*?); mount again", said)
        stage.check(remedy, f"nothing to do in: {said}")
        done = n1.run(remedy[1], check=False, timeout=60)
        stage.same((stage.keys(n2), stage.holder(n2)), ([], None), f"keys and holder after what was printed was done, to a key on {path.name}'s path: {done.out} {done.err}")
        stage.mount(n1, device=ONE)
        stage.umount(n1)


def _tables(stage, n1, n2, table):
    """What the other machine did to the table does not show here."""
    def refused(pattern: str, what: str, device: str = ONE) -> None:
        stage.refused(n2, "EOPNOTSUPP", pattern, device=device, what=what)
        stage.same(stage.keys(n1), [], f"keys after {what}")

    begin, size = PARTS[1]
    table.gpt({**PARTS, 1: (begin, size - 1)})
    refused("the table on the disk has", "a partition whose size was changed by the other machine")
    table.gpt({5: PARTS[1], 2: PARTS[2], 3: PARTS[3]})
    refused("none of that number", "a partition whose number was changed by the other machine")
    n1.run(f"mkfs.xfs -q -f -K {DEVICE}")
    refused(f"the whole disk {DEVICE} is an XFS file system", "a partition where there is a whole disk by now")
    table.wipe()
    refused("a table that mxfs does not know", "a partition of a table that is gone")
    table.mbr(PARTS[1], PARTS[2])
    for node in (n1, n2):
        table.read_anew(node)
    n1.run(f"mkfs.xfs -q -f {ONE} && mkfs.xfs -q -f {DEVICE}5")
    refused("logical partition", "a logical partition", f"{DEVICE}5")
    stage.mount(n1, device=ONE)
    stage.mount(n2, device=ONE)
    _turns(stage, n1, n2, "a primary partition")
    for node in (n2, n1):
        stage.umount(node)
