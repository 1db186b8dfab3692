// SPDX-License-Identifier: GPL-2.0-only
/*
 * mxfs: files that are open but have no name.
 *
 * XFS keeps an unlinked file for as long as it is open, but a change of owner unmounts XFS, and no
 * handle finds such a file again. So the last link of a file that is open here is not removed
 * before a second one exists in .mxfs/orphans; that one is removed when the last open file is
 * closed, or at the next chance after it, or at umount. A crash leaves at worst a link too many
 * there: the next mount by the same node removes it.
 *
 * The name there is "<reservation key>-<number>": each node reaps its own, and those of its own
 * earlier incarnations.
 */
#include <linux/namei.h>
#include <linux/slab.h>
#include "mxfs.h"

#define MXFS_ORPHAN_NAME_LEN 25 /* 16 + 1 + 8 */

static void mxfs_orphan_name(struct mxfs_sb *sbi, u32 seq, char *name)
{
	snprintf(name, MXFS_ORPHAN_NAME_LEN + 1, "%016llx-%08x", sbi->key, seq);
}

static struct dentry *mxfs_subdir(struct dentry *parent, const char *name, bool create)
{
	struct dentry *dir = mxfs_lookup_lower(parent, name, strlen(name));
	int err;

	if (!IS_ERR(dir) && d_really_is_negative(dir) && create) {
		dput(dir);
		dir = mxfs_begin_create(parent, name, strlen(name));
		if (!IS_ERR(dir)) {
			err = mxfs_vfs_mkdir(parent, &dir, 0700);
			mxfs_end_change(parent, dir);
			if (err)
				return ERR_PTR(err);
		} else if (PTR_ERR(dir) != -EEXIST) {
			return dir;
		}
		dir = mxfs_lookup_lower(parent, name, strlen(name));
	}
	if (!IS_ERR(dir) && !d_is_dir(dir)) {
		err = d_really_is_negative(dir) ? -ENOENT : -ENOTDIR;
		dput(dir);
		return ERR_PTR(err);
	}
	return dir;
}

/* .mxfs/orphans with a reference. Inside the operation gate, with sbi->cred. */
static struct dentry *mxfs_orphan_dir(struct mxfs_sb *sbi, bool create)
{
	struct dentry *top, *dir;

	top = mxfs_subdir(sbi->lower->mnt_root, ".mxfs", create);
	if (IS_ERR(top))
		return top;
	dir = mxfs_subdir(top, "orphans", create);
	dput(top);
	return dir;
}

/* Removes one entry; -ENOENT when there is none. Inside the operation gate, with sbi->cred. */
static int mxfs_orphan_unlink(struct dentry *dir, const char *name)
{
	struct dentry *lower = mxfs_begin_remove(dir, name, strlen(name));
	int err;

	if (IS_ERR(lower))
		return PTR_ERR(lower);
	err = vfs_unlink(&nop_mnt_idmap, d_inode(dir), lower, NULL);
	mxfs_end_change(dir, lower);
	return err;
}

/**
 * mxfs_orphan_keep - give an inode a link in .mxfs/orphans
 * @inode: upper
 *
 * Inside the operation gate. Does nothing when it has one.
 */
int mxfs_orphan_keep(struct inode *inode)
{
	struct mxfs_sb *sbi = MXFS_ISB(inode);
	struct mxfs_inode *mi = MXFS_I(inode);
	char name[MXFS_ORPHAN_NAME_LEN + 1];
	const struct cred *old_cred;
	struct mxfs_orphan *orphan;
	struct dentry *dir, *lower, *link;
	int err;

	lower = mxfs_lower(inode);
	if (IS_ERR(lower))
		return PTR_ERR(lower);
	orphan = kmalloc(sizeof(*orphan), GFP_KERNEL);
	if (!orphan)
		return -ENOMEM;
	INIT_LIST_HEAD(&orphan->entry);

	mutex_lock(&sbi->orphan_lock);
	if (mi->orphan) {
		mutex_unlock(&sbi->orphan_lock);
		kfree(orphan);
		return 0;
	}
	orphan->seq = ++sbi->orphan_seq;
	mxfs_orphan_name(sbi, orphan->seq, name);
	old_cred = override_creds(sbi->cred);
	dir = mxfs_orphan_dir(sbi, true);
	if (IS_ERR(dir)) {
		err = PTR_ERR(dir);
		goto out_cred;
	}
	link = mxfs_begin_create(dir, name, strlen(name));
	if (IS_ERR(link)) {
		err = PTR_ERR(link);
	} else {
		err = vfs_link(lower, &nop_mnt_idmap, d_inode(dir), link, NULL);
		mxfs_end_change(dir, link);
	}
	dput(dir);
out_cred:
	revert_creds(old_cred);
	if (!err)
		WRITE_ONCE(mi->orphan, orphan);
	else
		kfree(orphan);
	mutex_unlock(&sbi->orphan_lock);
	return err;
}

/**
 * mxfs_orphan_prepare - before the last name of an inode goes
 * @inode: upper
 *
 * Where the inode is open here, it gets its link in .mxfs/orphans. Where it is not, it is marked,
 * so that an open() that found the name before fails instead of holding a file that cannot be found
 * again. The VFS holds the inode's lock.
 */
int mxfs_orphan_prepare(struct inode *inode)
{
	struct mxfs_inode *mi = MXFS_I(inode);
	bool open;
	int err;

	if (!S_ISREG(inode->i_mode))
		return 0;
	err = mxfs_refresh_attr(inode);
	if (err)
		return err;
	if (inode->i_nlink > 1 || mi->orphan)
		return 0;
	spin_lock(&inode->i_lock);
	open = mi->opens;
	if (!open)
		mi->unlinked = true;
	spin_unlock(&inode->i_lock);
	return open ? mxfs_orphan_keep(inode) : 0;
}

/* The name stayed after all. The extra link, if one was made, goes when the file is closed. */
void mxfs_orphan_abort(struct inode *inode)
{
	spin_lock(&inode->i_lock);
	MXFS_I(inode)->unlinked = false;
	spin_unlock(&inode->i_lock);
}

/* Inside the operation gate. */
static void mxfs_reap(struct mxfs_sb *sbi)
{
	char name[MXFS_ORPHAN_NAME_LEN + 1];
	const struct cred *old_cred;
	struct mxfs_orphan *orphan;
	struct dentry *dir;
	int err;

	old_cred = override_creds(sbi->cred);
	mutex_lock(&sbi->orphan_lock);
	dir = list_empty(&sbi->reap) ? NULL : mxfs_orphan_dir(sbi, false);
	while (!IS_ERR_OR_NULL(dir) && !list_empty(&sbi->reap)) {
		orphan = list_first_entry(&sbi->reap, struct mxfs_orphan, entry);
		mxfs_orphan_name(sbi, orphan->seq, name);
		err = mxfs_orphan_unlink(dir, name);
		if (err && err != -ENOENT) {
			mxfs_warn(
				sbi,
				".mxfs/orphans/%s cannot be removed (%pe); the next mount tries again",
				name, ERR_PTR(err));
			if (err == -EIO)
				break;
		}
		list_del(&orphan->entry);
		kfree(orphan);
	}
	mutex_unlock(&sbi->orphan_lock);
	if (!IS_ERR_OR_NULL(dir))
		dput(dir);
	revert_creds(old_cred);
}

/*
 * The last open file of an orphan was closed. Ownership is not taken for it: it waits for the next
 * attach, or umount.
 */
void mxfs_orphan_closed(struct inode *inode)
{
	struct mxfs_sb *sbi = MXFS_ISB(inode);
	struct mxfs_inode *mi = MXFS_I(inode);
	struct mxfs_orphan *orphan;
	bool queue = false;

	mutex_lock(&sbi->orphan_lock);
	spin_lock(&inode->i_lock);
	orphan = mi->orphan;
	if (orphan && !mi->opens) {
		mi->orphan = NULL;
		/* It may have no other link: nobody opens it any more, not even through /proc. */
		mi->unlinked = !inode->i_nlink;
		queue = true;
	}
	spin_unlock(&inode->i_lock);
	if (queue)
		list_add_tail(&orphan->entry, &sbi->reap);
	mutex_unlock(&sbi->orphan_lock);
	if (!queue)
		return;
	/* At once where that needs no waiting; else mxfs_attach() sees to it. */
	if (mxfs_try_enter(sbi)) {
		mxfs_reap(sbi);
		mxfs_leave(sbi);
	}
}

struct mxfs_stale {
	struct dir_context ctx;
	struct mxfs_sb *sbi;
	unsigned int found;
	char names[32][MXFS_ORPHAN_NAME_LEN + 1];
};

static bool mxfs_stale_actor(struct dir_context *ctx, const char *name, int len, loff_t pos,
			     u64 ino, unsigned int type)
{
	struct mxfs_stale *stale = container_of(ctx, struct mxfs_stale, ctx);
	char key[17], number[9];
	u64 value;
	u32 seq;

	if (len != MXFS_ORPHAN_NAME_LEN)
		return true;
	memcpy(key, name, 16);
	key[16] = '\0';
	memcpy(number, name + 17, 8);
	number[8] = '\0';
	if (kstrtou64(key, 16, &value) || kstrtou32(number, 16, &seq))
		return true;
	/*
	 * Other nodes' entries are theirs, and ours of now are in use. Without reservations the key
	 * is 0 and there is one node; numbers begin with the time of the mount, so older ones are
	 * an earlier mount's.
	 */
	if (value >> 32 != stale->sbi->key >> 32 ||
	    (value == stale->sbi->key && seq >= stale->sbi->orphan_first))
		return true;
	if (stale->found == ARRAY_SIZE(stale->names))
		return false;
	memcpy(stale->names[stale->found], name, MXFS_ORPHAN_NAME_LEN);
	stale->names[stale->found++][MXFS_ORPHAN_NAME_LEN] = '\0';
	return true;
}

/*
 * Once per mount, before this mount has orphans of its own: what earlier incarnations of this node
 * left.
 */
static void mxfs_reap_stale(struct mxfs_sb *sbi)
{
	const struct cred *old_cred = override_creds(sbi->cred);
	struct mxfs_stale *stale;
	struct dentry *dir = NULL;
	struct file *file;
	struct path path;
	unsigned int i, removed;

	stale = kzalloc(sizeof(*stale), GFP_KERNEL);
	if (!stale)
		goto out;
	dir = mxfs_orphan_dir(sbi, false);
	if (IS_ERR(dir))
		goto out;
	path.mnt = sbi->lower;
	path.dentry = dir;
	do {
		*stale = (struct mxfs_stale){ .ctx.actor = mxfs_stale_actor, .sbi = sbi };
		removed = 0;
		file = dentry_open(&path, O_RDONLY | O_DIRECTORY, sbi->cred);
		if (IS_ERR(file))
			break;
		iterate_dir(file, &stale->ctx);
		__fput_sync(file);
		for (i = 0; i < stale->found; i++)
			removed += !mxfs_orphan_unlink(dir, stale->names[i]);
		if (removed)
			mxfs_info(
				sbi,
				"removed %u files that an earlier mount of this node had left open and nameless",
				removed);
	} while (removed == ARRAY_SIZE(stale->names));
out:
	if (!IS_ERR_OR_NULL(dir))
		dput(dir);
	kfree(stale);
	revert_creds(old_cred);
}

void mxfs_reap_workfn(struct work_struct *work)
{
	struct mxfs_sb *sbi = container_of(work, struct mxfs_sb, reap_work);
	int err;

	err = mxfs_enter_attached(sbi);
	if (err)
		return;
	if (!sbi->stale_reaped && !sb_rdonly(sbi->sb)) {
		sbi->stale_reaped = true;
		mxfs_reap_stale(sbi);
	}
	mxfs_reap(sbi);
	mxfs_leave(sbi);
}

/*
 * At umount: every file is closed; take ownership for it once more where that is needed, but not
 * for long.
 */
void mxfs_reap_all(struct mxfs_sb *sbi)
{
	struct mxfs_orphan *orphan, *next;
	int err;

	flush_work(&sbi->reap_work);
	if (!list_empty(&sbi->reap) && READ_ONCE(sbi->state) != MXFS_STATE_DEAD) {
		if (READ_ONCE(sbi->state) == MXFS_STATE_DETACHED) {
			mxfs_send_want(sbi);
			wait_event_timeout(sbi->wait, mxfs_may_run(sbi), 10 * HZ);
		}
		err = mxfs_enter_attached(sbi);
		if (!err) {
			mxfs_reap(sbi);
			mxfs_leave(sbi);
		}
	}
	if (!list_empty(&sbi->reap))
		mxfs_warn(
			sbi,
			"files that were open and nameless stay in .mxfs/orphans until this node mounts the volume again");
	list_for_each_entry_safe(orphan, next, &sbi->reap, entry) {
		list_del(&orphan->entry);
		kfree(orphan);
	}
}
