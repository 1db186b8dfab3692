// SPDX-License-Identifier: Apache-2.0
package org.mxfs.daemon.core.lock;

import org.mxfs.daemon.core.ReservationKey;

/**
 * Which node keeps the queue of a resource: a function of its name and of the view alone, so that
 * nobody has to be asked.
 */
public final class Mastering {
  private Mastering() {}

  /**
   * FNV-1a-64 of the resource's name, folded to 32 bits (as the authors of FNV advise where fewer
   * bits are wanted: its lowest bits alone know too little of the bytes), over the sorted nodes.
   */
  public static ReservationKey masterOf(ResourceId resource, View view) {
    long hash = resource.hash64();
    int folded = (int) (hash ^ hash >>> 32);
    return view.nodes().get(Integer.remainderUnsigned(folded, view.nodes().size()));
  }
}
