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
class Complaint:
    file: Path
    line: int
    text: str
    excerpt: str

    def __str__(self) -> str:
        return f"{self.file}:{self.line}: {self.text}\n{self.excerpt}"


def scan(file: Path, expected: list[str] = (), before: int = 2, after: int = 25, limit: int = 5) -> list[Complaint]:
    """The complaints in one console log, except lines that match one of the `expected` patterns."""
    allowed = [re.compile(pattern) for pattern in expected]
    lines = file.read_text(errors="replace").replace("\r", "").splitlines()
    found, quiet_until = [], -1
    for number, text in enumerate(lines):
        if number < quiet_until or not any(pattern.search(text) for pattern in COMPLAINTS):
            continue
        if any(pattern.search(text) for pattern in (*HARMLESS, *allowed)):
            continue
        excerpt = "\n".join("    " + line for line in lines[max(0, number - before):number + after])
        found.append(Complaint(file, number + 1, text.strip(), excerpt))
        quiet_until = number + after  # the trace that follows belongs to this one
        if len(found) == limit:
            break
    return found
