# SPDX-License-Identifier: Apache-2.0
"""The SCSI library does on tgt, from two nodes, what sg3-utils does: every reservation action, step by step, with the same outcome,
unit attentions, keys, holder and generation; the same identity and limits; data written is there, and a fenced node's is not."""

import re

from lablib.protocol import DEVICE
from lablib.scsi import Seat, Shell, Tool, compare

LIMIT = 400
MARKERS = ["SELFTEST: scsi data ok", "SELFTEST: scsi reservations ok"]
EXPECTED = [r"reservation conflict"]

STEPS = [
    "a register 0 a1", "a register 0 a1", "a register bad a2", "a register a1 a1", "b reserve b1 5", "b ignore b1",
    "b register-aptpl b1 b1",
    "a reserve a1 5", "a reserve a1 5", "a reserve a1 1", "b reserve b1 5", "b reserve a1 5", "b release b1 5", "a release a1 1",
    # the holder is preempted and knows it; preempting again is a conflict
    "b preempt b1 a1 5", "a reserve a1 5", "b preempt b1 a1 5",
    # a member is preempted
    "a register 0 a1", "b preempt b1 a1 5", "a release a1 5",
    # the holder unregisters: the reservation goes with it
    "a register 0 a1", "b register b1 0", "a reserve a1 5", "b register 0 b1",
    "b abort b1 a1 5", "a ignore a1",
    *[f"b {step}" for step in ("ignore b1", "reserve b1 5", "release b1 5")],
    "a release a1 5", *[f"a {step}" for kind in (1, 3, 5, 6, 7, 8) for step in (f"reserve a1 {kind}", f"release a1 {kind}")],
    "a reserve a1 5", "b clear b1", "a release a1 5", "a clear a1",
]


def run(stage):
    seats = {name: Seat(Tool(stage, node), Shell(stage, node), DEVICE) for name, node in (("a", stage.n1), ("b", stage.n2))}
    a, b = seats["a"], seats["b"]
    identity(stage, a)
    data(stage, a, b)
    stage.marker(MARKERS[0])
    for line in compare(stage, seats, STEPS, "b"):
        stage.note(line)
    stage.marker(MARKERS[1])


def identity(stage, seat):
    """INQUIRY, its pages and the capacity, as sg3-utils decode them."""
    stage.matches(r"GOOD, Inquiry\[peripheralType=0, qualifier=0, .*vendor=MXFS, product=LABDISK", seat.say("inquiry"), "INQUIRY")
    stage.matches(rf"GOOD, \{list(seat.page(0)[4:])}", seat.say("pages"), "page 0x00")
    stage.same(seat.say("serial").split("GOOD, ")[1], seat.page(0x80)[4:].decode().strip(), "page 0x80")
    names = seat.page(0x83)
    for token in re.findall(r"naa\.([0-9a-f]+)", seat.say("ids")):
        stage.check(bytes.fromhex(token) in names, f"naa.{token} is not in what sg_vpd received: {names.hex()}")
    limits = seat.page(0xb0)
    stage.same(dict(re.findall(r"(\w+)=(\w+)", seat.say("limits"))), {
        "compareAndWriteBlocks": str(limits[5]), "optimalGranularity": str(int.from_bytes(limits[6:8])),
        "maximumTransfer": str(int.from_bytes(limits[8:12])), "optimalTransfer": str(int.from_bytes(limits[12:16])),
        "maximumUnmap": str(int.from_bytes(limits[20:24])), "maximumUnmapDescriptors": str(int.from_bytes(limits[24:28])),
        "optimalUnmapGranularity": str(int.from_bytes(limits[28:32])), "maximumWriteSame": str(int.from_bytes(limits[36:44])),
        "writeSameNonZero": str(bool(limits[4] & 1)).lower()}, "page 0xb0")
    blocks, size = (int(word, 16) for word in seat.sg("sg_readcap -l -b -16")[1].split())
    stage.check(f"lastBlock={blocks - 1}, blockSize={size}," in seat.say("capacity"), "the capacity")


def data(stage, a, b):
    """What is written is there, for the other node and for dd; a fenced node writes nothing."""
    good = lambda seat, command: stage.check(": GOOD" in (said := seat.say(command)), said)
    good(a, "write 10 4 512 5a fua")
    good(a, "flush 0 0")
    stage.matches("2048 times 5a", b.say("read 10 4 512 fua"), "the other node reads")
    raw = "dd if=/dev/sda bs=512 skip=16 count=4 iflag=direct status=none | od -An -tx1 -v | tr -d ' \\n' | sed 's/5a//g' | wc -c"
    stage.same(b.shell.run(raw)[1].strip(), "0", "what dd reads besides 5a")
    stage.matches("GOOD, 262144 ", a.say("read 0 512 512"), "a read of 256 KiB: more need not fit the pieces that the adapter takes at a time")
    # tgt states a limit for it in page 0xB0, and refuses it; LIO does it (scsi-lio).
    stage.matches("ILLEGAL_REQUEST 20/00", a.say("compare 10 512 5a 77"), "COMPARE AND WRITE, which tgt does not have")
    a.shell.run("head -c 1024 /dev/zero >/run/zeros")
    stage.matches("Invalid command operation code", a.sg("sg_compare_and_write -v --in=/run/zeros --lba=16 --num=1 --xferlen=1024")[1],
                  "COMPARE AND WRITE by sg3-utils")
    for seat, command in ((a, "ignore a1"), (b, "ignore b1"), (a, "reserve a1 5"), (b, "write 10 1 512 33"), (a, "preempt a1 b1 5")):
        good(seat, command)
    b.say("ready")
    stage.matches("RESERVATION CONFLICT", b.say("write 10 1 512 44"), "a fenced node's WRITE")
    stage.matches("512 times 33", a.say("read 10 1 512"), "what a fenced node wrote")
    good(a, "clear a1")
