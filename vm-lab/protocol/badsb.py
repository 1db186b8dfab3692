# SPDX-License-Identifier: Apache-2.0
"""Bad superblocks: each is refused with the errno that fits and one line to act on; the device stays as it was, byte for byte; no
daemon is started, no key registered. Headers are made with right checksums, so that each check is met by itself."""

import random
import re
import struct
from dataclasses import dataclass

from lablib.lockstate import crc32c
from lablib.protocol import DEVICE, PLACE, PROGRAMS

LIMIT = 240
MARKERS = ["SELFTEST: bad superblocks ok"]
# XFS's own verifiers report what they refuse.
EXPECTED = [r"XFS \(loop\d+\)", r"XFS: "]
WORK = "/run/badsb"
SEED = 20261120
SIZE = 64 << 20


@dataclass
class Case:
    name: str
    errno: str
    pattern: str       # of the message and of the line in the kernel log
    changes: dict      # offset in the superblock -> bytes
    fix_checksum: bool = True
    log: bool = True   # mxfs's own line; where XFS refuses, XFS says why


# Offsets: struct xfs_dsb in fs/xfs/libxfs/xfs_format.h.
CASES = [
    Case("wrong magic", "EINVAL", "no XFS here: magic 58465343", {0: b"XFSC"}, fix_checksum=False),
    Case("wrong version", "EINVAL", "XFS version 4, expected 5", {100: b"\xb4\xa4"}),
    Case("version 6", "EINVAL", "XFS version 6, expected 5", {100: b"\xb4\xa6"}),
    Case("names without case", "EINVAL", "names without upper and lower case", {100: b"\xf4\xa5"}),
    Case("corrupted checksum", "EUCLEAN", "checksum", {224: b"\x11\x22\x33\x44"}, fix_checksum=False),
    Case("one bit flipped", "EUCLEAN", "checksum", {200: b"\x01"}, fix_checksum=False),
    Case("in-progress flag", "EUCLEAN", "did not finish", {126: b"\x01"}),
    Case("block size 0", "EINVAL", "block size 0", {4: struct.pack(">I", 0)}),
    Case("block size 3000", "EINVAL", "block size 3000", {4: struct.pack(">I", 3000)}),
    Case("block size 2 GiB", "EINVAL", "block size 2147483648", {4: struct.pack(">I", 1 << 31)}),
    Case("block size and its logarithm differ", "EINVAL", "block size 4096", {120: b"\x0b"}),
    Case("sector size 0", "EINVAL", "sector size 0", {102: b"\0\0"}, fix_checksum=False),
    Case("sector size 1000", "EINVAL", "sector size 1000", {102: struct.pack(">H", 1000)}, fix_checksum=False),
    Case("inode size 100", "EINVAL", "inode size 100", {104: struct.pack(">H", 100)}),
    Case("inodes a block", "EINVAL", "inode size", {106: struct.pack(">H", 3)}),
    Case("no blocks", "EINVAL", "0 blocks", {8: struct.pack(">Q", 0)}),
    Case("absurd number of blocks", "EINVAL", "blocks", {8: struct.pack(">Q", (1 << 64) - 1)}),
    Case("larger than the device", "EINVAL", "the device only|do not make",
         {8: struct.pack(">Q", (SIZE >> 12) * 2), 88: struct.pack(">I", 8)}),
    Case("no allocation groups", "EINVAL", "0 allocation groups", {88: struct.pack(">I", 0)}),
    Case("absurd allocation groups", "EINVAL", "allocation groups", {84: struct.pack(">I", 0xFFFFFFFF)}),
    Case("tiny allocation groups", "EINVAL", "allocation groups", {84: struct.pack(">I", 1)}),
    Case("absurd log", "EINVAL", "log of", {96: struct.pack(">I", 0xFFFFFFFF)}),
    Case("external log", "EINVAL", "log is on another device", {48: struct.pack(">Q", 0)}),
    Case("realtime section", "EINVAL", "realtime", {16: struct.pack(">Q", 1000)}),
    Case("root inode 0", "EINVAL", "root inode", {56: struct.pack(">Q", 0)}),
    Case("unknown incompatible feature", "EINVAL", "XFS refuses|refuse", {216: struct.pack(">I", 0x80000000)}, log=True),
    Case("root inode elsewhere", "", "XFS refuses|refuse", {56: struct.pack(">Q", 0x123450)}, log=True),
]


def _header(base: bytes, case: Case) -> bytes:
    sector = bytearray(base[:512])
    for offset, value in case.changes.items():
        sector[offset:offset + len(value)] = value
    if case.fix_checksum:
        sector[224:228] = bytes(4)
        sector[224:228] = struct.pack("<I", crc32c(bytes(sector)))
    return bytes(sector)


def run(stage):
    node, rng = stage.n1, random.Random(SEED)
    share = stage.lab.share / "badsb"
    share.mkdir(exist_ok=True)
    node.run(f"mkdir -p {WORK} && mount -t tmpfs -o size=700m tmpfs {WORK} && truncate -s {SIZE} {WORK}/base && "
             f"mkfs.xfs --unsupported -q {WORK}/base 2>/dev/null && head -c 4096 {WORK}/base >/host/badsb/base")
    base = (share / "base").read_bytes()
    stage.same(struct.pack("<I", crc32c(base[:224] + bytes(4) + base[228:512])), base[224:228], "our checksum of a good superblock")
    for number, case in enumerate(CASES):
        (share / f"h{number}").write_bytes(_header(base, case))
    (share / "random").write_bytes(rng.randbytes(1 << 20))

    try:
        # The same way, unchanged, is a good one: nothing below is refused for another reason.
        _with_image(stage, "good", f"cp {WORK}/base image", "ECANCELED", "is valid", "valid", "validate")
        for number, case in enumerate(CASES):
            _with_image(stage, case.name, f"cp {WORK}/base image && dd if=/host/badsb/h{number} of=image conv=notrunc status=none",
                        case.errno, case.pattern, case.pattern if case.log else None)
        for name, make, errno, pattern in (
                ("nothing but zeros", f"truncate -s {SIZE} image", "EINVAL", "no XFS here.*zeros"),
                ("random content", f"cp /host/badsb/random image && truncate -s {SIZE} image", "EINVAL", "no XFS here.*unknown data|no XFS here"),
                ("a device of 4 KiB", "truncate -s 4096 image", "EINVAL", "no XFS|too few"),
                ("truncated by half", f"cp {WORK}/base image && truncate -s {SIZE // 2} image", "EINVAL",
                 "the device only.*truncated"),
                ("truncated by one block", f"cp {WORK}/base image && truncate -s {SIZE - 4096} image", "EINVAL",
                 "the device only.*truncated"),
                ("truncated to its superblock", f"cp {WORK}/base image && truncate -s 4096 image", "EINVAL", "the device only|too few"),
                ("ext4", f"truncate -s {SIZE} image && mkfs.ext4 -q image", "EINVAL", "no XFS here.*ext"),
                ("made by mkfs with version=ci", f"truncate -s {SIZE} image && mkfs.xfs --unsupported -q -f -n version=ci image >/dev/null 2>&1",
                 "EINVAL", "names without upper and lower case"),
                ("swap", f"truncate -s {SIZE} image && mkswap -q image", "EINVAL", "no XFS here"),
                ("a partition table", f"truncate -s {SIZE} image && printf '\\125\\252' | dd of=image bs=1 seek=510 conv=notrunc status=none", "EINVAL", "no XFS here.*partition"),
                ("everything after the superblock zeroed", f"head -c 4096 {WORK}/base >image && truncate -s {SIZE} image", "",
                 "XFS refuses|refuse")):
            _with_image(stage, name, make, errno, pattern, pattern)
        stage.note(f"{len(CASES) + 11} bad images refused, each unchanged")
    finally:
        node.run(f"losetup -D; umount {WORK}", check=False)

    # On the shared disk, where a key could stay.
    for what, make, errno, pattern in (
            ("wrong magic on the shared disk", f"printf XFSC | dd of={DEVICE} conv=notrunc,fsync status=none", "EINVAL", "no XFS here"),
            ("wrong checksum on the shared disk", f"printf '\\001' | dd of={DEVICE} bs=1 seek=200 conv=notrunc,fsync status=none", "EUCLEAN",
             "checksum")):
        stage.mkfs()
        node.run(make)
        before = node.run(f"dd if={DEVICE} bs=1M count=32 iflag=direct status=none | sha256sum").out
        for each in (stage.n1, stage.n2):
            stage.refused(each, errno, pattern, what=what, log=pattern)
        stage.same(node.run(f"dd if={DEVICE} bs=1M count=32 iflag=direct status=none | sha256sum").out, before, f"the disk: {what}")
        stage.same(stage.keys(node), [], f"keys: {what}")
    stage.same(stage.daemon_pid(node), None, "daemons")
    stage.marker("SELFTEST: bad superblocks ok")


def _with_image(stage, what, make, errno, pattern, log, *options):
    """Refused on a loop device over an image, which is compared with a copy afterwards. One command: a trip to a node is dear."""
    mark = f"badsb-{what.replace(' ', '-').replace(chr(39), '')}"
    out = stage.n1.run(f"cd {WORK} && rm -f image copy && {make} && cp --sparse=always image copy && device=$(losetup -f --show image) && "
                       f"echo {mark} >/dev/kmsg; timeout -k 5 {30 * stage.slowness:g} {PROGRAMS}/try_mount mxfs $device {PLACE} {' '.join(options)}; "
                       f"echo == status $?; dmesg | sed '1,/{mark}$/d'; echo ==; losetup -d $device || echo still in use; "
                       "cmp image copy || echo changed; cat /proc/mounts").out
    said, kernel, after = re.split(r"^==.*\n", out, maxsplit=2, flags=re.M)
    stage.check("== status 124" not in out and "== status 137" not in out, f"{what}: the mount did not end within 30 s")
    stage.check(f" {PLACE} " not in after, f"{what}: it was mounted")
    stage.check("changed" not in after, f"{what}: the device was changed")
    stage.check("still in use" not in after, f"{what}: the device is still held")
    met = re.search(r"^errno (\w+)", said)
    stage.check(met and met[1] in ((errno,) if errno else ("EINVAL", "EUCLEAN")),
                f"{what}: expected {errno or 'EINVAL or EUCLEAN'}: {said}")
    stage.matches(pattern, said, f"{what}: the mounter's message")
    ours = [line for line in kernel.splitlines() if "mxfs (" in line]
    stage.same(len(ours), 1, f"{what}: lines of mxfs in the kernel log: {ours}")
    if log:
        stage.matches(log, ours[0], f"{what}: the line in the kernel log")
