# SPDX-License-Identifier: Apache-2.0
"""Looks for kernel complaints in console logs: whatever else a test found, one of these makes it fail."""

import re
from dataclasses import dataclass
from pathlib import Path

# Each is a line a healthy kernel never prints.
COMPLAINTS = [re.compile(pattern) for pattern in (
    r"\bWARNING: (?!CPU: \d+ PID: \d+ at \S*drivers/virtio/none)",  # WARN_ON, lockdep, suspicious RCU usage
    r"\bBUG:? ",                                  # BUG(), KASAN, sleeping in atomic, soft lockup
    r"kernel BUG at",
    r"\bOops\b",
    r"general protection fault",
    r"Unable to handle kernel",
    r"Kernel panic",
    r"INFO: task .* blocked for more than",
    r"INFO: (possible|rcu|trying|lockdep)",       # lockdep reports, RCU stalls, "trying to register non-static key"
    r"rcu: INFO:",
    r"possible (circular|recursive) locking|inconsistent lock state|suspicious RCU|bad unlock balance|held lock freed",
    r"\bWARN(ING)?_ON",
    r"XFS \([^)]*\): .*(Corruption|corruption|Internal error|Metadata CRC error|shutting? ?down|Shutting down)",
    r"XFS: Assertion failed",
    r"Internal error",
    r"unregister_netdevice: waiting",
    r"refcount_t: ",
    r"list_(add|del) corruption",
    r"kmemleak: \d+ new suspected",
    r"Out of memory: Killed|oom-kill:",
    r"Slab cache|SLUB: |still has objects|Objects remaining",
    r"Busy inodes after unmount",
    r"VFS: Busy",
    r"mxfs-lab: boot failed",
    r"segfault at",
    r"nfs: server .* not responding",
)]

# Lines that look like complaints and are not.
HARMLESS = [re.compile(pattern) for pattern in (
    r"mitigat|Spectre|MDS|RETBleed|SRSO|Retpoline",
    r"Warning: unable to open an initial console",
    r"RAS: Correctable Errors",
    r"SLUB: HWalign",
)]


@dataclass(frozen=True)
class Known:
    """A report that a kernel is known to make by itself, from the line that says what is wrong to the end of its trace."""

    first: re.Pattern
    warning: re.Pattern
    release: re.Pattern  # of the kernel, as the report's line with 'Comm:' tells it
    callers: tuple[str, ...]  # the innermost functions of its trace


# When XFS removes a file whose attributes have blocks of their own, it cuts these down to one block first, and its check of the new length compares that
# with the length of the file's data, which has nothing to do with it: a file shorter than a block is reported, on plain XFS as well. Upstream asks for
# the data alone since e942498385bf ("xfs: only assert new size for datafork during truncate extents"); 6.12.117 has the change that this was to prepare,
# without it. Debian's own kernel has no such checks (CONFIG_XFS_WARN).
XFS_ATTRIBUTE_BLOCKS = Known(re.compile(r"XFS: Assertion failed: new_size <= XFS_ISIZE\(ip\), file: fs/xfs/xfs_inode\.c, line: \d+$"),
                             re.compile(r"WARNING: CPU: \d+ PID: \d+ at fs/xfs/xfs_message\.c:\d+ asswarn\+"),
                             re.compile(r"CPU: .* Comm: .* 6\.12\.\d+-mxfs-debug #"), ("xfs_itruncate_extents_flags", "xfs_attr_inactive"))

KNOWN = (XFS_ATTRIBUTE_BLOCKS,)
_LONGEST_REPORT = 100  # lines
_CERTAIN_CALLER = re.compile(r"^\[[^]]*\]  (\w[\w.]*)\+0x")  # without a '?'


@dataclass(frozen=True)
class Complaint:
    file: Path
    line: int
    text: str
    excerpt: str

    def __str__(self) -> str:
        return f"{self.file}:{self.line}: {self.text}\n{self.excerpt}"


def _known(lines: list[str], start: int) -> set[int]:
    """The complaints of a known report that begins here: its first line and its warning, and nothing that came between them. Empty when it is another."""
    for one in KNOWN:
        if not one.first.search(lines[start]):
            continue
        report = lines[start:start + _LONGEST_REPORT]
        end = next((number for number, text in enumerate(report) if "---[ end trace " in text), 0)
        warnings = [number for number, text in enumerate(report[:end]) if "WARNING: " in text]
        trace = next((number for number, text in enumerate(report[:end]) if "Call Trace:" in text), end)
        callers = tuple(match[1] for text in report[trace:end] if (match := _CERTAIN_CALLER.search(text)))
        if len(warnings) == 1 and one.warning.search(report[warnings[0]]) and callers[:len(one.callers)] == one.callers \
                and any(one.release.search(text) for text in report[:trace]):
            return {start, start + warnings[0]}
    return set()


def scan(file: Path, expected: list[str] = (), before: int = 2, after: int = 25, limit: int = 5) -> list[Complaint]:
    """The complaints in one console log, except lines that match one of the `expected` patterns and the reports of KNOWN."""
    allowed = [re.compile(pattern) for pattern in expected]
    lines = file.read_text(errors="replace").replace("\r", "").splitlines()
    found, quiet_until, known = [], -1, set()
    for number, text in enumerate(lines):
        if number < quiet_until or not any(pattern.search(text) for pattern in COMPLAINTS):
            continue
        known |= _known(lines, number)
        if number in known or any(pattern.search(text) for pattern in (*HARMLESS, *allowed)):
            continue
        excerpt = "\n".join("    " + line for line in lines[max(0, number - before):number + after])
        found.append(Complaint(file, number + 1, text.strip(), excerpt))
        quiet_until = number + after  # the trace that follows belongs to this one
        if len(found) == limit:
            break
    return found
