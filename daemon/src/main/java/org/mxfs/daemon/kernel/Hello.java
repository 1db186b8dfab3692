// SPDX-License-Identifier: Apache-2.0
package org.mxfs.daemon.kernel;

import java.util.UUID;
import org.jspecify.annotations.Nullable;
import org.mxfs.bindings.mxfs.Mxfs;
import org.mxfs.bindings.mxfs.MxfsAttribute;
import org.mxfs.bindings.mxfs.MxfsFlag;
import org.mxfs.bindings.mxfs.MxfsState;
import org.mxfs.daemon.core.KernelState;
import org.mxfs.daemon.core.Predecessor;
import org.mxfs.daemon.core.ReservationKey;
import org.mxfs.daemon.wire.Uuids;
import org.mxfs.netlink.Attributes;
import org.mxfs.netlink.MalformedMessageException;

/** The kernel's answer to HELLO: the mount, its options, and what an earlier daemon had told. */
public record Hello(
    long mount,
    UUID uuid,
    String device,
    int major,
    int minor,
    boolean readOnly,
    boolean debug,
    @Nullable String iface,
    int port,
    @Nullable String multicast,
    @Nullable String broadcast,
    String xfsOptions,
    long leaseMillis,
    long quantumMillis,
    boolean restart,
    boolean lockstate,
    Predecessor predecessor) {

  static Hello of(Attributes a) throws MalformedMessageException, ContractException {
    long flags = a.u32(MxfsAttribute.MXFS_A_FLAGS);
    boolean restart = (flags & MxfsFlag.MXFS_FLAG_RESTART) != 0;
    long state = a.u32(MxfsAttribute.MXFS_A_STATE);
    Predecessor predecessor =
        restart
            ? new Predecessor(
                new ReservationKey(a.u64(MxfsAttribute.MXFS_A_KEY)),
                a.u64(MxfsAttribute.MXFS_A_EPOCH),
                kernelState(state),
                true,
                (flags & MxfsFlag.MXFS_FLAG_WANT) != 0,
                (flags & MxfsFlag.MXFS_FLAG_LEAVING) != 0)
            : Predecessor.NOBODY;
    return new Hello(
        a.u32(MxfsAttribute.MXFS_A_MOUNT),
        uuid(a),
        a.string(MxfsAttribute.MXFS_A_DEVICE),
        (int) a.u32(MxfsAttribute.MXFS_A_DEV_MAJOR),
        (int) a.u32(MxfsAttribute.MXFS_A_DEV_MINOR),
        (flags & MxfsFlag.MXFS_FLAG_RDONLY) != 0,
        (flags & MxfsFlag.MXFS_FLAG_DEBUG) != 0,
        a.findString(MxfsAttribute.MXFS_A_IFACE).orElse(null),
        a.u16(MxfsAttribute.MXFS_A_PORT),
        a.findString(MxfsAttribute.MXFS_A_MULTICAST).orElse(null),
        a.findString(MxfsAttribute.MXFS_A_BROADCAST).orElse(null),
        XfsOptions.normalised(a.findString(MxfsAttribute.MXFS_A_XFS_OPTIONS).orElse("")),
        a.u32(MxfsAttribute.MXFS_A_LEASE_MS),
        a.u32(MxfsAttribute.MXFS_A_QUANTUM_MS),
        restart,
        (flags & MxfsFlag.MXFS_FLAG_LOCKSTATE) != 0,
        predecessor);
  }

  /** {@code enum mxfs_state}, for a mount that is past its start. */
  static KernelState kernelState(long state) throws ContractException {
    return switch ((int) state) {
      case MxfsState.MXFS_STATE_STARTING, MxfsState.MXFS_STATE_DETACHED -> KernelState.DETACHED;
      case MxfsState.MXFS_STATE_ATTACHING -> KernelState.ATTACHING;
      case MxfsState.MXFS_STATE_ATTACHED -> KernelState.ATTACHED;
      case MxfsState.MXFS_STATE_DETACHING -> KernelState.DETACHING;
      case MxfsState.MXFS_STATE_DEAD -> KernelState.DEAD;
      default -> throw new ContractException("unknown enum mxfs_state " + state);
    };
  }

  private static UUID uuid(Attributes a) throws MalformedMessageException, ContractException {
    byte[] bytes = a.bytes(MxfsAttribute.MXFS_A_UUID);
    if (bytes.length != Mxfs.MXFS_UUID_SIZE) {
      throw new ContractException("a volume UUID of " + bytes.length + " bytes");
    }
    return Uuids.of(bytes);
  }
}
