// SPDX-License-Identifier: GPL-2.0-only
/*
 * mxfs: the life of the daemon.
 *
 * mount(2) starts it and waits for READY; umount(2) sends LEAVE and waits for LEFT. Both waits are
 * bounded, and a daemon that does not answer is killed: nothing of a mount that failed or ended
 * stays behind. One that dies in between freezes the mount and is started again; what it had told
 * the kernel (key, role, epoch) is told to the new one. No guarantee depends on that working: the
 * lease and the storage array hold without a daemon.
 */
#include <linux/fs_struct.h>
#include <linux/kmod.h>
#include <linux/sched/signal.h>
#include <linux/umh.h>
#include "mxfs.h"

#define MXFS_LEAVE_SECONDS 10
#define MXFS_RESTARTS_MAX 5 /* within MXFS_RESTARTS_WINDOW, then the mount is shut down */
#define MXFS_RESTARTS_WINDOW (120 * HZ)
#define MXFS_LOOK_JIFFIES (HZ / 10) /* how often a process that cannot be waited for is looked at \
				     */

/* Runs in the child, just before it executes the daemon. */
static int mxfs_daemon_child(struct subprocess_info *info, struct cred *new)
{
	struct mxfs_sb *sbi = info->data;

	sbi->daemon_pid = get_pid(task_tgid(current));
	return 0;
}

static bool mxfs_daemon_alive(struct mxfs_sb *sbi)
{
	struct task_struct *task;
	bool alive;

	if (!sbi->daemon_pid)
		return false;
	rcu_read_lock();
	task = pid_task(sbi->daemon_pid, PIDTYPE_TGID);
	alive = task && !READ_ONCE(task->exit_state);
	rcu_read_unlock();
	return alive;
}

/*
 * A killed process is gone once its files are closed: only then is the key it may have been using
 * unused.
 */
static void mxfs_daemon_kill(struct mxfs_sb *sbi)
{
	unsigned long end = jiffies + MXFS_LEAVE_SECONDS * HZ;

	if (!sbi->daemon_pid)
		return;
	kill_pid(sbi->daemon_pid, SIGKILL, 1);
	while (mxfs_daemon_alive(sbi)) {
		if (time_after(jiffies, end)) {
			mxfs_warn(sbi, "%s (pid %d) does not die", MXFS_DAEMON_PATH,
				  pid_nr(sbi->daemon_pid));
			break;
		}
		/*
		 * It is nobody's child that could be waited for; its netlink port wakes us, else we
		 * look again.
		 */
		wait_event_timeout(sbi->wait, !mxfs_daemon_alive(sbi), MXFS_LOOK_JIFFIES);
	}
	put_pid(sbi->daemon_pid);
	sbi->daemon_pid = NULL;
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

	sbi->hello = false;
	sbi->fail_err = 0;
	WRITE_ONCE(sbi->ready, false);
	spin_lock(&sbi->stats_lock);
	sbi->stats.daemon_starts++;
	spin_unlock(&sbi->stats_lock);
	info = call_usermodehelper_setup(MXFS_DAEMON_PATH, argv, (char **)envp, GFP_KERNEL,
					 mxfs_daemon_child, NULL, sbi);
	if (!info)
		return -ENOMEM;
	return call_usermodehelper_exec(info, UMH_WAIT_EXEC);
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
		left = wait_event_killable_timeout(
			sbi->wait, READ_ONCE(sbi->ready) || READ_ONCE(sbi->fail_err),
			MXFS_LOOK_JIFFIES);
		if (left < 0)
			return -EINTR;
		if (READ_ONCE(sbi->fail_err))
			return sbi->fail_err;
		if (READ_ONCE(sbi->ready))
			return 0;
		if (!mxfs_daemon_alive(sbi))
			return -ECHILD;
		if (time_after(jiffies, end))
			return -ETIMEDOUT;
	}
}

static void mxfs_explain(struct mxfs_sb *sbi, int err, char *buf, size_t size)
{
	if (READ_ONCE(sbi->fail_err))
		snprintf(buf, size, "%s", sbi->fail_msg);
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
			sbi->hello ? "" : ", and never said hello");
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
 * On failure nothing of it is left.
 */
int mxfs_daemon_start(struct mxfs_sb *sbi, struct fs_context *fc)
{
	char why[MXFS_MESSAGE_MAX];
	int err;

	err = mxfs_daemon_spawn(sbi, false);
	if (!err)
		err = mxfs_daemon_wait_ready(sbi);
	if (!err)
		return 0;
	/* Before the kill, which would look like a daemon to be started again. */
	sbi->leaving = true;
	mxfs_explain(sbi, err, why, sizeof(why));
	mxfs_daemon_kill(sbi);
	mxfs_err(sbi, "not mounted: %s", why);
	errorf(fc, "mxfs: %s: %s", sbi->source, why);
	return err == -ECHILD ? -EIO : err;
}

/* The daemon's netlink port was closed. Under mxfs_mounts_lock. */
void mxfs_daemon_gone(struct mxfs_sb *sbi)
{
	WRITE_ONCE(sbi->frozen, true);
	wake_up_all(&sbi->wait);
	if (sbi->left || !READ_ONCE(sbi->ready) || READ_ONCE(sbi->state) == MXFS_STATE_DEAD)
		return;
	mxfs_warn(sbi, "the daemon (pid %d) is gone; the mount is frozen until a new one is ready",
		  sbi->daemon_pid ? pid_nr(sbi->daemon_pid) : 0);
	queue_work(system_unbound_wq, &sbi->restart_work);
}

void mxfs_restart_workfn(struct work_struct *work)
{
	struct mxfs_sb *sbi = container_of(work, struct mxfs_sb, restart_work);
	char why[MXFS_MESSAGE_MAX];
	int err;

	if (time_after(jiffies, sbi->restarts_since + MXFS_RESTARTS_WINDOW)) {
		sbi->restarts_since = jiffies;
		sbi->restarts = 0;
	}
	do {
		mxfs_daemon_kill(sbi);
		if (READ_ONCE(sbi->state) == MXFS_STATE_DEAD)
			return;
		if (++sbi->restarts > MXFS_RESTARTS_MAX) {
			mxfs_shutdown(sbi, "the daemon died too often");
			return;
		}
		err = mxfs_daemon_spawn(sbi, true);
		if (!err)
			err = mxfs_daemon_wait_ready(sbi);
	} while (err == -ECHILD);
	if (err) {
		mxfs_explain(sbi, err, why, sizeof(why));
		mxfs_daemon_kill(sbi);
		mxfs_shutdown(sbi, why);
		return;
	}
	mxfs_info(sbi, "a new daemon (pid %d) has taken over", pid_nr(sbi->daemon_pid));
}

/**
 * mxfs_daemon_stop - leave the cluster and end the daemon
 * @sbi: the mount
 *
 * XFS is detached already. Bounded, also when the daemon is dead or hangs; then the key stays
 * registered, which costs nothing but a line in the log here.
 */
void mxfs_daemon_stop(struct mxfs_sb *sbi)
{
	unsigned long end = jiffies + MXFS_LEAVE_SECONDS * HZ;

	/* A restart in progress is let finish: the new daemon unregisters the key. */
	flush_work(&sbi->restart_work);
	if (!sbi->daemon_pid)
		return;
	if (READ_ONCE(sbi->ready) && READ_ONCE(sbi->portid)) {
		mxfs_send_leave(sbi);
		while (!READ_ONCE(sbi->left) && READ_ONCE(sbi->portid) && !time_after(jiffies, end))
			wait_event_timeout(sbi->wait,
					   READ_ONCE(sbi->left) || !READ_ONCE(sbi->portid), HZ);
		if (!sbi->left)
			mxfs_warn(
				sbi,
				"the daemon did not leave the cluster%s; its key %016llx stays registered",
				READ_ONCE(sbi->portid) ? " in time" : ", it died", sbi->key);
		/* It exits by itself after LEFT. */
		wait_event_timeout(sbi->wait, !READ_ONCE(sbi->portid), 2 * HZ);
	}
	sbi->left = true;
	mxfs_daemon_kill(sbi);
	/* The last port that closed may have seen `left` unset. */
	cancel_work_sync(&sbi->restart_work);
}
