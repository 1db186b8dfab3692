# SPDX-License-Identifier: Apache-2.0
"""Files that are open are removed, and others put over them, on a volume without a free block and below a root that gives a project to its
files; they live on through changes of owner."""

from lablib.protocol import DEVICE, PLACE, PROGRAMS

LIMIT = 240
MARKERS = ["SELFTEST: removed on a full volume ok"]
EXPECTED = []


def run(stage):
    n1, n2 = stage.n1, stage.n2
    _full(stage, n1, n2)
    _project(stage, n1, n2)
    with stage.solo(n1) as options:
        options("")
        _given_back(stage, n1, n2)
    stage.marker("SELFTEST: removed on a full volume ok")


def _full(stage, n1, n2):
    """Every file that is open is removed, or replaced, where there is no block, and lives on through changes of owner."""
    stage.mkfs(options="-d size=400m")
    stage.mount(n1)
    stage.mount(n2)
    other = stage.keeper(n2)
    other.ok(f"open 1 {PLACE}/theirs +c")
    other.ok("write 1 0 3000 77")
    program = stage.start(n1, f"{PROGRAMS}/full_volume {PLACE} 700")
    stage.same(program.line(120), "ready", "files that are open removed on a full volume")
    n1.run(f"rm {PLACE}/theirs")
    for turn in range(2):
        other.ok("check 1 0 3000 77")
        n1.run(f"ls {PLACE} >/dev/null")
    program.tell("go on")
    stage.same(program.line(60), "ok", "files that were removed on a full volume, after changes of owner")
    program.finish(20)
    other.ok("close 1")
    other.close()
    n1.run(f"rm -rf {PLACE}/*", timeout=100)
    stage.until(lambda: (stage.take(n2), stage.take(n1), stage.nameless(n1))[2] == [], 20, "what nobody holds any more to be gone")
    stage.umount(n1)
    stage.umount(n2)
    stage.repair()


def _project(stage, n1, n2):
    """The same for a user, below a root whose files inherit a project: no link leads from one project to another."""
    stage.mkfs(options="-d size=400m")
    stage.plain.run(f"mount -t xfs {DEVICE} {PLACE} && xfs_io -c 'chproj 7' -c 'chattr +P' {PLACE} && "
                    f"install -d -o user1 {PLACE}/user && umount {PLACE}")
    stage.mount(n1)
    stage.mount(n2)
    program = stage.start(n1, f"{PROGRAMS}/full_volume {PLACE}/user 100 $(id -u user1)")
    stage.same(program.line(120), "ready", "files that are open removed below a root with a project")
    for turn in range(2):
        n2.run(f"ls {PLACE}/user >/dev/null")
        n1.run(f"ls {PLACE}/user >/dev/null")
    program.tell("go on")
    stage.same(program.line(60), "ok", "the same files after changes of owner")
    program.finish(20)
    stage.umount(n1)
    stage.umount(n2)
    stage.repair()


def _given_back(stage, node, other):
    """The reserve that another node gave back is filled by who has the volume next."""
    if stage.plain is not node:
        other = stage.plain
    stage.mkfs(options="-d size=400m")
    stage.mount(node)

    def elsewhere(command: str) -> str:
        return other.run(f"mount -t xfs {DEVICE} {PLACE} && cd {PLACE} && {command}; rc=$?; cd / && umount {PLACE} && exit $rc").out

    def filled() -> bool:
        # The attach begins it; a detach may come before it has begun.
        node.run(f"touch {PLACE}/f")
        stage.detach_solo(node)
        return elsewhere("stat -c %b .mxfs/reserve") == "2048\n"

    stage.detach_solo(node)
    stage.same(elsewhere("stat -c %b .mxfs/reserve; truncate -s 0 .mxfs/reserve"), "2048\n", "blocks of the reserve")
    stage.until(filled, 60, "the reserve to be filled")
    stage.umount(node)
    stage.repair()
