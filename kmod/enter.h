/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * mxfs: who may touch the lower file system, and waiting to be allowed (enter.c).
 */
#ifndef _MXFS_ENTER_H
#define _MXFS_ENTER_H

#include <linux/jiffies.h>
#include "sb.h"

static inline bool mxfs_may_run(struct mxfs_sb *sbi)
{
	return READ_ONCE(sbi->state) == MXFS_STATE_ATTACHED && !READ_ONCE(sbi->frozen) &&
	       time_before(jiffies, READ_ONCE(sbi->lease_end));
}

/* As mxfs_may_run(), for faults: these go on while operations are already closed and drain. */
static inline bool mxfs_may_fault(struct mxfs_sb *sbi)
{
	return READ_ONCE(sbi->state) != MXFS_STATE_DEAD && !READ_ONCE(sbi->frozen) &&
	       time_before(jiffies, READ_ONCE(sbi->lease_end));
}

/* Nobody is there who could let anything start: it takes a daemon that works. */
static inline bool mxfs_is_stuck(struct mxfs_sb *sbi)
{
	return READ_ONCE(sbi->frozen) || time_after_eq(jiffies, READ_ONCE(sbi->lease_end));
}

int mxfs_gates_init(struct mxfs_sb *sbi);
void mxfs_gates_destroy(struct mxfs_sb *sbi);
int mxfs_enter_slow(struct mxfs_sb *sbi);
int mxfs_enter_within(struct mxfs_sb *sbi, long limit);
int mxfs_enter_attached(struct mxfs_sb *sbi);
int mxfs_enter_sync(struct mxfs_sb *sbi);
int mxfs_wait_fault(struct mxfs_sb *sbi);

/* An owner with no operation for some time gives the volume up at once. */
static inline void mxfs_note_op(struct mxfs_sb *sbi)
{
	unsigned long now = jiffies;

	if (READ_ONCE(sbi->last_op) != now)
		WRITE_ONCE(sbi->last_op, now);
}

/* Begin an operation if that needs no waiting. Return: whether the caller has to leave. */
static inline bool mxfs_try_enter(struct mxfs_sb *sbi)
{
	if (unlikely(!mxfs_gate_enter(&sbi->op_gate)))
		return false;
	if (likely(mxfs_may_run(sbi)))
		return true;
	mxfs_gate_leave(&sbi->op_gate);
	return false;
}

/**
 * mxfs_enter - begin an operation on the lower file system
 * @sbi: the mount
 *
 * Takes ownership of the volume first where this node does not have it.
 *
 * Return: 0, and mxfs_leave() has to follow; -EINTR when killed while waiting, -EIO when the mount is
 * dead.
 */
static inline int mxfs_enter(struct mxfs_sb *sbi)
{
	return likely(mxfs_try_enter(sbi)) ? 0 : mxfs_enter_slow(sbi);
}

static inline void mxfs_leave(struct mxfs_sb *sbi)
{
	mxfs_note_op(sbi);
	mxfs_gate_leave(&sbi->op_gate);
}

#endif /* _MXFS_ENTER_H */
