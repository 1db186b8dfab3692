// SPDX-License-Identifier: GPL-2.0-only
/*
 * mxfs: mounting and unmounting.
 *
 *	mount	claim the device > validate > probe with XFS > start the daemon, which decides with
 *		the storage array who owns, and attaches XFS if that is this node > READY
 *	umount	hold commands > sync > evict every inode > reap > detach XFS > the daemon leaves > give
 *		the device back
 */
#include <linux/backing-dev.h>
#include <linux/blkdev.h>
#include <linux/module.h>
#include <linux/quota.h>
#include <linux/slab.h>
#include <linux/statfs.h>
#include "compat.h"
#include "daemon/daemon.h"
#include "enter.h"
#include "local/local.h"
#include "local/lockstate.h"
#include "local/mount.h"
#include "local/orphan.h"
#include "local/validate.h"
#include "options.h"
#include "pages/cache.h"
#include "role/attach.h"
#include "role/lease.h"
#include "vfs/vfs.h"

#define MXFS_STATFS_JIFFIES (3 * HZ) /* to wait for ownership to count free blocks */

static atomic_t mxfs_mount_ids = ATOMIC_INIT(0);

void mxfs_sb_put(struct mxfs_sb *sbi)
{
	if (!refcount_dec_and_test(&sbi->ref))
		return;
	/* A message that came in at the last moment may have begun one. */
	cancel_delayed_work_sync(&sbi->lease.work);
	cancel_delayed_work_sync(&sbi->tell.work);
	cancel_work_sync(&sbi->change.shutdown_work);
	mxfs_device_close(sbi);
	put_pid(sbi->daemon.pid);
	if (sbi->change.worker)
		kthread_destroy_worker(sbi->change.worker);
	if (sbi->pages.wq)
		destroy_workqueue(sbi->pages.wq);
	mxfs_gates_destroy(sbi);
	kvfree(sbi->opens.others);
	kvfree(sbi->own.inos);
	if (sbi->cred)
		put_cred(sbi->cred);
	mxfs_options_free(&sbi->opts);
	kfree(sbi->source);
	kfree(sbi);
}

static struct mxfs_sb *mxfs_sb_alloc(void)
{
	struct mxfs_sb *sbi = kzalloc(sizeof(*sbi), GFP_KERNEL);

	if (!sbi)
		return NULL;
	if (mxfs_gates_init(sbi)) {
		kfree(sbi);
		return NULL;
	}
	refcount_set(&sbi->ref, 1);
	sbi->id = atomic_inc_return(&mxfs_mount_ids);
	sbi->state = MXFS_STATE_STARTING;
	sbi->ops = &mxfs_local_ops;
	INIT_LIST_HEAD(&sbi->list);
	mutex_init(&sbi->state_lock);
	init_waitqueue_head(&sbi->wait);
	spin_lock_init(&sbi->bind.lock);
	INIT_LIST_HEAD(&sbi->bind.inodes);
	INIT_LIST_HEAD(&sbi->bind.distrusting);
	INIT_LIST_HEAD(&sbi->bind.files);
	INIT_LIST_HEAD(&sbi->pages.inodes);
	init_waitqueue_head(&sbi->bind.drained);
	mutex_init(&sbi->orphans.lock);
	mutex_init(&sbi->opens.lock);
	mxfs_lockstate_init(sbi);
	INIT_LIST_HEAD(&sbi->opens.told);
	INIT_LIST_HEAD(&sbi->orphans.reap);
	init_llist_head(&sbi->orphans.reap_new);
	INIT_LIST_HEAD(&sbi->orphans.lent);
	sbi->own.reserve_used = true; /* until it is looked at */
	sbi->orphans.first = (u32)ktime_get_real_seconds();
	sbi->orphans.seq = sbi->orphans.first;
	INIT_WORK(&sbi->orphans.work, mxfs_reap_workfn);
	INIT_WORK(&sbi->daemon.restart_work, mxfs_restart_workfn);
	INIT_WORK(&sbi->change.shutdown_work, mxfs_shutdown_workfn);
	kthread_init_work(&sbi->change.dead_work, mxfs_dead_workfn);
	kthread_init_work(&sbi->change.reattach_work, mxfs_reattach_workfn);
	kthread_init_delayed_work(&sbi->change.work, mxfs_cmd_workfn);
	mutex_init(&sbi->tell.lock);
	spin_lock_init(&sbi->tell.result_lock);
	INIT_DELAYED_WORK(&sbi->tell.work, mxfs_result_workfn);
	spin_lock_init(&sbi->lease.lock);
	INIT_LIST_HEAD(&sbi->lease.entry);
	INIT_DELAYED_WORK(&sbi->lease.work, mxfs_lease_workfn);
	init_llist_head(&sbi->removed.list);
	INIT_DELAYED_WORK(&sbi->removed.work, mxfs_free_workfn);
	spin_lock_init(&sbi->stats_lock);
	mxfs_options_init(&sbi->opts);
	/* Nothing may start before the daemon has extended the lease. */
	sbi->lease_end = jiffies;
	sbi->cred = prepare_kernel_cred(&init_task);
	sbi->pages.wq = alloc_workqueue("mxfs-wb/%u", WQ_UNBOUND | WQ_MEM_RECLAIM, 0, sbi->id);
	if (!sbi->cred || !sbi->pages.wq) {
		mxfs_sb_put(sbi);
		return NULL;
	}
	return sbi;
}

static int mxfs_sync_fs(struct super_block *sb, int wait)
{
	struct mxfs_sb *sbi = MXFS_SB(sb);
	struct mxfs_op op;
	int err, left;

	if (!wait)
		return 0;
	/* On a node that does not own the volume everything is on disk. */
	err = mxfs_enter_sync(sbi);
	if (err == -ENOTCONN)
		return 0;
	if (err)
		return err;
	mxfs_begin_inside(&op, sbi);
	left = mxfs_cache_left_out_all(sbi);
	err = op.ops->sync(sb) ?: left;
	mxfs_end(&op);
	return err;
}

/*
 * The numbers are those of a moment in any case, so who asks is not kept waiting for them for long, or at all where nobody
 * could let anything start: umount(8) and many others ask this first.
 */
static int mxfs_statfs_remembered(struct mxfs_sb *sbi, struct kstatfs *buf)
{
	if (READ_ONCE(sbi->state) == MXFS_STATE_DEAD)
		return -EIO;
	spin_lock(&sbi->stats_lock);
	*buf = sbi->statfs;
	spin_unlock(&sbi->stats_lock);
	return 0;
}

static int mxfs_statfs(struct dentry *dentry, struct kstatfs *buf)
{
	struct mxfs_sb *sbi = MXFS_SB(dentry->d_sb);
	struct mxfs_op op;
	int err;

	if (!mxfs_try_enter(sbi)) {
		err = mxfs_is_stuck(sbi) ? -ETIMEDOUT : mxfs_enter_within(sbi, MXFS_STATFS_JIFFIES);
		if (err == -ETIMEDOUT)
			return mxfs_statfs_remembered(sbi, buf);
		if (err)
			return err;
	}
	mxfs_begin_inside(&op, sbi);
	err = op.ops->statfs(d_inode(dentry), buf);
	if (!err) {
		buf->f_type = MXFS_SUPER_MAGIC;
		spin_lock(&sbi->stats_lock);
		sbi->statfs = *buf;
		spin_unlock(&sbi->stats_lock);
	}
	mxfs_end(&op);
	return err;
}

static const struct super_operations mxfs_sops = {
	.alloc_inode = mxfs_alloc_inode,
	.free_inode = mxfs_free_inode,
	.drop_inode = mxfs_drop_inode,
	.evict_inode = mxfs_evict_inode,
	.sync_fs = mxfs_sync_fs,
	.statfs = mxfs_statfs,
	.show_options = mxfs_show_options,
};

static int mxfs_make_root(struct mxfs_sb *sbi, struct fs_context *fc)
{
	struct mxfs_found found;
	struct vfsmount *mnt;
	struct inode *inode;
	int err, end;

	mnt = mxfs_probe(sbi, fc, &found);
	if (IS_ERR(mnt))
		return PTR_ERR(mnt);
	inode = mxfs_iget(sbi->sb, &found, false);
	err = PTR_ERR_OR_ZERO(inode);
	if (!err) {
		sbi->sb->s_root = d_make_root(inode);
		if (!sbi->sb->s_root)
			err = -ENOMEM;
	}
	end = mxfs_probe_end(sbi, mnt, fc);
	return err ?: end;
}

static int mxfs_fill_super(struct super_block *sb, struct fs_context *fc)
{
	struct mxfs_sb *sbi = MXFS_SB(sb);
	int err;

	sbi->sb = sb;
	sbi->rdonly = sb_rdonly(sb);
	sb->s_magic = MXFS_SUPER_MAGIC;
	sb->s_op = &mxfs_sops;
	mxfs_set_dentry_ops(sb, &mxfs_dops);
	sb->s_xattr = mxfs_xattr_handlers;
	sb->s_export_op = &mxfs_export_ops;
	sb->s_qcop = &mxfs_quota_ops;
	sb->s_quota_types = QTYPE_MASK_USR | QTYPE_MASK_GRP | QTYPE_MASK_PRJ;
	sb->s_flags |= SB_POSIXACL;
	err = super_setup_bdi(sb);
	if (err)
		return err;
	sbi->change.worker = mxfs_run_worker(sbi->id);
	if (IS_ERR(sbi->change.worker)) {
		err = PTR_ERR(sbi->change.worker);
		sbi->change.worker = NULL;
		return err;
	}

	err = mxfs_claim(sbi);
	if (err) {
		mxfs_err(
			sbi,
			"not mounted: the device cannot be had exclusively (%pe): mounted as something else, or held (by multipath, md, LVM, a program, or mxfs because another partition of the disk is mounted), on this node?",
			ERR_PTR(err));
		errorf(fc,
		       "mxfs: %s cannot be had exclusively (%pe): mounted as something else, or held (by multipath, md, LVM, a program, or mxfs because another partition of the disk is mounted), on this node?",
		       sbi->source, ERR_PTR(err));
		return err;
	}
	/*
	 * Nothing is read or written by this way. The loop driver asks for the size of a block that O_DIRECT can write
	 * (newer ones ask statx(2)), and a remount whether the device can be written.
	 */
	sb->s_bdev = file_bdev(sbi->device.pin);
	if (!sbi->rdonly) {
		err = mxfs_device_writable(sbi, fc);
		if (err)
			return err;
	}
	err = mxfs_validate(sbi, fc);
	if (err)
		return err;
	super_set_uuid(sb, sbi->geo.uuid, MXFS_UUID_SIZE);
	err = mxfs_make_root(sbi, fc);
	if (err)
		return err;
	if (sbi->opts.validate) {
		mxfs_info(sbi, "valid: XFS %pU, %llu blocks of %u bytes; nothing mounted",
			  sbi->geo.uuid, sbi->geo.blocks, sbi->geo.blocksize);
		errorf(fc,
		       "mxfs: %s is valid: XFS %pU, %llu blocks of %u bytes; nothing mounted (validate)",
		       sbi->source, sbi->geo.uuid, sbi->geo.blocks, sbi->geo.blocksize);
		return -ECANCELED;
	}

	mxfs_lease_add(sbi);
	err = mxfs_netlink_add(sbi, fc);
	if (err)
		return err;
	mxfs_debugfs_add(sbi);
	err = mxfs_daemon_start(sbi, fc);
	if (err)
		return err;
	mutex_lock(&sbi->state_lock);
	if (sbi->state == MXFS_STATE_STARTING)
		WRITE_ONCE(sbi->state, MXFS_STATE_DETACHED);
	mutex_unlock(&sbi->state_lock);
	wake_up_all(&sbi->wait);
	if (!sbi->clustered)
		mxfs_warn(
			sbi,
			"the device has no SCSI-3 persistent reservations: mounted for this node alone; no other node may mount it");
	mxfs_info(sbi, "mounted, XFS %pU, %s, epoch %llu", sbi->geo.uuid,
		  sbi->role == MXFS_ROLE_OWNER ? "owner" : "member", sbi->epoch);
	return 0;
}

/* Not by s_fs_info, which is gone before the superblock is taken for dead. */
static int mxfs_test_super(struct super_block *sb, struct fs_context *fc)
{
	struct mxfs_sb *mine = fc->s_fs_info;

	return sb->s_dev == mine->dev;
}

/*
 * The device's own number, as on XFS: what stat(2) shows stays the same from mount to mount, and tools
 * find the device by it. The XFS below has it as well; who looks for a superblock by its device
 * (quotactl(2), ustat(2)) finds this one, which is always the older.
 */
static int mxfs_set_super(struct super_block *sb, struct fs_context *fc)
{
	struct mxfs_sb *sbi = fc->s_fs_info;

	sb->s_dev = sbi->dev;
	return 0;
}

static int mxfs_get_tree(struct fs_context *fc)
{
	struct mxfs_sb *sbi = fc->s_fs_info;
	struct super_block *sb;
	const char *differs;
	int err;

	if (!fc->source || !*fc->source)
		return invalf(fc, "mxfs: no device given");
	if (sbi->opts.validate)
		fc->sb_flags |= SB_RDONLY;
	err = mxfs_device_open(sbi, fc->source, fc);
	if (err)
		return err;
	sbi->source = kstrdup(fc->source, GFP_KERNEL);
	if (!sbi->source)
		return -ENOMEM;

	sb = sget_fc(fc, mxfs_test_super, mxfs_set_super);
	if (IS_ERR(sb))
		return PTR_ERR(sb);
	if (sb->s_root) {
		/*
		 * A second mount of the same device on this node is the same file system, as
		 * everywhere in Linux.
		 */
		if ((fc->sb_flags ^ sb->s_flags) & SB_RDONLY || sbi->opts.validate) {
			errorf(fc, "mxfs: %s is already mounted on this node%s", sbi->source,
			       sb_rdonly(sb) ? ", read-only" : "");
			deactivate_locked_super(sb);
			return -EBUSY;
		}
		differs = mxfs_options_differ(MXFS_SB(sb), &sbi->opts);
		if (differs) {
			errorf(fc, "mxfs: %s is already mounted on this node, and not with this %s",
			       sbi->source, differs);
			deactivate_locked_super(sb);
			return -EBUSY;
		}
	} else {
		err = mxfs_fill_super(sb, fc);
		if (err) {
			deactivate_locked_super(sb);
			return err;
		}
		sb->s_flags |= SB_ACTIVE;
	}
	fc->root = dget(sb->s_root);
	return 0;
}

static int mxfs_reconfigure(struct fs_context *fc)
{
	struct mxfs_sb *sbi = MXFS_SB(fc->root->d_sb), *given = fc->s_fs_info;
	const char *differs = mxfs_options_differ(sbi, &given->opts);
	int err;

	if (differs)
		return invalf(fc, "mxfs: %s cannot be changed while the volume is mounted", differs);
	sync_filesystem(fc->root->d_sb);
	if (sbi->rdonly && (fc->sb_flags_mask & SB_RDONLY) && !(fc->sb_flags & SB_RDONLY)) {
		err = mxfs_device_writable(sbi, fc);
		return err ?: mxfs_make_writable(sbi);
	}
	return 0;
}

static void mxfs_free_fc(struct fs_context *fc)
{
	if (fc->s_fs_info)
		mxfs_sb_put(fc->s_fs_info);
}

static const struct fs_context_operations mxfs_context_ops = {
	.parse_param = mxfs_parse_param,
	.get_tree = mxfs_get_tree,
	.reconfigure = mxfs_reconfigure,
	.free = mxfs_free_fc,
};

static int mxfs_init_fs_context(struct fs_context *fc)
{
	/* A reconfiguration only parses: its context is thrown away. */
	fc->s_fs_info = mxfs_sb_alloc();
	if (!fc->s_fs_info)
		return -ENOMEM;
	fc->ops = &mxfs_context_ops;
	return 0;
}

/*
 * Also the end of a mount that failed anywhere in mxfs_fill_super(): each step here does nothing
 * where its counterpart was not reached.
 */
static void mxfs_kill_sb(struct super_block *sb)
{
	struct mxfs_sb *sbi = MXFS_SB(sb);

	mxfs_hold(sbi);
	mxfs_free_all(sbi);
	/* Syncs, drops every dentry, evicts every inode. What the daemon asks for meanwhile waits. */
	generic_shutdown_super(sb);
	if (!sbi->source)
		goto out;
	if (!sbi->daemon.failed && sbi->daemon.pid) {
		/* Not before: other nodes, and sync(2) of this one, would wait for it. */
		mxfs_unhold(sbi);
		mxfs_reap_all(sbi);
		mxfs_hold(sbi);
	}
	mxfs_detach_final(sbi);
	mxfs_reap_end(sbi);
	mxfs_daemon_stop(sbi);
	mxfs_debugfs_del(sbi);
	mxfs_netlink_del(sbi);
	mxfs_lease_del(sbi);
	/* What tools read next is what is on disk. */
	if (sbi->device.claim)
		invalidate_bdev(file_bdev(sbi->device.claim));
	sb->s_bdev = NULL;
	mxfs_device_close(sbi);
	if (sbi->role)
		mxfs_info(sbi, "unmounted");
out:
	mxfs_sb_put(sbi);
}

struct file_system_type mxfs_fs_type = {
	.owner = THIS_MODULE,
	.name = "mxfs",
	.init_fs_context = mxfs_init_fs_context,
	.parameters = mxfs_params,
	.kill_sb = mxfs_kill_sb,
	.fs_flags = FS_REQUIRES_DEV,
};
