# SPDX-License-Identifier: Apache-2.0
"""Ten mount/umount cycles with writes, each read back; then rmmod: no slab object, no dentry, no process, no key stays."""

LIMIT = 240
MARKERS = ["SELFTEST: mount cycles ok"]
EXPECTED = []
CYCLES = 10


def _counts(node) -> dict[str, int]:
    """What could leak: objects in caches, after everything that can be reclaimed was.

    SLUB counts a processor's own slabs as in use until they are shrunk (mm/slub.c: kmem_cache_shrink()).
    """
    node.run("sync; echo 3 >/proc/sys/vm/drop_caches; echo 3 >/proc/sys/vm/drop_caches; "
             "for cache in /sys/kernel/slab/mxfs* /sys/kernel/slab/xfs_inode /sys/kernel/slab/dentry; do "
             "test ! -e $cache || echo 1 >$cache/shrink; done")
    slabs = {fields[0]: int(fields[1]) for line in node.run("cat /proc/slabinfo").out.splitlines()[2:]
             if (fields := line.split())}
    return {"dentry": slabs["dentry"], "mxfs": sum(count for name, count in slabs.items() if name.startswith("mxfs")),
            "xfs_inode": slabs.get("xfs_inode", 0)}


def run(stage):
    node = stage.n1
    stage.mkfs()
    stage.mount(node)  # what is made once and kept (caches of other subsystems) is made now
    stage.umount(node)
    before = _counts(node)
    times = []
    for cycle in range(CYCLES):
        mounted = stage.mount(node)
        node.run(f"cd /mnt/shared && mkdir -p d{cycle} && for i in $(seq 40); do echo $i {cycle} >d{cycle}/f$i; done; "
                 f"for c in $(seq 0 {cycle}); do for i in 1 17 40; do test \"$(cat d$c/f$i)\" = \"$i $c\" || exit 1; done; done; "
                 f"test $(ls d{cycle} | wc -l) = 40; rm d{cycle}/f3; exec 9<d{cycle}/f4; rm d{cycle}/f4; read -r a b <&9; "
                 f"test \"$a $b\" = '4 {cycle}'; exec 9<&-; "
                 # What waits to be freed when umount comes.
                 "for i in $(seq 90); do : >x$i; done; rm x*")
        times.append((mounted, stage.umount(node)))
        stage.same(stage.leftovers(node), [], f"after cycle {cycle + 1}")
        stage.same(stage.keys(node), [], f"keys after cycle {cycle + 1}")
    after = _counts(node)
    stage.note("mount ms: " + " ".join(f"{a:.0f}" for a, _ in times) + "; umount ms: " + " ".join(f"{b:.0f}" for _, b in times))
    stage.same(after["mxfs"], 0, "objects in the module's caches after the last umount")
    stage.same(after["xfs_inode"], 0, "inodes of XFS after the last umount")
    grown = after["dentry"] - before["dentry"]
    # Forty files a cycle: a leak of one dentry each would be four hundred.
    stage.check(grown < 300, f"dentries grew from {before['dentry']} to {after['dentry']} in {CYCLES} cycles")
    stage.repair(node)
    node.run("rmmod mxfs")
    stage.same(node.run("grep mxfs /proc/slabinfo /proc/modules", check=False).out, "", "what stays of the module after rmmod")
    node.run("modprobe mxfs")
    # Nameless files were reaped: nothing is left of them in the volume.
    plain = stage.plain
    stage.mount(plain, kind="xfs")
    stage.same(plain.run("ls -A /mnt/shared/.mxfs/orphans 2>/dev/null | sed /^room/d | wc -l").out.strip(), "0", "names in .mxfs/orphans")
    for cycle in range(CYCLES):
        stage.same(plain.run(f"ls /mnt/shared/d{cycle} | wc -l").out.strip(), "38", f"files of cycle {cycle + 1}, by plain XFS")
    stage.umount(plain)
    stage.marker("SELFTEST: mount cycles ok")
