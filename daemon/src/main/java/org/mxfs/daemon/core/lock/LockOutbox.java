// SPDX-License-Identifier: Apache-2.0
package org.mxfs.daemon.core.lock;

import java.util.ArrayList;
import java.util.List;

/** The time of one step, and what it wants done. */
final class LockOutbox {
  private long now;
  private List<LockAction> actions = new ArrayList<>();

  void begin(long time) {
    if (time < now) {
      throw new IllegalArgumentException("time runs backwards: " + now + " to " + time);
    }
    now = time;
    actions = new ArrayList<>();
  }

  void abandon() {
    actions.clear();
  }

  List<LockAction> end() {
    return List.copyOf(actions);
  }

  long now() {
    return now;
  }

  void add(LockAction action) {
    actions.add(action);
  }
}
