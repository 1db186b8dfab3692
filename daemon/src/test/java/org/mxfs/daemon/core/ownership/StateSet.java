// SPDX-License-Identifier: Apache-2.0
package org.mxfs.daemon.core.ownership;

import java.util.ArrayList;
import java.util.List;

/**
 * States of a fixed number of longs, each kept whole and once: nothing rests on a hash. A state is
 * numbered in the order of its coming, and remembers from which one it came.
 */
final class StateSet {
  private static final int CHUNK = 1 << 14;

  private final int words;
  private final List<long[]> states = new ArrayList<>();
  private final List<int[]> parents = new ArrayList<>();

  /** Open addressing; number + 1, 0: free. */
  private int[] slots = new int[1 << 16];

  private int size;

  StateSet(int words) {
    this.words = words;
  }

  int size() {
    return size;
  }

  int parent(int number) {
    return parents.get(number / CHUNK)[number % CHUNK];
  }

  boolean is(int number, long[] state) {
    long[] chunk = states.get(number / CHUNK);
    int at = number % CHUNK * words;
    for (int i = 0; i < words; i++) {
      if (chunk[at + i] != state[i]) {
        return false;
      }
    }
    return true;
  }

  /** The number of a state that is new, or -1. */
  int add(long[] state, int parent) {
    int slot = find(state);
    if (slots[slot] != 0) {
      return -1;
    }
    if (size % CHUNK == 0) {
      states.add(new long[CHUNK * words]);
      parents.add(new int[CHUNK]);
    }
    System.arraycopy(state, 0, states.get(size / CHUNK), size % CHUNK * words, words);
    parents.get(size / CHUNK)[size % CHUNK] = parent;
    slots[slot] = ++size;
    if (size * 2 > slots.length) {
      grow();
    }
    return size - 1;
  }

  private int find(long[] state) {
    int slot = hash(state, 0) & (slots.length - 1);
    while (slots[slot] != 0 && !is(slots[slot] - 1, state)) {
      slot = (slot + 1) & (slots.length - 1);
    }
    return slot;
  }

  private void grow() {
    slots = new int[slots.length * 2];
    for (int number = 0; number < size; number++) {
      int slot = hash(states.get(number / CHUNK), number % CHUNK * words) & (slots.length - 1);
      while (slots[slot] != 0) {
        slot = (slot + 1) & (slots.length - 1);
      }
      slots[slot] = number + 1;
    }
  }

  private int hash(long[] from, int at) {
    long h = 0;
    for (int i = 0; i < words; i++) {
      h = (h ^ from[at + i]) * 0x9e3779b97f4a7c15L;
      h ^= h >>> 29;
    }
    return (int) (h >>> 16);
  }
}
