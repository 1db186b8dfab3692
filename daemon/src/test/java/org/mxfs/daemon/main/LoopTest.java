// SPDX-License-Identifier: Apache-2.0
package org.mxfs.daemon.main;

import static org.assertj.core.api.Assertions.assertThat;

import java.io.IOException;
import java.util.ArrayList;
import java.util.List;
import java.util.Objects;
import java.util.concurrent.atomic.AtomicLong;
import org.jspecify.annotations.Nullable;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.mxfs.daemon.core.Action;
import org.mxfs.daemon.core.ArrayAnswer;
import org.mxfs.daemon.core.Event;
import org.mxfs.daemon.core.OwnershipSettings;
import org.mxfs.daemon.core.Predecessor;
import org.mxfs.daemon.core.VolumeStatus;
import org.mxfs.daemon.core.ownership.Ownership;

@Timeout(60)
class LoopTest {
  /** A device without reservations, a kernel that does what it is told, and who looks on. */
  private static final class Onlooker implements Loop.Surroundings {
    final Mailbox mailbox = new Mailbox();
    final List<VolumeStatus.State> atAttach = new ArrayList<>();
    final List<VolumeStatus.State> atLeft = new ArrayList<>();
    private @Nullable VolumeStatus published;

    @Override
    public List<Event> look() {
      return List.of();
    }

    @Override
    public void publish(VolumeStatus status) {
      published = status;
    }

    @Override
    public void perform(List<Action> actions, long now) {
      VolumeStatus seen = Objects.requireNonNull(published, "nothing is published yet");
      assertThat(seen.at()).as("the step whose deeds are done: %s", actions).isEqualTo(now);
      for (Action action : actions) {
        switch (action) {
          case Action.Array command ->
              mailbox.fromArray(command.answered(new ArrayAnswer.Unsupported("none")));
          case Action.Attach attach -> {
            atAttach.add(seen.state());
            mailbox.fromKernel(new Event.Attached(attach.epoch(), 0, 1, ""));
          }
          case Action.Ready _ -> mailbox.fromKernel(new Event.Leave());
          case Action.Detach detach ->
              mailbox.fromKernel(new Event.Detached(detach.epoch(), 0, 1, ""));
          case Action.Left _ -> atLeft.add(seen.state());
          default -> {}
        }
      }
    }
  }

  /** Any of them may hang, and then above all people ask. */
  @Test
  void whatIsPublishedWhileADeedIsDoneIsOfItsStep() throws IOException {
    Onlooker onlooker = new Onlooker();
    AtomicLong clock = new AtomicLong();
    Loop loop =
        new Loop(
            new Ownership(new OwnershipSettings(1, 1, 1, 20_000, 100, "v", "/dev/sdx", "")),
            onlooker.mailbox,
            () -> clock.addAndGet(100),
            onlooker);
    loop.step(new Event.Start(Predecessor.NOBODY));
    loop.run();
    assertThat(onlooker.atAttach).containsExactly(VolumeStatus.State.MOUNTING);
    assertThat(onlooker.atLeft).hasSize(1).doesNotContain(VolumeStatus.State.ALONE);
  }
}
