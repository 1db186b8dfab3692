# SPDX-License-Identifier: Apache-2.0
"""Names between two nodes: what a node holds lives on when its name goes, special files and O_PATH included; folders reached by handle are
renamed; who reads a folder into memory that never comes keeps nobody waiting; what another node holds is known to a program that is killed while
it removes that, on a volume that more than 64 nodes have mounted, and after a rename that fails."""

from lablib.protocol import DEVICE, PLACE

LIMIT = 240
MARKERS = ["SELFTEST: names ok"]
EXPECTED = []


def run(stage):
    n1, n2 = stage.n1, stage.n2
    stage.mkfs()
    stage.mount(n1)
    stage.mount(n2)
    for part in (_folders_by_handle, _held_by_path, _held_elsewhere, _slow_reader, _killed_remover, _failed_rename):
        part(stage, n1, n2)
        stage.note(part.__name__.strip("_").replace("_", " "))
    stage.umount(n1)
    stage.umount(n2)
    _many_nodes(stage, n1, n2)
    stage.note("many nodes")
    stage.repair()
    stage.marker("SELFTEST: names ok")


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
    stage.same(len(stage.nameless(n1)), 4, "files without a name")
    for number in (1, 2, 3, 4):
        keeper.ok(f"close {number}")
    keeper.ok("link 6 named")
    n2.run(f"cmp -n 10 {PLACE}/named {PLACE}/named && rm {PLACE}/named")
    keeper.ok("check 6 0 5000 12")
    stage.same(keeper.ok("nlink 6"), "0", "links of a file that was named for a while")
    keeper.ok("close 6")
    keeper.close()
    stage.until(lambda: (stage.take(n1), stage.nameless(n1))[1] == [], 20, "what nobody holds any more to be gone")


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
        stage.take(n2)
    keeper.ok("close 1")
    keeper.ok("close 2")
    keeper.close()
    stage.until(lambda: (stage.take(n1), stage.nameless(n1))[1] == [], 20, "what nobody holds any more to be gone")


def _slow_reader(stage, n1, n2):
    """Stuck at the first page of its buffer, where names come from memory of the module, and at the second, where XFS puts them by itself."""
    n1.run(f"mkdir {PLACE}/many && cd {PLACE}/many && touch $(seq 1000)")
    for there in (0, 1):
        reader = stage.keeper(n1)
        reader.ok(f"stuck {PLACE}/many {there}")
        stage.same(n2.run(f"ls {PLACE}/many | wc -l", timeout=20).out, f"{1000 + there}\n", "what the other node reads while one is stuck here")
        n2.run(f"touch {PLACE}/many/more{there}", timeout=20)
        # That folder is locked here for who changes it, as on XFS; nothing else is.
        n1.run(f"touch {PLACE}/more", timeout=20)
        reader.close()


def _holds(stage, node, name, seed):
    keeper = stage.keeper(node)
    keeper.ok(f"open 1 {PLACE}/{name} +c")
    keeper.ok(f"write 1 0 9000 {seed}")
    return keeper


def _lets_go(stage, node, keeper):
    keeper.ok("close 1")
    keeper.close()
    stage.until(lambda: (stage.take(node), stage.nameless(node))[1] == [], 20, "what nobody holds any more to be gone")


def _waits(state):
    """Before mxfs is asked for anything. (What locks are made of is not in a stack.)"""
    return ") D " in state and "do_unlinkat" in state and "mxfs" not in state


def _killed_remover(stage, n1, n2):
    """The lists of what other nodes hold are read by who removes the first name after a change of owner; it may be about to die."""
    n1.run(f"mkdir {PLACE}/locked && touch {PLACE}/locked/other")
    keeper = _holds(stage, n2, "locked/held", 31)
    stage.take(n1)
    # Who changes a folder waits for who reads it, where no signal ends that.
    reader = stage.keeper(n1)
    reader.ok(f"stuck {PLACE}/locked 0")
    remover = stage.start(n1, f"echo $$; exec unlink {PLACE}/locked/held")
    pid = remover.line(20)
    stage.until(lambda: _waits(n1.run(f"cat /proc/{pid}/stat /proc/{pid}/stack").out), 20, "a program that removes a name to wait for its folder")
    n1.run(f"kill -9 {pid}")
    reader.close()
    remover.finish(30)
    stage.check(n1.run(f"test -e {PLACE}/locked/held", check=False).rc != 0, "the name that the killed program was removing is there")
    stage.same(keeper.ok("nlink 1"), "0", "links of what was removed on the other node")
    keeper.ok("check 1 0 9000 31")
    stage.take(n1)
    keeper.ok("check 1 0 9000 31")
    _lets_go(stage, n2, keeper)


def _failed_rename(stage, n1, n2):
    """A link was made for what a rename was to replace; another node removes it. The next time there is one again."""
    n1.run(f"mkdir {PLACE}/project && touch {PLACE}/mine && xfs_io -c 'chproj 7' -c 'chattr +P' {PLACE}/project")
    keeper = _holds(stage, n2, "project/held", 32)
    mover = stage.keeper(n1)
    stage.same(mover.say(f"rename {PLACE}/mine {PLACE}/project/held"), "errno EXDEV", "a rename into a folder of another project")
    stage.same([name[:5] for name in stage.nameless(n1)], ["open-"], "links for what other nodes hold")
    _lets_go(stage, n2, keeper)
    stage.same(n1.run(f"stat -c %h {PLACE}/project/held && ln {PLACE}/project/held {PLACE}/project/more && stat -c %h {PLACE}/project/held && rm {PLACE}/project/more").out,
               "1\n2\n", "links of a file of which the other node has removed a hidden one")
    keeper = stage.keeper(n2)
    keeper.ok(f"open 1 {PLACE}/project/held r")
    n1.run(f"rm {PLACE}/project/held")
    keeper.ok("check 1 0 9000 32")
    _lets_go(stage, n2, keeper)
    mover.close()


def _many_nodes(stage, n1, n2):
    """A list stays for each node that has ever mounted the volume."""
    stage.mkfs()
    stage.mount(n1)
    stage.umount(n1)
    header = r"open\0\0\0\0\0\0\0\0\0\0\0\0"
    stage.plain.run(f"mount -t xfs {DEVICE} {PLACE} && cd {PLACE}/.mxfs/open && umask 077 && for i in $(seq 70); do printf '{header}' >$(printf %08x $i); done && cd / && umount {PLACE}")
    for node in (n1, n2):
        stage.mount(node)
    keeper = _holds(stage, n2, "held", 33)
    n1.run(f"rm {PLACE}/held")
    keeper.ok("check 1 0 9000 33")
    _lets_go(stage, n2, keeper)
    for node in (n1, n2):
        stage.umount(node)
