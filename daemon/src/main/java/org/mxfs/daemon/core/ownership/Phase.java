// SPDX-License-Identifier: Apache-2.0
package org.mxfs.daemon.core.ownership;

import org.mxfs.daemon.core.Errno;
import org.mxfs.daemon.core.ReservationKey;
import org.mxfs.daemon.core.Waiter;

/** Where the machine stands with the array. The kernel's state is kept apart from it. */
sealed interface Phase {
  record New() implements Phase {}

  record Starting(StartStep step) implements Phase {}

  /** The device has no reservations: this node alone. */
  record Solo() implements Phase {}

  /** Registered; somebody else holds the reservation, or nobody. */
  record Member() implements Phase {}

  /** Trying RESERVE, since there is no reservation. */
  record Reserving() implements Phase {}

  /** Taking the reservation from whom the permit names: read, PREEMPT, read. */
  record Taking(Permit permit, TakeStep step, int attempts) implements Phase {
    Taking at(TakeStep next, int nextAttempts) {
      return new Taking(permit, next, nextAttempts);
    }

    ReservationKey victim() {
      return permit.victim();
    }

    /** The request that the victim has granted; 0: there was none. */
    long requestId() {
      return switch (permit) {
        case Permit.Granted granted -> granted.request();
        case Permit.DeadLife _, Permit.Silent _, Permit.Left _, Permit.ShutOut _ -> 0;
      };
    }
  }

  /** READ RESERVATION has just shown our key; READ KEYS gives the epoch. */
  record Confirming() implements Phase {}

  /** The reservation is ours, and no grant is out. */
  record Holding() implements Phase {}

  /** XFS is detached, a grant is out: the reservation may move at any moment. */
  record Consented(Waiter grantee, long since, boolean declined) implements Phase {
    Consented asDeclined() {
      return new Consented(grantee, since, true);
    }
  }

  /** Making a grant void by changing our key: REGISTER, READ RESERVATION. */
  record Withdrawing(WithdrawStep step) implements Phase {}

  /** The reservation moved with our consent, our registration with it: register again. */
  record Rejoining() implements Phase {}

  record Departing(Why why, DepartStep step, long deadline) implements Phase {
    Departing at(DepartStep next) {
      return new Departing(why, next, deadline);
    }

    Departing at(DepartStep next, long until) {
      return new Departing(why, next, until);
    }
  }

  record Gone() implements Phase {}

  enum StartStep {
    CAPABILITIES,
    KEYS,
    REGISTER,
    RESUME
  }

  enum WithdrawStep {
    REGISTER,
    /** The array has said that it is done. */
    DONE,
    /** Our old key was not there any more: whoever has the new one, it is not this path. */
    REFUSED,
    /** Only reading can tell. */
    UNCLEAR
  }

  enum TakeStep {
    CHECK,
    PREEMPT,
    VERIFY
  }

  enum DepartStep {
    /** XFS goes first: what is unregistered first could be another's while XFS still writes. */
    LET_GO,
    /**
     * A restarted daemon that has not come to it: whether what is registered outlives the power.
     */
    CAPABILITIES,
    /**
     * Where takeover is on: whether the disk is reserved by us, so that it would not be any more.
     */
    HOLDER,
    /** It is, by a key that an earlier daemon did not live to tell: ours takes its place. */
    REPLACE,
    /** It is: who is registered, and then who is not accounted for. */
    COUNT,
    SLOTS,
    /** Somebody is not: our registration stays, and our slot says so. */
    STAY,
    UNREGISTER,
    VERIFY
  }

  sealed interface Why {
    record Umount() implements Why {}

    record Failure(Errno errno, String message) implements Why {}
  }
}
