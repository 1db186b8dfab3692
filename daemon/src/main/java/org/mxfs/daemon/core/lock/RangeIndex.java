// SPDX-License-Identifier: Apache-2.0
package org.mxfs.daemon.core.lock;

import java.util.ArrayList;
import java.util.List;
import java.util.function.Predicate;
import org.jspecify.annotations.Nullable;

/**
 * Ranges of one file, held or waited for: those that exclude another are found without a look at
 * the rest. Two AVL trees, of the shared and of the exclusive ones, in order of where they begin;
 * each node knows how far those below it reach.
 */
final class RangeIndex<T> {
  static final class Entry<T> {
    final RangeLock lock;
    final T value;
    private final long number;
    private int height = 1;
    private long reach;
    private @Nullable Entry<T> left;
    private @Nullable Entry<T> right;

    private Entry(RangeLock lock, T value, long number) {
      this.lock = lock;
      this.value = value;
      this.number = number;
      reach = lock.end();
    }

    private boolean isBefore(Entry<T> other) {
      return lock.start() == other.lock.start()
          ? number < other.number
          : lock.start() < other.lock.start();
    }
  }

  private @Nullable Entry<T> shared;
  private @Nullable Entry<T> exclusive;
  private long numbers;

  Entry<T> add(RangeLock lock, T value) {
    Entry<T> entry = new Entry<>(lock, value, ++numbers);
    if (lock.exclusive()) {
      exclusive = with(exclusive, entry);
    } else {
      shared = with(shared, entry);
    }
    return entry;
  }

  void remove(Entry<T> entry) {
    if (entry.lock.exclusive()) {
      exclusive = without(exclusive, entry);
    } else {
      shared = without(shared, entry);
    }
  }

  boolean isEmpty() {
    return shared == null && exclusive == null;
  }

  int depth() {
    return Math.max(height(shared), height(exclusive));
  }

  /** Of those that exclude {@code wanted} and are meant, the one that begins first. */
  @Nullable T first(RangeLock wanted, Predicate<? super T> meant) {
    Entry<T> one = find(exclusive, wanted, meant);
    Entry<T> other = wanted.exclusive() ? find(shared, wanted, meant) : null;
    if (one == null || (other != null && other.isBefore(one))) {
      one = other;
    }
    return one == null ? null : one.value;
  }

  /** All that exclude {@code wanted}. */
  List<T> excluding(RangeLock wanted) {
    List<T> found = new ArrayList<>();
    Predicate<T> none =
        value -> {
          found.add(value);
          return false;
        };
    find(exclusive, wanted, none);
    if (wanted.exclusive()) {
      find(shared, wanted, none);
    }
    return found;
  }

  private static <T> @Nullable Entry<T> find(
      @Nullable Entry<T> below, RangeLock wanted, Predicate<? super T> meant) {
    if (below == null || below.reach < wanted.start()) {
      return null;
    }
    Entry<T> found = find(below.left, wanted, meant);
    if (found != null || below.lock.start() > wanted.end()) {
      return found;
    }
    if (below.lock.excludes(wanted) && meant.test(below.value)) {
      return below;
    }
    return find(below.right, wanted, meant);
  }

  // ---- the trees ----

  private static <T> Entry<T> with(@Nullable Entry<T> below, Entry<T> entry) {
    if (below == null) {
      return entry;
    }
    if (entry.isBefore(below)) {
      below.left = with(below.left, entry);
    } else {
      below.right = with(below.right, entry);
    }
    return balanced(below);
  }

  private static <T> @Nullable Entry<T> without(@Nullable Entry<T> below, Entry<T> entry) {
    if (below == null) {
      throw new IllegalStateException(entry.lock + " is not here");
    }
    if (below == entry) {
      return joined(below.left, below.right);
    }
    if (entry.isBefore(below)) {
      below.left = without(below.left, entry);
    } else {
      below.right = without(below.right, entry);
    }
    return balanced(below);
  }

  private static <T> @Nullable Entry<T> joined(@Nullable Entry<T> left, @Nullable Entry<T> right) {
    if (left == null || right == null) {
      return left == null ? right : left;
    }
    Entry<T> first = right;
    while (first.left != null) {
      first = first.left;
    }
    first.right = without(right, first);
    first.left = left;
    return balanced(first);
  }

  private static <T> Entry<T> balanced(Entry<T> top) {
    Entry<T> left = top.left;
    Entry<T> right = top.right;
    int more = height(left) - height(right);
    if (more > 1 && left != null) {
      if (height(left.left) < height(left.right)) {
        top.left = rotatedLeft(left);
      }
      return rotatedRight(top);
    }
    if (more < -1 && right != null) {
      if (height(right.right) < height(right.left)) {
        top.right = rotatedRight(right);
      }
      return rotatedLeft(top);
    }
    measure(top);
    return top;
  }

  /** The right one comes up, the top goes down to its left. */
  private static <T> Entry<T> rotatedLeft(Entry<T> top) {
    Entry<T> right = top.right;
    if (right == null) {
      return top;
    }
    top.right = right.left;
    right.left = top;
    measure(top);
    measure(right);
    return right;
  }

  /** The left one comes up, the top goes down to its right. */
  private static <T> Entry<T> rotatedRight(Entry<T> top) {
    Entry<T> left = top.left;
    if (left == null) {
      return top;
    }
    top.left = left.right;
    left.right = top;
    measure(top);
    measure(left);
    return left;
  }

  private static <T> void measure(Entry<T> top) {
    top.height = 1 + Math.max(height(top.left), height(top.right));
    top.reach = Math.max(top.lock.end(), Math.max(reach(top.left), reach(top.right)));
  }

  private static int height(@Nullable Entry<?> entry) {
    return entry == null ? 0 : entry.height;
  }

  private static long reach(@Nullable Entry<?> entry) {
    return entry == null ? -1 : entry.reach;
  }
}
