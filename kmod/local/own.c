// SPDX-License-Identifier: GPL-2.0-only
/*
 * mxfs: the folder of the module's own in the volume.
 *
 *	.mxfs			folder, immutable
 *	.mxfs/orphans		folder: links that keep files without a name (local/orphan.c)
 *	.mxfs/open		folder: what each node has open, a file a node (local/opens.c)
 *	.mxfs/reserve		file: blocks that are given back when the volume is full and more links have to be made than
 *				.mxfs/orphans has room for
 *	.mxfs/lockstate		file, immutable: where the daemons write to the disk (local/lockstate.c)
 *
 * Nobody sees it through a mount: it is in no listing, cannot be looked up, made, replaced or reached by handle. So
 * `rm -rf` and `find -delete` by root leave it alone. Through plain XFS, or before the volume was mounted for the first time,
 * whoever may write to the root may have put something in its place. So all that is used is looked at before: it
 * belongs to root, nobody else may enter it, it is a folder or a regular file with one name. Anything else is never
 * followed, opened or written to; a mount is refused for it, with a line that names it.
 */
#include <linux/fs.h>
#include <linux/falloc.h>
#include <linux/file.h>
#include <linux/namei.h>
#include <linux/quota.h>
#include <linux/slab.h>
#include <linux/statfs.h>
#include "compat.h"
#include "local/own.h"

/*
 * A link takes 40 bytes of a folder and 8 of its index: 56 bytes measured, so 1 MiB is enough for some ten thousand, and
 * for what XFS wants to have free before it begins (about 60 KiB).
 */
#define MXFS_RESERVE_BYTES SZ_1M
#define MXFS_ROOM_BYTES (7 * SZ_4K) /* of .mxfs/orphans */
#define MXFS_ROOM_NAMES 100
#define MXFS_ROOM_KEEP 12 /* one in so many names stays: one a block */
#define MXFS_OWN_MAX 1024 /* inodes of our own that handles are compared with */

/* What is wrong with it; NULL: nothing. */
static const char *mxfs_own_fault(const struct inode *inode, umode_t type)
{
	if ((inode->i_mode & S_IFMT) != type)
		return S_ISDIR(type) ? "no folder" : "no regular file";
	if (!uid_eq(inode->i_uid, GLOBAL_ROOT_UID))
		return "of another owner than root";
	if (inode->i_mode & 0077)
		return "of a mode that lets others in";
	if (S_ISREG(type) && inode->i_nlink != 1)
		return "a file with a second name";
	return NULL;
}

static void mxfs_own_tell(struct mxfs_sb *sbi, const char *in, const char *name, const char *fault)
{
	pr_err_ratelimited(
		"mxfs (%s): %s%s is not mxfs's own: it is %s; it is not touched. Unmount the volume everywhere, mount it as plain xfs on one machine, look who made it, and rename or remove it\n",
		sbi->source, in, name, fault);
	/* For mount(8), where this is what it fails for. */
	snprintf(sbi->own.refused, sizeof(sbi->own.refused),
		 "%s%s is not mxfs's own: it is %s. Unmount %s everywhere, mount it as plain xfs on one machine, look who made it, and rename or remove it",
		 in, name, fault, sbi->source);
}

/* With sbi->cred. Return: as mxfs_own_find(); @fault is what is wrong where it is -EPERM. */
static struct dentry *mxfs_own_peek(struct dentry *parent, const char *name, umode_t type, const char **fault)
{
	struct dentry *found = mxfs_lookup_lower(parent, name, strlen(name));
	int err = -ENOENT;

	/* A security module's no is not ours. */
	if (found == ERR_PTR(-EPERM))
		return ERR_PTR(-EACCES);
	if (IS_ERR(found))
		return found;
	if (d_really_is_positive(found)) {
		*fault = mxfs_own_fault(d_inode(found), type);
		if (!*fault)
			return found;
		err = -EPERM;
	}
	dput(found);
	return ERR_PTR(err);
}

/* One of ours, looked at; -ENOENT; -EPERM: what has its name is none of ours, which was said. With sbi->cred. */
static struct dentry *mxfs_own_find(struct mxfs_sb *sbi, struct dentry *parent, const char *in, const char *name, umode_t type)
{
	const char *fault;
	struct dentry *found = mxfs_own_peek(parent, name, type, &fault);

	if (found == ERR_PTR(-EPERM))
		mxfs_own_tell(sbi, in, name, fault);
	return found;
}

/* This one flag; all else stays, for it may be the root of the volume, which is the user's. */
static int mxfs_own_immutable(struct dentry *dentry, bool immutable)
{
	struct mxfs_fileattr was, fa;
	int err = vfs_fileattr_get(dentry, &was);

	if (err)
		return err;
	fileattr_fill_xflags(&fa, immutable ? was.fsx_xflags | FS_XFLAG_IMMUTABLE : was.fsx_xflags & ~FS_XFLAG_IMMUTABLE);
	fa.fsx_projid = was.fsx_projid;
	fa.fsx_extsize = was.fsx_extsize;
	fa.fsx_cowextsize = was.fsx_cowextsize;
	return vfs_fileattr_set(&nop_mnt_idmap, dentry, &fa);
}

/*
 * Flags that a new folder may have inherited from the root: with project inheritance no file of another project could
 * be linked into it, and its blocks would count against a project's quota. So would they against a group's.
 */
static int mxfs_own_set(struct dentry *dentry, bool immutable)
{
	struct iattr attr = { .ia_valid = ATTR_GID, .ia_gid = GLOBAL_ROOT_GID };
	struct inode *inode = d_inode(dentry);
	struct mxfs_fileattr fa;
	bool was;
	int err = 0;

	if (!gid_eq(inode->i_gid, GLOBAL_ROOT_GID)) {
		/* notify_change() refuses it. */
		was = IS_IMMUTABLE(inode);
		if (was)
			err = mxfs_own_immutable(dentry, false);
		if (err)
			return err;
		inode_lock(inode);
		err = notify_change(&nop_mnt_idmap, dentry, &attr, NULL);
		inode_unlock(inode);
		if (err && was)
			mxfs_own_immutable(dentry, true);
	}
	if (!err)
		err = vfs_fileattr_get(dentry, &fa);
	if (err)
		return err;
	if (!(fa.fsx_xflags & (FS_XFLAG_PROJINHERIT | FS_XFLAG_RTINHERIT)) && !fa.fsx_projid &&
	    !(fa.fsx_xflags & FS_XFLAG_IMMUTABLE) == !immutable)
		return 0;
	fileattr_fill_xflags(&fa, (fa.fsx_xflags & ~(FS_XFLAG_PROJINHERIT | FS_XFLAG_RTINHERIT | FS_XFLAG_IMMUTABLE)) |
					  (immutable ? FS_XFLAG_IMMUTABLE : 0));
	fa.fsx_projid = 0;
	return vfs_fileattr_set(&nop_mnt_idmap, dentry, &fa);
}

/**
 * mxfs_own_bytes - what a file has on the disk, holes left out
 * @path: the file, on XFS
 * @bytes: filled in
 *
 * Asked of XFS, which does not keep i_blocks.
 *
 * Return: 0 or -errno.
 */
int mxfs_own_bytes(const struct path *path, u64 *bytes)
{
	struct kstat stat;
	int err = vfs_getattr_nosec(path, &stat, STATX_BLOCKS, 0);

	*bytes = err ? 0 : stat.blocks << SECTOR_SHIFT;
	return err;
}

static int mxfs_own_make(struct dentry *parent, const char *name, umode_t type)
{
	struct dentry *made = mxfs_begin_create(parent, name, strlen(name));
	int err;

	if (IS_ERR(made))
		return PTR_ERR(made) == -EEXIST ? 0 : PTR_ERR(made);
	if (S_ISDIR(type))
		err = mxfs_vfs_mkdir(parent, &made, 0700);
	else
		err = mxfs_vfs_create(parent, made, S_IFREG | 0600);
	mxfs_end_change(parent, made);
	return err;
}

/* As mxfs_own_find(), and makes it. */
static struct dentry *mxfs_own_get(struct mxfs_sb *sbi, struct dentry *parent, const char *in, const char *name, umode_t type)
{
	struct dentry *found = mxfs_own_find(sbi, parent, in, name, type);
	bool immutable = IS_IMMUTABLE(d_inode(parent));
	int err = 0, again;

	if (found != ERR_PTR(-ENOENT) || sbi->rdonly)
		return found;
	if (immutable)
		err = mxfs_own_immutable(parent, false);
	if (!err) {
		err = mxfs_own_make(parent, name, type);
		WRITE_ONCE(sbi->own.seq, 0);
		again = immutable ? mxfs_own_immutable(parent, true) : 0;
		if (again)
			mxfs_warn(sbi, "the folder in which %s was made was immutable, and cannot be made so again (%pe)", name, ERR_PTR(again));
	}
	if (!err) {
		found = mxfs_own_find(sbi, parent, in, name, type);
		if (IS_ERR(found))
			return found;
		err = mxfs_own_set(found, false);
		if (!err)
			return found;
		dput(found);
	}
	/* -EPERM says that what is there is none of ours. */
	return ERR_PTR(err == -EPERM ? -EACCES : err);
}

/**
 * mxfs_own_dir - a directory of this module's in .mxfs
 * @sbi: the mount, inside the operation gate or with the gates closed; with sbi->cred
 * @name: in .mxfs; NULL: .mxfs itself
 * @create: make it when it is not there
 *
 * Return: the dentry with a reference, or an ERR_PTR: -ENOENT; -EPERM when it is not as we make it.
 */
struct dentry *mxfs_own_dir(struct mxfs_sb *sbi, const char *name, bool create)
{
	struct dentry *root = sbi->lower->mnt_root, *top, *dir;

	top = create ? mxfs_own_get(sbi, root, "", MXFS_OWN, S_IFDIR) :
		       mxfs_own_find(sbi, root, "", MXFS_OWN, S_IFDIR);
	if (IS_ERR(top) || !name)
		return top;
	dir = create ? mxfs_own_get(sbi, top, MXFS_OWN "/", name, S_IFDIR) :
		       mxfs_own_find(sbi, top, MXFS_OWN "/", name, S_IFDIR);
	dput(top);
	return dir;
}

/**
 * mxfs_own_file - open a file of this module's in one of its folders
 * @sbi: the mount; as mxfs_own_dir()
 * @dir: the folder
 * @in: the folder's path, with a slash at its end, for messages
 * @name: of the file
 * @flags: with O_CREAT, it is made when it is not there
 *
 * Only who is the owner is here, so nothing has it open already.
 *
 * Return: the file, which __fput_sync() closes; or an ERR_PTR, as mxfs_own_dir().
 */
struct file *mxfs_own_file(struct mxfs_sb *sbi, struct dentry *dir, const char *in, const char *name, int flags)
{
	struct path path = { .mnt = sbi->lower };
	struct file *file;

	path.dentry = flags & O_CREAT ? mxfs_own_get(sbi, dir, in, name, S_IFREG) :
					mxfs_own_find(sbi, dir, in, name, S_IFREG);
	if (IS_ERR(path.dentry))
		return ERR_CAST(path.dentry);
	file = dentry_open(&path, (flags & ~O_CREAT) | O_LARGEFILE, sbi->cred);
	dput(path.dentry);
	return file;
}

#define MXFS_OWN_NAME_MAX 30 /* of what is in the folders: "open-" and a file, the longest */

struct mxfs_own_names {
	struct dir_context ctx;
	unsigned int count;
	char names[32][MXFS_OWN_NAME_MAX + 1];
};

static bool mxfs_own_name_actor(struct dir_context *ctx, const char *name, int len, loff_t pos, u64 ino, unsigned int type)
{
	struct mxfs_own_names *found = container_of(ctx, struct mxfs_own_names, ctx);

	if (len > MXFS_OWN_NAME_MAX || name[0] == '.')
		return true;
	if (found->count == ARRAY_SIZE(found->names))
		return false;
	memcpy(found->names[found->count], name, len);
	found->names[found->count++][len] = '\0';
	return true;
}

/**
 * mxfs_own_each - call a function for every name in one of this module's folders, however many there are
 * @sbi: the mount, as mxfs_own_dir()
 * @folder: which one
 * @each: may remove the name; an error of it ends all
 * @arg: for @each
 *
 * Return: 0, also where there is no such folder; or an error, after which not every name was seen.
 */
int mxfs_own_each(struct mxfs_sb *sbi, const char *folder,
		  int (*each)(struct mxfs_sb *sbi, struct dentry *dir, const char *name, void *arg), void *arg)
{
	struct path path = { .mnt = sbi->lower };
	struct mxfs_own_names *found;
	struct file *file;
	unsigned int i;
	int err;

	path.dentry = mxfs_own_dir(sbi, folder, false);
	if (IS_ERR(path.dentry))
		return PTR_ERR(path.dentry) == -ENOENT ? 0 : PTR_ERR(path.dentry);
	found = kzalloc(sizeof(*found), GFP_KERNEL);
	file = found ? dentry_open(&path, O_RDONLY | O_DIRECTORY, sbi->cred) : ERR_PTR(-ENOMEM);
	if (IS_ERR(file)) {
		err = PTR_ERR(file);
		goto out;
	}
	found->ctx.actor = mxfs_own_name_actor;
	do {
		found->count = 0;
		err = iterate_dir(file, &found->ctx);
		for (i = 0; !err && i < found->count; i++)
			err = each(sbi, path.dentry, found->names[i], arg);
	} while (!err && found->count == ARRAY_SIZE(found->names));
	__fput_sync(file);
out:
	kfree(found);
	dput(path.dentry);
	return err;
}

/**
 * mxfs_own_look - find a file in .mxfs of any XFS of this volume
 * @root: of XFS, which may be mounted for a probe only; with sbi->cred
 * @name: of the file
 *
 * Nothing is said of what is none of ours: it may be what only a log that was not replayed makes strange.
 *
 * Return: as mxfs_own_dir().
 */
struct dentry *mxfs_own_look(struct dentry *root, const char *name)
{
	const char *fault;
	struct dentry *top = mxfs_own_peek(root, MXFS_OWN, S_IFDIR, &fault), *found;

	if (IS_ERR(top))
		return top;
	found = mxfs_own_peek(top, name, S_IFREG, &fault);
	dput(top);
	return found;
}

/**
 * mxfs_own_plain - a file without a name, and without blocks, inherits nothing
 * @dentry: the file; XFS changes the hint for the size of extents only where there are none
 *
 * Return: 0 or -errno.
 */
int mxfs_own_plain(struct dentry *dentry)
{
	struct mxfs_fileattr fa;
	int err = mxfs_own_set(dentry, false) ?: vfs_fileattr_get(dentry, &fa);

	if (err)
		return err;
	fileattr_fill_xflags(&fa, 0);
	fa.fsx_extsize = 0;
	fa.fsx_cowextsize = 0;
	return vfs_fileattr_set(&nop_mnt_idmap, dentry, &fa);
}

/* A file that is never to move or change: immutable, and nobody's quota. Return: 0 or -errno. */
int mxfs_own_keep(struct dentry *dentry)
{
	return mxfs_own_set(dentry, true);
}

/**
 * mxfs_own_link - what vfs_link() does; but an inode without a link may get one, as after O_TMPFILE
 * @lower: the file; it may be immutable
 * @dir: the folder, locked; it may be immutable
 * @link: its dentry there, negative
 *
 * Return: 0 or -errno.
 */
int mxfs_own_link(struct dentry *lower, struct dentry *dir, struct dentry *link)
{
	struct inode *linode = d_inode(lower);
	int err;

	inode_lock(linode);
	if (!linode->i_nlink)
		mxfs_set_linkable(linode, true);
	err = d_inode(dir)->i_op->link(lower, d_inode(dir), link);
	if (!linode->i_nlink || !err)
		mxfs_set_linkable(linode, false);
	inode_unlock(linode);
	return err;
}

/**
 * mxfs_own_place - give a file without a name its name in .mxfs, for good
 * @sbi: the mount, attaching; with sbi->cred
 * @file: the file
 * @name: its name; what has it until now is removed
 *
 * Return: 0 or -errno.
 */
int mxfs_own_place(struct mxfs_sb *sbi, struct file *file, const char *name)
{
	struct dentry *top = mxfs_own_dir(sbi, NULL, true), *link;
	int err;

	if (IS_ERR(top))
		return PTR_ERR(top);
	err = mxfs_own_keep(file->f_path.dentry) ?: mxfs_own_unlink(top, name);
	if (err == -ENOENT)
		err = 0;
	if (!err) {
		link = mxfs_begin_create(top, name, strlen(name));
		err = PTR_ERR_OR_ZERO(link);
		if (!err) {
			err = mxfs_own_link(file->f_path.dentry, top, link);
			mxfs_end_change(top, link);
		}
		WRITE_ONCE(sbi->own.seq, 0);
	}
	dput(top);
	return err;
}

/*
 * Removes one entry of such a directory; -ENOENT when there is none. Not by vfs_unlink(): who held the file may have made it
 * immutable.
 */
int mxfs_own_unlink(struct dentry *dir, const char *name)
{
	struct dentry *lower = mxfs_begin_remove(dir, name, strlen(name));
	int err;

	if (IS_ERR(lower))
		return PTR_ERR(lower);
	err = -EISDIR;
	if (!d_is_dir(lower)) {
		inode_lock(d_inode(lower));
		err = d_inode(dir)->i_op->unlink(d_inode(dir), lower);
		inode_unlock(d_inode(lower));
	}
	if (!err)
		d_delete(lower);
	mxfs_end_change(dir, lower);
	return err;
}

/**
 * mxfs_own_check - is what stands in the place of .mxfs ours?
 * @sbi: the mount
 * @root: the root of the lower file system; in a probe, which replays no log, it may seem not to be ours though it is
 *
 * Return: 0, also when there is none, or when it cannot be told; -EPERM when it is not: sbi->own.foreign, and sbi->own.refused says what.
 */
int mxfs_own_check(struct mxfs_sb *sbi, struct dentry *root)
{
	static const struct {
		const char *name;
		umode_t type;
	} ours[] = { { "orphans", S_IFDIR }, { "open", S_IFDIR }, { "reserve", S_IFREG }, { "lockstate", S_IFREG } };
	const struct cred *old_cred = override_creds(sbi->cred);
	struct dentry *top, *found;
	int i, err = 0;

	top = mxfs_own_find(sbi, root, "", MXFS_OWN, S_IFDIR);
	if (IS_ERR(top)) {
		err = PTR_ERR(top);
	} else {
		for (i = 0; i < ARRAY_SIZE(ours) && err != -EPERM; i++) {
			found = mxfs_own_find(sbi, top, MXFS_OWN "/", ours[i].name, ours[i].type);
			err = PTR_ERR_OR_ZERO(found);
			if (!err)
				dput(found);
		}
		dput(top);
	}
	revert_creds(old_cred);
	sbi->own.foreign = err == -EPERM;
	return sbi->own.foreign ? err : 0;
}

static void mxfs_room_name(char *name, int number)
{
	memset(name, '-', NAME_MAX);
	name[NAME_MAX] = '\0';
	/* No end of the string: the name is as long as can be. */
	name[snprintf(name, NAME_MAX, "room-%03d", number)] = '-';
}

/*
 * Room for links in blocks that the folder has: on a full volume XFS makes a name where it needs no block, and only there
 * (fs/xfs/libxfs/xfs_dir2.c: xfs_dir_canenter()); what is freed then goes to its own reserve first. So the folder gets the longest
 * names there are, 14 a block, and loses all but one in each. (XFS gives up a block of a directory when it is empty.) The index,
 * one block of 4 KiB, is what limits it: 480 links.
 */
static void mxfs_own_room(struct dentry *dir)
{
	struct dentry *first, *link;
	char name[NAME_MAX + 1];
	int i, err;

	if (i_size_read(d_inode(dir)) >= MXFS_ROOM_BYTES)
		return;
	mxfs_room_name(name, 0);
	if (mxfs_own_make(dir, name, S_IFREG))
		return;
	first = mxfs_lookup_lower(dir, name, NAME_MAX);
	if (IS_ERR(first))
		return;
	for (i = 1; i < MXFS_ROOM_NAMES && d_is_reg(first); i++) {
		mxfs_room_name(name, i);
		link = mxfs_begin_create(dir, name, NAME_MAX);
		if (link == ERR_PTR(-EEXIST))
			continue;
		if (IS_ERR(link))
			break;
		err = vfs_link(first, &nop_mnt_idmap, d_inode(dir), link, NULL);
		mxfs_end_change(dir, link);
		if (err)
			break;
	}
	dput(first);
	while (--i > 0) {
		mxfs_room_name(name, i);
		if (i % MXFS_ROOM_KEEP)
			mxfs_own_unlink(dir, name);
	}
}

/* Fills the reserve up where there is space. Inside the operation gate or attaching; with sbi->cred. */
void mxfs_reserve_fill(struct mxfs_sb *sbi)
{
	struct dentry *top = mxfs_own_dir(sbi, NULL, true);
	struct kstatfs fs;
	struct file *file;
	u64 bytes, missing;
	int err;

	if (IS_ERR(top))
		return;
	file = mxfs_own_file(sbi, top, MXFS_OWN "/", "reserve", O_RDWR | O_CREAT);
	dput(top);
	if (IS_ERR(file))
		return;
	err = mxfs_own_bytes(&file->f_path, &bytes);
	if (!err && (bytes < MXFS_RESERVE_BYTES || i_size_read(file_inode(file)) < MXFS_RESERVE_BYTES)) {
		/* XFS gives up what it has set aside for all open files before it says that there is no space (xfs_blockgc_flush_all()). */
		err = vfs_statfs(&file->f_path, &fs);
		missing = MXFS_RESERVE_BYTES - min_t(u64, bytes, MXFS_RESERVE_BYTES);
		if (!err && (u64)fs.f_bavail * fs.f_bsize < missing)
			err = -ENOSPC;
		if (!err)
			err = vfs_fallocate(file, 0, 0, MXFS_RESERVE_BYTES);
	}
	__fput_sync(file);
	/* Without space for it, it is tried again after the next attach, and when a file without a name goes. */
	WRITE_ONCE(sbi->own.reserve_used, err);
}

/**
 * mxfs_reserve_look - has a node given the reserve's blocks back?
 * @sbi: the mount, attaching; with sbi->cred
 *
 * It has its size when all of it is there: fallocate() sets that last, and what gives it back truncates it.
 */
void mxfs_reserve_look(struct mxfs_sb *sbi)
{
	struct dentry *found = mxfs_own_look(sbi->lower->mnt_root, "reserve");

	WRITE_ONCE(sbi->own.reserve_used, IS_ERR(found) || i_size_read(d_inode(found)) < MXFS_RESERVE_BYTES);
	if (!IS_ERR(found))
		dput(found);
}

/**
 * mxfs_reserve_free - give the reserve's blocks back
 * @sbi: the mount, detaching: nobody else can take them; with sbi->cred
 *
 * Return: whether there were any.
 */
bool mxfs_reserve_free(struct mxfs_sb *sbi)
{
	struct dentry *top;
	struct file *file;
	u64 bytes;
	bool any;

	if (sbi->rdonly)
		return false;
	top = mxfs_own_dir(sbi, NULL, false);
	if (IS_ERR(top))
		return false;
	WRITE_ONCE(sbi->own.reserve_used, true);
	file = mxfs_own_file(sbi, top, MXFS_OWN "/", "reserve", O_RDWR);
	dput(top);
	if (IS_ERR(file))
		return false;
	any = !mxfs_own_bytes(&file->f_path, &bytes) && bytes && !vfs_truncate(&file->f_path, 0);
	__fput_sync(file);
	return any;
}

/*
 * Which quotas of groups and projects are so, as limits; what is made below the root of the volume inherits its group, or project.
 * Return: whether that can be told.
 */
static bool mxfs_own_limits(struct super_block *lower, unsigned int flag, unsigned int *limits)
{
	struct qc_state state = {};

	if (!lower->s_qcop || !lower->s_qcop->get_state || !lower->s_qcop->quota_enable || !lower->s_qcop->quota_disable ||
	    lower->s_qcop->get_state(lower, &state))
		return false;
	*limits = (state.s_state[GRPQUOTA].flags & flag ? FS_QUOTA_GDQ_ENFD : 0) |
		  (state.s_state[PRJQUOTA].flags & flag ? FS_QUOTA_PDQ_ENFD : 0);
	return true;
}

/*
 * The limits that were lifted to make .mxfs hold again; not those of quotas that are not counted any more. A freeze of the
 * device waits for that (fs/super.c: freeze_super()), for XFS notes it by a transaction that does not wait for a freeze
 * (fs/xfs/libxfs/xfs_sb.c: xfs_sync_sb()).
 */
static int mxfs_own_restore(struct mxfs_sb *sbi, unsigned int limits)
{
	struct super_block *lower = sbi->lower->mnt_sb;
	unsigned int counted;
	int err;

	if (mxfs_own_limits(lower, QCI_ACCT_ENABLED, &counted))
		limits &= counted;
	err = limits ? lower->s_qcop->quota_enable(lower, limits) : 0;
	if (err == -EEXIST)
		err = 0;
	sbi->own.limits = err ? limits : 0;
	sbi->device.home_due = true;
	if (err)
		mxfs_err(sbi,
			 "the limits of quotas were lifted to make " MXFS_OWN ", and cannot be had back (%pe); if this node ends before they are: mount with%s%s",
			 ERR_PTR(err), limits & FS_QUOTA_GDQ_ENFD ? " gquota" : "", limits & FS_QUOTA_PDQ_ENFD ? " pquota" : "");
	return err;
}

/*
 * .mxfs, nobody's quota. XFS charges a new folder to the group or project that it inherits, and there may be nothing left of that; group 0 and
 * project 0, which it belongs to a moment later, have no limits. So limits are lifted for that moment: the gates are closed, nobody else
 * makes anything. XFS notes in its superblock that they are, and that they are not any more, by transactions that its log
 * takes with the one in between, and at the end of the attach its place has them again; only a crash in that moment, after a checkpoint went
 * home in between, or a snapshot, leaves limits off. Once a mount: on a
 * volume that is full it is in vain. XFS that cannot note that they are lifted has lifted them all the same (fs/xfs/xfs_qm_syscalls.c).
 *
 * Return: as mxfs_own_dir(); @lost: the limits cannot be had back, which the next attach tries first.
 */
static struct dentry *mxfs_own_top(struct mxfs_sb *sbi, bool *lost)
{
	struct super_block *lower = sbi->lower->mnt_sb;
	struct dentry *top;
	unsigned int limits;
	int err = 0;

	if (sbi->own.limits && !sbi->rdonly) {
		err = -EBUSY;
		if (sb_start_write_trylock(lower)) {
			err = mxfs_own_restore(sbi, sbi->own.limits);
			sb_end_write(lower);
		}
		*lost = err;
		if (err)
			return ERR_PTR(err);
		/* What was made then may not have reached the log. */
		sbi->own.lifted = false;
	}
	top = mxfs_own_dir(sbi, NULL, !sbi->rdonly);
	/* Of a project it is ENOSPC (fs/xfs/xfs_trans_dquot.c: xfs_trans_dqresv()). */
	if ((top != ERR_PTR(-EDQUOT) && top != ERR_PTR(-ENOSPC)) || sbi->own.lifted)
		return top;
	if (!mxfs_own_limits(lower, QCI_LIMITS_ENFORCED, &limits) || !limits || !sb_start_write_trylock(lower))
		return top;
	sbi->own.lifted = true;
	err = lower->s_qcop->quota_disable(lower, limits);
	if (!err)
		top = mxfs_own_dir(sbi, NULL, true);
	if (err != -EEXIST)
		*lost = mxfs_own_restore(sbi, limits);
	sb_end_write(lower);
	return top;
}

/* In the first attach: what is in .mxfs is made, or looked after. With sbi->cred. */
static void mxfs_own_fill(struct mxfs_sb *sbi, const char *name, bool first)
{
	struct dentry *dir = mxfs_own_dir(sbi, name, true);
	int err = PTR_ERR_OR_ZERO(dir);

	if (!err && first)
		err = mxfs_own_set(dir, false);
	if (err && first)
		mxfs_warn(sbi, MXFS_OWN "/%s cannot be made (%pe): what is open and loses its name may be lost until it can",
			  name, ERR_PTR(err));
	if (IS_ERR(dir))
		return;
	if (!err && first && !strcmp(name, "orphans"))
		mxfs_own_room(dir);
	dput(dir);
}

/**
 * mxfs_own_begin - look at what is ours, and make what is missing
 * @sbi: the mount, attaching: XFS is mounted, and the gates are closed; mxfs_own_check() has found nothing else in its place
 *
 * Made in the first attach, when there is space, and not when it is needed, when there may be none.
 *
 * Return: 0, or -EIO where the limits of quotas were lifted and cannot be had back.
 */
int mxfs_own_begin(struct mxfs_sb *sbi)
{
	bool first = !sbi->rdonly && !sbi->change.begun;
	struct mxfs_inode *root = mxfs_root(sbi);
	const struct cred *old_cred = override_creds(sbi->cred);
	bool lost = false;
	struct dentry *top;

	top = mxfs_own_top(sbi, &lost);
	/* Before anything is made in it: a crash may have left it with what it inherits. */
	if (!IS_ERR(top) && first)
		mxfs_own_set(top, true);
	if (IS_ERR(top) && first && !lost)
		mxfs_warn(sbi, MXFS_OWN " cannot be made (%pe): what is open and loses its name may be lost until it can", top);
	if (!IS_ERR(top) && !sbi->rdonly) {
		mxfs_own_fill(sbi, "orphans", first);
		mxfs_own_fill(sbi, "open", first);
	}
	if (!IS_ERR(top)) {
		if (first) {
			mxfs_reserve_fill(sbi);
			mxfs_own_set(top, true);
		}
		/* The root has a link more than anybody sees folders in it. */
		if (root)
			mxfs_set_shared(root, 1);
		dput(top);
	}
	revert_creds(old_cred);
	return lost ? -EIO : 0;
}

struct mxfs_own_list {
	struct dir_context ctx;
	u64 *inos;
	unsigned int count;
	bool deeper; /* an entry is a folder that is looked into, too */
	char folders[8][NAME_MAX + 1];
	unsigned int nr_folders;
};

static bool mxfs_own_actor(struct dir_context *ctx, const char *name, int len, loff_t pos, u64 ino, unsigned int type)
{
	struct mxfs_own_list *list = container_of(ctx, struct mxfs_own_list, ctx);

	if (name[0] == '.' && (len == 1 || (len == 2 && name[1] == '.')))
		return true;
	if (list->count == MXFS_OWN_MAX)
		return false;
	list->inos[list->count++] = ino;
	if (list->deeper && type == DT_DIR && list->nr_folders < ARRAY_SIZE(list->folders) &&
	    !(len == 7 && !memcmp(name, "orphans", 7))) {
		memcpy(list->folders[list->nr_folders], name, len);
		list->folders[list->nr_folders++][len] = '\0';
	}
	return true;
}

static int mxfs_own_list_one(struct mxfs_sb *sbi, struct mxfs_own_list *list, const char *name)
{
	struct path path = { .mnt = sbi->lower, .dentry = mxfs_own_dir(sbi, name, false) };
	struct file *file;
	int err;

	if (IS_ERR(path.dentry))
		return PTR_ERR(path.dentry) == -ENOENT ? 0 : PTR_ERR(path.dentry);
	if (!name)
		list->inos[list->count++] = d_inode(path.dentry)->i_ino;
	list->deeper = !name;
	file = dentry_open(&path, O_RDONLY | O_DIRECTORY, sbi->cred);
	dput(path.dentry);
	if (IS_ERR(file))
		return PTR_ERR(file);
	list->ctx.pos = 0;
	err = iterate_dir(file, &list->ctx);
	__fput_sync(file);
	return err;
}

/* In orphans there are files of users, and this one. */
static void mxfs_own_list_room(struct mxfs_sb *sbi, struct mxfs_own_list *list)
{
	struct dentry *dir = mxfs_own_dir(sbi, "orphans", false), *room;
	char name[NAME_MAX + 1];

	if (IS_ERR(dir))
		return;
	mxfs_room_name(name, 0);
	room = mxfs_lookup_lower(dir, name, NAME_MAX);
	if (!IS_ERR(room)) {
		if (d_really_is_positive(room) && list->count < MXFS_OWN_MAX)
			list->inos[list->count++] = d_inode(room)->i_ino;
		dput(room);
	}
	dput(dir);
}

static int mxfs_own_list(struct mxfs_sb *sbi)
{
	const struct cred *old_cred = override_creds(sbi->cred);
	struct mxfs_own_list *list = kzalloc(sizeof(*list), GFP_KERNEL);
	unsigned int i;
	int err = -ENOMEM;

	if (!list)
		goto out;
	list->inos = kvmalloc_array(MXFS_OWN_MAX, sizeof(u64), GFP_KERNEL);
	if (!list->inos)
		goto out;
	list->ctx.actor = mxfs_own_actor;
	err = mxfs_own_list_one(sbi, list, NULL);
	for (i = 0; !err && i < list->nr_folders; i++)
		err = mxfs_own_list_one(sbi, list, list->folders[i]);
	if (!err) {
		mxfs_own_list_room(sbi, list);
		kvfree(sbi->own.inos);
		sbi->own.inos = list->inos;
		sbi->own.count = list->count;
		list->inos = NULL;
	}
	kvfree(list->inos);
out:
	kfree(list);
	revert_creds(old_cred);
	return err;
}

/**
 * mxfs_own_inode - is a lower inode one of ours?
 * @sbi: the mount, inside the operation gate
 * @ino: its number
 *
 * For who comes by handle; by name nobody comes. The list is read once an attach, when the first handle comes.
 *
 * Return: 0, -ESTALE when it is, or why that cannot be told.
 */
int mxfs_own_inode(struct mxfs_sb *sbi, u64 ino)
{
	unsigned int i;
	int err = 0;

	mutex_lock(&sbi->opens.lock);
	if (sbi->own.seq != sbi->attach_seq) {
		err = mxfs_own_list(sbi);
		if (!err)
			WRITE_ONCE(sbi->own.seq, sbi->attach_seq);
	}
	for (i = 0; !err && i < sbi->own.count; i++)
		if (sbi->own.inos[i] == ino)
			err = -ESTALE;
	mutex_unlock(&sbi->opens.lock);
	return err;
}
