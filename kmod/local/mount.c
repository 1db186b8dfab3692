// SPDX-License-Identifier: GPL-2.0-only
/*
 * mxfs: the device, and XFS mounted on it.
 *
 * A name is looked up once, in mount(2), where the mounter means something by it. From then on the
 * device is its number, which cannot become another device's: it is kept open for the whole life of
 * the mount (@pin). Whatever happens to names in /dev, in containers, or to the links that udev
 * makes, what is claimed, fenced and mounted is the same device.
 *
 * XFS takes a name nevertheless, and looks it up from the root or the working directory of the task
 * that mounts. So a thread does that whose working directory nobody else can reach: a file system
 * in memory, mounted nowhere, with one node in it, of the device's number and the kernel's name for
 * it. The thread lives for one mount of XFS; it also has the kernel's credentials and control group,
 * whoever asks.
 */
#include <linux/blkdev.h>
#include <linux/completion.h>
#include <linux/delay.h>
#include <linux/file.h>
#include <linux/kthread.h>
#include "apply.h"
#include "compat.h"
#include "local/bind.h"
#include "local/lockstate.h"
#include "local/mount.h"
#include "local/own.h"
#include "local/validate.h"
#include "options.h"

#define MXFS_PROBE_TRIES 5
#define MXFS_RECLAIM_MS 20
/* Flags of the superblock that mean the same below. */
#define MXFS_LOWER_FLAGS (SB_SYNCHRONOUS | SB_DIRSYNC | SB_LAZYTIME)

/**
 * mxfs_device_open - find the device by the name that the mounter gave, and keep it
 * @sbi: the mount
 * @name: the name, as it is understood where mount(2) was called
 * @fc: where mount(8) reads messages
 *
 * Return: 0, or why there is no such device.
 */
int mxfs_device_open(struct mxfs_sb *sbi, const char *name, struct fs_context *fc)
{
	struct file *pin;
	int err;

	err = lookup_bdev(name, &sbi->dev);
	if (err) {
		errorf(fc, "mxfs: %s is no block device (%pe)", name, ERR_PTR(err));
		return err;
	}
	pin = bdev_file_open_by_dev(sbi->dev, BLK_OPEN_READ, NULL, NULL);
	if (IS_ERR(pin)) {
		errorf(fc, "mxfs: %s cannot be opened (%pe)", name, pin);
		return PTR_ERR(pin);
	}
	sbi->device.pin = pin;
	snprintf(sbi->name, sizeof(sbi->name), "%pg", file_bdev(pin));
	return 0;
}

/**
 * mxfs_device_writable - may the current task have the device written to, and can it be?
 * @sbi: the mount
 * @fc: where mount(8) reads messages
 *
 * XFS is mounted by a thread of the kernel's, so its own look at this would come too late, and be
 * at the wrong task.
 *
 * Return: 0; -EACCES or -EROFS for a device that is write-protected (mount(8) then tries again
 * read-only); -EPERM.
 */
int mxfs_device_writable(struct mxfs_sb *sbi, struct fs_context *fc)
{
	struct file *file;

	file = bdev_file_open_by_dev(sbi->dev, BLK_OPEN_READ | BLK_OPEN_WRITE, NULL, NULL);
	if (!IS_ERR(file)) {
		bdev_fput(file);
	} else if (PTR_ERR(file) != -EBUSY) { /* busy: our own XFS keeps writers away (bdev_may_open()) */
		errorf(fc, "mxfs: %s cannot be opened for writing (%pe)", sbi->name, file);
		return PTR_ERR(file);
	}
	/* Programs may open such a device for writing (setup_bdev_super() in fs/super.c). */
	if (bdev_read_only(file_bdev(sbi->device.pin))) {
		errorf(fc, "mxfs: %s is write-protected; it can be mounted read-only (ro)", sbi->name);
		return -EACCES;
	}
	return 0;
}

static void mxfs_unclaim(struct mxfs_sb *sbi)
{
	if (sbi->device.claim)
		bdev_fput(sbi->device.claim);
	sbi->device.claim = NULL;
}

void mxfs_device_close(struct mxfs_sb *sbi)
{
	mxfs_unclaim(sbi);
	if (sbi->device.node)
		mxfs_kernel_unmount(sbi->device.node);
	sbi->device.node = NULL;
	if (sbi->device.pin)
		bdev_fput(sbi->device.pin);
	sbi->device.pin = NULL;
}

int mxfs_claim(struct mxfs_sb *sbi)
{
	struct file *claim;

	if (sbi->device.claim)
		return 0;
	claim = bdev_file_open_by_dev(sbi->dev, BLK_OPEN_READ, sbi, NULL);
	if (IS_ERR(claim))
		return PTR_ERR(claim);
	sbi->device.stays = false;
	sbi->device.claim = claim;
	return 0;
}

/**
 * mxfs_claim_within - as mxfs_claim(), for a while
 * @sbi: the mount
 * @limit: jiffies
 *
 * Return: 0, or what it failed with last.
 */
int mxfs_claim_within(struct mxfs_sb *sbi, long limit)
{
	unsigned long end = jiffies + limit;
	int err;

	while ((err = mxfs_claim(sbi)) == -EBUSY && time_before(jiffies, end))
		msleep(MXFS_RECLAIM_MS);
	return err;
}

/**
 * mxfs_reclaim - have the device exclusively again, after XFS was unmounted, or could not be mounted
 * @sbi: the mount
 * @why: it may be somebody else's now, for the kernel log
 *
 * For the moment between our letting go and XFS's taking hold, another program can be quicker: it
 * may be writing to the device now. And an XFS that somebody has frozen stays until he ends that. A path that is gone
 * may come back, and memory may be had again. As long as that lasts, this node must not say that the
 * volume can go to another one; so the caller waits here, and says nothing to the daemon. Umount
 * ends it.
 *
 * Return: 0 when we have it; -EBUSY when umount has begun.
 */
int mxfs_reclaim(struct mxfs_sb *sbi, const char *why)
{
	int err = mxfs_claim(sbi);

	if (!err)
		return 0;
	mxfs_err(sbi, "%s (%pe); the volume stays here as long as that lasts", why, ERR_PTR(err));
	WRITE_ONCE(sbi->change.reclaiming, true);
	/* A remount is not kept waiting: it has s_umount, without which no umount begins. */
	wake_up_all(&sbi->wait);
	while ((err = mxfs_claim(sbi)) && !READ_ONCE(sbi->change.held))
		msleep(MXFS_RECLAIM_MS);
	WRITE_ONCE(sbi->change.reclaiming, false);
	if (err)
		return -EBUSY;
	mxfs_info(sbi, "the device is free again on this node");
	return 0;
}

/* In the thread: its working directory becomes the one with the node in it. */
static int mxfs_go_to_node(struct mxfs_sb *sbi)
{
	struct file_system_type *type;
	struct dentry *child;
	struct fs_context *fc;
	struct vfsmount *mnt;
	struct path path;
	int err;

	/* Threads of the kernel share one root and working directory. */
	err = unshare_fs_struct();
	if (err)
		return err;
	if (!sbi->device.node) {
		type = get_fs_type("ramfs");
		if (!type)
			return -ENODEV;
		fc = fs_context_for_mount(type, SB_KERNMOUNT);
		module_put(type->owner); /* what put_filesystem(), which is not exported, does */
		if (IS_ERR(fc))
			return PTR_ERR(fc);
		mnt = mxfs_kernel_mount(fc);
		put_fs_context(fc);
		if (IS_ERR(mnt))
			return PTR_ERR(mnt);
		child = mxfs_begin_create(mnt->mnt_root, sbi->name, strlen(sbi->name));
		err = PTR_ERR_OR_ZERO(child);
		if (!err) {
			err = mxfs_vfs_mknod(mnt->mnt_root, child, S_IFBLK | 0600, sbi->dev);
			mxfs_end_change(mnt->mnt_root, child);
		}
		if (err) {
			mxfs_kernel_unmount(mnt);
			return err;
		}
		sbi->device.node = mnt;
	}
	path.mnt = sbi->device.node;
	path.dentry = sbi->device.node->mnt_root;
	mxfs_set_pwd(&path);
	return 0;
}

/*
 * Quotas belong to the volume: XFS keeps in its superblock which are on, a mount that does not ask
 * for them switches them off, and to have them on again costs a count of every inode. So what was
 * given to mount(8) is said once, at the first attach, and from then on, or where nothing was given,
 * what the disk says: nodes that were given different things do not undo each other's at each turn.
 * The disk is read before the log is replayed, so what changes them is written home at once (local/home.c), also where XFS was
 * mounted otherwise than the log had it.
 */
static int mxfs_choose_quotas(struct mxfs_sb *sbi)
{
	struct mxfs_opts *opts = &sbi->opts;
	u16 quotas;
	int err;

	err = mxfs_read_quotas(sbi, &quotas);
	if (err)
		return err;
	if (opts->quotas_given && quotas != opts->quotas) {
		if (!sbi->device.quotas_said)
			quotas = opts->quotas;
		else if (quotas != sbi->device.quotas)
			mxfs_warn(sbi,
				  "another node was mounted with other quota options than this one, which now hold here, too");
	}
	WRITE_ONCE(sbi->device.quotas, quotas);
	return 0;
}

static struct vfsmount *mxfs_mount_xfs(struct mxfs_sb *sbi, bool probe)
{
	struct file_system_type *type;
	struct fs_context *fc;
	struct vfsmount *mnt;
	unsigned int flags = SB_KERNMOUNT;
	int err;

	err = mxfs_go_to_node(sbi);
	if (err)
		return ERR_PTR(err);
	type = get_fs_type("xfs");
	if (!type)
		return ERR_PTR(-ENODEV);
	flags |= READ_ONCE(sbi->sb->s_flags) & MXFS_LOWER_FLAGS;
	if (probe || sbi->rdonly)
		flags |= SB_RDONLY;
	fc = fs_context_for_mount(type, flags);
	module_put(type->owner);
	if (IS_ERR(fc))
		return ERR_CAST(fc);
	err = mxfs_parse_string(fc, "source", sbi->name);
	if (!err && probe)
		err = mxfs_parse_string(fc, "norecovery", NULL);
	if (!err && !(flags & SB_RDONLY))
		err = mxfs_choose_quotas(sbi);
	if (!err)
		err = mxfs_give_xfs_options(&sbi->opts, fc,
					    flags & SB_RDONLY ? 0 : READ_ONCE(sbi->device.quotas));
	/* What was read until now may have been long in coming. */
	if (!err && !probe && time_after_eq(jiffies, READ_ONCE(sbi->lease_end)))
		err = -ETIME;
	if (err) {
		put_fs_context(fc);
		return ERR_PTR(err);
	}
	mxfs_unclaim(sbi);
	mnt = mxfs_kernel_mount(fc);
	put_fs_context(fc);
	/* From now on XFS is there until the device was had exclusively: it may outlive its unmount, frozen by somebody. */
	if (!IS_ERR(mnt) || PTR_ERR(mnt) == -EBUSY)
		sbi->device.stays = true;
	return mnt;
}

struct mxfs_mounting {
	struct mxfs_sb *sbi;
	bool probe;
	struct vfsmount *mnt;
	struct completion done;
};

static int mxfs_mounter(void *data)
{
	struct mxfs_mounting *job = data;

	job->mnt = mxfs_mount_xfs(job->sbi, job->probe);
	/* Not by a return: nothing of the module may be run by this thread once it was waited for. */
	kthread_complete_and_exit(&job->done, 0);
}

/* Is what was mounted what was claimed, and ours alone? */
static int mxfs_check_mounted(struct mxfs_sb *sbi, struct super_block *lower)
{
	/*
	 * A user's own `mount -t xfs` that slipped in before shares this superblock: it would keep
	 * XFS mounted after a hand-over. One that comes later is refused by the retired superblock
	 * (fs/super.c: super_s_dev_test()).
	 */
	lower->s_iflags |= SB_I_RETIRED;
	if (atomic_read(&lower->s_active) != 1) {
		mxfs_err(
			sbi,
			"the device is also mounted as plain xfs on this node; unmount that first");
		return -EBUSY;
	}
	if (WARN_ON_ONCE(lower->s_dev != sbi->dev || lower->s_bdev != file_bdev(sbi->device.pin)))
		return -EIO;
	if (lower->s_uuid_len != MXFS_UUID_SIZE ||
	    memcmp(&lower->s_uuid, sbi->geo.uuid, MXFS_UUID_SIZE)) {
		mxfs_err(sbi, "the device carries another volume now (UUID %pU, expected %pU)",
			 &lower->s_uuid, sbi->geo.uuid);
		return -ESTALE;
	}
	return 0;
}

/**
 * mxfs_lower_mount - mount the XFS of this volume
 * @sbi: the mount; its claim on the device is given up for it
 * @probe: read-only and without log recovery, so that not one block is written
 *
 * Return: the mount; or an ERR_PTR, with the claim taken again where that is possible.
 */
struct vfsmount *mxfs_lower_mount(struct mxfs_sb *sbi, bool probe)
{
	struct mxfs_mounting job = {
		.sbi = sbi,
		.probe = probe,
		.done = COMPLETION_INITIALIZER_ONSTACK(job.done),
	};
	struct task_struct *thread;
	struct vfsmount *mnt;
	u16 quotas;
	int err;

	thread = kthread_run(mxfs_mounter, &job, "mxfs-mount/%u", sbi->id);
	if (IS_ERR(thread))
		return ERR_CAST(thread);
	/* XFS mounts as long as its log recovery takes: that is no hung task, and cannot be interrupted. */
	wait_for_completion_state(&job.done, TASK_IDLE);
	mnt = job.mnt;
	err = PTR_ERR_OR_ZERO(mnt);
	if (!err) {
		err = mxfs_check_mounted(sbi, mnt->mnt_sb);
		if (err)
			mxfs_kernel_unmount(mnt);
	}
	if (err) {
		if (mxfs_claim(sbi))
			mxfs_warn(sbi, "the device was taken by somebody else on this node");
		return ERR_PTR(err);
	}
	if (!sb_rdonly(mnt->mnt_sb)) {
		sbi->device.quotas_said = true;
		/* What an unmount has written home is due no more. */
		sbi->device.home_due = mxfs_read_quotas(sbi, &quotas) || quotas != sbi->device.quotas;
	}
	/* Upper mounts decide about atime; without this every read would write. */
	mnt->mnt_flags |= MNT_RELATIME;
	return mnt;
}

/**
 * mxfs_probe - let XFS's own verifiers look at the volume, and take from it what the upper
 * superblock needs
 * @sbi: the mount, validated, holding its claim
 * @fc: where mount(8) reads messages
 * @root: filled in
 *
 * Another node may own the volume and write to it meanwhile, so a probe can catch metadata in
 * motion: it is repeated, a bounded number of times.
 *
 * Return: XFS mounted, for mxfs_probe_end(); or an ERR_PTR.
 */
struct vfsmount *mxfs_probe(struct mxfs_sb *sbi, struct fs_context *fc, struct mxfs_found *root)
{
	struct super_block *sb = sbi->sb;
	struct vfsmount *mnt;
	char options[128];
	int try, err;

	for (try = 1;; try++) {
		mnt = mxfs_lower_mount(sbi, true);
		if (!IS_ERR(mnt))
			break;
		if (try == MXFS_PROBE_TRIES || PTR_ERR(mnt) == -ENODEV || PTR_ERR(mnt) == -EBUSY ||
		    fatal_signal_pending(current)) {
			mxfs_xfs_options_text(&sbi->opts, options, sizeof(options));
			errorf(fc,
			       "mxfs: XFS refuses %s%s%s (%pe after %d tries); see the lines of XFS in the kernel log",
			       sbi->source, *options ? " with " : "", options, mnt, try);
			mxfs_err(sbi, "XFS refuses the volume%s%s (%pe after %d tries)",
				 *options ? " with " : "", options, mnt, try);
			return mnt;
		}
	}
	/*
	 * A mount leaves that to its attach, before which the log is replayed: without, a file may be there by name and be what its inode
	 * was before. To validate is to say what the disk shows.
	 */
	err = sbi->opts.validate ? mxfs_own_check(sbi, mnt->mnt_root) : 0;
	if (err) {
		errorf(fc, "mxfs: %s", sbi->own.refused);
		goto out;
	}
	mxfs_lockstate_probe(sbi, mnt);
	sb->s_maxbytes = mnt->mnt_sb->s_maxbytes;
	sb->s_time_gran = mnt->mnt_sb->s_time_gran;
	sb->s_time_min = mnt->mnt_sb->s_time_min;
	sb->s_time_max = mnt->mnt_sb->s_time_max;
	sb->s_blocksize = mnt->mnt_sb->s_blocksize;
	sb->s_blocksize_bits = mnt->mnt_sb->s_blocksize_bits;
	sb->s_stack_depth = mnt->mnt_sb->s_stack_depth + 1;
	/* A kernel whose XFS has no access control lists: then it is the VFS that obeys the umask. */
	if (!(mnt->mnt_sb->s_flags & SB_POSIXACL))
		sb->s_flags &= ~SB_POSIXACL;
	err = vfs_statfs(&(struct path){ .mnt = mnt, .dentry = mnt->mnt_root }, &sbi->statfs);
	if (err)
		goto out;
	sbi->statfs.f_type = MXFS_SUPER_MAGIC;
	mxfs_found_is(root, dget(mnt->mnt_root));
	return mnt;
out:
	mxfs_kernel_unmount(mnt);
	mxfs_claim(sbi);
	return ERR_PTR(err);
}

/**
 * mxfs_probe_end - unmount what mxfs_probe() has mounted
 * @sbi: the mount
 * @mnt: of XFS
 * @fc: where mount(8) reads messages
 *
 * Return: 0, with the claim taken again; or why it cannot be had.
 */
int mxfs_probe_end(struct mxfs_sb *sbi, struct vfsmount *mnt, struct fs_context *fc)
{
	struct dentry *root = sbi->sb->s_root, *lower;
	int err;

	/* The root's lower dentry belongs to the probe. */
	if (root) {
		spin_lock(&sbi->bind.lock);
		lower = mxfs_take_lower(MXFS_I(d_inode(root)));
		spin_unlock(&sbi->bind.lock);
		dput(lower);
		MXFS_I(d_inode(root))->attr_seq = 0;
	}
	mxfs_kernel_unmount(mnt);
	err = mxfs_claim(sbi);
	if (err)
		errorf(fc, "mxfs: %s was taken by somebody else on this node", sbi->source);
	return err;
}

/**
 * mxfs_carry_errors - what XFS could not write is for syncfs(2) above to tell, once to each open file
 * @sbi: the mount
 * @lower: XFS's superblock, after it was synced
 *
 * Return: 0, or the error that was not known above yet.
 */
int mxfs_carry_errors(struct mxfs_sb *sbi, struct super_block *lower)
{
	int err;

	spin_lock(&sbi->bind.lock);
	err = errseq_check_and_advance(&lower->s_wb_err, &sbi->change.wb_err);
	spin_unlock(&sbi->bind.lock);
	if (err)
		errseq_set(&sbi->sb->s_wb_err, err);
	return err;
}
