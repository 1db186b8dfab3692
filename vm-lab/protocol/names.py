# SPDX-License-Identifier: Apache-2.0
"""Names between two nodes: what a node holds lives on when its name goes, special files and O_PATH included, also on a volume without a
free block; folders reached by handle are renamed; the module's own folder is seen, entered and changed by nobody, and what stands in its
place is refused; who reads a folder into memory that never comes keeps nobody waiting."""

from lablib.protocol import DEVICE, PLACE, PROGRAMS

LIMIT = 420
MARKERS = ["SELFTEST: names ok"]
EXPECTED = []


def run(stage):
    n1, n2 = stage.n1, stage.n2
    stage.mkfs()
    stage.mount(n1)
    stage.mount(n2)
    for part in (_folders_by_handle, _held_by_path, _held_elsewhere, _hidden, _slow_reader):
        part(stage, n1, n2)
        stage.note(part.__name__.strip("_").replace("_", " "))
    stage.umount(n1)
    stage.umount(n2)
    stage.repair()
    _full(stage, n1, n2)
    _project(stage, n1, n2)
    _in_its_place(stage, n1)
    _exported(stage, n1)
    stage.marker("SELFTEST: names ok")


def nameless(stage, node):
    """The names in .mxfs/orphans. Nobody sees them through a mount."""
    return node.run("cat /sys/kernel/debug/mxfs/*/orphans").out.split()


def _take(node):
    """This node is the owner now."""
    node.run(f"touch {PLACE}/turn")


def _folders_by_handle(stage, n1, n2):
    """A working directory is found by handle after a change of owner, and hangs in the air below; names in it are renamed all the same."""
    here = stage.keeper(n1)
    n1.run(f"mkdir -p {PLACE}/a/b/c/d {PLACE}/elsewhere")
    for depth, place in enumerate(("a", "a/b/c/d")):
        here.ok(f"chdir {PLACE}/{place}")
        for turn in range(2):
            n2.run(f"ls {PLACE} >/dev/null; touch {PLACE}/turn")
            for command in ("mkdir d1", "mkdir d2", f"open 1 d1/f{turn} c", "close 1", f"rename d1/f{turn} d2/f{turn}", "rename d1 d2/d1",
                            "rename d2/d1 d1", f"rename d2/f{turn} {PLACE}/elsewhere/f{turn}", f"rename {PLACE}/elsewhere/f{turn} moved{turn}",
                            f"rename d1 {PLACE}/elsewhere/d{depth}-{turn}"):
                here.ok(command)
            n2.run(f"test -e {PLACE}/{place}/moved{turn} && test -d {PLACE}/elsewhere/d{depth}-{turn} && ls {PLACE} >/dev/null && "
                   f"rmdir {PLACE}/{place}/d2")
    stage.same(here.say(f"rename {PLACE}/a {PLACE}/a/b/c/x"), "errno EINVAL", "a folder renamed into itself")
    here.close()


def _held_by_path(stage, n1, n2):
    """What was removed here while O_PATH or a plain open holds it, of each type."""
    keeper = stage.keeper(n1)
    keeper.ok(f"chdir {PLACE}")
    keeper.ok("mkfifo pipe")
    keeper.ok("symlink soft")
    keeper.ok("open 1 file +c")
    keeper.ok("write 1 0 9000 11")
    keeper.ok("close 1")
    keeper.ok("open 1 file p")
    keeper.ok("open 2 pipe +")
    keeper.ok("open 3 pipe p")
    keeper.ok("open 4 soft pl")
    for name in ("file", "pipe", "soft"):
        keeper.ok(f"unlink {name}")
    keeper.ok("tmpfile 6 .")
    keeper.ok("write 6 0 5000 12")
    for turn in range(3):
        n2.run(f"touch {PLACE}/turn; ! ls {PLACE}/file {PLACE}/pipe {PLACE}/soft 2>/dev/null")
        for number in (1, 2, 3, 4, 6):
            stage.same(keeper.ok(f"nlink {number}"), "0", f"links of {number}, which was removed while it was held")
        keeper.ok("reopen 5 1 +")
        keeper.ok("check 5 0 9000 11")
        keeper.ok("close 5")
        keeper.ok("check 6 0 5000 12")
    stage.same(len(nameless(stage, n1)), 4, "files without a name")
    for number in (1, 2, 3, 4):
        keeper.ok(f"close {number}")
    keeper.ok("link 6 named")
    n2.run(f"cmp -n 10 {PLACE}/named {PLACE}/named && rm {PLACE}/named")
    keeper.ok("check 6 0 5000 12")
    stage.same(keeper.ok("nlink 6"), "0", "links of a file that was named for a while")
    keeper.ok("close 6")
    keeper.close()
    stage.until(lambda: (_take(n1), nameless(stage, n1))[1] == [], 20, "what nobody holds any more to be gone")


def _held_elsewhere(stage, n1, n2):
    """What the other node removes."""
    keeper = stage.keeper(n1)
    keeper.ok(f"chdir {PLACE}")
    keeper.ok("mkfifo pipe")
    keeper.ok("open 1 file +c")
    keeper.ok("write 1 0 9000 21")
    keeper.ok("close 1")
    keeper.ok("open 1 file p")
    keeper.ok("open 2 pipe +")
    n2.run(f"cd {PLACE} && rm file && touch other && mv -f other pipe")
    for turn in range(2):
        for number in (1, 2):
            stage.same(keeper.ok(f"nlink {number}"), "0", f"links of {number}, which the other node removed")
        keeper.ok("reopen 5 1 +")
        keeper.ok("check 5 0 9000 21")
        keeper.ok("close 5")
        _take(n2)
    keeper.ok("close 1")
    keeper.ok("close 2")
    keeper.close()
    stage.until(lambda: (_take(n1), nameless(stage, n1))[1] == [], 20, "what nobody holds any more to be gone")


def _hidden(stage, n1, n2):
    keeper = stage.keeper(n1)
    keeper.ok(f"open 9 {PLACE}/held +c")
    keeper.ok("write 9 0 100 31")
    keeper.ok(f"chdir {PLACE}")
    keeper.ok("unlink held")
    _take(n2)
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


def _slow_reader(stage, n1, n2):
    n1.run(f"mkdir {PLACE}/many && cd {PLACE}/many && touch $(seq 500)")
    reader = stage.keeper(n1)
    reader.ok(f"stuck {PLACE}/many")
    stage.same(n2.run(f"ls {PLACE}/many | wc -l", timeout=20).out, "500\n", "what the other node reads while one is stuck here")
    n2.run(f"touch {PLACE}/many/more", timeout=20)
    # That folder is locked here for who changes it, as on XFS; nothing else is.
    n1.run(f"touch {PLACE}/more", timeout=20)
    reader.close()


def _full(stage, n1, n2):
    """Every file that is open is removed, or replaced, where there is no block, and lives on through changes of owner."""
    stage.mkfs(options="-d size=400m")
    stage.mount(n1)
    stage.mount(n2)
    other = stage.keeper(n2)
    other.ok(f"open 1 {PLACE}/theirs +c")
    other.ok("write 1 0 3000 77")
    program = stage.start(n1, f"{PROGRAMS}/full_volume {PLACE} 300")
    stage.same(program.line(120), "ready", "files that are open removed on a full volume")
    n1.run(f"rm {PLACE}/theirs")
    for turn in range(2):
        other.ok("check 1 0 3000 77")
        n1.run(f"ls {PLACE} >/dev/null")
    program.process.stdin.write(b"go on\n")
    program.process.stdin.flush()
    stage.same(program.line(60), "ok", "files that were removed on a full volume, after changes of owner")
    program.finish(20)
    other.ok("close 1")
    other.close()
    n1.run(f"rm -rf {PLACE}/*", timeout=100)
    stage.until(lambda: (_take(n2), _take(n1), nameless(stage, n1))[2] == [], 20, "what nobody holds any more to be gone")
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
    program.process.stdin.write(b"go on\n")
    program.process.stdin.flush()
    stage.same(program.line(60), "ok", "the same files after changes of owner")
    program.finish(20)
    stage.umount(n1)
    stage.umount(n2)
    stage.repair()


def _in_its_place(stage, node):
    """What somebody made before the volume was mounted for the first time is refused by name, and never followed."""
    for make, what in (("install -d -o user1 -m 755 .mxfs", "owner"), ("install -d -m 777 .mxfs", "mode"), ("mkfifo .mxfs", "folder"),
                       ("ln -s /etc .mxfs", "folder"), ("install -d -m 700 .mxfs && ln -s /etc .mxfs/orphans", "folder"),
                       ("install -d -m 700 .mxfs && install -d -o user1 -m 700 .mxfs/open", "owner")):
        stage.mkfs()
        stage.plain.run(f"mount -t xfs {DEVICE} {PLACE} && chmod 1777 {PLACE} && cd {PLACE} && {make} && cd / && umount {PLACE}")
        stage.refused(node, "EPERM", r"\.mxfs.* is not mxfs's own", what=make, log=r"\.mxfs.* is not mxfs's own")
    # Lists of open files that are none: a pipe does not hold anybody up, a second name is not written through.
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
                    f".mxfs .mxfs/orphans .mxfs/orphans/room-000* .mxfs/open .mxfs/reserve g && cd / && umount {PLACE}")
    stage.mount(node)
    stage.same(node.run(f"{PROGRAMS}/file_handles wrapped {PLACE} /host/handles").out, "5 refused\n", "handles of what is in .mxfs")
    stage.umount(node)
    stage.same(stage.plain.run(f"mount -t xfs {DEVICE} {PLACE} && cat {PLACE}/victim && umount {PLACE}").out, "precious\n", "the same, after umount")


def _exported(stage, node):
    """A server that checks whether a file lies below what it exports (subtree_check) finds it by a handle of before it was started."""
    def serve():
        # A read-only export, to any port, with fsid=0: 1 + 2 + 8192; whoever asks is mountd here.
        node.run(f"""date -d tomorrow +%s | tee /proc/net/rpc/auth.unix.ip/flush /proc/net/rpc/nfsd.fh/flush >/proc/net/rpc/nfsd.export/flush
            echo 'nfsd 127.0.0.1 2147483647 lab' >/proc/net/rpc/auth.unix.ip/channel
            echo 'lab {PLACE}/exported 2147483647 8195 65534 65534 0' >/proc/net/rpc/nfsd.export/channel
            echo 'lab 1 \\x00000000 2147483647 {PLACE}/exported' >/proc/net/rpc/nfsd.fh/channel
            echo 1 >/proc/fs/nfsd/threads""")

    def rest():
        node.run("echo 0 >/proc/fs/nfsd/threads; date -d tomorrow +%s | tee /proc/net/rpc/auth.unix.ip/flush /proc/net/rpc/nfsd.fh/flush "
                 ">/proc/net/rpc/nfsd.export/flush")

    stage.mkfs()
    stage.mount(node)
    node.run(f"mkdir -p {PLACE}/exported/a/b && echo good >{PLACE}/exported/a/b/f && ip link set lo up && modprobe nfsd && "
             "mount -t nfsd nfsd /proc/fs/nfsd && echo '-3 +4' >/proc/fs/nfsd/versions")
    try:
        serve()
        handles = [node.run(f"{PROGRAMS}/nfs_handle get {path}").out.strip() for path in ("a", "a b", "a b f")]
        for handle in handles:
            stage.same(node.run(f"{PROGRAMS}/nfs_handle ask {handle}").out, "nfs 0\n", "a handle at once")
        rest()
        # The kernel's server lets go of what it exported a moment later, by work.
        stage.until(lambda: node.run(f"umount {PLACE}", check=False).rc == 0, 20, "the server to let go of the volume")
        stage.mount(node)
        serve()
        for handle in reversed(handles):
            stage.same(node.run(f"{PROGRAMS}/nfs_handle ask {handle}").out, "nfs 0\n", "a handle after the server was started again")
    finally:
        rest()
        node.run("umount /proc/fs/nfsd")
    stage.until(lambda: node.run(f"umount {PLACE}", check=False).rc == 0, 20, "the server to let go of the volume")
