// SPDX-License-Identifier: GPL-2.0-only
/* A worker that is made runs at once by kthread_run_worker(); kthread_create_worker() leaves it asleep. */
#include <linux/kthread.h>

struct kthread_worker *probe(void);
struct kthread_worker *probe(void)
{
	return kthread_run_worker(0, "probe");
}
