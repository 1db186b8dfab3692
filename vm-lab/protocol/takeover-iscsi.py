# SPDX-License-Identifier: Apache-2.0
"""Takeover over iSCSI from LIO, by a person's word on the disk (-Dmxfs.takeover=reset), which is told with a warning. The owner loses its
power; the other node sends a LOGICAL UNIT RESET to the target, works on after seconds, and not after the 303 s that a command can live;
nothing that was durable is lost. With =true the daemon finds out itself that this target's reset does not end all, and waits; so it does
with =wait."""

import json
import time

from lablib.protocol import PLACE
from lablib.scsi import CONFIG, TARGET, IscsiLio
from lablib.takeover import BEAT_MS, MOUNT, SILENT_MS, both_beat, switch_off, switch_on

LIMIT = 420
MARKERS = ["SELFTEST: way of fencing set ok", "SELFTEST: takeover by a reset ok", "SELFTEST: way of fencing found out ok"]
# LIO and the survivor's kernel tell of the reset; the network of the dead node is gone.
EXPECTED = [r"reservation conflict", r"at kernel/workqueue.c:\d+ check_flush_dependency"]

LIFE_S = 303


class LioForTwo(IscsiLio):
    """LIO in the first node, for both nodes: an initiator and a session each, over their network."""

    NEXUSES = {}

    def __init__(self, stage):
        super().__init__(stage, stage.n1)
        self.other = stage.n2
        self.portal = f"{stage.n1.address}:3260"
        self.DOWN = super().DOWN.replace("127.0.0.1:3260", self.portal)
        stage.n1.run(f"""
set -e
cd {CONFIG}
tpg=iscsi/{TARGET}/tpgt_1
mkdir -p $tpg
mkdir $tpg/lun/lun_0 $tpg/np/{self.portal}
ln -s {CONFIG}/core/iblock_0/disk $tpg/lun/lun_0/virtual
echo 0 >$tpg/attrib/authentication
echo 1 >$tpg/attrib/generate_node_acls
echo 0 >$tpg/attrib/demo_mode_write_protect
echo 1 >$tpg/enable
""")
        stage.n2.run("""
set -e
modprobe iscsi_tcp
mkdir -p /run/lock/iscsi
echo InitiatorName=iqn.2026-11.lab.mxfs:nobody >/etc/iscsi/initiatorname.iscsi
iscsid
""")
        self.names = {node: self._login(stage, node) for node in (stage.n1, stage.n2)}

    def _login(self, stage, node):
        find = "cd /sys/block && for d in sd*; do grep -q LIO-ORG $d/device/vendor && echo /dev/$d; done; true"
        node.run(f"""
set -e
iscsiadm -m iface -I lab -o new
iscsiadm -m iface -I lab -o update -n iface.initiatorname -v iqn.2026-11.lab.mxfs:{node.name}
iscsiadm -m node -T {TARGET} -p {self.portal},1 -I lab -o new
iscsiadm -m node -T {TARGET} -p {self.portal},1 -I lab --login
""")
        return stage.until(lambda: node.run(find).out.split(), 20, f"{node.name}: the disk by iSCSI").pop()

    def close(self):
        if self.other.state == "running":
            self.other.run("iscsiadm -m node -U all; iscsiadm -m node -o delete; iscsiadm -m iface -I lab -o delete; iscsiadm -k 0", check=False, timeout=60)
        super().close()
        self.node.run("iscsiadm -m iface -I lab -o delete", check=False)


def run(stage):
    n1, n2 = stage.n1, stage.n2
    lio = LioForTwo(stage)
    try:
        for node in (n1, n2):
            switch_on(node)
        n1.run(f"mkfs.xfs -q -f --unsupported {lio.names[n1]}")
        for node in (n1, n2):
            stage.mount(node, MOUNT, device=lio.names[node])
            _told(stage, node, "reset", "reset", "WARN", "as -Dmxfs.takeover=reset says; found: nothing, as the disk was not asked")
        stage.marker(MARKERS[0])
        _power_cut(stage, n1, n2, lio)
        stage.marker(MARKERS[1])
        stage.umount(n1)
        for setting, why in (("wait", "as -Dmxfs.takeover=wait says; found: nothing, as the disk was not asked"),
                             ("true", "LIO by iscsi_tcp: a reset does not wait for commands of a connection that the target is closing")):
            switch_on(n1, setting)
            stage.mount(n1, MOUNT, device=lio.names[n1])
            _told(stage, n1, "wait", setting, "INFO", why)
            stage.same(n1.run("cut -d ' ' -f 2- /run/mxfs/*.switches").out, f"{BEAT_MS} {setting}{' wait' if setting == 'true' else ''}\n",
                       "what a daemon after this would go by")
            stage.umount(n1)
        stage.marker(MARKERS[2])
    finally:
        for node in (n1, n2):
            if node.state == "running":
                node.run(f"umount {PLACE}", check=False, timeout=60)
        switch_off([n1, n2])
        lio.close()
        if n2.state != "running":
            n2.start()
            stage.prepare([n2])


def _told(stage, node, by, setting, level, why):
    told = json.loads(node.run("mxfsctl status --json", check=False).out)["volumes"][0]["daemon"]["fencing"]
    stage.same((told["by"], told["setting"], told["found"]), (by, setting, "wait"), f"{node.name}: how nodes are fenced: {told}")
    stage.matches(f"^{why}", told["why"], f"{node.name}: why")
    how = "ended by a LOGICAL UNIT RESET" if by == "reset" else f"waited for, {LIFE_S} s"
    stage.matches(f"{level}.*fencing: what a node that is shut out had under way is {how}: {why}", node.run("cat /var/log/mxfs/*.log").out,
                  f"{node.name}: the log")


def _keys(node, device):
    return node.run(f"sg_persist -n -i -k {device}").out


def _power_cut(stage, survivor, owner, lio):
    device = lio.names[survivor]
    sums = owner.run(f"mkdir {PLACE}/cut && for i in $(seq 50); do echo $i >{PLACE}/cut/$i; done && "
                     f"dd if=/dev/urandom of={PLACE}/cut/big bs=1M count=4 conv=fsync status=none && sync && cd {PLACE}/cut && md5sum * | md5sum").out
    stage.same(stage.owner(), owner, "the owner")
    both_beat(stage, device)
    dead = survivor.run(f"sg_persist -n -i -r {device} | sed -n 's/.*Key=0x//p'").out.strip()
    stage.check(dead in _keys(survivor, device), f"the owner's key {dead} is registered")
    resets = int(survivor.run(f"cat {lio.statistics}/scsi_lu/resets").out)
    began = time.monotonic()
    owner.kill()
    create = stage.start(survivor, f"sh -c 'echo after >{PLACE}/after && cat {PLACE}/after'")
    stage.same(create.finish(180).out, "after\n", "the survivor")
    took = time.monotonic() - began
    stage.note(f"{owner.name} loses its power: the first successful create after {took:.1f} s")
    stage.check((SILENT_MS - BEAT_MS) / 1000 < took < LIFE_S / 2, f"the survivor works after {took:.1f} s")
    log = survivor.run("cat /var/log/mxfs/*.log").out
    stage.matches(r"LOGICAL UNIT RESET -> Done\[\]", log, "the log of the survivor")
    stage.same(int(survivor.run(f"cat {lio.statistics}/scsi_lu/resets").out), resets + 1, "resets that the target has carried out")
    stage.check(dead not in _keys(survivor, device), f"the dead owner's key {dead} is registered")
    stage.same(survivor.run(f"cd {PLACE}/cut && md5sum * | md5sum").out, sums, "what was durable")
