// SPDX-License-Identifier: GPL-2.0-only
/*
 * mxfs: until when operations may start.
 *
 * The daemon says until when, by a clock that counts while the machine sleeps (CLOCK_BOOTTIME), because a duration would be
 * lengthened by every pause between its look at the clock and our receipt. Operations look at jiffies, which cost
 * one load, and which stand still while the machine sleeps. So nothing may start from a moment before they do
 * until the rest is counted anew (mxfs_lease_sleeper()). (What a hypervisor does to a machine without its knowing, no clock of
 * that machine shows: the array is what refuses its writes.)
 *
 * Names and permissions that the VFS knows are distrusted when nothing may start any more, and trusted again one by one once
 * something may: else it would go on answering them by itself. Pages of maps are unmapped, so that who reads or stores through
 * one comes to the fault gate.
 */
#include <linux/freezer.h>
#include <linux/kthread.h>
#include <linux/timekeeping.h>
#include "enter.h"
#include "pages/cache.h"
#include "role/attach.h"
#include "role/lease.h"

#define MXFS_LEASE_MAX_NANOS (60 * NSEC_PER_SEC)
/* How much jiffies may be behind (kernel/time/tick-sched.c: MAX_STALLED_JIFFIES), and the one that has begun. */
#define MXFS_LEASE_SLACK 6

static LIST_HEAD(mxfs_leases);
static DEFINE_MUTEX(mxfs_leases_lock); /* the list, and @mxfs_asleep against it */
static bool mxfs_asleep;
static struct task_struct *mxfs_lease_thread;

/* Under lease.lock. */
static void mxfs_lease_count(struct mxfs_sb *sbi)
{
	/* Before the other clock: whatever holds this processor up in between makes the lease shorter. */
	unsigned long now = jiffies;
	s64 left = sbi->lease.boottime - ktime_get_boottime_ns();
	unsigned long ticks = left > 0 ? nsecs_to_jiffies(left) : 0;

	if (READ_ONCE(mxfs_asleep) || ticks <= MXFS_LEASE_SLACK)
		ticks = 0;
	else
		ticks -= MXFS_LEASE_SLACK;
	WRITE_ONCE(sbi->lease_end, now + ticks);
	mod_delayed_work(mxfs_wq, &sbi->lease.work, ticks);
}

/**
 * mxfs_lease_set - the daemon has extended the lease, or ended it
 * @sbi: the mount
 * @boottime: until when, in nanoseconds of CLOCK_BOOTTIME
 *
 * Return: 0; -ERANGE when that is further away than any lease is.
 */
int mxfs_lease_set(struct mxfs_sb *sbi, u64 boottime)
{
	if (boottime > ktime_get_boottime_ns() + MXFS_LEASE_MAX_NANOS)
		return -ERANGE;
	spin_lock(&sbi->lease.lock);
	sbi->lease.boottime = boottime;
	mxfs_lease_count(sbi);
	spin_unlock(&sbi->lease.lock);
	wake_up_all(&sbi->wait);
	return 0;
}

/* Nothing may start: at once, without waiting for the end of the lease. */
void mxfs_lease_over(struct mxfs_sb *sbi)
{
	mod_delayed_work(mxfs_wq, &sbi->lease.work, 0);
}

/* The lease was extended, or ended anew: the work comes once more at the end of that. */
static bool mxfs_lease_is_counted(struct mxfs_sb *sbi)
{
	return delayed_work_pending(&sbi->lease.work) || !mxfs_is_stuck(sbi);
}

void mxfs_lease_workfn(struct work_struct *work)
{
	struct mxfs_sb *sbi = container_of(to_delayed_work(work), struct mxfs_sb, lease.work);

	if (!mxfs_is_stuck(sbi))
		return;
	mxfs_distrust_all(sbi);
	/* It takes references to inodes: umount waits for this work, and then there is nobody who could read. */
	if (!READ_ONCE(sbi->change.held))
		mxfs_cache_unmap_all(sbi, mxfs_lease_is_counted);
	wake_up_all(&sbi->wait);
}

void mxfs_lease_add(struct mxfs_sb *sbi)
{
	mutex_lock(&mxfs_leases_lock);
	list_add(&sbi->lease.entry, &mxfs_leases);
	mutex_unlock(&mxfs_leases_lock);
}

void mxfs_lease_del(struct mxfs_sb *sbi)
{
	mutex_lock(&mxfs_leases_lock);
	list_del_init(&sbi->lease.entry);
	mutex_unlock(&mxfs_leases_lock);
	cancel_delayed_work_sync(&sbi->lease.work);
}

static void mxfs_lease_sleep(bool asleep)
{
	struct mxfs_sb *sbi;

	mutex_lock(&mxfs_leases_lock);
	WRITE_ONCE(mxfs_asleep, asleep);
	list_for_each_entry(sbi, &mxfs_leases, lease.entry) {
		spin_lock(&sbi->lease.lock);
		mxfs_lease_count(sbi);
		spin_unlock(&sbi->lease.lock);
		wake_up_all(&sbi->wait);
	}
	mutex_unlock(&mxfs_leases_lock);
}

/*
 * Its only business is to be frozen: the machine freezes its programs first, then such threads of the kernel's, and the clock that jiffies
 * count by stands still only after that (kernel/power/suspend.c, hibernate.c; drivers/xen/manage.c; not in a jump of kexec to a kernel that comes back, which freezes programs alone). So programs end what they have
 * begun, and are frozen at its end. Were the lease over before, all would wait inside it, with locks held that others wait for, and the
 * machine could not sleep. Programs may run again a moment before this thread does: they find the lease over, and wait for it.
 */
static int mxfs_lease_sleeper(void *unused)
{
	set_freezable();
	for (;;) {
		set_current_state(TASK_IDLE);
		if (kthread_should_stop())
			break;
		if (!freezing(current))
			schedule();
		__set_current_state(TASK_RUNNING);
		if (!freezing(current))
			continue;
		mxfs_lease_sleep(true);
		try_to_freeze();
		mxfs_lease_sleep(false);
	}
	__set_current_state(TASK_RUNNING);
	return 0;
}

int mxfs_lease_init(void)
{
	mxfs_lease_thread = kthread_run(mxfs_lease_sleeper, NULL, "mxfs-sleep");
	return PTR_ERR_OR_ZERO(mxfs_lease_thread);
}

void mxfs_lease_exit(void)
{
	kthread_stop(mxfs_lease_thread);
}
