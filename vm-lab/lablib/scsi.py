# SPDX-License-Identifier: Apache-2.0
"""What the scripts about SCSI share: two seats at one logical unit, the library's commands and sg3-utils' at each, and LIO, the
kernel's own target, as a second kind of array.

A seat is one I_T nexus: a node's /dev/sda, or one of two disks of LIO in a node. A sequence of steps is run twice from the same
state, by the library and by sg_persist; after each step both are asked for the state. The two records must be equal.
"""

import json
import re
import shutil
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Callable

from . import build, host
from .node import Node
from .protocol import Program, Stage

CLASSES = "/run/scsi-tool"
JAVA = ("/usr/lib/mxfs/bin/java -XX:+UseSerialGC {options} -Xmx128m -XX:-UsePerfData -Xlog:disable "
        f"--enable-native-access=org.mxfs.bindings --add-modules org.mxfs.scsi -cp {CLASSES} org.mxfs.scsi.tool.ScsiCommandLine")


class Tool:
    """The library's test program on a node: scsi/src/test/java/org/mxfs/scsi/tool/ScsiCommandLine.java."""

    def __init__(self, stage: Stage, node: Node, options: str = "-Xint"):
        node.push(build.scsi_tool(build.install_tree()), CLASSES)
        self.program: Program = stage.start(node, JAVA.format(options=options))
        stage.same(self.program.line(90), "ready", "the SCSI test program")

    def say(self, text: str, limit: float = 60) -> str:
        self.ask(text)
        return self.program.line(limit)

    def ask(self, text: str) -> None:
        """Sends a command whose answer is for later."""
        self.program.tell(text)


class Shell:
    """A shell on a node that stays: a connection for each of hundreds of short commands would cost more than they do."""

    END = "==end=="

    def __init__(self, stage: Stage, node: Node):
        self.program: Program = stage.start(node, "bash")

    def run(self, command: str, limit: float = 60) -> tuple[int, str]:
        """Exit status, and all that was printed."""
        self.program.tell(f"{{ {command}; }} </dev/null 2>&1; s=$?; echo; echo {self.END} $s")
        lines = []
        while not (line := self.program.line(limit)).startswith(self.END):
            lines.append(line)
        return int(line.removeprefix(self.END)), "\n".join(lines)


@dataclass(frozen=True)
class Seat:
    """One I_T nexus, for the library and for sg3-utils."""

    tool: Tool
    shell: Shell
    device: str

    def say(self, command: str) -> str:
        return self.tool.say(f"{self.device} {command}")

    def ask(self, command: str) -> None:
        """Sends a command that may not be answered for a while; hear() is the answer."""
        self.tool.ask(f"{self.device} {command}")

    def hear(self) -> str:
        return self.tool.program.line(60)

    def sg(self, command: str) -> tuple[int, str]:
        """A program of sg3-utils at this seat: exit status, and what it said."""
        program, _, options = command.partition(" ")
        return self.shell.run(f"{program} {self.device} {options}")

    def page(self, page: int) -> bytes:
        """A VPD page as sg3-utils received it."""
        return bytes.fromhex(self.shell.run(f"sg_vpd -r -p {page:#x} {self.device} | od -An -v -tx1")[1])


# ---- the same step, two ways

def by_library(seat: Seat, step: str) -> tuple[str, list[str]]:
    """Outcome of a step, and the unit attentions that were on the device before it."""
    attentions = re.findall(r"UNIT_ATTENTION [0-9A-F/]+ \(([^)]*)\)", seat.say("ready"))
    said = seat.say(step).split(" | ")[0]
    for word, outcome in ((": GOOD", "good"), (": RESERVATION CONFLICT", "conflict"), ("ILLEGAL_REQUEST", "illegal request"),
                          ("NOT_READY", "not ready")):
        if word in said:
            return outcome, attentions
    return said, attentions


_SG_ACTION = {"register": "--register --param-rk=0x{0} --param-sark=0x{1}", "ignore": "--register-ignore --param-sark=0x{0}",
              "register-aptpl": "--register --param-aptpl --param-rk=0x{0} --param-sark=0x{1}",
              "reserve": "--reserve --param-rk=0x{0} --prout-type={1}", "release": "--release --param-rk=0x{0} --prout-type={1}",
              "clear": "--clear --param-rk=0x{0}", "preempt": "--preempt --param-rk=0x{0} --param-sark=0x{1} --prout-type={2}",
              "abort": "--preempt-abort --param-rk=0x{0} --param-sark=0x{1} --prout-type={2}"}
_SG_OUTCOME = {0: "good", 2: "not ready", 24: "conflict", 5: "illegal request", 9: "illegal request", 19: "illegal request"}  # 19: a parameter is wrong


def by_sg(seat: Seat, step: str) -> tuple[str, list[str]]:
    attentions = []
    for _ in range(16):
        status, said = seat.sg("sg_raw 00 00 00 00 00 00")  # TEST UNIT READY
        if status == 0:
            break
        attentions += [text.strip().lower() for text in re.findall(r"Additional sense: (.*)", said)]
    action, *arguments = step.split()
    if action == "move":
        key, new, port, identity = arguments
        options = (f"--register-move --param-rk=0x{key} --param-sark=0x{new} --relative-target-port={port} "
                   f"--transport-id=sas,{identity[8:24]}")
    else:
        options = _SG_ACTION[action].format(*arguments)
    status, said = seat.sg(f"sg_persist -n -o {options}")
    return _SG_OUTCOME.get(status, f"status {status}: {said}"), attentions


@dataclass(frozen=True)
class State:
    generation: int
    keys: tuple[str, ...]
    holder: str   # "", or "KEY type N"


_TYPES = {"WRITE_EXCLUSIVE": 1, "EXCLUSIVE_ACCESS": 3, "WRITE_EXCLUSIVE_REGISTRANTS_ONLY": 5, "EXCLUSIVE_ACCESS_REGISTRANTS_ONLY": 6,
          "WRITE_EXCLUSIVE_ALL_REGISTRANTS": 7, "EXCLUSIVE_ACCESS_ALL_REGISTRANTS": 8}
_SG_TYPES = {"Write Exclusive": 1, "Exclusive Access": 3, "Write Exclusive, registrants only": 5,
             "Exclusive Access, registrants only": 6, "Write Exclusive, all registrants": 7, "Exclusive Access, all registrants": 8}


def state_by_library(seat: Seat) -> State:
    keys, reservation = seat.say("keys"), seat.say("reservation")
    generation, listed = re.search(r"GOOD, generation (\d+), keys \[(.*?)\]", keys).groups()
    held = re.search(r"held by key ([0-9a-f]+), (\w+)", reservation)
    return State(int(generation), tuple(sorted(f"{int(key, 16):x}" for key in listed.split(", ") if key)),
                 f"{int(held[1], 16):x} type {_TYPES[held[2]]}" if held else "")


def state_by_sg(seat: Seat) -> State:
    """Unit attentions (status 6) are told once each."""
    def read(option: str) -> str:
        for _ in range(8):
            status, said = seat.sg(f"sg_persist -n -i {option}")
            if status != 6:
                break
        return said
    keys, reservation = read("-k"), read("-r")
    generation = int(re.search(r"PR generation=0x([0-9a-f]+)", keys)[1], 16)
    held = re.search(r"Key=0x([0-9a-f]+)\s+scope: LU_SCOPE,\s+type: (.*)", reservation)
    return State(generation, tuple(sorted(re.findall(r"^\s+0x([0-9a-f]+)$", keys, re.M))),
                 f"{held[1]} type {_SG_TYPES[held[2].strip()]}" if held else "")


def compare(stage: Stage, seats: dict[str, Seat], steps: list[str], watcher: str) -> list[str]:
    """Runs `SEAT ACTION ARGUMENT...` steps both ways; the outcomes, which were the same. The state is read at the seat `watcher`."""
    def record(way: Callable[[Seat, str], tuple[str, list[str]]]) -> list[tuple]:
        _clear(seats)
        start, found = state_by_library(seats[watcher]).generation, []
        stage.same(state_by_library(seats[watcher]), State(start, (), ""), "the state to begin with")
        for step in steps:
            seat, action = step.split(" ", 1)
            outcome = way(seats[seat], action)
            mine, theirs = state_by_library(seats[watcher]), state_by_sg(seats[watcher])
            stage.same(mine, theirs, f"after '{step}': READ KEYS and READ RESERVATION by the library and by sg_persist")
            found.append((step, *outcome, mine.keys, mine.holder, mine.generation - start))
        return found

    library, sg = record(by_library), record(by_sg)
    for mine, theirs in zip(library, sg, strict=True):
        stage.same(mine, theirs, "a step by the library and by sg_persist (step, outcome, unit attentions, keys, holder, generation)")
    _clear(seats)
    return [f"{step}: {outcome}{f', told: {told}' if told else ''}" for step, outcome, told, *_ in library]


def _clear(seats: dict[str, Seat]) -> None:
    """No keys, no reservation, no unit attention anywhere."""
    seat = next(iter(seats.values()))
    by_sg(seat, "ignore 1ab")
    by_sg(seat, "clear 1ab")
    for each in seats.values():
        each.say("ready")


# ---- LIO

CONFIG = "/sys/kernel/config/target"
# A node has no udev, which would name device-mapper's devices in /dev/mapper.
DM_NODE = "/dev/dm-$(dmsetup info -c --noheadings -o minor {})"
SECTORS = 131072
DISK = "lio"
TARGET = "iqn.2026-11.lab.mxfs:lio"
INITIATORS = {name: f"iqn.2026-11.lab.mxfs:initiator-{name}" for name in "ab"}


class Lio:
    """A logical unit of the kernel's own target in a node, by two I_T nexuses: two disks of tcm_loop."""

    BACKSTORE = "fileio"
    MODULES = "target_core_file tcm_loop"
    UP = "truncate -s 64M /run/lio.img"
    CONTROL = "fd_dev_name=/run/lio.img,fd_dev_size=67108864"
    NEXUSES = {name: f"""
tpg=loopback/naa.600140500000000{number}/tpgt_1
mkdir -p $tpg
echo naa.600140500000001{number} >$tpg/nexus
echo {number} >$tpg/rtpi
mkdir $tpg/lun/lun_0
ln -s {CONFIG}/core/fileio_0/disk $tpg/lun/lun_0/virtual
""" for number, name in enumerate("ab", 1)}
    DOWN = f"""
cd {CONFIG}
for tpg in loopback/*/tpgt_1; do
	rm -f $tpg/lun/lun_0/virtual
	rmdir $tpg/lun/lun_0 $tpg $(dirname $tpg)
done
rmdir loopback"""
    AFTER = "rm -f /run/lio.img"

    def __init__(self, stage: Stage, node: Node):
        self.node = node
        node.run(f"""
set -e
modprobe -a target_core_mod {self.MODULES}
mountpoint -q /sys/kernel/config || mount -t configfs configfs /sys/kernel/config
mkdir -p /var/target/pr
{self.UP}
cd {CONFIG}
mkdir -p core/{self.BACKSTORE}_0/disk
echo {self.CONTROL} >core/{self.BACKSTORE}_0/disk/control
echo 1 >core/{self.BACKSTORE}_0/disk/enable
echo 5ca1ab1e0ddba11 >core/{self.BACKSTORE}_0/disk/wwn/vpd_unit_serial
""")
        self.statistics = f"{CONFIG}/core/{self.BACKSTORE}_0/disk/statistics"
        self.devices = [self._join(stage, name) for name in self.NEXUSES]

    def _join(self, stage: Stage, name: str) -> str:
        """Makes a nexus; the disk that comes by it."""
        before = self._disks()
        self.node.run(f"set -e\ncd {CONFIG}\n{self.NEXUSES[name]}")
        return stage.until(lambda: self._disks() - before, 20, f"the disk of nexus {name}").pop()

    def _disks(self) -> set[str]:
        return set(self.node.run("cd /sys/block && for d in sd*; do grep -q LIO-ORG $d/device/vendor && echo /dev/$d; done; true").out.split())

    def close(self) -> None:
        self.node.run(f"""
cd {CONFIG} 2>/dev/null || exit 0
{self.DOWN}
cd {CONFIG}
rmdir core/{self.BACKSTORE}_0/disk core/{self.BACKSTORE}_0
cd /
{self.AFTER}
rmmod {" ".join(reversed(self.MODULES.split()))}
rm -rf /var/target/pr
""", check=False)


class IscsiLio(Lio):
    """The same by iSCSI inside the node: two initiators by name, each with a session of its own, to a target on the loopback address.

    The unit lies on a device-mapper device, which can be suspended: then reads and writes of the unit stay in flight. With iscsid and not
    iscsistart, because only iscsid can log out again.
    """

    BACKSTORE = "iblock"
    MODULES = "target_core_iblock iscsi_target_mod iscsi_tcp"
    UP = f"""
modprobe dm_mod
modprobe brd rd_nr=1 rd_size={SECTORS // 2}
dmsetup create {DISK} --table '0 {SECTORS} linear /dev/ram0 0'
mkdir -p /run/lock/iscsi
echo InitiatorName=iqn.2026-11.lab.mxfs:nobody >/etc/iscsi/initiatorname.iscsi
iscsid"""
    CONTROL = f"udev_path={DM_NODE.format(DISK)}"
    # No pings: while the target waits in a PREEMPT AND ABORT, it answers none on that connection.
    NEXUSES = {name: f"""
tpg=iscsi/{TARGET}/tpgt_1
if ! test -e $tpg; then
	mkdir -p $tpg
	mkdir $tpg/lun/lun_0 $tpg/np/127.0.0.1:3260
	ln -s {CONFIG}/core/iblock_0/disk $tpg/lun/lun_0/virtual
	echo 0 >$tpg/attrib/authentication
	echo 1 >$tpg/attrib/generate_node_acls
	echo 0 >$tpg/attrib/demo_mode_write_protect
	echo 1 >$tpg/enable
fi
iscsiadm -m iface -I {name} -o new
iscsiadm -m iface -I {name} -o update -n iface.initiatorname -v {initiator}
record="iscsiadm -m node -T {TARGET} -p 127.0.0.1:3260,1 -I {name}"
$record -o new
$record -o update -n node.conn[0].timeo.noop_out_interval -v 0 -n node.conn[0].timeo.noop_out_timeout -v 0
$record --login
""" for name, initiator in INITIATORS.items()}
    DOWN = f"""
dmsetup resume {DISK}
iscsiadm -m node -U all
iscsiadm -m node -o delete
for name in {" ".join(INITIATORS)}; do iscsiadm -m iface -I $name -o delete; done
iscsiadm -k 0
tpg={CONFIG}/iscsi/{TARGET}/tpgt_1
echo 0 >$tpg/enable
rm -f $tpg/lun/lun_0/virtual
rmdir $tpg/lun/lun_0 $tpg/np/127.0.0.1:3260 $tpg $(dirname $tpg) {CONFIG}/iscsi"""
    AFTER = f"dmsetup remove {DISK}; rmmod brd"


class IscsiTgt:
    """The same by iSCSI from tgt inside the node: this machine's own tgtd, with its libraries. It opens the disk with O_DIRECT, so that a write
    waits for it, in a thread of its own. tgt makes one of a disk's names of the numbers of target and unit: 1 and 1 has the nodes' own disk."""

    PLACE = "/run/tgt"
    PORTAL = "127.0.0.1:3261"
    RUN = f"export TGT_IPC_SOCKET={PLACE}/ipc LD_LIBRARY_PATH={PLACE}; tgtadm() {{ {PLACE}/tgtadm -C 0 --lld iscsi \"$@\"; }}"
    RECORD = f"iscsiadm -m node -T {TARGET} -p {PORTAL},1"

    def __init__(self, stage: Stage, node: Node):
        self.node = node
        with tempfile.TemporaryDirectory() as folder:
            node.push(self._programs(Path(folder) / "tgt"), self.PLACE)
        node.run(f"""
set -e
modprobe -a dm_mod iscsi_tcp
modprobe brd rd_nr=1 rd_size={SECTORS // 2}
dmsetup create {DISK} --table '0 {SECTORS} linear /dev/ram0 0'
mkdir -p /run/lock/iscsi
while pgrep -x iscsid >/dev/null; do sleep 0.1; done
echo InitiatorName=iqn.2026-11.lab.mxfs:nobody >/etc/iscsi/initiatorname.iscsi
iscsid
{self.RUN}
{self.PLACE}/tgtd -C 0 --iscsi portal={self.PORTAL} </dev/null >/dev/null 2>&1
""")
        stage.until(lambda: node.run(f"{self.RUN}; tgtadm --mode sys --op show", check=False).rc == 0, 20, "tgtd to answer")
        node.run(f"""
set -e
{self.RUN}
tgtadm --mode target --op new --tid 2 --targetname {TARGET}
tgtadm --mode logicalunit --op new --tid 2 --lun 1 --backing-store {DM_NODE.format(DISK)} --bsoflags direct
tgtadm --mode target --op bind --tid 2 --initiator-address ALL
""")
        self.devices = [self._join(stage, name, initiator) for name, initiator in INITIATORS.items()]

    @staticmethod
    def _programs(folder: Path) -> Path:
        folder.mkdir()
        for program in ("tgtd", "tgtadm"):
            shutil.copy2(host.tool(program), folder)
        said = host.call(["ldd", host.tool("tgtd")], "ldd of tgtd").stdout
        for library in re.findall(r"=> (/\S+)", said):
            if not re.search(r"/(libc|libm|libpthread|ld-linux[^/]*)\.so", library):  # the node's own
                shutil.copy2(library, folder)
        return folder

    def _join(self, stage: Stage, name: str, initiator: str) -> str:
        before = self._disks()
        self.node.run(f"""
set -e
iscsiadm -m iface -I {name} -o new
iscsiadm -m iface -I {name} -o update -n iface.initiatorname -v {initiator}
{self.RECORD} -I {name} -o new
{self.RECORD} -I {name} --login
""")
        return stage.until(lambda: self._disks() - before, 20, f"the disk of nexus {name}").pop()

    def _disks(self) -> set[str]:
        return set(self.node.run("cd /sys/block && for d in sd*; do grep -q IET $d/device/vendor && echo /dev/$d; done; true").out.split())

    def close(self) -> None:
        self.node.run(f"""
dmsetup resume {DISK}
iscsiadm -m node -U all
iscsiadm -m node -o delete
for name in {" ".join(INITIATORS)}; do iscsiadm -m iface -I $name -o delete; done
iscsiadm -k 0
# It does not end by a signal that it can catch (usr/tgtd.c: signal_catch()).
pkill -KILL -x tgtd
while pgrep -x tgtd >/dev/null; do sleep 0.1; done
dmsetup remove {DISK} && rmmod brd iscsi_tcp && rm -rf {self.PLACE}
""", timeout=30)


class Multipath:
    """A device-mapper multipath device over disks of a node."""

    NAME = "mpatha"

    def __init__(self, node: Node, devices: list[str]):
        self.node = node
        node.run("modprobe -a dm_multipath dm_round_robin")
        sectors = node.run(f"blockdev --getsz {devices[0]}").out.strip()
        # One group with all paths, taken in turns: 0 features, 0 hardware handlers, 1 group, 1 to begin with.
        node.run(f"dmsetup create {self.NAME} --uuid mpath-{self.NAME} "
                 f"--table '0 {sectors} multipath 0 0 1 1 round-robin 0 {len(devices)} 0 {' '.join(devices)}'")
        self.device = node.run(f"echo {DM_NODE.format(self.NAME)}").out.strip()

    def close(self) -> None:
        self.node.run(f"dmsetup remove {self.NAME}", check=False)


def fencing(stage: Stage, node: Node, device: str, adapter: str, by: str, ground: str, why: str, options: str = "--no-abort") -> None:
    """What mxfsctl scsi check says of this path: how what a fenced node has under way would be ended there, and why."""
    done = node.run(f"mxfsctl scsi check --json {options} {device}", check=False)
    found = {each["path"]: each for each in json.loads(done.out)["fencing"]}.get(device, {})
    stage.same((found.get("path"), found.get("adapter"), found.get("by"), found.get("ground")), (device, adapter, by, ground),
               f"the way of fencing that mxfsctl scsi check finds for {device}: {done.out}{done.err}")
    stage.matches(why, found["why"], f"why it is that for {device}")
    text = node.run(f"mxfsctl scsi check {options} {device}", check=False).out
    stage.matches(r"note +what a fenced node has under way would be " + ("ended by a LOGICAL UNIT RESET" if by == "reset" else "waited for, 303 s"), text,
                  "the same for a person")
    stage.note(f"{device}, fencing by {by} ({ground}): {found['why']}")


def proven(stage: Stage, node: Node, device: str, paths: list[str], options: str = "", also: tuple[str, ...] = ()) -> None:
    """mxfsctl scsi check has a second path to fence, and everything it can prove is proven."""
    done = node.run(f"mxfsctl scsi check --json {options} {device}", check=False)
    stage.same(done.rc, 0, f"mxfsctl scsi check {device}: {done.out}{done.err}")
    report = json.loads(done.out)
    stage.same(report["paths"], paths, "its paths")
    stage.same("does not mount device-mapper multipath" in report["meaning"], device not in paths, f"what is said with the verdict: {report['meaning']}")
    found = {step["id"]: step["outcome"] for step in report["steps"]}
    for step in ("aptpl", "register", "reserve", "key-checked", "preempt-known", "exclusive", "fence-member",
                 "fenced", "preempt-once", "fence-owner", "fence-owner-told", "cleanup", *also):
        stage.same(found.get(step), "proven", f"step {step} of {found}")
    stage.matches("there are NO registered", node.run(f"sg_persist -n -i -k {paths[0]}", check=False).out, "the keys afterwards")
