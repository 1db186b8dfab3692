// SPDX-License-Identifier: Apache-2.0
package org.mxfs.daemon.core.ownership;

import java.util.ArrayList;
import java.util.List;
import org.mxfs.daemon.core.Action;
import org.mxfs.daemon.core.PeerMessage;

/** The time of one step, what it wants done, and when the next one is due at the latest. */
final class Outbox {
  private long now;
  private long wake = Long.MAX_VALUE;
  private List<Action> actions = new ArrayList<>();

  void begin(long time) {
    if (time < now) {
      throw new IllegalArgumentException("time runs backwards: " + now + " to " + time);
    }
    now = time;
    actions = new ArrayList<>();
  }

  /** Forgets what this step wanted. */
  void abandon() {
    actions.clear();
  }

  List<Action> end() {
    return List.copyOf(actions);
  }

  long now() {
    return now;
  }

  long wake() {
    return wake;
  }

  void neverWake() {
    wake = Long.MAX_VALUE;
  }

  void wakeAt(long time) {
    wake = Math.min(wake, Math.max(time, now + 1));
  }

  void add(Action action) {
    actions.add(action);
  }

  void send(int nodeId, PeerMessage message) {
    actions.add(new Action.Send(nodeId, message));
  }

  void note(Action.Level level, String pattern, Object... values) {
    actions.add(new Action.Note(level, fill(pattern, values)));
  }

  /** The pattern with each {} replaced by the next value. */
  static String fill(String pattern, Object... values) {
    StringBuilder text = new StringBuilder();
    int from = 0;
    for (Object value : values) {
      int brace = pattern.indexOf("{}", from);
      text.append(pattern, from, brace).append(value);
      from = brace + 2;
    }
    return text.append(pattern, from, pattern.length()).toString();
  }
}
