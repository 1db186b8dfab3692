// SPDX-License-Identifier: GPL-2.0-only
/*
 * mxfs: entering the lower file system, and waiting for ownership.
 *
 * The fast path (mxfs_enter() in mxfs.h) is an SRCU read lock and three loads. Everything else is
 * here.
 */
#include <linux/sched/signal.h>
#include "mxfs.h"

int mxfs_gates_init(struct mxfs_sb *sbi)
{
	int err;

	err = init_srcu_struct(&sbi->op_gate);
	if (err)
		return err;
	err = init_srcu_struct(&sbi->fault_gate);
	if (err)
		goto err_op;
	err = init_srcu_struct(&sbi->wb_gate);
	if (err)
		goto err_fault;
	return 0;

err_fault:
	cleanup_srcu_struct(&sbi->fault_gate);
err_op:
	cleanup_srcu_struct(&sbi->op_gate);
	return err;
}

void mxfs_gates_destroy(struct mxfs_sb *sbi)
{
	cleanup_srcu_struct(&sbi->wb_gate);
	cleanup_srcu_struct(&sbi->fault_gate);
	cleanup_srcu_struct(&sbi->op_gate);
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
 * Until operations may run, or never will. The daemon is asked at once when the first operation
 * comes to wait and again every second, because generic netlink may drop a message when a socket is
 * full. Killable, and unbounded on purpose: a node cut off from the owner behaves as an NFS client
 * on a hard mount does.
 */
int mxfs_wait_owner(struct mxfs_sb *sbi)
{
	u64 fails = READ_ONCE(sbi->attach_fails);
	long left;

	for (;;) {
		if (mxfs_may_run(sbi))
			return 0;
		if (READ_ONCE(sbi->state) == MXFS_STATE_DEAD)
			return -EIO;
		if (READ_ONCE(sbi->attach_fails) != fails)
			return -EIO; /* the array said yes and XFS said no: the log tells why */
		if (READ_ONCE(sbi->state) == MXFS_STATE_DETACHED)
			mxfs_send_want(sbi);
		left = wait_event_killable_timeout(
			sbi->wait,
			mxfs_may_run(sbi) || READ_ONCE(sbi->state) == MXFS_STATE_DEAD ||
				READ_ONCE(sbi->attach_fails) != fails ||
				(READ_ONCE(sbi->state) == MXFS_STATE_DETACHED &&
				 !READ_ONCE(sbi->last_want)),
			HZ);
		if (left < 0)
			return -EINTR;
	}
}

int mxfs_enter_slow(struct mxfs_sb *sbi)
{
	ktime_t start = ktime_get();
	int idx, err;

	/*
	 * A waiter is counted until it is inside: an owner is not idle while somebody it was
	 * attached for has not been scheduled yet (mxfs_idle()).
	 */
	atomic_inc(&sbi->waiters);
	for (;;) {
		err = mxfs_wait_owner(sbi);
		if (err) {
			idx = err;
			break;
		}
		idx = mxfs_gate_lock(&sbi->op_gate);
		if (mxfs_may_run(sbi))
			break;
		mxfs_gate_unlock(&sbi->op_gate, idx);
	}
	atomic_dec(&sbi->waiters);
	if (idx >= 0)
		mxfs_account_wait(sbi, start);
	return idx;
}

/**
 * mxfs_enter_attached - begin an operation only where the volume is attached anyway
 * @sbi: the mount
 *
 * For what has nothing to do on a node that does not own the volume: detaching has made everything
 * durable already. Waits for a detach in progress.
 *
 * Return: a token for mxfs_leave(), -ENOTCONN when not attached, -EINTR, -EIO.
 */
int mxfs_enter_attached(struct mxfs_sb *sbi)
{
	int idx, err;

	for (;;) {
		idx = mxfs_gate_lock(&sbi->op_gate);
		if (mxfs_may_run(sbi))
			return idx;
		mxfs_gate_unlock(&sbi->op_gate, idx);
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
		/* detaching, frozen, or past the lease: not decided yet */
		err = wait_event_killable_timeout(
			sbi->wait,
			mxfs_may_run(sbi) || READ_ONCE(sbi->state) == MXFS_STATE_DEAD ||
				READ_ONCE(sbi->state) == MXFS_STATE_DETACHED,
			HZ);
		if (err < 0)
			return -EINTR;
	}
}
