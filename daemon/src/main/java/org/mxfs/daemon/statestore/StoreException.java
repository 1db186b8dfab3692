// SPDX-License-Identifier: Apache-2.0
package org.mxfs.daemon.statestore;

import java.io.IOException;
import org.jspecify.annotations.Nullable;

/**
 * The store refused, or cannot go on. Nothing was changed by a call that ends like this, except
 * where {@link Kind#BROKEN} says that nobody knows.
 */
public final class StoreException extends IOException {
  private static final long serialVersionUID = 1L;

  /** Why. */
  public enum Kind {
    /** There is no store here. */
    ABSENT,
    /** There is a store of a later version of mxfs. */
    NEWER,
    /** What was written is not there any more, or not as it was written. */
    CORRUPT,
    /** Another writer, of a later epoch, has been here. */
    STALE,
    /**
     * What earlier writers sent to the disk may still be carried out, and there is no place left
     * where it cannot do harm: to be tried again when it is over. Nothing is broken.
     */
    RESTING,
    /** A request that was given up has not ended; the area's memory is still its own. */
    BUSY,
    /** It does not fit. */
    FULL,
    /** The store was opened for reading. */
    READ_ONLY,
    /**
     * A write or a flush failed: whether what it was to make durable is, nobody knows. The store
     * has to be opened again, which finds out.
     */
    BROKEN,
    /** It was closed. */
    CLOSED
  }

  private final Kind kind;

  StoreException(Kind kind, String message) {
    super(message);
    this.kind = kind;
  }

  StoreException(Kind kind, String message, @Nullable Throwable cause) {
    super(message, cause);
    this.kind = kind;
  }

  public Kind kind() {
    return kind;
  }
}
