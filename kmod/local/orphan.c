// SPDX-License-Identifier: GPL-2.0-only
/*
 * mxfs: files that are held but have no name.
 *
 * XFS keeps an unlinked file for as long as somebody holds it, but a change of owner unmounts XFS, and no handle finds
 * such a file again. So before XFS goes, each inode that is held here and has no link left gets one in .mxfs/orphans: with
 * the gates closed, in mxfs_detach_gates(). Until then a removed file is what it is on XFS, and removing it costs
 * nothing more. What is held here counts as long as its inode is in memory, so special files, symbolic links and what was
 * opened with O_PATH are kept, too.
 *
 * A file that another node holds (local/opens.c) has nothing in memory here that would keep it: it gets its link before
 * its last name goes; where that is not possible, for lack of space, its lower inode is held until the detach.
 *
 * There are two kinds of links:
 *
 *	<reservation key>-<number>	held here: removed when the inode goes, or at the next chance after it, or at
 *					umount; where another node holds the file by then, one of the second kind takes its place
 *	open-<inode>-<generation>	held on another node: removed by the owner that finds it held on no node
 *
 * A crash leaves at worst a link too many: the next mount by the same node removes those of the first kind, and
 * its list of what it holds, which lets go of the second.
 */
#include <linux/namei.h>
#include <linux/seq_file.h>
#include <linux/slab.h>
#include "compat.h"
#include "enter.h"
#include "local/bind.h"
#include "local/lockstate.h"
#include "local/opens.h"
#include "local/orphan.h"
#include "local/own.h"
#include "tell.h"

#define MXFS_ORPHAN_NAME_LEN 25 /* 16 + 1 + 8 */
#define MXFS_SHARED_NAME_LEN 30 /* 5 + 16 + 1 + 8 */
#define MXFS_REAP_WAIT (10 * HZ) /* for ownership, at umount */

static void mxfs_orphan_name(struct mxfs_sb *sbi, u32 seq, char *name)
{
	snprintf(name, MXFS_ORPHAN_NAME_LEN + 1, "%016llx-%08x", sbi->orphans.key, seq);
}

static void mxfs_shared_name(const struct mxfs_file_id *id, char *name)
{
	snprintf(name, MXFS_SHARED_NAME_LEN + 1, "open-%016llx-%08x", id->ino, id->gen);
}

static struct mxfs_file_id mxfs_file_id(const struct inode *inode)
{
	return (struct mxfs_file_id){ .ino = MXFS_I(inode)->ino, .gen = inode->i_generation };
}

/* Inside the operation gate, or with the gates closed. Return: 0, also when the link is there already. */
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
		err = mxfs_own_link(lower, dir, link);
		mxfs_end_change(dir, link);
	}
	dput(dir);
out:
	revert_creds(old_cred);
	return err;
}

/* The same with the gates closed, where blocks that are given back are nobody else's. */
static int mxfs_orphan_link_closed(struct mxfs_sb *sbi, struct dentry *lower, const char *name)
{
	const struct cred *old_cred;
	bool freed;
	int err;

	err = mxfs_orphan_link(sbi, lower, name);
	if (err != -ENOSPC)
		return err;
	old_cred = override_creds(sbi->cred);
	freed = mxfs_reserve_free(sbi);
	revert_creds(old_cred);
	return freed ? mxfs_orphan_link(sbi, lower, name) : err;
}

/**
 * mxfs_orphan_keep - give a lower inode that is held here and has no link one in .mxfs/orphans
 * @sbi: the mount, detaching: every gate is closed, and XFS is still mounted
 * @lower: its dentry
 *
 * Return: the link, for mxfs_inode.orphan; or an ERR_PTR.
 */
struct mxfs_orphan *mxfs_orphan_keep(struct mxfs_sb *sbi, struct dentry *lower)
{
	char name[MXFS_ORPHAN_NAME_LEN + 1];
	struct mxfs_orphan *orphan;
	int err;

	orphan = kzalloc(sizeof(*orphan), GFP_KERNEL);
	if (!orphan)
		return ERR_PTR(-ENOMEM);
	/* One detach at a time. */
	orphan->seq = ++sbi->orphans.seq;
	mxfs_orphan_name(sbi, orphan->seq, name);
	err = mxfs_orphan_link_closed(sbi, lower, name);
	if (!err)
		return orphan;
	kfree(orphan);
	return ERR_PTR(err);
}

/**
 * mxfs_orphan_done - a link of this node's own is not needed any more
 * @sbi: the mount
 * @orphan: what was mxfs_inode.orphan
 *
 * Anywhere, reclaim of memory included. mxfs_reap() removes it; ownership is not taken for that: it waits
 * for the next attach, or umount.
 */
void mxfs_orphan_done(struct mxfs_sb *sbi, struct mxfs_orphan *orphan)
{
	llist_add(&orphan->done, &sbi->orphans.reap_new);
}

/**
 * mxfs_orphan_evicted - an inode with an extra link goes
 * @inode: upper
 */
void mxfs_orphan_evicted(struct inode *inode)
{
	struct mxfs_sb *sbi = MXFS_ISB(inode);
	struct mxfs_inode *mi = MXFS_I(inode);

	if (mi->orphan)
		mxfs_orphan_done(sbi, mi->orphan);
	mi->orphan = NULL;
	if (READ_ONCE(mi->shared_seq))
		WRITE_ONCE(sbi->orphans.sweep, true);
	queue_work(system_unbound_wq, &sbi->orphans.work);
}

/* A file that another node holds is removed, and no link of it can be made now: until the detach. */
static int mxfs_orphan_lend(struct mxfs_sb *sbi, struct mxfs_inode *mi, struct dentry *lower)
{
	struct mxfs_lent *lent = kmalloc(sizeof(*lent), GFP_KERNEL);

	if (!lent)
		return -ENOMEM;
	lent->lower = dget(lower);
	WRITE_ONCE(mi->lent, true);
	spin_lock(&sbi->bind.lock);
	list_add_tail(&lent->entry, &sbi->orphans.lent);
	spin_unlock(&sbi->bind.lock);
	return 0;
}

/**
 * mxfs_orphan_return - let go of what mxfs_orphan_lend() kept, with a link
 * @sbi: the mount, detaching: every gate is closed, and XFS is still mounted
 */
void mxfs_orphan_return(struct mxfs_sb *sbi)
{
	char name[MXFS_SHARED_NAME_LEN + 1];
	struct mxfs_lent *lent, *next;
	struct mxfs_file_id id;
	struct inode *linode;
	int err = 0;

	list_for_each_entry_safe(lent, next, &sbi->orphans.lent, entry) {
		linode = d_inode(lent->lower);
		if (!linode->i_nlink && READ_ONCE(sbi->state) != MXFS_STATE_DEAD) {
			id = (struct mxfs_file_id){ .ino = linode->i_ino, .gen = linode->i_generation };
			mxfs_shared_name(&id, name);
			err = mxfs_orphan_link_closed(sbi, lent->lower, name) ?: err;
			WRITE_ONCE(sbi->orphans.sweep, true);
			sbi->change.unsynced = true;
		}
		list_del(&lent->entry);
		dput(lent->lower);
		kfree(lent);
	}
	if (err)
		mxfs_warn(sbi, "a file that was removed here while another node held it cannot be kept (%pe): it is lost there",
			  ERR_PTR(err));
}

/* An inode that is open on another node. */
static noinline int mxfs_orphan_share(struct inode *inode, struct dentry *lower, const struct mxfs_file_id *id)
{
	struct mxfs_inode *mi = MXFS_I(inode);
	struct mxfs_sb *sbi = MXFS_ISB(inode);
	char name[MXFS_SHARED_NAME_LEN + 1];

	/* Whether it has the link already is not asked of memory: another node may have removed it. */
	if (mxfs_seen_links(mi, READ_ONCE(d_inode(lower)->i_nlink)) > 1)
		return 0;
	mxfs_shared_name(id, name);
	if (mxfs_orphan_link(sbi, lower, name))
		return mxfs_orphan_lend(sbi, mi, lower);
	mxfs_set_shared(mi, sbi->attach_seq);
	WRITE_ONCE(sbi->orphans.sweep, true);
	return 0;
}

/**
 * mxfs_orphan_prepare - before a name of an inode that is no folder goes
 * @inode: upper
 * @lower: its lower dentry
 *
 * Inside the operation gate. The VFS holds the inode's lock.
 */
int mxfs_orphan_prepare(struct inode *inode, struct dentry *lower)
{
	struct mxfs_file_id id = mxfs_file_id(inode);

	return likely(!mxfs_open_elsewhere(MXFS_ISB(inode), &id)) ? 0 : mxfs_orphan_share(inode, lower, &id);
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
	WRITE_ONCE(sbi->orphans.sweep, true);
	inode = mxfs_known(sbi->sb, &id);
	if (inode) {
		mxfs_set_shared(MXFS_I(inode), sbi->attach_seq);
		WRITE_ONCE(MXFS_I(inode)->attr_seq, 0);
	}
	iput(inode);
	return mxfs_own_unlink(dir, name);
}

/* Inside the operation gate. */
static void mxfs_reap(struct mxfs_sb *sbi)
{
	char name[MXFS_ORPHAN_NAME_LEN + 1];
	struct mxfs_orphan *orphan, *next;
	const struct cred *old_cred;
	struct dentry *dir;
	int err;

	old_cred = override_creds(sbi->cred);
	mutex_lock(&sbi->orphans.lock);
	llist_for_each_entry_safe(orphan, next, llist_del_all(&sbi->orphans.reap_new), done)
		list_add_tail(&orphan->entry, &sbi->orphans.reap);
	dir = list_empty(&sbi->orphans.reap) ? NULL : mxfs_own_dir(sbi, "orphans", false);
	while (!IS_ERR_OR_NULL(dir) && !list_empty(&sbi->orphans.reap)) {
		orphan = list_first_entry(&sbi->orphans.reap, struct mxfs_orphan, entry);
		mxfs_orphan_name(sbi, orphan->seq, name);
		err = mxfs_reap_link(sbi, dir, name);
		if (err && err != -ENOENT) {
			mxfs_warn(sbi, ".mxfs/orphans/%s cannot be removed (%pe); the next attach, or mount, tries again",
				  name, ERR_PTR(err));
			/* Without space for a link of the other kind it has to stay. */
			break;
		}
		list_del(&orphan->entry);
		kfree(orphan);
	}
	mutex_unlock(&sbi->orphans.lock);
	if (!IS_ERR_OR_NULL(dir))
		dput(dir);
	revert_creds(old_cred);
}

/**
 * mxfs_orphan_named - a file without a name has got one
 * @inode: upper, inside the operation gate
 *
 * O_TMPFILE and linkat(2), with a change of owner in between. The name keeps it from now on.
 */
void mxfs_orphan_named(struct inode *inode)
{
	struct mxfs_sb *sbi = MXFS_ISB(inode);
	struct mxfs_inode *mi = MXFS_I(inode);
	struct mxfs_orphan *orphan;
	struct dentry *lower;

	spin_lock(&sbi->bind.lock);
	orphan = mi->orphan;
	mi->orphan = NULL;
	spin_unlock(&sbi->bind.lock);
	if (!orphan)
		return;
	mxfs_orphan_done(sbi, orphan);
	mxfs_reap(sbi);
	WRITE_ONCE(mi->kept, false);
	lower = mxfs_lower(inode);
	if (!IS_ERR(lower))
		mxfs_copy_attr(inode, d_inode(lower));
}

/* With the gates closed or inside the operation gate, with sbi->cred. */
static int mxfs_each_orphan(struct mxfs_sb *sbi,
			    int (*each)(struct mxfs_sb *sbi, struct dentry *dir, const char *name, void *arg), void *arg)
{
	int err = mxfs_own_each(sbi, "orphans", each, arg);

	if (err)
		mxfs_warn(sbi, ".mxfs/orphans cannot be read (%pe); the next owner tries again", ERR_PTR(err));
	return err;
}

static bool mxfs_parse_shared(const char *name, struct mxfs_file_id *id)
{
	int end = 0;

	return sscanf(name, "open-%16llx-%8x%n", &id->ino, &id->gen, &end) == 2 &&
	       end == MXFS_SHARED_NAME_LEN;
}

/*
 * A file that lost its name to another node while it was held here. What is cached of its names goes, as it does on the
 * node that removes one: then its inode goes with the last who holds it.
 */
static int mxfs_note_shared(struct mxfs_sb *sbi, struct dentry *dir, const char *name, void *arg)
{
	struct mxfs_file_id id;
	struct dentry *alias;
	struct inode *inode;

	if (!mxfs_parse_shared(name, &id))
		return 0;
	WRITE_ONCE(sbi->orphans.sweep, true);
	/* Once umount has begun nothing of the VFS's is touched. */
	inode = READ_ONCE(sbi->removed.at_once) ? NULL : mxfs_known(sbi->sb, &id);
	if (!inode)
		return 0;
	/* For the attach that is under way. */
	mxfs_set_shared(MXFS_I(inode), sbi->attach_seq + 1);
	while ((alias = d_find_alias(inode))) {
		d_invalidate(alias);
		dput(alias);
	}
	iput(inode);
	return 0;
}

/**
 * mxfs_orphans_begin - what other nodes did to the files that are held here
 * @sbi: the mount, attaching: XFS is mounted, and the gates are closed
 *
 * Return: 0; -EPERM when what stands in the place of .mxfs is not ours; -ESTALE when the lock state is another one than the daemon knows;
 * -EIO when XFS does not go on.
 */
int mxfs_orphans_begin(struct mxfs_sb *sbi)
{
	struct mxfs_inode *root = mxfs_root(sbi);
	const struct cred *old_cred;
	bool make;
	int err;

	make = !sbi->attach_seq || (!sbi->change.begun && !sbi->rdonly) || (root && !READ_ONCE(root->shared_seq)) || sbi->own.limits;
	/* Before anything is made: the daemon may be writing where log recovery has freed blocks. */
	err = (make ? mxfs_own_check(sbi, sbi->lower->mnt_root) : 0) ?: mxfs_lockstate_attach(sbi);
	if (!err && make)
		err = mxfs_own_begin(sbi);
	if (err)
		return err;
	if (!sbi->change.begun && !sbi->rdonly)
		mxfs_opens_begin(sbi);
	err = mxfs_lockstate_begin(sbi);
	if (err)
		return err;
	old_cred = override_creds(sbi->cred);
	/* The reserve is one for all nodes. */
	if (!sbi->rdonly)
		mxfs_reserve_look(sbi);
	if (mxfs_each_orphan(sbi, mxfs_note_shared, NULL))
		WRITE_ONCE(sbi->orphans.sweep, true);
	revert_creds(old_cred);
	return 0;
}

/* For the work that follows an attach. */
bool mxfs_orphans_due(struct mxfs_sb *sbi)
{
	return !list_empty(&sbi->orphans.reap) || !llist_empty(&sbi->orphans.reap_new) || !sbi->orphans.stale_reaped ||
	       READ_ONCE(sbi->orphans.sweep) || READ_ONCE(sbi->own.reserve_used);
}

static int mxfs_show_one(struct mxfs_sb *sbi, struct dentry *dir, const char *name, void *arg)
{
	if (strlen(name) == MXFS_ORPHAN_NAME_LEN || strlen(name) == MXFS_SHARED_NAME_LEN)
		seq_printf(arg, "%s\n", name);
	return 0;
}

/* As mxfs_enter(), but not for long, nor when umount has begun: umount waits for readers of debugfs. */
static int mxfs_enter_to_look(struct mxfs_sb *sbi)
{
	long left = MXFS_REAP_WAIT;

	while (!mxfs_try_enter(sbi)) {
		if (READ_ONCE(sbi->change.held) || READ_ONCE(sbi->state) == MXFS_STATE_DEAD)
			return -ESHUTDOWN;
		if (READ_ONCE(sbi->state) == MXFS_STATE_DETACHED)
			mxfs_send_want(sbi);
		left = mxfs_wait_timeout(sbi->wait,
					 mxfs_may_run(sbi) || READ_ONCE(sbi->change.held) ||
						 READ_ONCE(sbi->state) == MXFS_STATE_DEAD,
					 MXFS_WAIT_KILLABLE, left);
		if (left <= 0)
			return left ? -EINTR : -ETIMEDOUT;
	}
	return 0;
}

/* The names in .mxfs/orphans, one a line, for people and tests: through the mount nobody sees them. */
int mxfs_orphans_show(struct seq_file *m, struct mxfs_sb *sbi)
{
	const struct cred *old_cred;
	int err;

	err = mxfs_enter_to_look(sbi);
	if (err)
		return err;
	old_cred = override_creds(sbi->cred);
	err = mxfs_each_orphan(sbi, mxfs_show_one, m);
	revert_creds(old_cred);
	mxfs_leave(sbi);
	return err;
}

static int mxfs_sweep_one(struct mxfs_sb *sbi, struct dentry *dir, const char *name, void *arg)
{
	struct mxfs_file_id id;
	struct inode *inode;
	int err;

	if (!mxfs_parse_shared(name, &id))
		return 0;
	inode = mxfs_known(sbi->sb, &id);
	if ((inode && mxfs_is_held(inode)) || mxfs_open_elsewhere(sbi, &id)) {
		WRITE_ONCE(sbi->orphans.sweep, true);
		goto out;
	}
	err = mxfs_own_unlink(dir, name);
	if (err) {
		mxfs_warn(sbi, ".mxfs/orphans/%s cannot be removed (%pe); the next owner tries again", name,
			  ERR_PTR(err));
	} else if (inode) {
		/* It may have a name after all: it was linked again, or its name could not be removed. */
		WRITE_ONCE(MXFS_I(inode)->shared_seq, 0);
		WRITE_ONCE(MXFS_I(inode)->attr_seq, 0);
	}
out:
	iput(inode);
	return 0;
}

/* What no node has open any more. Inside the operation gate. */
static void mxfs_sweep(struct mxfs_sb *sbi)
{
	const struct cred *old_cred;

	if (!READ_ONCE(sbi->orphans.sweep))
		return;
	WRITE_ONCE(sbi->orphans.sweep, false);
	old_cred = override_creds(sbi->cred);
	mxfs_each_orphan(sbi, mxfs_sweep_one, NULL);
	revert_creds(old_cred);
}

static int mxfs_stale_one(struct mxfs_sb *sbi, struct dentry *dir, const char *name, void *arg)
{
	int err, end = 0;
	u64 key;
	u32 seq;

	if (sscanf(name, "%16llx-%8x%n", &key, &seq, &end) != 2 || end != MXFS_ORPHAN_NAME_LEN || name[end])
		return 0;
	/*
	 * Other nodes' entries are theirs, and ours of now are in use. Without reservations the key
	 * is 0 and there is one node; numbers begin with the time of the mount, so older ones are
	 * an earlier mount's.
	 */
	if (key >> 32 != sbi->orphans.key >> 32 || (key == sbi->orphans.key && seq >= sbi->orphans.first))
		return 0;
	err = mxfs_reap_link(sbi, dir, name);
	if (err)
		mxfs_warn(sbi, ".mxfs/orphans/%s cannot be removed (%pe)", name, ERR_PTR(err));
	else
		mxfs_info(sbi, "removed .mxfs/orphans/%s, a file that an earlier mount of this node had left open and nameless", name);
	return 0;
}

/* Once per mount: what earlier incarnations of this node left. */
static void mxfs_reap_stale(struct mxfs_sb *sbi)
{
	const struct cred *old_cred = override_creds(sbi->cred);

	mxfs_each_orphan(sbi, mxfs_stale_one, NULL);
	revert_creds(old_cred);
}

static void mxfs_reserve_refill(struct mxfs_sb *sbi)
{
	const struct cred *old_cred;

	if (!READ_ONCE(sbi->own.reserve_used))
		return;
	old_cred = override_creds(sbi->cred);
	mxfs_reserve_fill(sbi);
	revert_creds(old_cred);
}

void mxfs_reap_workfn(struct work_struct *work)
{
	struct mxfs_sb *sbi = container_of(work, struct mxfs_sb, orphans.work);
	int err;

	/* Evictions at umount begin it, too, and the VFS wants no inode to be looked at then (mxfs_hold()); mxfs_reap_all() comes. */
	if (READ_ONCE(sbi->change.held))
		return;
	err = mxfs_enter_attached(sbi);
	if (err)
		return;
	/* It would wait with a gate passed, and umount for it. The next attach tries again, or the next file that loses its last holder. */
	if (mxfs_lower_is_frozen(sbi)) {
		mxfs_leave(sbi);
		return;
	}
	if (!sb_rdonly(sbi->sb)) {
		if (!sbi->orphans.stale_reaped)
			mxfs_reap_stale(sbi);
		sbi->orphans.stale_reaped = true;
		mxfs_sweep(sbi);
	}
	mxfs_reap(sbi);
	/* Behind what frees space. */
	if (!sb_rdonly(sbi->sb))
		mxfs_reserve_refill(sbi);
	mxfs_leave(sbi);
}

static bool mxfs_reap_hopeless(struct mxfs_sb *sbi)
{
	return READ_ONCE(sbi->state) == MXFS_STATE_DEAD || READ_ONCE(sbi->change.left) ||
	       time_after_eq(jiffies, READ_ONCE(sbi->lease_end));
}

/*
 * At umount: every file is closed; take ownership for it once more where that is needed, but not
 * for long, and not from a daemon that has let its lease end. It is needed, too, when this node's list of open files says
 * otherwise (local/opens.c).
 */
void mxfs_reap_all(struct mxfs_sb *sbi)
{
	if (!list_empty(&sbi->orphans.reap) || !llist_empty(&sbi->orphans.reap_new) || sbi->opens.told_count) {
		/* A detach in progress ends first. */
		mxfs_wait_timeout(sbi->wait,
				  mxfs_may_run(sbi) || READ_ONCE(sbi->state) == MXFS_STATE_DETACHED ||
					  mxfs_reap_hopeless(sbi),
				  MXFS_WAIT_BOUNDED, MXFS_REAP_WAIT);
		if (READ_ONCE(sbi->state) == MXFS_STATE_DETACHED) {
			mxfs_send_want(sbi);
			mxfs_wait_timeout(sbi->wait, mxfs_may_run(sbi) || mxfs_reap_hopeless(sbi),
					  MXFS_WAIT_BOUNDED, MXFS_REAP_WAIT);
		}
	}
	if (mxfs_try_enter(sbi)) {
		/* Who has frozen XFS may never end that. */
		if (!mxfs_lower_is_frozen(sbi)) {
			mxfs_reap(sbi);
			if (!sbi->rdonly)
				mxfs_sweep(sbi);
		}
		mxfs_leave(sbi);
	}
}

/**
 * mxfs_reap_end - forget what could not be reaped
 * @sbi: the mount, held, without an inode, XFS detached
 */
void mxfs_reap_end(struct mxfs_sb *sbi)
{
	struct mxfs_orphan *orphan, *next;

	cancel_work_sync(&sbi->orphans.work);
	llist_for_each_entry_safe(orphan, next, llist_del_all(&sbi->orphans.reap_new), done)
		list_add_tail(&orphan->entry, &sbi->orphans.reap);
	if (!list_empty(&sbi->orphans.reap))
		mxfs_warn(
			sbi,
			"files that were open and nameless stay in .mxfs/orphans until this node mounts the volume again");
	list_for_each_entry_safe(orphan, next, &sbi->orphans.reap, entry) {
		list_del(&orphan->entry);
		kfree(orphan);
	}
}
