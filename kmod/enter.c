// SPDX-License-Identifier: GPL-2.0-only
/*
 * mxfs: entering the lower file system, and waiting for ownership.
 *
 * The fast paths are in enter.h; everything else is here.
 */
#include <linux/sched/signal.h>
#include "enter.h"
#include "tell.h"

#define MXFS_EXIT_JIFFIES (10L * HZ) /* for faults of a process that exits */

int mxfs_gates_init(struct mxfs_sb *sbi)
{
	sbi->cpu = alloc_percpu(struct mxfs_cpu);
	if (!sbi->cpu)
		return -ENOMEM;
	sbi->op_gate.inside = &sbi->cpu->inside[0];
	sbi->fault_gate.inside = &sbi->cpu->inside[1];
	sbi->wb_gate.inside = &sbi->cpu->inside[2];
	return 0;
}

void mxfs_gates_destroy(struct mxfs_sb *sbi)
{
	free_percpu(sbi->cpu);
}

static void mxfs_account_wait(struct mxfs_sb *sbi, ktime_t start)
{
	u64 nanos = ktime_to_ns(ktime_sub(ktime_get(), start));

	spin_lock(&sbi->stats_lock);
	sbi->stats.waits++;
	sbi->stats.wait_nanos += nanos;
	spin_unlock(&sbi->stats_lock);
}

/*
 * Until there is no more to wait for. The daemon is asked at once when the first operation
 * comes to wait and again every second, because generic netlink may drop a message when a socket is
 * full. Killable, and unbounded on purpose (@limit in jiffies is MAX_SCHEDULE_TIMEOUT): a node cut off from the
 * owner behaves as an NFS client on a hard mount does.
 */
static int mxfs_wait_until(struct mxfs_sb *sbi, bool (*may)(struct mxfs_sb *sbi), long limit)
{
	u64 fails = READ_ONCE(sbi->change.fails);
	unsigned long start = jiffies;
	long left;

	for (;;) {
		if (may(sbi))
			return 0;
		if (READ_ONCE(sbi->state) == MXFS_STATE_DEAD)
			return -EIO;
		if (READ_ONCE(sbi->change.fails) != fails)
			return -EIO; /* the array said yes and XFS said no: the log tells why */
		if (limit != MAX_SCHEDULE_TIMEOUT && time_after_eq(jiffies, start + limit))
			return -ETIMEDOUT;
		if (READ_ONCE(sbi->state) == MXFS_STATE_DETACHED)
			mxfs_send_want(sbi);
		left = mxfs_wait_timeout(
			sbi->wait,
			may(sbi) || READ_ONCE(sbi->state) == MXFS_STATE_DEAD ||
				READ_ONCE(sbi->change.fails) != fails ||
				(READ_ONCE(sbi->state) == MXFS_STATE_DETACHED &&
				 !READ_ONCE(sbi->daemon.last_want)),
			MXFS_WAIT_KILLABLE, min_t(long, HZ, limit));
		if (left < 0)
			return -EINTR;
	}
}

static bool mxfs_may_fault_now(struct mxfs_sb *sbi)
{
	return READ_ONCE(sbi->fault_gate.open) && mxfs_may_fault(sbi);
}

/*
 * Who is exiting can be killed no more, and comes here for what it leaves in maps, such as a robust mutex that it held (exit_mm_release()), by
 * several faults. All of them together wait no longer than so long past the end of the lease; where another node has the volume, each.
 */
static long mxfs_exit_limit(struct mxfs_sb *sbi)
{
	long over = jiffies - READ_ONCE(sbi->lease_end);

	return over < 0 ? MXFS_EXIT_JIFFIES : max(MXFS_EXIT_JIFFIES - over, 0L);
}

/*
 * Until faults are served, or never will be. They are before and after operations are, and who waits inside a fault may
 * have what a detach waits for.
 */
int mxfs_wait_fault(struct mxfs_sb *sbi)
{
	return mxfs_wait_until(sbi, mxfs_may_fault_now,
			       unlikely(current->flags & PF_EXITING) ? mxfs_exit_limit(sbi) : MAX_SCHEDULE_TIMEOUT);
}

/**
 * mxfs_enter_within - as mxfs_enter(), for what can do without
 * @sbi: the mount
 * @limit: jiffies to wait for ownership
 *
 * Return: as mxfs_enter(), or -ETIMEDOUT.
 */
int mxfs_enter_within(struct mxfs_sb *sbi, long limit)
{
	ktime_t start = ktime_get();
	int err;

	/*
	 * A waiter is counted until it is inside: an owner is not idle while somebody it was
	 * attached for has not been scheduled yet (mxfs_idle()).
	 */
	atomic_inc(&sbi->waiters);
	do {
		err = mxfs_wait_until(sbi, mxfs_may_run, limit);
	} while (!err && !mxfs_try_enter(sbi));
	atomic_dec(&sbi->waiters);
	if (!err)
		mxfs_account_wait(sbi, start);
	return err;
}

int mxfs_enter_slow(struct mxfs_sb *sbi)
{
	return mxfs_enter_within(sbi, MAX_SCHEDULE_TIMEOUT);
}

/*
 * Detaching has made everything durable, and waits for the device only, which may be long in coming (mxfs_reclaim()). Where XFS had shut
 * itself down, the mount is dead by then (mxfs_end_with_lower()).
 */
static bool mxfs_is_unmounted(struct mxfs_sb *sbi)
{
	return READ_ONCE(sbi->state) == MXFS_STATE_DETACHING && READ_ONCE(sbi->change.reclaiming);
}

/**
 * mxfs_enter_attached - begin an operation only where the volume is attached anyway
 * @sbi: the mount
 *
 * For what has nothing to do on a node that does not own the volume: detaching has made everything
 * durable already. Waits for a detach in progress; and, killable, for the daemon where nothing may start at the
 * moment, but not at umount, which detaches in any case.
 *
 * Return: 0, and mxfs_leave() has to follow; -ENOTCONN when not attached, or about to be detached for good; -EINTR, -EIO.
 */
int mxfs_enter_attached(struct mxfs_sb *sbi)
{
	int err;

	while (!mxfs_try_enter(sbi)) {
		switch (READ_ONCE(sbi->state)) {
		case MXFS_STATE_DEAD:
			return -EIO;
		case MXFS_STATE_DETACHED:
		case MXFS_STATE_ATTACHING:
		case MXFS_STATE_STARTING:
			return -ENOTCONN;
		default:
			break;
		}
		if (READ_ONCE(sbi->change.held) || mxfs_is_unmounted(sbi))
			return -ENOTCONN;
		/* detaching, frozen, or past the lease: not decided yet */
		err = mxfs_wait_timeout(
			sbi->wait,
			mxfs_may_run(sbi) || READ_ONCE(sbi->change.held) || mxfs_is_unmounted(sbi) ||
				READ_ONCE(sbi->state) == MXFS_STATE_DEAD ||
				READ_ONCE(sbi->state) == MXFS_STATE_DETACHED,
			MXFS_WAIT_KILLABLE, HZ);
		if (err < 0)
			return -EINTR;
	}
	return 0;
}

/**
 * mxfs_enter_sync - begin to write out what was accepted before
 * @sbi: the mount
 *
 * That is nothing new: XFS does the same by itself at any time, and where this node must not write any more it is the array
 * that refuses it. So it waits for no daemon: sync(2) of a whole machine, umount, and the end of a mount that failed come
 * here, holding s_umount. Waits, killable, for a detach in progress, which writes the same.
 *
 * Return: as mxfs_enter_attached().
 */
int mxfs_enter_sync(struct mxfs_sb *sbi)
{
	for (;;) {
		if (mxfs_gate_enter(&sbi->op_gate)) {
			if (READ_ONCE(sbi->state) == MXFS_STATE_ATTACHED)
				return 0;
			mxfs_gate_leave(&sbi->op_gate);
		}
		switch (READ_ONCE(sbi->state)) {
		case MXFS_STATE_DEAD:
			return -EIO;
		case MXFS_STATE_ATTACHED: /* a moment ago */
			continue;
		case MXFS_STATE_DETACHING:
			/* At umount no detach is under way any more; one that was broken off is gone on with after this. */
			if (!mxfs_is_unmounted(sbi) && !READ_ONCE(sbi->change.held))
				break;
			fallthrough;
		default:
			return -ENOTCONN;
		}
		if (wait_event_state(sbi->wait,
				     READ_ONCE(sbi->state) != MXFS_STATE_DETACHING || mxfs_is_unmounted(sbi) ||
					     READ_ONCE(sbi->change.held),
				     MXFS_WAIT_KILLABLE))
			return -EINTR;
	}
}
