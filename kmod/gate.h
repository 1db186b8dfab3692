/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * mxfs: a gate, which knows no mount.
 */
#ifndef _MXFS_GATE_H
#define _MXFS_GATE_H

#include <linux/percpu.h>
#include <linux/preempt.h>
#include <linux/types.h>

/**
 * struct mxfs_gate - what may be passed while it is open, and is closed by waiting for all inside
 * @open: set with release and read with acquire: who is inside sees what opening came after
 * @inside: who entered less who left, on this processor; only the sum means something
 *
 * Passing costs two additions to a counter of this processor and no memory barrier, because a gate is
 * passed in every operation and closed once in a change of owner. Closing pays for it with an
 * expedited RCU grace period, after which nobody can still be between looking at @open and counting.
 * (percpu_rw_semaphore has the same fast path, but blocks who comes in uninterruptibly, waits for
 * slow grace periods and deadlocks when passed twice; SRCU has a full barrier on each way.)
 */
struct mxfs_gate {
	bool open;
	unsigned int __percpu *inside;
};

void mxfs_gate_open(struct mxfs_gate *gate);
void mxfs_gate_close(struct mxfs_gate *gate);
void mxfs_gate_left_closed(struct mxfs_gate *gate);

/* Return: whether the caller is inside, and has to leave. */
static inline bool mxfs_gate_enter(struct mxfs_gate *gate)
{
	bool open;

	/* Closing waits for this section to end (synchronize_rcu_expedited()). */
	preempt_disable();
	/* Pairs with smp_store_release() in mxfs_gate_open(). */
	open = smp_load_acquire(&gate->open);
	if (likely(open))
		this_cpu_inc(*gate->inside);
	preempt_enable();
	return open;
}

static inline void mxfs_gate_leave(struct mxfs_gate *gate)
{
	bool open;

	preempt_disable();
	open = READ_ONCE(gate->open);
	if (likely(open))
		this_cpu_dec(*gate->inside);
	preempt_enable();
	if (unlikely(!open))
		mxfs_gate_left_closed(gate);
}

#endif /* _MXFS_GATE_H */
