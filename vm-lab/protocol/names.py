# SPDX-License-Identifier: Apache-2.0
"""Names between two nodes: what a node holds lives on when its name goes, special files and O_PATH included; folders reached by handle are
renamed; who reads a folder into memory that never comes keeps nobody waiting."""

from lablib.protocol import PLACE

LIMIT = 180
MARKERS = ["SELFTEST: names ok"]
EXPECTED = []


def run(stage):
    n1, n2 = stage.n1, stage.n2
    stage.mkfs()
    stage.mount(n1)
    stage.mount(n2)
    for part in (_folders_by_handle, _held_by_path, _held_elsewhere, _slow_reader):
        part(stage, n1, n2)
        stage.note(part.__name__.strip("_").replace("_", " "))
    stage.umount(n1)
    stage.umount(n2)
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
