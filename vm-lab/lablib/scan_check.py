# SPDX-License-Identifier: Apache-2.0
"""What the console scan must tell and what it must not, on the lines of a real report (the lab's debug kernel, a volume mounted as plain XFS)."""

import tempfile
from pathlib import Path

from . import scan as scanner
from .errors import CheckFailed

_REPORT = """\
[  985.114892] XFS: Assertion failed: new_size <= XFS_ISIZE(ip), file: fs/xfs/xfs_inode.c, line: 1028
[  985.117140] ------------[ cut here ]------------
[  985.117571] WARNING: CPU: 0 PID: 209 at fs/xfs/xfs_message.c:89 asswarn+0x23/0x30
[  985.119050] Modules linked in: mxfs(O)
[  985.120548] CPU: 0 UID: 0 PID: 209 Comm: kworker/0:4 Tainted: G           O       6.12.117-mxfs-debug #1
[  985.122005] Workqueue: xfs-inodegc/sda xfs_inodegc_worker
[  985.122430] RIP: 0010:asswarn+0x23/0x30
[  985.125107] Call Trace:
[  985.125358]  <TASK>
[  985.125586]  xfs_itruncate_extents_flags+0x68b/0xb50
[  985.126094]  ? xfs_link+0x880/0x880
[  985.126264]  xfs_attr_inactive+0x426/0x520
[  985.126398]  ? xfs_attr3_node_inactive+0x8c0/0x8c0
[  985.126831]  xfs_inactive+0x8a8/0xbe0
[  985.127294]  xfs_inodegc_worker+0x269/0x650
[  985.129323]  </TASK>
[  985.130731] ---[ end trace 0000000000000000 ]---
""".splitlines()
_BUG = "[  985.126300] BUG: KASAN: slab-use-after-free in mxfs_read+0x1/0x2"


def _with(old: str, new: str) -> list[str]:
    if not any(old in line for line in _REPORT):
        raise CheckFailed(f"no '{old}' in the report of this check")
    return [line.replace(old, new) for line in _REPORT]


def _cases() -> list[tuple[str, list[str], int]]:
    """What it is, the console, and how many complaints that is."""
    inside = [*_REPORT[:12], _BUG, *_REPORT[12:]]
    return [
        ("the known report", _REPORT, 0),
        ("the same twice", _REPORT * 2, 0),
        ("the known report, and a use after free behind it", [*_REPORT, _BUG], 1),
        ("a use after free in the middle of it", inside, 1),
        ("a use after free in front of it", [_BUG, *[""] * 30, *_REPORT], 1),
        ("on Debian's kernel", _with("6.12.117-mxfs-debug #1", "6.12.117+deb13-amd64 #1"), 1),
        ("another assertion", _with("new_size <= XFS_ISIZE(ip)", "ip->i_itemp != NULL"), 1),
        ("the same for the data of a file", _with("xfs_attr_inactive", "xfs_inactive_truncate"), 1),
        ("its caller is not certain", _with("  xfs_attr_inactive", "  ? xfs_attr_inactive"), 1),
        ("another warning in it", _with("fs/xfs/xfs_message.c:89 asswarn", "fs/inode.c:407 drop_nlink"), 1),
        ("a second warning in it", [*_REPORT[:4], "[  985.119051] WARNING: CPU: 1 PID: 3 at fs/inode.c:407 drop_nlink+0x1/0x2", *_REPORT[4:]], 1),
        ("without its end", _REPORT[:-1], 1),
        ("its warning alone", _REPORT[1:], 1),
    ]


def check() -> None:
    """Raises CheckFailed when the scan tells more or less than it must."""
    wrong = []
    with tempfile.TemporaryDirectory() as folder:
        log = Path(folder, "console.log")
        for what, lines, expected in _cases():
            log.write_text("\n".join(lines) + "\n")
            found = scanner.scan(log)
            if len(found) != expected:
                wrong.append(f"{what}: {len(found)} complaints instead of {expected}: {[one.text for one in found]}")
    if wrong:
        raise CheckFailed("\n".join(wrong), "see KNOWN in vm-lab/lablib/scan.py")
