// SPDX-License-Identifier: Apache-2.0
package org.mxfs.daemon.core.ownership;

import java.util.ArrayList;
import java.util.List;
import java.util.function.Predicate;
import org.mxfs.daemon.core.Action;

/** What a machine that is driven by hand has done, in its order. */
final class Deeds {
  final List<Action> all = new ArrayList<>();

  <T extends Action> List<T> of(Class<T> kind) {
    return all.stream().filter(kind::isInstance).map(kind::cast).toList();
  }

  List<Action.Note> notes(String text) {
    return of(Action.Note.class).stream().filter(n -> n.text().contains(text)).toList();
  }

  /** Of the first one; -1: there is none. */
  int indexOf(Predicate<Action> which) {
    for (int i = 0; i < all.size(); i++) {
      if (which.test(all.get(i))) {
        return i;
      }
    }
    return -1;
  }
}
