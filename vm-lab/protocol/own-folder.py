# SPDX-License-Identifier: Apache-2.0
"""The module's own folder: seen, entered and changed by nobody, through a mount or by handle; what somebody put in its place, or in it, is
refused by name and never followed."""

from lablib.protocol import DEVICE, PLACE, PROGRAMS

LIMIT = 300
MARKERS = ["SELFTEST: own folder ok"]
EXPECTED = [r"XFS \(sda\): (User initiated shutdown|Metadata I/O Error .* xfs_fs_goingdown|Please unmount)"]
OWN_BOOT = True  # names only: nothing is written to files of plain XFS there
FOREIGN = (("install -d -o user1 -m 755 .mxfs", "owner"), ("install -d -m 777 .mxfs", "mode"), ("mkfifo .mxfs", "folder"),
           ("ln -s /etc .mxfs", "folder"), ("install -d -m 700 .mxfs && ln -s /etc .mxfs/orphans", "folder"),
           ("install -d -m 700 .mxfs && install -d -o user1 -m 700 .mxfs/open", "owner"),
           ("install -d -m 700 .mxfs && mkfifo -m 600 .mxfs/lockstate", "regular file"), ("install -d -m 700 .mxfs && install -m 644 /dev/null .mxfs/lockstate", "mode"),
           ("install -d -m 700 .mxfs && install -m 600 /dev/null .mxfs/lockstate && ln .mxfs/lockstate twin", "second name"))


def run(stage):
    n1, n2 = stage.n1, stage.n2
    stage.mkfs()
    stage.mount(n1)
    stage.mount(n2)
    _hidden(stage, n1, n2)
    stage.umount(n1)
    stage.umount(n2)
    stage.repair()
    stage.lab.in_parallel(lambda node: _in_its_place(stage, node, FOREIGN[node.number % 2::2]), [n1, n2])
    _foreign_lists(stage, n1)
    _unreplayed(stage, n1)
    _root_stays(stage, n1)
    stage.marker("SELFTEST: own folder ok")


def _hidden(stage, n1, n2):
    n1.run(f"mkdir {PLACE}/elsewhere && touch {PLACE}/turn")
    keeper = stage.keeper(n1)
    keeper.ok(f"open 9 {PLACE}/held +c")
    keeper.ok("write 9 0 100 31")
    keeper.ok(f"chdir {PLACE}")
    keeper.ok("unlink held")
    stage.take(n2)
    keeper.ok("check 9 0 100 31")
    for node in (n1, n2):
        stage.same(node.run(f"ls -A {PLACE} | grep -c mxfs", check=False).out, "0\n", "what is seen of .mxfs")
        stage.same(node.run(f"stat -c %h {PLACE}").out.strip(), str(2 + int(node.run(f"ls -l {PLACE} | grep -c ^d").out)), "links of the root")
        for command in ("ls .mxfs", "stat .mxfs/orphans", "cd .mxfs", "rmdir .mxfs", "mv .mxfs x", "chmod 777 .mxfs"):
            done = node.run(f"cd {PLACE} && {command}", check=False)
            stage.check(done.rc and "No such file" in done.err, f"'{command}': {done.err}")
        for command in ("mkdir .mxfs", "touch .mxfs", "ln -s x .mxfs", "ln turn .mxfs", "mkfifo .mxfs", "mv turn .mxfs", "mkdir -p .mxfs/orphans"):
            done = node.run(f"cd {PLACE} && {command}", check=False)
            stage.check(done.rc and "Operation not permitted" in done.err, f"'{command}': {done.err}")
        # Elsewhere it is a name as any other.
        node.run(f"mkdir {PLACE}/elsewhere/.mxfs && touch {PLACE}/elsewhere/.mxfs/f && rm -r {PLACE}/elsewhere/.mxfs")
    n1.run(f"rm -rf {PLACE}/* && find {PLACE} -mindepth 1 -delete")
    stage.same(n2.run(f"ls -A {PLACE}").out, "", "after everything was removed")
    keeper.ok("check 9 0 100 31")
    keeper.ok("close 9")
    keeper.close()


def _in_its_place(stage, node, cases):
    """What somebody made before the volume was mounted for the first time is refused by name, and never followed. On a device of this node's own."""
    device = node.run(f"truncate -s 320m /run/place && mkfs.xfs -q /run/place && losetup -f --show /run/place").out.strip()
    for make, what in cases:
        node.run(f"mount -t xfs {device} {PLACE} && chmod 1777 {PLACE} && cd {PLACE} && {make} && cd / && umount {PLACE}")
        stage.refused(node, "EPERM", r"\.mxfs.* is not mxfs's own", what=make, log=r"\.mxfs.* is not mxfs's own", device=device)
        node.run(f"mount -t xfs {device} {PLACE} && rm -r {PLACE}/.mxfs && umount {PLACE}")
    node.run(f"losetup -d {device}; rm /run/place")


def _foreign_lists(stage, node):
    """Lists of open files that are none: a pipe does not hold anybody up, a second name is not written through."""
    stage.mkfs()
    stage.mount(node)
    node.run(f"touch {PLACE}/f")
    key = int(stage.status(node)["key"], 16) >> 32
    stage.umount(node)
    stage.plain.run(f"""mount -t xfs {DEVICE} {PLACE} && cd {PLACE} && echo precious >victim && chmod 600 victim && rm -f .mxfs/open/* && ln victim .mxfs/open/{key:08x} &&
        mkfifo .mxfs/open/00000001 && cd / && umount {PLACE}""")
    mark = stage.mark(node)
    stage.mount(node)
    keeper = stage.keeper(node)
    keeper.ok(f"open 1 {PLACE}/f +")
    keeper.ok(f"unlink {PLACE}/f")
    keeper.ok("size 1")
    stage.same(node.run(f"cat {PLACE}/victim").out, "precious\n", "a file with a second name in .mxfs/open")
    stage.matches(rf"\.mxfs/open/{key:08x} is not mxfs's own: it is a file with a second name", stage.kernel_log(node, mark), "the kernel log")
    stage.matches(r"\.mxfs/open/00000001 is not mxfs's own", stage.kernel_log(node, mark), "the kernel log")
    keeper.ok("close 1")
    keeper.close()
    node.run(f"touch {PLACE}/g")
    stage.umount(node)
    # What is ours is reached by no handle either.
    stage.plain.run(f"mount -t xfs {DEVICE} {PLACE} && cd {PLACE} && rm -f .mxfs/open/* && {PROGRAMS}/file_handles raw . /host/handles "
                    f".mxfs .mxfs/orphans .mxfs/orphans/room-000* .mxfs/open .mxfs/reserve .mxfs/lockstate g && cd / && umount {PLACE}")
    stage.mount(node)
    stage.same(node.run(f"{PROGRAMS}/file_handles wrapped {PLACE} /host/handles").out, "6 refused\n", "handles of what is in .mxfs")
    stage.umount(node)
    stage.same(stage.plain.run(f"mount -t xfs {DEVICE} {PLACE} && cat {PLACE}/victim && umount {PLACE}").out, "precious\n", "the same, after umount")


def _root_stays(stage, node):
    """A root that may not change, of a group and of a project, is that also after .mxfs was made in it."""
    look = f"stat -c %g {PLACE}; xfs_io -r -c stat {PLACE} | grep -E 'xflags|projid|extsize'"
    stage.mkfs(node)
    node.run(f"mount -t xfs {DEVICE} {PLACE} && chgrp 1000 {PLACE} && xfs_io -r -c 'chproj 7' -c 'chattr +P' -c 'extsize 64k' {PLACE} && chattr +i {PLACE}")
    before = node.run(f"{look}; umount {PLACE}").out
    for text in (r"^1000\n", r"\[[^]]*i[^]]*P[^]]*E", r"projid = 7\n", r"[.]extsize = 65536\n"):
        stage.matches(text, before, "the root before")
    stage.mount(node)
    stage.same(node.run(look).out, before, "the root, on mxfs")
    stage.umount(node)
    node.run(f"mount -t xfs -o ro {DEVICE} {PLACE}")
    stage.same(node.run(f"{look}; umount {PLACE}").out, before, "the root, after .mxfs was made")


def _unreplayed(stage, node):
    """What only a log that was not replayed makes strange is no reason to refuse a mount, which replays it. To validate is to say what the disk shows."""
    stage.mkfs()
    node.run(f"mount -t xfs {DEVICE} {PLACE} && cd {PLACE} && install -d -m 700 .mxfs && install -m 644 /dev/null .mxfs/lockstate && cd / && umount {PLACE} && "
             f"mount -t xfs {DEVICE} {PLACE} && chmod 600 {PLACE}/.mxfs/lockstate && xfs_io -x -c 'shutdown -f' {PLACE} && umount {PLACE}")
    stage.refused(node, "EPERM", r"\.mxfs/lockstate is not mxfs's own: it is of a mode", "validate")
    mark = stage.mark(node)
    stage.mount(node)
    node.run(f"touch {PLACE}/f")
    stage.check("not mxfs's own" not in stage.kernel_log(node, mark), f"what was said of it: {stage.kernel_log(node, mark)}")
    stage.umount(node)
    stage.repair()
