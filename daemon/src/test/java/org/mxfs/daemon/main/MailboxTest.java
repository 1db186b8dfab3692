// SPDX-License-Identifier: Apache-2.0
package org.mxfs.daemon.main;

import static org.assertj.core.api.Assertions.assertThat;

import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.TimeUnit;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.mxfs.daemon.core.Event;
import org.mxfs.daemon.core.ReservationKey;

@Timeout(60)
class MailboxTest {
  private static final Event PEER = new Event.PeerUp(ReservationKey.of(1, 1), 0, "peer", "", true);
  private static final Event HEARD = new Event.Heard(ReservationKey.of(1, 1), "one");
  private static final Event KERNEL = new Event.Want();
  private static final Event ARRAY = new Event.UnitAttention("one");

  private final Mailbox mailbox = new Mailbox();

  private Event take() {
    Mailbox.Mail mail = mailbox.take(TimeUnit.SECONDS.toNanos(30));
    if (mail == null) {
      throw new AssertionError("nothing there");
    }
    mail.done().run();
    return mail.event();
  }

  @Test
  void theKernelComesFirstThenTheArrayAndStrangersTakeTurns() {
    for (int i = 0; i < 2; i++) {
      mailbox.fromPeer(1, PEER, () -> {});
      mailbox.fromDiscovery(HEARD);
    }
    mailbox.fromArray(ARRAY);
    assertThat(mailbox.fromKernel(KERNEL)).isTrue();
    List<Event> taken = new ArrayList<>();
    for (int i = 0; i < 6; i++) {
      taken.add(take());
    }
    assertThat(taken.subList(0, 2)).containsExactly(KERNEL, ARRAY);
    assertThat(taken.subList(2, 4)).containsExactlyInAnyOrder(PEER, HEARD);
    assertThat(taken.subList(4, 6)).containsExactlyInAnyOrder(PEER, HEARD);
  }

  @Test
  void aFullKernelLaneSaysSoAndAnnouncementsAreCounted() {
    for (int i = 0; i < Mailbox.KERNEL_MAX; i++) {
      assertThat(mailbox.fromKernel(KERNEL)).isTrue();
    }
    assertThat(mailbox.fromKernel(KERNEL)).isFalse();
    for (int i = 0; i < Mailbox.DISCOVERY_MAX + 5; i++) {
      mailbox.fromDiscovery(HEARD);
    }
    assertThat(mailbox.dropped()).isEqualTo(5);
  }

  @Test
  void whoMeetsAFullLaneWaitsUntilThereIsRoom() throws InterruptedException {
    int count = Mailbox.ARRAY_MAX * 20;
    Thread array =
        Thread.ofPlatform()
            .start(
                () -> {
                  for (int i = 0; i < count; i++) {
                    mailbox.fromArray(new Event.UnitAttention(String.valueOf(i)));
                  }
                });
    for (int i = 0; i < count; i++) {
      assertThat(take()).isEqualTo(new Event.UnitAttention(String.valueOf(i)));
    }
    array.join();
  }

  @Test
  void aWakeUpEndsTheWaitAndNoneIsLost() {
    mailbox.wake();
    assertThat(mailbox.take(TimeUnit.SECONDS.toNanos(30))).isNull();
    assertThat(mailbox.take(1_000_000)).isNull();
    long start = System.nanoTime();
    Thread.ofPlatform().start(mailbox::wake);
    assertThat(mailbox.take(TimeUnit.SECONDS.toNanos(30))).isNull();
    assertThat(System.nanoTime() - start).isLessThan(TimeUnit.SECONDS.toNanos(20));
  }

  @Test
  void newNodesAreToldAtOnceSoManyAndThenSlowly() {
    HeardLimit limit = new HeardLimit();
    long now = 1;
    int told = 0;
    for (int i = 0; i < 10_000; i++) {
      told += limit.admit(ReservationKey.of(1 + i, 1), now) ? 1 : 0;
    }
    assertThat(told).isEqualTo(128);
    assertThat(limit.admit(ReservationKey.of(1, 1), now)).isFalse();
    now += TimeUnit.SECONDS.toNanos(1);
    assertThat(limit.admit(ReservationKey.of(1, 1), now)).describedAs("again").isTrue();
    assertThat(limit.admit(ReservationKey.of(90_000, 1), now)).describedAs("new").isTrue();
  }
}
