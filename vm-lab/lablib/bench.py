# SPDX-License-Identifier: Apache-2.0
"""`lab bench`: speed against plain XFS in the same boot.

node1 owns the volume, node2 has it mounted and does nothing. Plain XFS is on a second disk of the same target, so both go the same
way. tests/bench/fsbench goes from one to the other every few milliseconds, so that what slows the machine slows both; a ratio is
the median of the passes' own ratios. `lab bench same` puts plain XFS on both disks: how far from 1 it comes out is what these means cannot tell.
Not part of the timed tests: the numbers are of this machine.
"""

import re
import statistics
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Callable

from . import build, host, progress
from .errors import USAGE, CheckFailed, LabError
from .lab import Lab
from .protocol import DEVICE, PLACE, Stage

SOURCES = host.CHECKOUT / "tests" / "bench"
PLAIN_DEVICE = "/dev/sdb"
PLAIN = "/mnt/plain"

# sd probes disks side by side, so which one is called sda is a matter of luck at each boot. The nodes in /dev are made to
# follow the LUNs: /dev/sda is the same disk on every node then.
ORDER_DISKS = """
set -e
first=$(ls /sys/class/scsi_disk/*:0:0:0/device/block)
if [ "$first" != sda ]; then
	mv /dev/sda /dev/sd.swap
	mv "/dev/$first" /dev/sda
	mv /dev/sd.swap "/dev/$first"
fi
test "$(stat -c %Hr:%Lr /dev/sda)" = "$(cat /sys/block/$first/dev)"
"""

METADATA_RATIO = 0.85
DATA_RATIO = 0.95
COLD_RATIO = 0.8   # every inode, name and buffer is made twice
DEEP_RATIO = 0.92  # asynchronous requests, 4 and 32 at a time
SAME_RATIO = 0.97
CHANGE_MS = 300
MOUNT_MS = 6000
RSS_MIB = 100

OWN_RATIO = {"stat-cold": COLD_RATIO}

SCSI_RATIO = 1.1

SCSI_COMMANDS = 200  # a turn
SCSI_TURNS = 20      # a round
SCSI_WARM_UP = 80    # turns until Java's code is compiled: 16,000 commands, beyond the last tier's threshold
FILES = 4000
MIB = 48
# A pass is short, and what the kernel does in the background falls into one side or the other: a round is several.
PASSES = {"meta": 24, "data": 4}
CHANGES = 40


@dataclass(frozen=True)
class Line:
    """One result; a ratio to plain XFS, or a number with a limit."""

    name: str
    value: float
    unit: str          # "x XFS", "ms", "MiB"
    target: float
    at_least: bool     # else at most
    detail: str

    @property
    def met(self) -> bool:
        return self.value >= self.target if self.at_least else self.value <= self.target


def names() -> list[str]:
    return list(BENCHES)


def catalogue() -> list[dict]:
    return [{"name": name, "measures": " ".join(bench.__doc__.split())} for name, bench in BENCHES.items()]


def run(chosen: list[str], rounds: int = 3, tree: Path | None = None) -> list[Line]:
    """Runs benches in a lab of their own; their lines, each also told when it is known."""
    for name in chosen:
        if name not in BENCHES:
            raise LabError(f"there is no bench '{name}'", f"one of: {', '.join(BENCHES)}", USAGE)
    if rounds < 3:
        raise LabError(f"{rounds} rounds", "at least 3", USAGE)
    programs, tests = build.c_tests(SOURCES), build.c_tests()
    lines: list[Line] = []
    with Lab.ephemeral("bench", 2, dist=tree or build.install_tree(), disk_size=6 << 30, disks=2) as lab:
        stage = Stage(lab, tests)
        stage.prepare()
        stage.name = "bench"
        for node in lab.nodes:
            node.push(programs / "fsbench", "/run/fsbench")
            node.run("chmod 755 /run/fsbench")
            node.run(ORDER_DISKS)
        stage.mkfs()
        stage.n1.run(f"mkfs.xfs -q -f {PLAIN_DEVICE} && mkdir -p {PLAIN} && mount -t xfs {PLAIN_DEVICE} {PLAIN}")
        try:
            for name in chosen:
                with progress.step(f"bench {name}"):
                    found = BENCHES[name](stage, rounds)
                for line in found:
                    progress.say(_row(line))
                lines += found
            lab.scan()
        finally:
            stage.close_programs()
    return lines


def _mounted(stage: Stage) -> None:
    """node1 the owner, node2 mounted and idle."""
    stage.mount(stage.n1)
    stage.n1.run(f"touch {PLACE}/owner")
    stage.mount(stage.n2)
    stage.n1.run(f"touch {PLACE}/owner")


def _unmounted(stage: Stage) -> None:
    stage.umount(stage.n2)
    stage.umount(stage.n1)


def _passes(stage: Stage, rounds: int, what: str, amount: int) -> dict[str, list[tuple[float, float]]]:
    """What fsbench says about PLACE and PLAIN: for each result, the pairs of all passes."""
    pairs: dict[str, list[tuple[float, float]]] = {}
    for number in range(rounds * PASSES[what] + 1):
        out = stage.n1.run(f"/run/fsbench {what} {PLACE} {PLAIN} {amount}", timeout=300).out
        if number == 0:
            continue  # both warm up: caches, allocation, the target's sparse files
        for name, mine, theirs in re.findall(r"^(\S+) ([\d.]+) ([\d.]+)$", out, re.M):
            pairs.setdefault(name, []).append((float(mine), float(theirs)))
    if not pairs:
        raise CheckFailed(f"fsbench {what} said nothing")
    return pairs


def _detail(name: str, mine_is: str, values: list[tuple[float, float]]) -> str:
    ratios = [mine / theirs for mine, theirs in values]
    mine, theirs = (statistics.median(side) for side in zip(*values))
    spread = "passes " + " ".join(f"{ratio:.2f}" for ratio in ratios) if len(ratios) <= 9 else (
        f"{len(ratios)} times, mean {statistics.mean(ratios):.3f}, quartiles "
        + " ".join(f"{q:.2f}" for q in statistics.quantiles(ratios)))
    return f"{mine_is} {mine:.0f}, XFS {theirs:.0f} {'MiB' if name.startswith('sequential') else 'operations'}/s; {spread}"


def _against_xfs(stage: Stage, rounds: int, what: str, amount: int, target: float) -> list[Line]:
    _mounted(stage)
    changes = stage.status(stage.n1)["attaches"]
    pairs = _passes(stage, rounds, what, amount)
    if stage.status(stage.n1)["attaches"] != changes:
        raise CheckFailed("ownership changed during the bench: node2 was not idle")
    _unmounted(stage)
    return [Line(name, statistics.median(mine / theirs for mine, theirs in values), "x XFS", OWN_RATIO.get(name, target), True, _detail(name, "mxfs", values))
            for name, values in pairs.items()]


def meta(stage: Stage, rounds: int) -> list[Line]:
    """Create, stat, readdir and unlink on the owner while another node has the volume mounted."""
    return _against_xfs(stage, rounds, "meta", FILES, METADATA_RATIO)


def data(stage: Stage, rounds: int) -> list[Line]:
    """Sequential and random reading and writing on the owner, through the cache and with O_DIRECT."""
    lines = _against_xfs(stage, rounds, "data", MIB, DATA_RATIO)
    return [replace(line, target=DEEP_RATIO) if re.search(r"-(aio|uring)-", line.name) else line for line in lines]


def same(stage: Stage, rounds: int) -> list[Line]:
    """Plain XFS beside plain XFS by the means of meta and data: the slower one as a part of the faster one."""
    stage.n1.run(f"mkdir -p {PLACE} && mount -t xfs {DEVICE} {PLACE}")
    lines = []
    for what, amount in (("meta", FILES), ("data", MIB)):
        for name, values in _passes(stage, rounds, what, amount).items():
            ratio = statistics.median(mine / theirs for mine, theirs in values)
            lines.append(Line(f"same-{name}", min(ratio, 1 / ratio), "x XFS", SAME_RATIO, True, _detail(name, "first", values)))
    stage.n1.run(f"umount {PLACE}")
    return lines


def change(stage: Stage, rounds: int) -> list[Line]:
    """Change of owner with little dirty data: from the first waiting operation to the attach."""
    _mounted(stage)
    for number in range(CHANGES):
        node = (stage.n2, stage.n1)[number % 2]
        node.run(f"echo {number} >{PLACE}/turn && test \"$(cat {PLACE}/turn)\" = {number}")
    took = [int(text) / 1000 for node in (stage.n1, stage.n2) for text in node.run("cat /sys/kernel/debug/mxfs/*/changes").out.split()]
    parts = {name: [int(stage.status(node)[name]) / 1000 for node in (stage.n1, stage.n2)] for name in ("last_attach_us", "last_detach_us")}
    _unmounted(stage)
    if len(took) < CHANGES - 2:
        raise CheckFailed(f"{len(took)} changes of owner were recorded, {CHANGES} expected")
    return [Line("ownership-change", statistics.median(took), "ms", CHANGE_MS, False,
                 f"{len(took)} changes, min {min(took):.0f}, max {max(took):.0f} ms; last attach "
                 f"{statistics.mean(parts['last_attach_us']):.0f}, last detach {statistics.mean(parts['last_detach_us']):.0f} ms")]


def mount(stage: Stage, rounds: int) -> list[Line]:
    """From mount(8) to the first write done, first alone, then beside an owner; and umount."""
    first, second, umounts = [], [], []
    for _ in range(rounds):
        for node, times in ((stage.n1, first), (stage.n2, second)):
            out = node.run(f"s=$(date +%s%N); mount -t mxfs {DEVICE} {PLACE} && echo x >{PLACE}/usable && e=$(date +%s%N); "
                           "echo $(((e - s) / 1000000))", timeout=60).out
            times.append(float(out))
        umounts += [stage.umount(stage.n2), stage.umount(stage.n1)]
    detail = lambda times: f"{len(times)} times, min {min(times):.0f}, max {max(times):.0f} ms"
    return [Line("mount-alone", statistics.median(first), "ms", MOUNT_MS, False, detail(first)),
            Line("mount-beside-an-owner", statistics.median(second), "ms", MOUNT_MS, False, detail(second)),
            Line("umount", statistics.median(umounts), "ms", MOUNT_MS, False, detail(umounts))]


def rss(stage: Stage, rounds: int) -> list[Line]:
    """Memory of the daemon, owner and member, after it worked."""
    _mounted(stage)
    for number in range(20):
        (stage.n2, stage.n1)[number % 2].run(f"echo {number} >{PLACE}/turn")
    found = []
    for node, role in ((stage.n1, "owner"), (stage.n2, "member")):
        kib = int(re.search(r"VmRSS:\s+(\d+)", node.run(f"cat /proc/{stage.daemon_pid(node)}/status").out)[1])
        found.append(Line(f"daemon-rss-{role}", kib / 1024, "MiB", RSS_MIB, False, "after 20 changes of owner"))
    _unmounted(stage)
    return found


def scsi(stage: Stage, rounds: int) -> list[Line]:
    """TEST UNIT READY by SG_IO from Java beside the same from C, in turns of a few hundred."""
    from .scsi import Tool
    node = stage.n1
    node.push(build.c_tests(SOURCES) / "sgbench", "/run/sgbench")
    twin = stage.start(node, f"chmod 755 /run/sgbench && exec /run/sgbench {DEVICE}")
    tool = Tool(stage, node, "-XX:+TieredCompilation")

    def c() -> int:
        twin.tell(f"{SCSI_COMMANDS}")
        return int(twin.line(120))

    java = lambda: int(tool.say(f"{DEVICE} bench {SCSI_COMMANDS}", 120))
    pairs = []
    for number in range(SCSI_WARM_UP + rounds * SCSI_TURNS):
        # Who goes first changes: a machine that gets slower or faster favours neither.
        pair = (java(), c()) if number % 2 else (c(), java())[::-1]
        if number >= SCSI_WARM_UP:
            pairs.append(pair)
    ratio = statistics.median(mine / theirs for mine, theirs in pairs)
    per_command = lambda total: total / SCSI_COMMANDS / 1000
    return [Line("scsi-test-unit-ready", ratio, "x C", SCSI_RATIO, False,
                 f"Java {per_command(statistics.median(mine for mine, _ in pairs)):.0f}, "
                 f"C {per_command(statistics.median(theirs for _, theirs in pairs)):.0f} us a command; {len(pairs)} turns of "
                 f"{SCSI_COMMANDS}, quartiles " + " ".join(f"{q:.2f}" for q in statistics.quantiles([m / t for m, t in pairs])))]


BENCHES: dict[str, Callable[[Stage, int], list[Line]]] = {"meta": meta, "data": data, "same": same, "change": change, "mount": mount, "rss": rss, "scsi": scsi}


def _row(line: Line) -> str:
    sign = ">=" if line.at_least else "<="
    digits = 3 if line.unit.startswith("x") else 0
    return (f"{line.name:<28} {line.value:>8.{digits}f} {line.unit:<6} {sign} {line.target:<6g} {'met' if line.met else 'NOT MET':<8} "
            f"{line.detail}")


def table(lines: list[Line]) -> str:
    met = sum(line.met for line in lines)
    return "\n".join([f"{'what':<28} {'value':>8} {'':<6} {'target':<9} {'':<8} detail", *map(_row, lines),
                      f"{met} targets met, {len(lines) - met} not met"])
