// SPDX-License-Identifier: Apache-2.0
package org.mxfs.daemon.discovery;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import java.util.Random;
import java.util.UUID;
import org.junit.jupiter.api.Test;
import org.mxfs.daemon.core.Fnv1a;
import org.mxfs.daemon.core.ReservationKey;
import org.mxfs.daemon.wire.MalformedException;
import org.mxfs.daemon.wire.Uuids;

class AnnouncementTest {
  static Announcement announcement(int node, long incarnation) {
    UUID uuid = new UUID(0, node);
    return new Announcement(
        uuid,
        new UUID(7, 7),
        ReservationKey.of(Fnv1a.nodeId(Uuids.bytes(uuid)), incarnation),
        7600,
        "host" + node,
        true);
  }

  @Test
  void whatIsEncodedIsDecoded() throws MalformedException {
    byte[] bytes = announcement(1, 2).encode();
    assertThat(Announcement.decode(bytes, bytes.length)).isEqualTo(announcement(1, 2));
  }

  @Test
  void aNodeIdThatIsNotOfItsUuidIsRefused() {
    byte[] bytes = announcement(1, 2).encode();
    bytes[8] ^= 1; // in the node UUID
    assertThatThrownBy(() -> Announcement.decode(bytes, bytes.length))
        .isInstanceOf(MalformedException.class)
        .hasMessageContaining("does not belong");
  }

  @Test
  void aNodeIdThatTellsAPartitionIsOfItsUuid() throws MalformedException {
    UUID uuid = new UUID(0, 1);
    int id = ReservationKey.ofPartition(Fnv1a.nodeId(Uuids.bytes(uuid)), 0x7e);
    Announcement sent =
        new Announcement(uuid, new UUID(7, 7), ReservationKey.of(id, 2), 7600, "host1", true);
    byte[] bytes = sent.encode();
    assertThat(Announcement.decode(bytes, bytes.length)).isEqualTo(sent);
    assertThat(sent.key().partition()).isEqualTo(0x7e);
  }

  @Test
  void mutatedPacketsAreDecodedOrRefused() {
    Random random = new Random(2);
    int refused = 0;
    for (int round = 0; round < 50_000; round++) {
      byte[] bytes = announcement(1, 2).encode();
      bytes[random.nextInt(bytes.length)] = (byte) random.nextInt(256);
      int length = random.nextInt(8) == 0 ? random.nextInt(bytes.length + 1) : bytes.length;
      try {
        assertThat(Announcement.decode(bytes, length).port()).isBetween(1, 0xffff);
      } catch (MalformedException e) {
        refused++;
      }
    }
    assertThat(refused).isGreaterThan(10_000);
  }
}
