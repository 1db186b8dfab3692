// SPDX-License-Identifier: Apache-2.0
package org.mxfs.daemon.core.lock;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import java.util.HashMap;
import java.util.HexFormat;
import java.util.List;
import java.util.Map;
import java.util.stream.IntStream;
import org.junit.jupiter.api.Test;
import org.mxfs.daemon.core.Fnv1a;
import org.mxfs.daemon.core.ReservationKey;

class ResourceIdTest {
  @Test
  void hasOneBinaryForm() {
    ResourceId extent = ResourceId.extent(0x0102030405060708L, 0x0a0b0c0d, 0x1000);
    assertThat(HexFormat.of().formatHex(extent.bytes()))
        .isEqualTo("0807060504030201" + "0d0c0b0a" + "0200" + "0000" + "0010000000000000");
    for (ResourceId id :
        List.of(
            extent,
            ResourceId.inode(-1, -1),
            ResourceId.allocationGroup(-1),
            ResourceId.journal(0x8000_0000),
            ResourceId.SUPERBLOCK)) {
      assertThat(ResourceId.of(id.bytes())).isEqualTo(id);
    }
  }

  @Test
  void refusesBytesThatNameNothing() {
    byte[] bytes = ResourceId.SUPERBLOCK.bytes();
    bytes[14] = 1;
    assertThatThrownBy(() -> ResourceId.of(bytes)).isInstanceOf(IllegalArgumentException.class);
    byte[] type = ResourceId.SUPERBLOCK.bytes();
    type[12] = 6;
    assertThatThrownBy(() -> ResourceId.of(type)).isInstanceOf(IllegalArgumentException.class);
    byte[] start = ResourceId.inode(5, 1).bytes();
    start[16] = 1;
    assertThatThrownBy(() -> ResourceId.of(start)).isInstanceOf(IllegalArgumentException.class);
    assertThatThrownBy(() -> ResourceId.of(new byte[23]))
        .isInstanceOf(IllegalArgumentException.class);
  }

  @Test
  void fnvIsTheOneThatItsAuthorsPublished() {
    byte[] foobar = "foobar".getBytes(java.nio.charset.StandardCharsets.US_ASCII);
    assertThat(Fnv1a.hash32(foobar)).isEqualTo(0xbf9cf968);
    assertThat(Fnv1a.hash64(foobar)).isEqualTo(0x85944171f73967e8L);
    assertThat(ResourceId.SUPERBLOCK.hash32())
        .isEqualTo(Fnv1a.hash32(ResourceId.SUPERBLOCK.bytes()));
  }

  @Test
  void inodesSpreadOverTheMastersHoweverTheyAreNumbered() {
    for (int count = 2; count <= 8; count++) {
      List<ReservationKey> nodes =
          IntStream.rangeClosed(1, count).mapToObj(i -> ReservationKey.of(i, 1)).toList();
      View view = new View(new ViewId(1, 1), nodes, List.of());
      for (long stride : new long[] {1, 32, 64, 1 << 20}) {
        Map<ReservationKey, Integer> had = new HashMap<>();
        for (int i = 0; i < 8_000; i++) {
          had.merge(
              Mastering.masterOf(ResourceId.inode(128 + i * stride, 1), view), 1, Integer::sum);
        }
        assertThat(had.values())
            .as(count + " nodes, every " + stride + "th inode")
            .hasSize(count)
            .allMatch(n -> Math.abs(n - 8_000.0 / nodes.size()) < 1_600.0 / nodes.size());
      }
    }
  }

  @Test
  void aViewIsSortedByNodeIdWithoutASign() {
    ReservationKey low = ReservationKey.of(1, 1);
    ReservationKey high = ReservationKey.of(0x8000_0000, 1);
    View view = new View(new ViewId(1, 1), List.of(low, high), List.of());
    assertThat(view.nodes()).containsExactly(low, high);
    assertThatThrownBy(() -> new View(new ViewId(1, 1), List.of(high, low), List.of()))
        .isInstanceOf(IllegalArgumentException.class);
    assertThatThrownBy(() -> new View(new ViewId(1, 1), List.of(low), List.of(low)))
        .isInstanceOf(IllegalArgumentException.class);
  }
}
