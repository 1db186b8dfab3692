# SPDX-License-Identifier: Apache-2.0
"""All nodes need the same options of XFS: who comes with others is refused, with both sets and the name of who was first."""

from lablib.protocol import PLACE

LIMIT = 120
MARKERS = ["SELFTEST: same options ok"]
EXPECTED = []


def run(stage):
    n1, n2 = stage.n1, stage.n2
    stage.mkfs()
    stage.mount(n1, "discard,logbsize=64k")
    for options, said in (("discard", "discard here"), ("", "none here"), ("logbsize=64k,nodiscard", "logbsize=65536 here"), ("ro", "none here")):
        tried = stage.try_mount(n2, *filter(None, options.split(",")))
        stage.check(not tried.mounted, f"mounted with '{options}' beside a node with discard,logbsize=64k")
        stage.matches(rf"{n1.name}.*discard,logbsize=65536 there, {said}", tried.said, f"mount with '{options}'")
        stage.same(stage.leftovers(n2), [], f"after the mount with '{options}' that was refused")
    # The same in other words, and what concerns one node alone.
    stage.mount(n2, "nouuid,logbsize=65536,inode64,discard")
    n2.run(f"echo two >{PLACE}/two && test \"$(cat {PLACE}/two)\" = two")
    n1.run(f"test \"$(cat {PLACE}/two)\" = two")
    stage.umount(n2)
    stage.umount(n1)
    stage.marker("SELFTEST: same options ok")
