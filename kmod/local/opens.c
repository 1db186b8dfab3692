// SPDX-License-Identifier: GPL-2.0-only
/*
 * mxfs: what is held on the other nodes.
 *
 * A file whose last name goes away lives on for as long as any node holds it. The node that removes
 * the name is the owner; the others are detached, and what they hold they have written down
 * before they let the volume go: .mxfs/open/<node id> is a list of (inode number, generation). It is
 * in nobody's memory but the file system's own, so it is as durable and as consistent between nodes
 * as the names themselves, and costs no message.
 *
 * A list is written only when it changed, and read when the first last name goes after an attach. A node
 * that died leaves its list behind until it mounts the volume again; the price is space, never data.
 */
#include <linux/bsearch.h>
#include <linux/file.h>
#include <linux/falloc.h>
#include <linux/slab.h>
#include <linux/sort.h>
#include "compat.h"
#include "local/opens.h"
#include "local/own.h"

#define MXFS_OPENS_MAGIC 0x6e65706f /* "open" */
#define MXFS_OPENS_MAX 65536 /* files a node: what is open beyond it is ESTALE when another node removes it */
#define MXFS_OPENS_NAME_LEN 8
#define MXFS_OPENS_ROOM SZ_64K /* on disk from the beginning: 4095 files */

/* The list on disk, little endian. */
struct mxfs_opens_header {
	__le32 magic;
	__le32 count;
	__le64 reserved;
};

struct mxfs_opens_entry {
	__le64 ino;
	__le32 gen;
	__le32 reserved;
};

static_assert(sizeof(struct mxfs_opens_header) == 16);
static_assert(sizeof(struct mxfs_opens_entry) == 16);

static void mxfs_opens_name(struct mxfs_sb *sbi, char *name)
{
	snprintf(name, MXFS_OPENS_NAME_LEN + 1, "%08x", (u32)(sbi->key >> 32));
}

/* Lists are for nodes that share the volume and may write to it. */
static bool mxfs_opens_wanted(struct mxfs_sb *sbi)
{
	return sbi->clustered && !sbi->rdonly;
}

/**
 * mxfs_is_held - has anybody a reference to one of the names of an inode?
 * @inode: upper, no folder
 *
 * An open file has one, and so have O_PATH, a mount on top of it, and for a moment who looks it up; a
 * name that is only cached has none.
 */
bool mxfs_is_held(struct inode *inode)
{
	struct dentry *dentry;
	bool held = false;

	spin_lock(&inode->i_lock);
	for_each_alias(dentry, inode)
		if ((int)d_count(dentry) > 0)
			held = true;
	spin_unlock(&inode->i_lock);
	return held;
}

/* A file that has a link in .mxfs/orphans for this node alone needs no other node's care. */
static bool mxfs_opens_counts(struct mxfs_inode *mi)
{
	return !S_ISDIR(mi->vfs_inode.i_mode) && !READ_ONCE(mi->kept) && mxfs_is_held(&mi->vfs_inode);
}

/**
 * mxfs_opens_note - see whether an inode that lets its lower one go belongs into this node's list
 * @sbi: the mount, detaching
 * @mi: the inode
 *
 * Under bind.lock. Finding a name passes the operation gate, or finds what was found in this attach, so who comes to
 * hold something has its lower inode in memory.
 */
void mxfs_opens_note(struct mxfs_sb *sbi, struct mxfs_inode *mi)
{
	if (!mxfs_opens_counts(mi) || !list_empty(&mi->told_entry))
		return;
	list_add_tail(&mi->told_entry, &sbi->opens.told);
	sbi->opens.told_changed = true;
}

/* Under bind.lock, for an inode that is in the list. */
void mxfs_opens_forget(struct mxfs_sb *sbi, struct mxfs_inode *mi)
{
	list_del_init(&mi->told_entry);
	sbi->opens.told_changed = true;
}

/* What was closed since goes from the list. Return: how much is left to write. */
static u32 mxfs_opens_prune(struct mxfs_sb *sbi)
{
	struct mxfs_inode *mi, *next;
	u32 count = 0;

	spin_lock(&sbi->bind.lock);
	list_for_each_entry_safe(mi, next, &sbi->opens.told, told_entry) {
		if (!mxfs_opens_counts(mi))
			mxfs_opens_forget(sbi, mi);
		else if (count < MXFS_OPENS_MAX)
			count++;
	}
	spin_unlock(&sbi->bind.lock);
	return count;
}

/* The list as it is written; it may have become shorter than @room. */
static void mxfs_opens_fill(struct mxfs_sb *sbi, struct mxfs_opens_header *header, u32 room)
{
	struct mxfs_opens_entry *entries = (void *)(header + 1);
	struct mxfs_inode *mi;
	u32 count = 0;

	spin_lock(&sbi->bind.lock);
	list_for_each_entry(mi, &sbi->opens.told, told_entry) {
		if (count == room)
			break;
		entries[count].ino = cpu_to_le64(mi->ino);
		entries[count].gen = cpu_to_le32(mi->vfs_inode.i_generation);
		count++;
	}
	sbi->opens.told_changed = false;
	spin_unlock(&sbi->bind.lock);
	header->magic = cpu_to_le32(MXFS_OPENS_MAGIC);
	header->count = cpu_to_le32(count);
}

#define MXFS_OPENS_IN ".mxfs/open/"

static int mxfs_opens_write(struct mxfs_sb *sbi, const void *data, size_t size)
{
	char name[MXFS_OPENS_NAME_LEN + 1];
	struct dentry *dir;
	struct file *file;
	loff_t pos = 0;
	ssize_t done;

	mxfs_opens_name(sbi, name);
	dir = mxfs_own_dir(sbi, "open", true);
	if (IS_ERR(dir))
		return PTR_ERR(dir);
	/* In place: the same blocks each time, and the header says how much of them counts. */
	file = mxfs_own_file(sbi, dir, MXFS_OPENS_IN, name, O_RDWR | O_CREAT);
	dput(dir);
	if (IS_ERR(file))
		return PTR_ERR(file);
	done = kernel_write(file, data, size, &pos);
	__fput_sync(file);
	return done < 0 ? done : done < size ? -ENOSPC : 0;
}

/**
 * mxfs_opens_tell - write down what is open here, for who owns the volume next
 * @sbi: the mount, detaching: every gate is closed, and XFS is still mounted
 *
 * A list that cannot be written costs no more than it is for: what another node removes is ESTALE here.
 */
void mxfs_opens_tell(struct mxfs_sb *sbi)
{
	struct mxfs_opens_header *header;
	const struct cred *old_cred;
	size_t size;
	u32 room;
	int err;

	if (!mxfs_opens_wanted(sbi) || READ_ONCE(sbi->state) == MXFS_STATE_DEAD)
		return;
	room = mxfs_opens_prune(sbi);
	if (!sbi->opens.told_changed)
		return;
	/* At umount nothing is open: what the list on disk has too much keeps files of others until this node mounts again. */
	if (READ_ONCE(sbi->change.leaving) && mxfs_lower_is_frozen(sbi))
		return;
	size = sizeof(*header) + room * sizeof(struct mxfs_opens_entry);
	header = kvzalloc(size, GFP_KERNEL);
	if (!header) {
		err = -ENOMEM;
	} else {
		mxfs_opens_fill(sbi, header, room);
		old_cred = override_creds(sbi->cred);
		err = mxfs_opens_write(sbi, header, size);
		if (err == -ENOSPC && mxfs_reserve_free(sbi))
			err = mxfs_opens_write(sbi, header, size);
		revert_creds(old_cred);
		sbi->change.unsynced = true;
		if (!err)
			sbi->opens.told_count = le32_to_cpu(header->count);
	}
	kvfree(header);
	if (!err)
		return;
	sbi->opens.told_changed = true; /* the next detach tries again */
	mxfs_warn(
		sbi,
		"the list of files open here cannot be written (%pe): what another node removes is lost to who has it open here",
		ERR_PTR(err));
}

/**
 * mxfs_opens_begin - take back what an earlier mount of this node left
 * @sbi: the mount, attaching for the first time
 *
 * The list stays, with nothing in it and room for many: on a full volume there is none later.
 */
void mxfs_opens_begin(struct mxfs_sb *sbi)
{
	const struct cred *old_cred = override_creds(sbi->cred);
	struct mxfs_opens_header header = { .magic = cpu_to_le32(MXFS_OPENS_MAGIC) };
	char name[MXFS_OPENS_NAME_LEN + 1];
	struct file *file = NULL;
	struct dentry *dir;
	loff_t pos = 0;
	ssize_t done;
	u64 bytes;

	mxfs_opens_name(sbi, name);
	dir = sbi->key ? mxfs_own_dir(sbi, "open", false) : ERR_PTR(-ENOENT);
	if (!IS_ERR(dir)) {
		file = mxfs_own_file(sbi, dir, MXFS_OPENS_IN, name, O_RDWR | O_CREAT);
		done = IS_ERR(file) ? PTR_ERR(file) : kernel_write(file, &header, sizeof(header), &pos);
		if (done != sizeof(header))
			mxfs_warn(sbi, MXFS_OPENS_IN "%s cannot be written (%pe)", name, ERR_PTR(done < 0 ? done : -ENOSPC));
		else if (!mxfs_own_bytes(&file->f_path, &bytes) && bytes < MXFS_OPENS_ROOM)
			vfs_fallocate(file, FALLOC_FL_KEEP_SIZE, 0, MXFS_OPENS_ROOM);
		if (!IS_ERR(file))
			__fput_sync(file);
		dput(dir);
	}
	revert_creds(old_cred);
}

static int mxfs_opens_compare(const void *a, const void *b)
{
	const struct mxfs_file_id *x = a, *y = b;

	if (x->ino != y->ino)
		return x->ino < y->ino ? -1 : 1;
	return x->gen == y->gen ? 0 : x->gen < y->gen ? -1 : 1;
}

/*
 * All of it, or what there is up to the end of the file. A signal that kills cuts a read off, also of what is in memory
 * (mm/filemap.c): what came until then is no list.
 */
static ssize_t mxfs_opens_take(struct file *file, void *data, size_t size, loff_t *pos)
{
	ssize_t got = kernel_read(file, data, size, pos);

	if (got < 0 || got == size || *pos >= i_size_read(file_inode(file)))
		return got;
	return fatal_signal_pending(current) ? -EINTR : -EIO;
}

/* Adds one node's list to what is known. */
static int mxfs_opens_read(struct mxfs_sb *sbi, struct dentry *dir, const char *name, void *own)
{
	struct mxfs_opens_header header;
	struct mxfs_opens_entry *entries = NULL;
	struct mxfs_file_id *ids;
	struct file *file;
	loff_t pos = 0;
	ssize_t got;
	u32 count, i;
	int err = 0;

	if (strlen(name) != MXFS_OPENS_NAME_LEN || !strcmp(name, own))
		return 0;
	file = mxfs_own_file(sbi, dir, MXFS_OPENS_IN, name, O_RDONLY);
	if (IS_ERR(file)) /* what is none of ours, which was said, is no list */
		return PTR_ERR(file) == -ENOENT || PTR_ERR(file) == -EPERM ? 0 : PTR_ERR(file);
	got = mxfs_opens_take(file, &header, sizeof(header), &pos);
	if (got < 0) {
		err = got;
		goto out;
	}
	if (got != sizeof(header) || le32_to_cpu(header.magic) != MXFS_OPENS_MAGIC || le32_to_cpu(header.count) > MXFS_OPENS_MAX) {
		/* A node that died while it wrote its first one. */
		mxfs_warn(sbi, ".mxfs/open/%s is no list of open files and is ignored", name);
		goto out;
	}
	count = le32_to_cpu(header.count);
	if (!count)
		goto out;
	entries = kvmalloc_array(count, sizeof(*entries), GFP_KERNEL);
	ids = kvmalloc_array(sbi->others_count + count, sizeof(*ids), GFP_KERNEL);
	if (!entries || !ids) {
		kvfree(ids);
		err = -ENOMEM;
		goto out;
	}
	got = mxfs_opens_take(file, entries, count * sizeof(*entries), &pos);
	if (got < 0) {
		kvfree(ids);
		err = got;
		goto out;
	}
	count = got / sizeof(*entries);
	if (sbi->others_count)
		memcpy(ids, sbi->opens.others, sbi->others_count * sizeof(*ids));
	for (i = 0; i < count; i++)
		ids[sbi->others_count + i] = (struct mxfs_file_id){
			.ino = le64_to_cpu(entries[i].ino),
			.gen = le32_to_cpu(entries[i].gen),
		};
	kvfree(sbi->opens.others);
	sbi->opens.others = ids;
	sbi->others_count += count;
out:
	kvfree(entries);
	__fput_sync(file);
	return err;
}

/* Inside the operation gate or while attaching, with sbi->cred, under opens.lock. */
static int mxfs_opens_load(struct mxfs_sb *sbi)
{
	char own[MXFS_OPENS_NAME_LEN + 1];
	int err;

	sbi->others_count = 0;
	mxfs_opens_name(sbi, own);
	err = mxfs_own_each(sbi, "open", mxfs_opens_read, own);
	if (!err && sbi->others_count)
		sort(sbi->opens.others, sbi->others_count, sizeof(*sbi->opens.others), mxfs_opens_compare, NULL);
	return err;
}

/* The slow path of mxfs_open_elsewhere(). */
bool mxfs_open_listed(struct mxfs_sb *sbi, const struct mxfs_file_id *id)
{
	const struct cred *old_cred;
	bool open;
	int err;

	if (!mxfs_opens_wanted(sbi))
		return false;
	mutex_lock(&sbi->opens.lock);
	if (sbi->others_seq != sbi->attach_seq) {
		old_cred = override_creds(sbi->cred);
		err = mxfs_opens_load(sbi);
		revert_creds(old_cred);
		if (err) {
			mutex_unlock(&sbi->opens.lock);
			if (err != -EINTR)
				pr_warn_ratelimited("mxfs (%s): the lists of files open on other nodes cannot be read (%pe): what is removed is kept on disk\n",
						    sbi->source, ERR_PTR(err));
			return true;
		}
		/* Pairs with smp_load_acquire() in mxfs_open_elsewhere(). */
		smp_store_release(&sbi->others_seq, sbi->attach_seq);
	}
	open = sbi->others_count && bsearch(id, sbi->opens.others, sbi->others_count, sizeof(*id), mxfs_opens_compare);
	mutex_unlock(&sbi->opens.lock);
	return open;
}
