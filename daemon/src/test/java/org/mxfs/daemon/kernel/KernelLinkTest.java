// SPDX-License-Identifier: Apache-2.0
package org.mxfs.daemon.kernel;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.UUID;
import org.junit.jupiter.api.Test;
import org.mxfs.bindings.linux.Errnos;
import org.mxfs.bindings.mxfs.Mxfs;
import org.mxfs.bindings.mxfs.MxfsAttribute;
import org.mxfs.bindings.mxfs.MxfsCommand;
import org.mxfs.bindings.mxfs.MxfsFlag;
import org.mxfs.bindings.mxfs.MxfsState;
import org.mxfs.daemon.core.Event;
import org.mxfs.daemon.core.KernelState;
import org.mxfs.daemon.core.Lockstate;
import org.mxfs.daemon.core.LockstateMap;
import org.mxfs.daemon.core.Predecessor;
import org.mxfs.daemon.core.ReservationKey;
import org.mxfs.netlink.Attributes;
import org.mxfs.netlink.Family;
import org.mxfs.netlink.MalformedMessageException;
import org.mxfs.netlink.Message;

/**
 * The contract in linux/mxfs.h, read as the kernel writes it. The lab runs it against the module.
 */
class KernelLinkTest {
  private static Attributes.Builder hello(long flags, long state) {
    return Attributes.builder()
        .u32(MxfsAttribute.MXFS_A_MOUNT, 3)
        .bytes(MxfsAttribute.MXFS_A_UUID, new byte[16])
        .string(MxfsAttribute.MXFS_A_DEVICE, "/dev/sdb")
        .u32(MxfsAttribute.MXFS_A_DEV_MAJOR, 8)
        .u32(MxfsAttribute.MXFS_A_DEV_MINOR, 16)
        .u32(MxfsAttribute.MXFS_A_FLAGS, flags)
        .u16(MxfsAttribute.MXFS_A_PORT, 7600)
        .u32(MxfsAttribute.MXFS_A_LEASE_MS, 20_000)
        .u32(MxfsAttribute.MXFS_A_QUANTUM_MS, 100)
        .u32(MxfsAttribute.MXFS_A_ROLE, 0)
        .u32(MxfsAttribute.MXFS_A_STATE, state)
        .u64(MxfsAttribute.MXFS_A_KEY, 0x1_0000_0002L)
        .u64(MxfsAttribute.MXFS_A_EPOCH, 9);
  }

  @Test
  void aFirstDaemonHasNoPredecessor() throws IOException {
    Hello hello = Hello.of(hello(0, MxfsState.MXFS_STATE_STARTING).build());
    assertThat(hello.predecessor()).isEqualTo(Predecessor.NOBODY);
    assertThat(hello.device()).isEqualTo("/dev/sdb");
    assertThat(hello.iface()).isNull();
    assertThat(hello.uuid()).isEqualTo(new UUID(0, 0));
  }

  @Test
  void aRestartedDaemonIsToldWhatItsPredecessorSaid() throws IOException {
    Hello hello =
        Hello.of(
            hello(
                    MxfsFlag.MXFS_FLAG_RESTART | MxfsFlag.MXFS_FLAG_WANT,
                    MxfsState.MXFS_STATE_DETACHING)
                .string(MxfsAttribute.MXFS_A_IFACE, "lan0")
                .build());
    assertThat(hello.iface()).isEqualTo("lan0");
    assertThat(hello.predecessor())
        .isEqualTo(
            new Predecessor(ReservationKey.of(1, 2), 9, KernelState.DETACHING, true, true, false));
  }

  @Test
  void aStateThatIsNotInTheContractIsRefused() {
    assertThatThrownBy(() -> Hello.of(hello(MxfsFlag.MXFS_FLAG_RESTART, 99).build()))
        .isInstanceOf(ContractException.class)
        .hasMessageContaining("99");
  }

  @Test
  void aMissingAttributeIsRefused() {
    Attributes empty = Attributes.builder().u32(MxfsAttribute.MXFS_A_MOUNT, 1).build();
    assertThatThrownBy(() -> Hello.of(empty)).isInstanceOf(MalformedMessageException.class);
  }

  @Test
  void eventsAreRead() throws IOException {
    Attributes result =
        Attributes.builder()
            .u64(MxfsAttribute.MXFS_A_EPOCH, 7)
            .u32(MxfsAttribute.MXFS_A_ERRNO, 16)
            .u64(MxfsAttribute.MXFS_A_NANOS, 5)
            .string(MxfsAttribute.MXFS_A_MESSAGE, "busy")
            .build();
    assertThat(event(MxfsCommand.MXFS_EV_ATTACHED, result))
        .isEqualTo(new Event.Attached(7, 16, 5, "busy"));
    assertThat(event(MxfsCommand.MXFS_EV_DETACHED, result))
        .isEqualTo(new Event.Detached(7, 16, 5, "busy"));
    assertThat(event(MxfsCommand.MXFS_EV_WANT, Attributes.EMPTY)).isEqualTo(new Event.Want());
    assertThat(event(MxfsCommand.MXFS_EV_LEAVE, Attributes.EMPTY)).isEqualTo(new Event.Leave());
    assertThatThrownBy(() -> event(MxfsCommand.MXFS_CMD_KEY, Attributes.EMPTY))
        .isInstanceOf(ContractException.class);
  }

  private static byte[] extents(long... numbers) {
    ByteBuffer buffer =
        ByteBuffer.allocate(numbers.length * Long.BYTES).order(ByteOrder.nativeOrder());
    for (long number : numbers) {
      buffer.putLong(number);
    }
    return buffer.array();
  }

  private static Attributes.Builder lockstate(byte[] extents) {
    return Attributes.builder()
        .u32(MxfsAttribute.MXFS_A_MOUNT, 3)
        .u64(MxfsAttribute.MXFS_A_GENERATION, 2)
        .u32(MxfsAttribute.MXFS_A_SLOT_BYTES, 512)
        .u32(MxfsAttribute.MXFS_A_SLOTS, 64)
        .bytes(MxfsAttribute.MXFS_A_EXTENTS, extents);
  }

  @Test
  void theLockStateIsWhereTheKernelSays() throws IOException {
    assertThat(
            KernelLink.lockstate(lockstate(extents(0, 1L << 40, 8192, 8192, 4096, 24_576)).build()))
        .isEqualTo(
            new Lockstate(
                2,
                new LockstateMap(
                    512,
                    List.of(
                        new LockstateMap.Extent(0, 1L << 40, 8192),
                        new LockstateMap.Extent(8192, 4096, 24_576))),
                0,
                ""));
    Attributes none =
        Attributes.builder()
            .u64(MxfsAttribute.MXFS_A_GENERATION, 1)
            .u32(MxfsAttribute.MXFS_A_ERRNO, 28)
            .string(MxfsAttribute.MXFS_A_MESSAGE, "no space")
            .build();
    assertThat(KernelLink.lockstate(none)).isEqualTo(new Lockstate(1, null, 28, "no space"));
  }

  @Test
  void aLockStateThatIsNotWholeIsRefused() {
    for (byte[] extents :
        new byte[][] {
          extents(), extents(0, 4096, 16_384), extents(0, 4096), extents(0, 4096, 32_768, 1)
        }) {
      assertThatThrownBy(() -> KernelLink.lockstate(lockstate(extents).build()))
          .isInstanceOf(ContractException.class)
          .hasMessageContaining("64 slots of 512 bytes");
    }
  }

  /** Danger 31 of docs/takeover.md: the next daemon would be told the same. */
  @Test
  void anAnswerAboutTheLockStateThatIsNotUnderstoodMeansNoBeats() throws IOException {
    for (Attributes wrong :
        List.of(lockstate(extents(0, 4096)).build(), Attributes.builder().build())) {
      Lockstate told = KernelLink.understood(wrong);
      assertThat(told.map()).isNull();
      assertThat(told.isCertain()).isTrue();
      assertThat(told.reason()).startsWith("the kernel's answer: ");
    }
    Attributes right = lockstate(extents(0, 4096, 32_768)).build();
    assertThat(KernelLink.understood(right)).isEqualTo(KernelLink.lockstate(right));
  }

  /** A module of before would refuse the question, and the attribute. */
  @Test
  void aModuleThatDoesNotKnowOfTheLockStateIsNotAsked() throws IOException {
    try (KernelLink link = new KernelLink(new Seen(), FAMILY)) {
      link.greeted(Hello.of(hello(0, MxfsState.MXFS_STATE_STARTING).build()), new UUID(0, 0));
      assertThat(link.lockstate().map()).isNull();
      assertThat(link.lockstate().errno()).isEqualTo(Errnos.EOPNOTSUPP);
    }
    assertThat(Hello.of(hello(MxfsFlag.MXFS_FLAG_LOCKSTATE, 0).build()).lockstate()).isTrue();
  }

  private static Event event(int command, Attributes attributes) throws IOException {
    return KernelLink.decode(new Message(30, command, 1, 0, 0, 0, attributes));
  }

  @Test
  void messagesForTheKernelLogAreOneLineThatFits() {
    assertThat(KernelLink.oneLine("two\nlines\tand\u00e4")).isEqualTo("two lines and ");
    assertThat(KernelLink.oneLine("x".repeat(2_000))).hasSize(Mxfs.MXFS_MESSAGE_MAX - 1);
  }

  private static final class Seen implements KernelLink.Events {
    final List<Event> events = new ArrayList<>();
    int gaps;

    boolean full;

    @Override
    public boolean event(Event event) {
      return !full && events.add(event);
    }

    @Override
    public void gap() {
      gaps++;
    }

    @Override
    public void failed(IOException e) {}
  }

  private static final Family FAMILY = family(Mxfs.MXFS_GENL_VERSION);

  private static Family family(int version) {
    return new Family(99, "mxfs", version, 0, 0, Map.of());
  }

  @Test
  void aModuleOfAnotherVersionIsNotSpokenTo() throws IOException {
    assertThat(KernelLink.ofThisVersion(FAMILY)).isSameAs(FAMILY);
    for (int version : new int[] {Mxfs.MXFS_GENL_VERSION - 1, Mxfs.MXFS_GENL_VERSION + 1}) {
      assertThatThrownBy(() -> KernelLink.ofThisVersion(family(version)))
          .isInstanceOf(ContractException.class)
          .hasMessageContaining("version " + version)
          .hasMessageContaining("rmmod mxfs");
    }
  }

  private static Message from(long mount, int command) {
    return new Message(
        FAMILY.id(),
        command,
        1,
        0,
        0,
        0,
        Attributes.builder().u32(MxfsAttribute.MXFS_A_MOUNT, mount).build());
  }

  @Test
  void whatTheKernelSaysRightBehindItsAnswerToHelloIsNotLost() throws IOException {
    Seen seen = new Seen();
    try (KernelLink link = new KernelLink(seen, FAMILY)) {
      link.incoming(from(3, MxfsCommand.MXFS_EV_WANT));
      link.incoming(from(4, MxfsCommand.MXFS_EV_LEAVE));
      assertThat(seen.events).isEmpty();
      Hello hello = Hello.of(hello(0, MxfsState.MXFS_STATE_STARTING).build());
      link.greeted(hello, hello.uuid());
      link.incoming(from(3, MxfsCommand.MXFS_EV_LEAVE));
      assertThat(seen.events).containsExactly(new Event.Want(), new Event.Leave());
      assertThat(seen.gaps).isZero();
    }
  }

  @Test
  void anEventThatFindsNoRoomIsAGap() throws IOException {
    Seen seen = new Seen();
    try (KernelLink link = new KernelLink(seen, FAMILY)) {
      Hello hello = Hello.of(hello(0, MxfsState.MXFS_STATE_STARTING).build());
      link.greeted(hello, hello.uuid());
      seen.full = true;
      link.incoming(from(3, MxfsCommand.MXFS_EV_WANT));
      assertThat(seen.gaps).isEqualTo(1);
    }
  }

  @Test
  void moreThanIsKeptBeforeHelloIsAGap() throws IOException {
    Seen seen = new Seen();
    try (KernelLink link = new KernelLink(seen, FAMILY)) {
      for (int i = 0; i < 1_000; i++) {
        link.incoming(from(3, MxfsCommand.MXFS_EV_WANT));
      }
      assertThat(seen.gaps).isPositive();
    }
  }

  private static List<Event> lost(long flags, long state, boolean attach, long asked)
      throws IOException {
    return KernelLink.stateAsEvents(hello(flags, state).build(), attach, asked);
  }

  @Test
  void afterLostMessagesTheStateTellsWhatWasSaid() throws IOException {
    assertThat(lost(0, MxfsState.MXFS_STATE_ATTACHED, true, 7))
        .containsExactly(new Event.Attached(7, 0, 0, ""));
    assertThat(lost(0, MxfsState.MXFS_STATE_DETACHED, false, 7))
        .containsExactly(new Event.Detached(7, 0, 0, ""));
    // The command has ended, and not as it was asked for.
    assertThat(lost(0, MxfsState.MXFS_STATE_DETACHED, true, 7))
        .containsExactly(new Event.Attached(7, 5, 0, "the reason was lost"));
    assertThat(lost(0, MxfsState.MXFS_STATE_ATTACHED, false, 7))
        .containsExactly(new Event.Detached(7, 16, 0, "the reason was lost"));
    // It has not ended: its event comes.
    assertThat(lost(0, MxfsState.MXFS_STATE_ATTACHING, true, 7)).isEmpty();
    assertThat(lost(0, MxfsState.MXFS_STATE_DETACHING, false, 7)).isEmpty();
    // Nothing was asked for that could have ended.
    assertThat(lost(0, MxfsState.MXFS_STATE_ATTACHED, true, -1)).isEmpty();
    assertThat(
            lost(
                MxfsFlag.MXFS_FLAG_WANT | MxfsFlag.MXFS_FLAG_LEAVING,
                MxfsState.MXFS_STATE_DETACHED,
                false,
                -1))
        .containsExactly(new Event.Want(), new Event.Leave());
    assertThat(lost(MxfsFlag.MXFS_FLAG_LEAVING, MxfsState.MXFS_STATE_DETACHING, false, -1))
        .isEmpty();
  }

  @Test
  void theRehearsalTouchesEveryMessage() throws IOException {
    KernelLink.rehearse();
  }
}
