// SPDX-License-Identifier: Apache-2.0

package org.mxfs.netlink;

import static org.assertj.core.api.Assertions.assertThat;

import java.io.IOException;
import java.util.ArrayList;
import java.util.List;
import java.util.function.Consumer;
import org.junit.jupiter.api.Test;

/** What waits for the listener: in order, bounded, and never dropped in silence. */
class DeliveriesTest {
  private final List<String> heard = new ArrayList<>();

  private final Deliveries deliveries =
      new Deliveries(
          new Listener() {
            @Override
            public void message(Message message) {
              heard.add(Integer.toString(message.command()));
            }

            @Override
            public void gap() {
              heard.add("gap");
            }

            @Override
            public void malformed(MalformedMessageException e) {}

            @Override
            public void failed(IOException e) {}
          },
          100);

  private static Consumer<Listener> message(int command) {
    return l -> l.message(new Message(1, command, 1, 0, 0, 0, Attributes.EMPTY));
  }

  @Test
  void everythingIsToldInOrder() {
    assertThat(deliveries.deliver()).isFalse();
    deliveries.add(40, message(1));
    deliveries.addGap();
    deliveries.add(40, message(2));
    assertThat(deliveries.isEmpty()).isFalse();
    assertThat(deliveries.deliver()).isTrue();
    assertThat(heard).containsExactly("1", "gap", "2");
    assertThat(deliveries.isEmpty()).isTrue();
  }

  @Test
  void whatDoesNotFitIsDroppedAndToldAsOneGapInItsPlace() {
    deliveries.add(60, message(1));
    deliveries.add(40, message(2));
    deliveries.add(1, message(3));
    deliveries.add(1, message(4));
    deliveries.addGap();
    deliveries.deliver();
    assertThat(heard).containsExactly("1", "2", "gap");
    deliveries.add(100, message(5));
    deliveries.deliver();
    assertThat(heard).containsExactly("1", "2", "gap", "5");
  }
}
