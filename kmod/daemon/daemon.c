// SPDX-License-Identifier: GPL-2.0-only
/*
 * mxfs: the life of the daemon.
 *
 * mount(2) starts it and waits for READY; umount(2), and a mount that failed, let XFS go first, then send LEAVE and wait for
 * LEFT. Both waits are bounded, and a daemon that does not answer is killed: nothing of a mount that failed or ended
 * stays behind. One that dies in between freezes the mount and is started again; what it had told
 * the kernel (key, role, epoch) is told to the new one. No guarantee depends on that working: the
 * lease and the storage array hold without a daemon.
 *
 * A daemon is gone when its last thread is: one that hangs in the kernel has a command to the array under way, which would
 * hit its successor. So no successor starts before, on this mount or on the next one of the device.
 */
#include <linux/fs_struct.h>
#include <linux/kmod.h>
#include <linux/sched/signal.h>
#include <linux/slab.h>
#include <linux/umh.h>
#include "daemon/daemon.h"
#include "enter.h"
#include "role/attach.h"
#include "role/lease.h"

#define MXFS_LATE_JIFFIES (3 * HZ) /* to leave, for a daemon that has let its lease end */
#define MXFS_DIE_JIFFIES (5 * HZ) /* for the threads of a killed daemon */
#define MXFS_RESTARTS_MAX 5 /* within MXFS_RESTARTS_WINDOW, then the mount is shut down */
#define MXFS_RESTARTS_WINDOW (120 * HZ)
#define MXFS_LOOK_JIFFIES (HZ / 10) /* how often a process that cannot be waited for is looked at */

/* A daemon that outlives its mount, until its last thread ends. */
struct mxfs_undead {
	struct list_head entry;
	struct pid *pid;
	dev_t dev;
	u8 uuid[MXFS_UUID_SIZE];
};

static LIST_HEAD(mxfs_undead);
static DEFINE_MUTEX(mxfs_undead_lock);

/* Runs in the child, just before it executes the daemon. */
static int mxfs_daemon_child(struct subprocess_info *info, struct cred *new)
{
	struct mxfs_sb *sbi = info->data;

	sbi->daemon.pid = get_pid(task_tgid(current));
	return 0;
}

/*
 * Has a process a thread that may still do something? The first thread stays a zombie until all others are gone, and is then
 * reaped at once, because nobody waits for what the kernel starts; a debugger may delay that.
 */
static bool mxfs_process_alive(struct pid *pid)
{
	struct task_struct *task;
	bool alive;

	if (!pid)
		return false;
	rcu_read_lock();
	task = pid_task(pid, PIDTYPE_TGID);
	alive = task && !(READ_ONCE(task->exit_state) && thread_group_empty(task));
	rcu_read_unlock();
	return alive;
}

static bool mxfs_daemon_alive(struct mxfs_sb *sbi)
{
	return mxfs_process_alive(sbi->daemon.pid);
}

/*
 * Kills the daemon and waits for the end of its last thread, but not for ever. It is nobody's child that could be waited
 * for; its netlink port wakes us, else we look again.
 *
 * Return: whether it is gone.
 */
static bool mxfs_daemon_kill(struct mxfs_sb *sbi)
{
	unsigned long end = jiffies + MXFS_DIE_JIFFIES;

	if (!sbi->daemon.pid)
		return true;
	kill_pid(sbi->daemon.pid, SIGKILL, 1);
	while (mxfs_daemon_alive(sbi)) {
		if (time_after(jiffies, end))
			return false;
		mxfs_wait_timeout(sbi->wait, !mxfs_daemon_alive(sbi), MXFS_WAIT_BOUNDED, MXFS_LOOK_JIFFIES);
	}
	put_pid(sbi->daemon.pid);
	sbi->daemon.pid = NULL;
	return true;
}

/* The next mount of the volume on this node waits for it. */
static void mxfs_daemon_leave_behind(struct mxfs_sb *sbi)
{
	struct mxfs_undead *undead = kzalloc(sizeof(*undead), GFP_KERNEL | __GFP_NOFAIL);

	mxfs_warn(sbi,
		  "%s (pid %d) does not die: a command to the array hangs; the volume cannot be mounted on this node before it is gone",
		  MXFS_DAEMON_PATH, pid_nr(sbi->daemon.pid));
	undead->pid = sbi->daemon.pid;
	undead->dev = sbi->dev;
	memcpy(undead->uuid, sbi->geo.uuid, MXFS_UUID_SIZE);
	sbi->daemon.pid = NULL;
	mutex_lock(&mxfs_undead_lock);
	list_add(&undead->entry, &mxfs_undead);
	mutex_unlock(&mxfs_undead_lock);
}

/* Return: the number of a daemon of an earlier mount that still lives; 0 when there is none. */
static pid_t mxfs_daemon_of_earlier_mount(struct mxfs_sb *sbi)
{
	struct mxfs_undead *undead, *next;
	pid_t found = 0;

	mutex_lock(&mxfs_undead_lock);
	list_for_each_entry_safe(undead, next, &mxfs_undead, entry) {
		if (!mxfs_process_alive(undead->pid)) {
			list_del(&undead->entry);
			put_pid(undead->pid);
			kfree(undead);
		} else if (undead->dev == sbi->dev ||
			   !memcmp(undead->uuid, sbi->geo.uuid, MXFS_UUID_SIZE)) {
			found = pid_nr(undead->pid);
		}
	}
	mutex_unlock(&mxfs_undead_lock);
	return found;
}

void mxfs_daemon_exit(void)
{
	struct mxfs_undead *undead, *next;

	list_for_each_entry_safe(undead, next, &mxfs_undead, entry) {
		put_pid(undead->pid);
		kfree(undead);
	}
}

static int mxfs_daemon_spawn(struct mxfs_sb *sbi, bool restart)
{
	static const char * const envp[] = {
		"HOME=/",
		"PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
		NULL,
	};
	char uuid[2 * MXFS_UUID_SIZE + 1];
	struct subprocess_info *info;
	char *argv[8];
	int n = 0;

	snprintf(uuid, sizeof(uuid), "%*phN", MXFS_UUID_SIZE, sbi->geo.uuid);
	argv[n++] = MXFS_DAEMON_PATH;
	argv[n++] = "--device";
	argv[n++] = sbi->source;
	argv[n++] = "--uuid";
	argv[n++] = uuid;
	if (sbi->opts.debug)
		argv[n++] = "--debug";
	if (restart)
		argv[n++] = "--restart";
	argv[n] = NULL;

	sbi->daemon.hello = false;
	sbi->daemon.fail_err = 0;
	WRITE_ONCE(sbi->daemon.ready, false);
	spin_lock(&sbi->stats_lock);
	sbi->stats.daemon_starts++;
	spin_unlock(&sbi->stats_lock);
	info = call_usermodehelper_setup(MXFS_DAEMON_PATH, argv, (char **)envp, GFP_KERNEL,
					 mxfs_daemon_child, NULL, sbi);
	if (!info)
		return -ENOMEM;
	return call_usermodehelper_exec(info, UMH_WAIT_EXEC);
}

/* The time that a daemon has to get ready: less of it once an umount waits for it. */
static bool mxfs_ready_late(struct mxfs_sb *sbi, unsigned long end)
{
	return time_after(jiffies, end) ||
	       (READ_ONCE(sbi->change.leaving) && time_after(jiffies, READ_ONCE(sbi->daemon.leave_by)));
}

/*
 * Until the daemon is ready, says that it cannot be, dies, or has been silent for too long.
 *
 * Return: 0; its error; -ECHILD; -ETIMEDOUT; -EINTR.
 */
static int mxfs_daemon_wait_ready(struct mxfs_sb *sbi)
{
	unsigned long end = jiffies + msecs_to_jiffies(sbi->opts.ready_ms);
	long left;

	for (;;) {
		left = mxfs_wait_timeout(
			sbi->wait, READ_ONCE(sbi->daemon.ready) || READ_ONCE(sbi->daemon.fail_err),
			MXFS_WAIT_KILLABLE, MXFS_LOOK_JIFFIES);
		if (left < 0)
			return -EINTR;
		if (READ_ONCE(sbi->daemon.fail_err))
			return sbi->daemon.fail_err;
		if (READ_ONCE(sbi->daemon.ready))
			return 0;
		if (!mxfs_daemon_alive(sbi))
			return -ECHILD;
		if (mxfs_ready_late(sbi, end))
			return -ETIMEDOUT;
	}
}

static void mxfs_explain(struct mxfs_sb *sbi, int err, char *buf, size_t size)
{
	if (READ_ONCE(sbi->daemon.fail_err))
		snprintf(buf, size, "%s", sbi->daemon.fail_msg);
	else if (err == -ENOENT || err == -EACCES || err == -ENOEXEC)
		snprintf(
			buf, size,
			"the daemon %s cannot be started (%pe): is the mxfs package installed?",
			MXFS_DAEMON_PATH, ERR_PTR(err));
	else if (err == -ECHILD)
		snprintf(buf, size, "the daemon %s ended before it was ready; see /var/log/mxfs/",
			 MXFS_DAEMON_PATH);
	else if (err == -ETIMEDOUT)
		snprintf(
			buf, size,
			"the daemon %s was not ready within %u ms (ready_ms=)%s; see /var/log/mxfs/",
			MXFS_DAEMON_PATH, sbi->opts.ready_ms,
			sbi->daemon.hello ? "" : ", and never said hello");
	else if (err == -EINTR)
		snprintf(buf, size, "interrupted while the daemon was starting");
	else
		snprintf(buf, size, "the daemon %s failed (%pe)", MXFS_DAEMON_PATH, ERR_PTR(err));
}

/**
 * mxfs_daemon_start - start the daemon and wait until the volume is usable
 * @sbi: the mount, which netlink knows already
 * @fc: where mount(8) reads messages
 *
 * On failure what there is of it stays until mxfs_daemon_stop(): XFS may be attached, and is let go of first.
 */
int mxfs_daemon_start(struct mxfs_sb *sbi, struct fs_context *fc)
{
	char why[MXFS_MESSAGE_MAX];
	bool homing;
	pid_t pid;
	int err;

	pid = mxfs_daemon_of_earlier_mount(sbi);
	if (pid) {
		mxfs_err(sbi, "not mounted: an earlier daemon of this volume (pid %d) still has a command to the array under way; mount again when it is gone",
			 pid);
		errorf(fc, "mxfs: %s: an earlier daemon of this volume (pid %d) still has a command to the array under way; mount again when it is gone",
		       sbi->source, pid);
		return -EBUSY;
	}
	err = mxfs_daemon_spawn(sbi, false);
	if (!err)
		err = mxfs_daemon_wait_ready(sbi);
	if (!err)
		return 0;
	/* If it ends now, or has ended, it is not to be started again; and a write home is broken off (local/home.c). */
	homing = READ_ONCE(sbi->device.homing);
	WRITE_ONCE(sbi->daemon.failed, true);
	/* The daemon knows only that XFS could not be attached. */
	if (sbi->own.foreign) {
		errorf(fc, "mxfs: %s", sbi->own.refused);
		return -EPERM;
	}
	if (err == -ETIMEDOUT && homing && !READ_ONCE(sbi->daemon.fail_err))
		snprintf(why, sizeof(why),
			 "XFS was still writing its log home after %u ms (ready_ms=); its lines in the kernel log say what the disk does not take",
			 sbi->opts.ready_ms);
	else
		mxfs_explain(sbi, err, why, sizeof(why));
	mxfs_err(sbi, "not mounted: %s", why);
	errorf(fc, "mxfs: %s: %s", sbi->source, why);
	return err == -ECHILD ? -EIO : err;
}

/* The daemon's netlink port was closed. Under mxfs_mounts_lock. */
void mxfs_daemon_gone(struct mxfs_sb *sbi)
{
	WRITE_ONCE(sbi->frozen, true);
	wake_up_all(&sbi->wait);
	mxfs_lease_over(sbi);
	if (sbi->daemon.left || sbi->daemon.failed || !READ_ONCE(sbi->daemon.ready) || READ_ONCE(sbi->state) == MXFS_STATE_DEAD)
		return;
	mxfs_warn(sbi, "the daemon (pid %d) is gone; the mount is frozen until a new one is ready",
		  sbi->daemon.pid ? pid_nr(sbi->daemon.pid) : 0);
	queue_work(mxfs_wq, &sbi->daemon.restart_work);
}

/*
 * No successor before the last thread of the old daemon is gone. Without bound while the mount is frozen and nobody unmounts it:
 * what its command does to the array is not known.
 *
 * Return: whether it is gone.
 */
static bool mxfs_daemon_wait_gone(struct mxfs_sb *sbi)
{
	if (mxfs_daemon_kill(sbi))
		return true;
	mxfs_warn(sbi, "%s (pid %d) does not die: a command to the array hangs; no new daemon starts before it is gone",
		  MXFS_DAEMON_PATH, pid_nr(sbi->daemon.pid));
	while (!mxfs_daemon_kill(sbi))
		if (READ_ONCE(sbi->state) == MXFS_STATE_DEAD || READ_ONCE(sbi->change.leaving))
			return false;
	return true;
}

void mxfs_restart_workfn(struct work_struct *work)
{
	struct mxfs_sb *sbi = container_of(work, struct mxfs_sb, daemon.restart_work);
	char why[MXFS_MESSAGE_MAX];
	int err;

	if (time_after(jiffies, sbi->daemon.restarts_since + MXFS_RESTARTS_WINDOW)) {
		sbi->daemon.restarts_since = jiffies;
		sbi->daemon.restarts = 0;
	}
	do {
		if (!mxfs_daemon_wait_gone(sbi))
			return;
		if (READ_ONCE(sbi->state) == MXFS_STATE_DEAD)
			return;
		if (READ_ONCE(sbi->change.leaving) && time_after(jiffies, READ_ONCE(sbi->daemon.leave_by)))
			return;
		if (++sbi->daemon.restarts > MXFS_RESTARTS_MAX) {
			mxfs_shutdown(sbi, "the daemon died too often");
			return;
		}
		err = mxfs_daemon_spawn(sbi, true);
		if (!err)
			err = mxfs_daemon_wait_ready(sbi);
		/* At umount it may have left already, and need not have been ready for that. mxfs_daemon_stop() does the rest. */
		if (err && READ_ONCE(sbi->change.leaving))
			return;
	} while (err == -ECHILD);
	if (err) {
		mxfs_explain(sbi, err, why, sizeof(why));
		mxfs_daemon_kill(sbi);
		mxfs_shutdown(sbi, why);
		return;
	}
	mxfs_info(sbi, "a new daemon (pid %d) has taken over", pid_nr(sbi->daemon.pid));
}

/*
 * LEAVE, until the daemon has left, has died, or its time is over. Repeated, because a socket may be full.
 *
 * Return: whether its port went meanwhile, so that another one may be on its way.
 */
static bool mxfs_daemon_leave(struct mxfs_sb *sbi)
{
	unsigned long end = jiffies + (mxfs_is_stuck(sbi) ? MXFS_LATE_JIFFIES : MXFS_LEAVE_JIFFIES);
	bool asked = READ_ONCE(sbi->daemon.portid);

	while (!READ_ONCE(sbi->daemon.left) && READ_ONCE(sbi->daemon.portid) && !time_after(jiffies, end)) {
		mxfs_send_leave(sbi);
		mxfs_wait_timeout(sbi->wait, READ_ONCE(sbi->daemon.left) || !READ_ONCE(sbi->daemon.portid), MXFS_WAIT_BOUNDED, HZ);
	}
	if (asked && !READ_ONCE(sbi->daemon.left) && !READ_ONCE(sbi->daemon.portid) &&
	    !time_after(jiffies, READ_ONCE(sbi->daemon.leave_by)))
		return true;
	if (!sbi->daemon.left && !READ_ONCE(sbi->daemon.fail_err) && sbi->key)
		mxfs_warn(sbi, "the daemon did not leave the cluster%s; its key %016llx may stay registered",
			  READ_ONCE(sbi->daemon.portid) ? " in time" : ", it died", sbi->key);
	/* It exits by itself after LEFT. */
	if (sbi->daemon.left)
		mxfs_wait_timeout(sbi->wait, !READ_ONCE(sbi->daemon.portid), MXFS_WAIT_BOUNDED, 2 * HZ);
	return false;
}

/**
 * mxfs_daemon_stop - leave the cluster and end the daemon
 * @sbi: the mount
 *
 * XFS is detached already; where that is not sure, the key stays registered, and so does it when daemons go on dying or one hangs. That
 * costs the others a fencing. Bounded in each case.
 */
void mxfs_daemon_stop(struct mxfs_sb *sbi)
{
	/* Not counted from before the last detach, which may have taken long. */
	WRITE_ONCE(sbi->daemon.leave_by, jiffies + MXFS_LEAVE_JIFFIES);
	for (;;) {
		/* A port that reads as gone has its restart queued then. */
		mxfs_netlink_settle();
		/* A restart in progress is let finish: the new daemon unregisters the key. It knows of leave_by. */
		flush_work(&sbi->daemon.restart_work);
		if (!sbi->daemon.pid) {
			if (sbi->key && !sbi->daemon.left)
				mxfs_warn(sbi, "no daemon left the cluster; its key %016llx may stay registered", sbi->key);
			return;
		}
		/* One that was killed has its port until its last thread has ended; its successor is started only after that. */
		if (!sbi->change.unused || !mxfs_daemon_leave(sbi))
			break;
	}
	WRITE_ONCE(sbi->daemon.left, true);
	/* The last port that closed may have seen `left` unset, and be about to queue. */
	mxfs_netlink_settle();
	cancel_work_sync(&sbi->daemon.restart_work);
	if (!mxfs_daemon_kill(sbi))
		mxfs_daemon_leave_behind(sbi);
}
