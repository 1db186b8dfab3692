// SPDX-License-Identifier: GPL-2.0-only
/*
 * mxfs: opening and closing a gate. Passing one is in gate.h.
 */
#include <linux/rcupdate.h>
#include <linux/wait_bit.h>
#include "gate.h"

void mxfs_gate_open(struct mxfs_gate *gate)
{
	/* Pairs with smp_load_acquire() in mxfs_gate_enter(). */
	smp_store_release(&gate->open, true);
}

static unsigned int mxfs_gate_inside(const struct mxfs_gate *gate)
{
	unsigned int sum = 0;
	int cpu;

	for_each_possible_cpu(cpu)
		sum += READ_ONCE(*per_cpu_ptr(gate->inside, cpu));
	return sum;
}

/**
 * mxfs_gate_close - let nobody in, and wait until all are out
 * @gate: open, or closed already
 *
 * After the grace period whoever saw the gate open has counted, and whoever leaves from then on sees
 * it closed: the counters only go down. So a sum of 0 is true, although it is read one counter after
 * the other.
 */
void mxfs_gate_close(struct mxfs_gate *gate)
{
	WRITE_ONCE(gate->open, false);
	synchronize_rcu_expedited();
	wait_var_event(gate, !mxfs_gate_inside(gate));
	/* Pairs with the barrier in mxfs_gate_left_closed(): what was done inside is done. */
	smp_mb();
}

/* Somebody may be waiting for the last one. */
void mxfs_gate_left_closed(struct mxfs_gate *gate)
{
	/* Pairs with the barrier in mxfs_gate_close(). */
	smp_mb();
	this_cpu_dec(*gate->inside);
	/* wake_up_var() looks for who waits without a lock: who came to wait before sees the counter. */
	smp_mb();
	wake_up_var(gate);
}
