# SPDX-License-Identifier: Apache-2.0
"""Two nodes write and read one volume: files, folders, attributes, appends, renames, maps, working directories; files that are open,
mapped or without a name survive every change of owner; in the end plain XFS shows the same and xfs_repair finds nothing."""

from lablib.protocol import PLACE, PROGRAMS

LIMIT = 240
MARKERS = ["SELFTEST: two-node write and read ok", "SELFTEST: open files survive ownership changes ok"]
EXPECTED = []
NAMELESS = "cat /sys/kernel/debug/mxfs/*/orphans"  # through the mount nobody sees .mxfs


def run(stage):
    n1, n2 = stage.n1, stage.n2
    stage.mkfs()
    stage.mount(n1)
    stage.mount(n2)
    _write_and_read(stage, n1, n2)
    _known_names(stage, n1, n2)
    stage.marker("SELFTEST: two-node write and read ok")
    _open_files(stage, n1, n2)
    stage.marker("SELFTEST: open files survive ownership changes ok")
    # Open here, removed there, closed here without the volume: this node's umount is what lets it go.
    keeper = stage.keeper(n1)
    keeper.ok(f"chdir {PLACE}")
    keeper.ok("open 1 left +c")
    n2.run(f"rm {PLACE}/left")
    stage.same(n2.run(f"{NAMELESS} | wc -l").out.strip(), "1", "files without a name that are open on a node")
    keeper.ok("close 1")
    keeper.close()
    stage.umount(n1)
    _nothing_nameless(stage, n2)
    _last_close(stage, n1, n2)
    sums = n2.run(f"cd {PLACE} && find . -path ./.mxfs -prune -o -type f -print0 | sort -z | xargs -0 sha256sum").out
    stage.umount(n2)
    stage.repair()
    plain = stage.plain
    stage.mount(plain, kind="xfs")
    stage.same(plain.run(f"cd {PLACE} && find . -path ./.mxfs -prune -o -type f -print0 | sort -z | xargs -0 sha256sum").out, sums,
               "the files by plain XFS")
    stage.same(plain.run(f"ls -A {PLACE}/.mxfs/orphans 2>/dev/null | sed /^room/d | wc -l").out.strip(), "0", "names in .mxfs/orphans")
    stage.umount(plain)


def _last_close(stage, n1, n2):
    """The last file of a mount that is out of sight already is closed while the other node owns: the end of the mount takes the volume."""
    stage.mount(n1)
    keeper = stage.keeper(n1)
    keeper.ok(f"open 1 {PLACE}/last +c")
    n1.run(f"umount -l {PLACE}")
    n2.run(f"rm {PLACE}/last")
    stage.same(n2.run(f"{NAMELESS} | wc -l").out.strip(), "1", "files without a name that are open on a node")
    keeper.ok("close 1")
    keeper.close()
    stage.until(lambda: not stage.leftovers(n1), 30, "the mount to end")
    _nothing_nameless(stage, n2)


def _write_and_read(stage, n1, n2):
    """Each side changes everything about files, the other one sees it at once."""
    for number, (writer, reader) in enumerate(((n1, n2), (n2, n1), (n1, n2))):
        writer.run(f"""cd {PLACE} && mkdir r{number} && cd r{number} && for i in $(seq 30); do head -c $((i * 977)) /dev/urandom >f$i; done
            mkdir -p a/b/c && echo deep >a/b/c/d && ln f1 hard && ln -s f2 soft && mkfifo pipe && setfattr -n user.who -v n{number} f3
            chmod 751 f4 && chown 1001:1002 f5 && setfacl -m u:user1:rwx f6 && truncate -s 5000000 f7 && fallocate -l 1m f8
            mv f9 a/moved && rm f10 && cp --reflink=always f11 clone && chattr +a f12 && touch -d @1000000000.123456789 f13""")
        look = (f"cd {PLACE}/r{number} && find . -type f | sort | xargs sha256sum && ls -lnR --time-style=full-iso | grep -v ^total && "
                "getfattr -d f3 && getfacl -n f6 && lsattr f12 && readlink soft && stat -c '%a %u %g %s %h %b %y %z %w' f1 f4 f5 f7 f8 f13 a/moved")
        stage.same(reader.run(look).out, writer.run(look).out, f"what {reader.name} sees of round {number}")
        reader.run(f"cd {PLACE}/r{number} && chattr -a f12 && rm -r a && mv clone clone2 && echo more >>f1 && : >f2 && "
                   "setfattr -x user.who f3 && mkdir new && mv -T new renamed")
        stage.same(writer.run(look.replace(" a/moved", "")).out, reader.run(look.replace(" a/moved", "")).out,
                   f"what {writer.name} sees of the changes of round {number}")
        stage.check(writer.run(f"cd {PLACE}/r{number} && test ! -e a && test ! -e clone && test -d renamed && test $(wc -c <hard) = 982",
                               check=False).rc == 0, "removed, renamed and appended files")


def _known_names(stage, n1, n2):
    """Names that one node knows, and names that it knows not to be there, are what the other one has made of them since."""
    for here, there in ((n1, n2), (n2, n1)):
        here.run(f"""mkdir -p {PLACE}/known/a {PLACE}/known/b && cd {PLACE}/known && for name in kept replaced removed moved; do echo old >a/$name; done
            mv a/moved b/moved && ls -lR >/dev/null && ! ls a/moved a/none a/folder b/folder/in 2>/dev/null""")
        there.run(f"""cd {PLACE}/known && echo new >b/other && mv b/other a/replaced && rm a/removed && echo new >a/none && mv b/moved b/kept
            echo new >b/moved && echo new >a/moved && mkdir a/folder b/folder && echo new >b/folder/in""")
        stage.same(here.run(f"cd {PLACE}/known && cat a/kept a/replaced a/none a/moved b/kept b/moved b/folder/in && rmdir a/folder && "
                            "! ls a/removed 2>/dev/null").out, "old\nnew\nnew\nnew\nold\nnew\nnew\n", f"what {here.name} finds under names it knew")
        here.run(f"rm -r {PLACE}/known")


def _open_files(stage, n1, n2):
    """One keeper a node; the volume goes back and forth with every few commands."""
    a, b = stage.keeper(n1), stage.keeper(n2)
    for keeper in (a, b):
        keeper.ok(f"chdir {PLACE}")
    # Both hold the same file open and mapped, and write in turns.
    a.ok("open 1 both +c")
    a.ok("truncate 1 200000")
    b.ok("open 1 both +")
    for keeper in (a, b):
        keeper.ok("map 1 200000")
    for round_ in range(4):
        a.ok(f"write 1 {round_ * 20000} 10000 {round_}")
        b.ok(f"check 1 {round_ * 20000} 10000 {round_}")
        b.ok(f"load 1 {round_ * 20000} 10000 {round_}")
        b.ok(f"store 1 {round_ * 20000 + 5000} 10000 {100 + round_}")
        a.ok(f"check 1 {round_ * 20000 + 5000} 10000 {100 + round_}")
        a.ok(f"load 1 {round_ * 20000 + 5000} 10000 {100 + round_}")
        a.ok(f"store 1 {150000 + round_ * 5000} 5000 {200 + round_}")
        b.ok(f"load 1 {150000 + round_ * 5000} 5000 {200 + round_}")
    # Truncated on the other node: the map here raises SIGBUS, and grows back as zeros.
    a.ok("truncate 1 4096")
    stage.same(b.say("touch 1 100000"), "SIGBUS", "a map beyond the end that the other node cut")
    b.ok("truncate 1 200000")
    a.ok("zeros 1 150000 20000")
    stage.same(a.ok("touch 1 150000"), "0", "a byte of a map that grew again")

    # O_APPEND from both: nothing is overwritten.
    a.ok("open 2 log +ca")
    b.ok("open 2 log +a")
    length = 0
    for round_ in range(6):
        for keeper in (a, b):
            keeper.ok(f"append 2 777 7 {length}")
            length += 777
    for keeper in (a, b):
        stage.same(keeper.ok("size 2"), str(length), "the length of a file that both append to")
        keeper.ok(f"check 2 0 {length} 7")

    # Renamed over and unlinked by the other node while open here.
    a.ok("open 3 victim +c")
    a.ok("write 3 0 50000 31")
    b.ok("open 4 new +c")
    b.ok("write 4 0 40000 32")
    b.ok("rename new victim")
    a.ok("open 5 victim r")
    a.ok("check 5 0 40000 32")
    b.ok("check 4 0 40000 32")
    a.ok("close 5")
    # The file that was replaced lives on for as long as the other node has it open, mapped or not, through every change of owner.
    a.ok("map 3 50000")
    for round_ in range(2):
        a.ok("check 3 0 50000 31")
        a.ok("load 3 0 50000 31")
        stage.same(a.ok("nlink 3"), "0", "links of a file that the other node replaced")
        a.ok("write 3 50000 1000 31")
        a.ok("check 3 0 51000 31")
        a.ok("truncate 3 50000")
        b.ok("check 4 0 40000 32")
    stage.same(n2.run(f"{NAMELESS} | wc -l").out.strip(), "1", "files without a name that are open on a node")
    a.ok("unmap 3")
    a.ok("close 3")
    b.ok("check 4 0 40000 32")
    n1.run(f"touch {PLACE}/turn")
    _nothing_nameless(stage, n2)

    # Unlinked while open, on the node that has it open: it lives on, across changes of owner, and so do nameless files.
    a.ok("open 6 gone +c")
    a.ok("write 6 0 60000 41")
    a.ok("map 6 60000")
    a.ok("unlink gone")
    a.ok("tmpfile 7 .")
    a.ok("write 7 0 30000 42")
    seed = 41
    for round_ in range(3):
        b.fails("exists gone", "errno ENOENT")
        b.ok(f"write 4 0 100 {round_}")  # node2 owns
        a.ok(f"check 6 0 60000 {seed}")
        seed = 60 + round_
        a.ok(f"store 6 0 60000 {seed}")
        b.ok("size 4")  # taken away again, with the map dirty
        a.ok(f"check 6 0 60000 {seed}")
        a.ok("check 7 0 30000 42")
        stage.same(a.ok("nlink 6"), "0", "links of an unlinked file")
    a.ok("link 7 named")
    b.ok("open 8 named r")
    b.ok("check 8 0 30000 42")

    # A file made without a name and linked later loses its name to the other node, and is closed here first: it lives on there.
    a.ok("tmpfile 10 .")
    a.ok("write 10 0 20000 43")
    a.ok("link 10 briefly")
    b.ok("open 10 briefly r")
    b.ok("check 10 0 20000 43")
    b.ok("unlink briefly")
    a.fails("exists briefly", "errno ENOENT")
    a.ok("close 10")
    for _ in range(2):
        b.ok("write 4 0 100 1")  # node2 owns
        b.ok("check 10 0 20000 43")
        n1.run(f"touch {PLACE}/turn")
    stage.same(b.ok("nlink 10"), "0", "links of a file whose name is gone, and that was closed where it was made")
    b.ok("close 10")

    # A working directory: it moves, and goes, under the other node's hands.
    a.ok("mkdir here")
    a.ok("chdir here")
    a.ok("open 9 inside +c")
    a.ok("write 9 0 1000 51")
    b.ok("rename here there")
    a.ok("check 9 0 1000 51")
    a.ok("open 10 second +c")
    b.ok("exists there/second")
    b.ok("unlink there/second")
    b.ok("unlink there/inside")
    b.ok("rmdir there")
    answer = a.say("open 11 third +c")
    stage.check(answer in ("errno ENOENT", "errno ESTALE"), f"a file made in a folder that the other node removed: {answer}")
    a.ok(f"chdir {PLACE}")

    # Space of the nameless is given back when the last one closes.
    for number in (6, 7, 10):
        a.ok(f"close {number}")
    a.ok("unmap 6")
    a.close()
    b.close()
    n2.run(f"sync; touch {PLACE}/last")
    n1.run(f"touch {PLACE}/last")
    _nothing_nameless(stage, n1)
    n1.run(f"rm -f {PLACE}/both")
    n2.run(f"{PROGRAMS}/stress {PLACE} 5 2 2 && {PROGRAMS}/stress {PLACE} 5 check")


def _nothing_nameless(stage, node):
    stage.until(lambda: node.run(f"{NAMELESS} | wc -l").out.strip() == "0", 20,
                "files that have no name and are open nowhere to be gone")
