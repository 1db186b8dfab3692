// SPDX-License-Identifier: GPL-2.0-only
/*
 * mxfs: files that are open but have no name.
 *
 * XFS keeps an unlinked file for as long as it is open, but a change of owner unmounts XFS, and no
 * handle finds such a file again. So the last link of a file that is open is not removed before a
 * second one exists in .mxfs/orphans. There are two kinds of them:
 *
 *	<reservation key>-<number>	open here: removed when the last open file is closed, or at the next
 *					chance after it, or at umount; where the file is open on another
 *					node by then, one of the second kind takes its place
 *	open-<inode>-<generation>	open on another node (mxfs_opens.c): removed by the owner that finds it open
 *					on no node
 *
 * A crash leaves at worst a link too many: the next mount by the same node removes those of the first kind, and
 * its list of open files, which lets go of the second.
 */
#include <linux/namei.h>
#include <linux/slab.h>
#include "mxfs.h"

#define MXFS_ORPHAN_NAME_LEN 25 /* 16 + 1 + 8 */
#define MXFS_SHARED_NAME_LEN 30 /* 5 + 16 + 1 + 8 */
#define MXFS_REAP_WAIT (10 * HZ) /* for ownership, at umount */

static void mxfs_orphan_name(struct mxfs_sb *sbi, u32 seq, char *name)
{
	snprintf(name, MXFS_ORPHAN_NAME_LEN + 1, "%016llx-%08x", sbi->key, seq);
}

static void mxfs_shared_name(const struct mxfs_file_id *id, char *name)
{
	snprintf(name, MXFS_SHARED_NAME_LEN + 1, "open-%016llx-%08x", id->ino, id->gen);
}

static struct mxfs_file_id mxfs_file_id(const struct inode *inode)
{
	return (struct mxfs_file_id){ .ino = MXFS_I(inode)->ino, .gen = inode->i_generation };
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

/**
 * mxfs_own_dir - a directory of this module's in .mxfs
 * @sbi: the mount, inside the operation gate or with the gates closed; with sbi->cred
 * @name: in .mxfs
 * @create: make it when it is not there
 *
 * Return: the dentry with a reference, or an ERR_PTR: -ENOENT.
 */
struct dentry *mxfs_own_dir(struct mxfs_sb *sbi, const char *name, bool create)
{
	struct dentry *top, *dir;

	top = mxfs_subdir(sbi->lower->mnt_root, ".mxfs", create);
	if (IS_ERR(top))
		return top;
	dir = mxfs_subdir(top, name, create);
	dput(top);
	return dir;
}

/* Removes one entry of such a directory; -ENOENT when there is none. */
int mxfs_own_unlink(struct dentry *dir, const char *name)
{
	struct dentry *lower = mxfs_begin_remove(dir, name, strlen(name));
	int err;

	if (IS_ERR(lower))
		return PTR_ERR(lower);
	err = vfs_unlink(&nop_mnt_idmap, d_inode(dir), lower, NULL);
	mxfs_end_change(dir, lower);
	return err;
}

/* Inside the operation gate. Return: 0, also when the link is there already. */
static int mxfs_orphan_link(struct mxfs_sb *sbi, struct dentry *lower, const char *name)
{
	const struct cred *old_cred = override_creds(sbi->cred);
	struct dentry *dir, *link;
	int err;

	dir = mxfs_own_dir(sbi, "orphans", true);
	if (IS_ERR(dir)) {
		err = PTR_ERR(dir);
		goto out;
	}
	link = mxfs_begin_create(dir, name, strlen(name));
	if (IS_ERR(link)) {
		err = PTR_ERR(link) == -EEXIST ? 0 : PTR_ERR(link);
	} else {
		err = vfs_link(lower, &nop_mnt_idmap, d_inode(dir), link, NULL);
		mxfs_end_change(dir, link);
	}
	dput(dir);
out:
	revert_creds(old_cred);
	return err;
}

/**
 * mxfs_orphan_keep - give an inode that is open here a link in .mxfs/orphans
 * @inode: upper
 *
 * Inside the operation gate. Does nothing when it has one.
 */
int mxfs_orphan_keep(struct inode *inode)
{
	struct mxfs_sb *sbi = MXFS_ISB(inode);
	struct mxfs_inode *mi = MXFS_I(inode);
	char name[MXFS_ORPHAN_NAME_LEN + 1];
	struct mxfs_orphan *orphan;
	struct dentry *lower;
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
	err = mxfs_orphan_link(sbi, lower, name);
	if (!err) {
		WRITE_ONCE(mi->orphan, orphan);
		WRITE_ONCE(mi->kept, true);
	} else {
		kfree(orphan);
	}
	mutex_unlock(&sbi->orphan_lock);
	return err;
}

/* The same for an inode that is open on another node. */
static int mxfs_orphan_share(struct inode *inode)
{
	struct mxfs_file_id id = mxfs_file_id(inode);
	char name[MXFS_SHARED_NAME_LEN + 1];
	struct dentry *lower;
	int err;

	lower = mxfs_lower(inode);
	if (IS_ERR(lower))
		return PTR_ERR(lower);
	mxfs_shared_name(&id, name);
	err = mxfs_orphan_link(MXFS_ISB(inode), lower, name);
	if (!err) {
		WRITE_ONCE(MXFS_I(inode)->shared, true);
		WRITE_ONCE(MXFS_ISB(inode)->sweep, true);
	}
	return err;
}

/**
 * mxfs_orphan_prepare - before the last name of an inode goes
 * @inode: upper
 *
 * Where the inode is open, here or on another node, it gets its link in .mxfs/orphans. Where it is not open here,
 * it is marked, so that an open() that found the name before fails instead of holding a file that
 * cannot be found again. The VFS holds the inode's lock.
 */
int mxfs_orphan_prepare(struct inode *inode)
{
	struct mxfs_sb *sbi = MXFS_ISB(inode);
	struct mxfs_inode *mi = MXFS_I(inode);
	struct mxfs_file_id id = mxfs_file_id(inode);
	int err, opens;

	if (!S_ISREG(inode->i_mode))
		return 0;
	err = mxfs_refresh_attr(inode);
	if (err)
		return err;
	if (inode->i_nlink > 1)
		return 0;
	if (!mi->shared && mxfs_open_elsewhere(sbi, &id)) {
		err = mxfs_orphan_share(inode);
		if (err)
			return err;
	}
	opens = atomic_cmpxchg(&mi->opens, 0, MXFS_REMOVED);
	if (unlikely(opens < 0)) {
		/* Marked: for good, or by mxfs_orphan_closed() for as long as it has the lock. */
		mutex_lock(&sbi->orphan_lock);
		opens = atomic_cmpxchg(&mi->opens, 0, MXFS_REMOVED);
		mutex_unlock(&sbi->orphan_lock);
	}
	return opens > 0 && !mxfs_extra_links(mi) ? mxfs_orphan_keep(inode) : 0;
}

/* The name stayed after all. The extra link, if one was made, goes when the file is closed. */
void mxfs_orphan_abort(struct inode *inode)
{
	struct mxfs_sb *sbi = MXFS_ISB(inode);

	mutex_lock(&sbi->orphan_lock);
	atomic_cmpxchg(&MXFS_I(inode)->opens, MXFS_REMOVED, 0);
	mutex_unlock(&sbi->orphan_lock);
}

/* The slow path of mxfs_count_open(): removed, or mxfs_orphan_closed() is just finding out. */
bool mxfs_orphan_count_open(struct inode *inode)
{
	struct mxfs_sb *sbi = MXFS_ISB(inode);
	bool counted;

	mutex_lock(&sbi->orphan_lock);
	counted = atomic_inc_unless_negative(&MXFS_I(inode)->opens);
	mutex_unlock(&sbi->orphan_lock);
	return counted;
}

/*
 * Removes a link of this node's own. The file may have got a name again (O_TMPFILE and linkat(2)), by which another
 * node opened it, and have lost that, too: what keeps it then is a link for every node. With sbi->cred.
 */
static int mxfs_reap_link(struct mxfs_sb *sbi, struct dentry *dir, const char *name)
{
	char shared[MXFS_SHARED_NAME_LEN + 1];
	struct mxfs_file_id id;
	struct dentry *lower;
	struct inode *inode;
	int err;

	lower = mxfs_lookup_lower(dir, name, strlen(name));
	if (IS_ERR(lower))
		return PTR_ERR(lower);
	if (d_really_is_negative(lower)) {
		dput(lower);
		return -ENOENT;
	}
	id = (struct mxfs_file_id){
		.ino = d_inode(lower)->i_ino,
		.gen = d_inode(lower)->i_generation,
	};
	if (!mxfs_open_elsewhere(sbi, &id)) {
		dput(lower);
		return mxfs_own_unlink(dir, name);
	}
	mxfs_shared_name(&id, shared);
	err = mxfs_orphan_link(sbi, lower, shared);
	dput(lower);
	if (err)
		return err;
	WRITE_ONCE(sbi->sweep, true);
	inode = mxfs_known(sbi->sb, &id);
	if (inode) {
		WRITE_ONCE(MXFS_I(inode)->shared, true);
		WRITE_ONCE(MXFS_I(inode)->attr_seq, 0);
	}
	iput(inode);
	return mxfs_own_unlink(dir, name);
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
	dir = list_empty(&sbi->reap) ? NULL : mxfs_own_dir(sbi, "orphans", false);
	while (!IS_ERR_OR_NULL(dir) && !list_empty(&sbi->reap)) {
		orphan = list_first_entry(&sbi->reap, struct mxfs_orphan, entry);
		mxfs_orphan_name(sbi, orphan->seq, name);
		err = mxfs_reap_link(sbi, dir, name);
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
	struct mxfs_orphan *orphan = NULL;
	bool shared = false;
	int opens;

	mutex_lock(&sbi->orphan_lock);
	/* Who opens it or removes its name meanwhile finds it marked, and waits for the lock. */
	opens = atomic_cmpxchg(&mi->opens, 0, MXFS_REMOVED);
	if (opens <= 0) {
		orphan = mi->orphan;
		mi->orphan = NULL;
		WRITE_ONCE(mi->kept, false);
		shared = mi->shared;
		/* Where it has no other link, nobody opens it any more, not even through /proc. */
		if (!opens && inode->i_nlink)
			atomic_set(&mi->opens, 0);
	}
	if (orphan)
		list_add_tail(&orphan->entry, &sbi->reap);
	mutex_unlock(&sbi->orphan_lock);
	if (shared) {
		WRITE_ONCE(sbi->sweep, true);
		queue_work(system_unbound_wq, &sbi->reap_work);
	}
	/* At once where that needs no waiting; else mxfs_attach() sees to it. */
	if (orphan && mxfs_try_enter(sbi)) {
		mxfs_reap(sbi);
		mxfs_leave(sbi);
	}
}

struct mxfs_found {
	struct dir_context ctx;
	unsigned int count;
	char names[32][MXFS_SHARED_NAME_LEN + 1];
};

static bool mxfs_found_actor(struct dir_context *ctx, const char *name, int len, loff_t pos,
			     u64 ino, unsigned int type)
{
	struct mxfs_found *found = container_of(ctx, struct mxfs_found, ctx);

	if (len != MXFS_ORPHAN_NAME_LEN && len != MXFS_SHARED_NAME_LEN)
		return true;
	if (found->count == ARRAY_SIZE(found->names))
		return false;
	memcpy(found->names[found->count], name, len);
	found->names[found->count++][len] = '\0';
	return true;
}

/*
 * Calls @each for every name in .mxfs/orphans; it may remove it. With the gates closed or inside the
 * operation gate, with sbi->cred.
 */
static void mxfs_each_orphan(struct mxfs_sb *sbi,
			     void (*each)(struct mxfs_sb *sbi, struct dentry *dir, const char *name))
{
	struct path path = { .mnt = sbi->lower };
	struct mxfs_found *found;
	struct file *file;
	unsigned int i;
	int err;

	path.dentry = mxfs_own_dir(sbi, "orphans", false);
	if (IS_ERR(path.dentry)) {
		err = PTR_ERR(path.dentry);
		goto out;
	}
	found = kzalloc(sizeof(*found), GFP_KERNEL);
	file = found ? dentry_open(&path, O_RDONLY | O_DIRECTORY, sbi->cred) : ERR_PTR(-ENOMEM);
	if (IS_ERR(file)) {
		err = PTR_ERR(file);
		goto out_dir;
	}
	found->ctx.actor = mxfs_found_actor;
	do {
		found->count = 0;
		err = iterate_dir(file, &found->ctx);
		for (i = 0; !err && i < found->count; i++)
			each(sbi, path.dentry, found->names[i]);
	} while (!err && found->count == ARRAY_SIZE(found->names));
	__fput_sync(file);
out_dir:
	kfree(found);
	dput(path.dentry);
out:
	if (err && err != -ENOENT)
		mxfs_warn(sbi, ".mxfs/orphans cannot be read (%pe); the next owner tries again",
			  ERR_PTR(err));
}

static bool mxfs_parse_shared(const char *name, struct mxfs_file_id *id)
{
	int end = 0;

	return sscanf(name, "open-%16llx-%8x%n", &id->ino, &id->gen, &end) == 2 &&
	       end == MXFS_SHARED_NAME_LEN;
}

/* A file that lost its name to another node while it was open here. */
static void mxfs_note_shared(struct mxfs_sb *sbi, struct dentry *dir, const char *name)
{
	struct mxfs_file_id id;
	struct inode *inode;

	if (!mxfs_parse_shared(name, &id))
		return;
	WRITE_ONCE(sbi->sweep, true);
	inode = mxfs_known(sbi->sb, &id);
	if (inode)
		WRITE_ONCE(MXFS_I(inode)->shared, true);
	iput(inode);
}

/**
 * mxfs_orphans_begin - what other nodes did to the files that are open here
 * @sbi: the mount, attaching: XFS is mounted, and the gates are closed
 */
void mxfs_orphans_begin(struct mxfs_sb *sbi)
{
	const struct cred *old_cred;

	if (!sbi->attach_seq && !sbi->rdonly)
		mxfs_opens_begin(sbi);
	old_cred = override_creds(sbi->cred);
	mxfs_each_orphan(sbi, mxfs_note_shared);
	revert_creds(old_cred);
}

static void mxfs_sweep_one(struct mxfs_sb *sbi, struct dentry *dir, const char *name)
{
	struct mxfs_file_id id;
	struct inode *inode;
	int err;

	if (!mxfs_parse_shared(name, &id))
		return;
	inode = mxfs_known(sbi->sb, &id);
	if ((inode && mxfs_is_open(MXFS_I(inode))) || mxfs_open_elsewhere(sbi, &id)) {
		WRITE_ONCE(sbi->sweep, true);
		goto out;
	}
	err = mxfs_own_unlink(dir, name);
	if (err) {
		mxfs_warn(sbi, ".mxfs/orphans/%s cannot be removed (%pe); the next owner tries again", name,
			  ERR_PTR(err));
	} else if (inode) {
		/* It may have a name after all: it was linked again, or its name could not be removed. */
		WRITE_ONCE(MXFS_I(inode)->shared, false);
		WRITE_ONCE(MXFS_I(inode)->attr_seq, 0);
	}
out:
	iput(inode);
}

/* What no node has open any more. Inside the operation gate. */
static void mxfs_sweep(struct mxfs_sb *sbi)
{
	const struct cred *old_cred;

	if (!READ_ONCE(sbi->sweep))
		return;
	WRITE_ONCE(sbi->sweep, false);
	old_cred = override_creds(sbi->cred);
	mxfs_each_orphan(sbi, mxfs_sweep_one);
	revert_creds(old_cred);
}

static void mxfs_stale_one(struct mxfs_sb *sbi, struct dentry *dir, const char *name)
{
	int err, end = 0;
	u64 key;
	u32 seq;

	if (sscanf(name, "%16llx-%8x%n", &key, &seq, &end) != 2 || end != MXFS_ORPHAN_NAME_LEN)
		return;
	/*
	 * Other nodes' entries are theirs, and ours of now are in use. Without reservations the key
	 * is 0 and there is one node; numbers begin with the time of the mount, so older ones are
	 * an earlier mount's.
	 */
	if (key >> 32 != sbi->key >> 32 || (key == sbi->key && seq >= sbi->orphan_first))
		return;
	err = mxfs_reap_link(sbi, dir, name);
	if (err)
		mxfs_warn(sbi, ".mxfs/orphans/%s cannot be removed (%pe)", name, ERR_PTR(err));
	else
		mxfs_info(sbi, "removed .mxfs/orphans/%s, a file that an earlier mount of this node had left open and nameless", name);
}

/* Once per mount: what earlier incarnations of this node left. */
static void mxfs_reap_stale(struct mxfs_sb *sbi)
{
	const struct cred *old_cred = override_creds(sbi->cred);

	mxfs_each_orphan(sbi, mxfs_stale_one);
	revert_creds(old_cred);
}

void mxfs_reap_workfn(struct work_struct *work)
{
	struct mxfs_sb *sbi = container_of(work, struct mxfs_sb, reap_work);
	int err;

	err = mxfs_enter_attached(sbi);
	if (err)
		return;
	if (!sb_rdonly(sbi->sb)) {
		if (!sbi->stale_reaped)
			mxfs_reap_stale(sbi);
		sbi->stale_reaped = true;
		mxfs_sweep(sbi);
	}
	mxfs_reap(sbi);
	mxfs_leave(sbi);
}

static bool mxfs_reap_hopeless(struct mxfs_sb *sbi)
{
	return READ_ONCE(sbi->state) == MXFS_STATE_DEAD || time_after_eq(jiffies, READ_ONCE(sbi->lease_end));
}

/*
 * At umount: every file is closed; take ownership for it once more where that is needed, but not
 * for long, and not from a daemon that has let its lease end. It is needed, too, when this node's list of open files says
 * otherwise (mxfs_opens.c).
 */
void mxfs_reap_all(struct mxfs_sb *sbi)
{
	struct mxfs_orphan *orphan, *next;

	if (!list_empty(&sbi->reap) || sbi->told_count) {
		/* A detach in progress ends first. */
		wait_event_timeout(sbi->wait,
				   mxfs_may_run(sbi) || READ_ONCE(sbi->state) == MXFS_STATE_DETACHED ||
					   mxfs_reap_hopeless(sbi),
				   MXFS_REAP_WAIT);
		if (READ_ONCE(sbi->state) == MXFS_STATE_DETACHED) {
			mxfs_send_want(sbi);
			wait_event_timeout(sbi->wait, mxfs_may_run(sbi) || mxfs_reap_hopeless(sbi),
					   MXFS_REAP_WAIT);
		}
	}
	if (mxfs_try_enter(sbi)) {
		mxfs_reap(sbi);
		if (!sbi->rdonly)
			mxfs_sweep(sbi);
		mxfs_leave(sbi);
	}
	if (!list_empty(&sbi->reap))
		mxfs_warn(
			sbi,
			"files that were open and nameless stay in .mxfs/orphans until this node mounts the volume again");
	mutex_lock(&sbi->orphan_lock);
	list_for_each_entry_safe(orphan, next, &sbi->reap, entry) {
		list_del(&orphan->entry);
		kfree(orphan);
	}
	mutex_unlock(&sbi->orphan_lock);
}
