// SPDX-License-Identifier: GPL-2.0-only
/*
 * mxfs: .mxfs/lockstate, in which the daemons tell each other by way of the disk that they are alive.
 *
 * A file of XFS's that is written to past XFS, by device offset, by nodes that have no XFS mounted. So its blocks may never move,
 * and never become another file's while anybody knows of them. Hence:
 *
 *	It is made whole, without a name: allocated, written, flushed, immutable. Then it gets its name. A crash leaves none.
 *	It is made only where there is none, or where what is there is certainly no lock state of this volume. An error says
 *	nothing about what is there, a torn slot is the last thing that a node wrote before it died.
 *	It is made only by who is alone registered, as its daemon says, and not after this mount has told its daemon of another.
 *	It is told of only where each block is mapped, written and the file's own: bmap() says 0 for holes, for unwritten
 *	extents, and for a file that shares blocks with another (fs/xfs/xfs_aops.c: xfs_vm_bmap()).
 *	What is told was read from the device, in the very place, past every cache.
 *
 * Other nodes look for it in a probe: XFS mounted without log recovery (local/mount.c). So what has been made, or was found by log
 * recovery, is published: XFS is frozen, which writes its log home, and thawed.
 *
 * Looked at by the thread that mounts or attaches, one at a time; told to netlink and debugfs, which wait for no disk.
 */
#include <linux/bio.h>
#include <linux/crc32c.h>
#include <linux/falloc.h>
#include <linux/file.h>
#include <linux/slab.h>
#include <linux/statfs.h>
#include "compat.h"
#include "local/lockstate.h"
#include "local/own.h"
#include "local/validate.h"

#define MXFS_LOCKSTATE_CHUNK SZ_32K /* read and written at once */
#define MXFS_LOCKSTATE_UNREADABLE 4 /* slots: with more a disk may take minutes to say so of all */

enum mxfs_slot {
	MXFS_SLOT_OK,
	MXFS_SLOT_DAMAGED,
	MXFS_SLOT_NEWER,
};

static u32 mxfs_slot_bytes(struct mxfs_sb *sbi)
{
	return max_t(u32, MXFS_LOCKSTATE_RECORD, bdev_logical_block_size(file_bdev(sbi->device.pin)));
}

static u64 mxfs_lockstate_bytes(struct mxfs_sb *sbi)
{
	return (u64)MXFS_LOCKSTATE_HEARTBEATS * mxfs_slot_bytes(sbi);
}

/* As iSCSI, XFS and Java's CRC32C have it. */
static __le32 mxfs_slot_crc(const struct mxfs_heartbeat *slot)
{
	return cpu_to_le32(~crc32c(~0U, slot, offsetof(struct mxfs_heartbeat, crc)));
}

/* A slot that nobody has. */
static void mxfs_slot_free(struct mxfs_sb *sbi, struct mxfs_heartbeat *slot, u32 index)
{
	BUILD_BUG_ON(sizeof(*slot) != MXFS_LOCKSTATE_RECORD);
	memset(slot, 0, mxfs_slot_bytes(sbi));
	slot->magic = cpu_to_le32(MXFS_LOCKSTATE_MAGIC);
	slot->version = cpu_to_le16(MXFS_LOCKSTATE_VERSION);
	slot->kind = cpu_to_le16(MXFS_LOCKSTATE_HEARTBEAT);
	slot->index = cpu_to_le32(index);
	slot->slot_bytes = cpu_to_le32(mxfs_slot_bytes(sbi));
	memcpy(slot->volume, sbi->geo.uuid, MXFS_UUID_SIZE);
	slot->state = cpu_to_le32(MXFS_HEARTBEAT_FREE);
	slot->crc = mxfs_slot_crc(slot);
}

static enum mxfs_slot mxfs_slot_judge(struct mxfs_sb *sbi, const struct mxfs_heartbeat *slot, u32 index)
{
	if (slot->magic != cpu_to_le32(MXFS_LOCKSTATE_MAGIC) || slot->crc != mxfs_slot_crc(slot) ||
	    memcmp(slot->volume, sbi->geo.uuid, MXFS_UUID_SIZE))
		return MXFS_SLOT_DAMAGED;
	if (le16_to_cpu(slot->version) > MXFS_LOCKSTATE_VERSION)
		return MXFS_SLOT_NEWER;
	if (slot->version != cpu_to_le16(MXFS_LOCKSTATE_VERSION) || slot->kind != cpu_to_le16(MXFS_LOCKSTATE_HEARTBEAT) ||
	    slot->index != cpu_to_le32(index) || slot->slot_bytes != cpu_to_le32(mxfs_slot_bytes(sbi)))
		return MXFS_SLOT_DAMAGED;
	return MXFS_SLOT_OK;
}

/* What was found: there is none, and why. @remake: that is for certain, and no error. */
static __printf(4, 5) void mxfs_lockstate_none(struct mxfs_lockstate_map *map, int err, bool remake, const char *fmt, ...)
{
	va_list args;

	map->err = err;
	map->remake = remake;
	map->count = 0;
	va_start(args, fmt);
	vscnprintf(map->reason, sizeof(map->reason), fmt, args);
	va_end(args);
}

/* Where the file is on the device. */
static void mxfs_lockstate_extents(struct mxfs_sb *sbi, struct inode *inode, struct mxfs_lockstate_map *map)
{
	u64 size = bdev_nr_bytes(file_bdev(sbi->device.pin)), bytes = mxfs_lockstate_bytes(sbi);
	u64 device, length, pos, block = i_blocksize(inode);
	struct mxfs_extent *last = NULL;
	sector_t number;
	int err;

	for (pos = 0; pos < bytes; pos += block) {
		number = pos >> inode->i_blkbits;
		err = bmap(inode, &number);
		device = (u64)number << inode->i_blkbits;
		length = min(block, bytes - pos);
		if (err || !number) {
			mxfs_lockstate_none(map, err ?: -EUCLEAN, false,
					    "its blocks cannot be told, are shared with another file, or not all written");
			return;
		}
		if (device > size - length || !IS_ALIGNED(device, mxfs_slot_bytes(sbi))) {
			mxfs_lockstate_none(map, -EUCLEAN, false, "it cannot be at byte %llu of the device", device);
			return;
		}
		if (last && last->device + last->length == device) {
			last->length += length;
			continue;
		}
		if (map->count == MXFS_LOCKSTATE_EXTENTS) {
			mxfs_lockstate_none(map, -EFBIG, false, "it is in more than %d pieces", MXFS_LOCKSTATE_EXTENTS);
			return;
		}
		last = &map->extents[map->count++];
		*last = (struct mxfs_extent){ .file = pos, .device = device, .length = length };
	}
}

struct mxfs_lockstate_count {
	unsigned int ok, damaged, newer, unreadable;
	int err; /* of what is unreadable */
};

static void mxfs_lockstate_count(struct mxfs_sb *sbi, struct mxfs_lockstate_count *count, const void *slots, u64 pos, u32 bytes)
{
	u32 slot = mxfs_slot_bytes(sbi), at;

	for (at = 0; at < bytes; at += slot) {
		switch (mxfs_slot_judge(sbi, slots + at, (pos + at) / slot)) {
		case MXFS_SLOT_OK:
			count->ok++;
			break;
		case MXFS_SLOT_DAMAGED:
			count->damaged++;
			break;
		case MXFS_SLOT_NEWER:
			count->newer++;
			break;
		}
	}
}

/* What the block layer makes of a sector that cannot be read (block/blk-core.c: blk_errors). */
static bool mxfs_is_of_the_medium(int err)
{
	return err == -EIO || err == -ENODATA || err == -EILSEQ;
}

/* A sector that cannot be read hides no other: then slot by slot. Return: 0, or an error that leaves it open what is there. */
static int mxfs_lockstate_read(struct mxfs_sb *sbi, struct mxfs_lockstate_count *count, const struct mxfs_extent *extent, void *buf)
{
	struct block_device *bdev = file_bdev(sbi->device.pin);
	u32 bytes, at, slot = mxfs_slot_bytes(sbi);
	u64 done;
	int err;

	for (done = 0; done < extent->length; done += bytes) {
		bytes = min_t(u64, extent->length - done, MXFS_LOCKSTATE_CHUNK);
		err = mxfs_device_read(bdev, extent->device + done, buf, bytes);
		if (!err) {
			mxfs_lockstate_count(sbi, count, buf, extent->file + done, bytes);
			continue;
		}
		for (at = 0; at < bytes; at += slot) {
			err = mxfs_device_read(bdev, extent->device + done + at, buf, slot);
			if (!err) {
				mxfs_lockstate_count(sbi, count, buf, extent->file + done + at, slot);
				continue;
			}
			count->err = err;
			if (!mxfs_is_of_the_medium(err) || ++count->unreadable == MXFS_LOCKSTATE_UNREADABLE)
				return err;
		}
	}
	return 0;
}

/* Is what is there a lock state of this volume? One good slot says so. */
static void mxfs_lockstate_judge(struct mxfs_sb *sbi, struct mxfs_lockstate_map *map)
{
	void *buf = kmalloc(MXFS_LOCKSTATE_CHUNK, GFP_KERNEL);
	struct mxfs_lockstate_count count = {};
	unsigned int i;
	int err = buf ? 0 : -ENOMEM;

	for (i = 0; !err && i < map->count; i++)
		err = mxfs_lockstate_read(sbi, &count, &map->extents[i], buf);
	kfree(buf);
	map->damaged = count.damaged + count.unreadable;
	if (err || (!count.ok && count.unreadable))
		mxfs_lockstate_none(map, err ?: count.err, false, "it cannot be read (error %d)", -(err ?: count.err));
	else if (count.newer)
		mxfs_lockstate_none(map, -EPROTO, false, "it is of a newer version of mxfs");
	else if (!count.ok)
		mxfs_lockstate_none(map, -EUCLEAN, true, "what is in it is no lock state of this volume");
}

/* With sbi->cred. The file with a reference, or NULL where there is none of ours. */
static struct dentry *mxfs_lockstate_look(struct mxfs_sb *sbi, struct vfsmount *mnt, struct mxfs_lockstate_map *map)
{
	u64 bytes = mxfs_lockstate_bytes(sbi), blocks;
	struct dentry *found;
	struct inode *inode;
	int err;

	memset(map, 0, sizeof(*map));
	found = mxfs_own_look(sbi, mnt->mnt_root, MXFS_LOCKSTATE);
	if (found == ERR_PTR(-ENOENT)) {
		mxfs_lockstate_none(map, -ENOENT, true, "there is none");
		return NULL;
	}
	if (IS_ERR(found)) {
		mxfs_lockstate_none(map, PTR_ERR(found), false, "it cannot be looked up (error %ld)", -PTR_ERR(found));
		return NULL;
	}
	inode = d_inode(found);
	map->id = (struct mxfs_file_id){ .ino = inode->i_ino, .gen = inode->i_generation };
	/* Has it a block for each of its bytes? */
	err = mxfs_own_bytes(&(struct path){ .mnt = mnt, .dentry = found }, &blocks);
	if (err)
		mxfs_lockstate_none(map, err, false, "it cannot be looked at (error %d)", -err);
	else if (i_size_read(inode) < bytes)
		mxfs_lockstate_none(map, -EUCLEAN, true, "it has %lld bytes instead of %llu", i_size_read(inode), bytes);
	else if (blocks < bytes)
		mxfs_lockstate_none(map, -EUCLEAN, true, "it has holes");
	else
		mxfs_lockstate_extents(sbi, inode, map);
	return found;
}

static bool mxfs_lockstate_same(const struct mxfs_lockstate_map *a, const struct mxfs_lockstate_map *b)
{
	return a->err == b->err && a->id.ino == b->id.ino && a->id.gen == b->id.gen && a->count == b->count &&
	       !memcmp(a->extents, b->extents, a->count * sizeof(a->extents[0])) && !strcmp(a->reason, b->reason);
}

/* From now on this is what is told. In the log when it is another than before. Return: whether another one was told. */
static bool mxfs_lockstate_set(struct mxfs_sb *sbi, const struct mxfs_lockstate_map *map)
{
	struct mxfs_lockstate *state = &sbi->lockstate;
	bool same, told, first;

	spin_lock(&state->lock);
	same = mxfs_lockstate_same(&state->map, map);
	told = state->told;
	first = !state->generation;
	state->map = *map;
	if (!same || first)
		state->generation++;
	spin_unlock(&state->lock);
	if (same)
		return told;
	if (!map->err)
		mxfs_debug(sbi, MXFS_OWN "/" MXFS_LOCKSTATE ": inode %llu, %u pieces, the first at byte %llu of the device",
			   map->id.ino, map->count, map->extents[0].device);
	else if (map->err != -ENOENT || told)
		mxfs_warn(sbi, MXFS_OWN "/" MXFS_LOCKSTATE " is not used: %s", map->reason);
	if (!map->err && map->damaged)
		mxfs_warn(sbi, MXFS_OWN "/" MXFS_LOCKSTATE ": %u of its %d slots are torn or cannot be read", map->damaged,
			  MXFS_LOCKSTATE_HEARTBEATS);
	if (told)
		mxfs_warn(sbi, MXFS_OWN "/" MXFS_LOCKSTATE " is another one than the daemon was told of");
	return told;
}

void mxfs_lockstate_init(struct mxfs_sb *sbi)
{
	spin_lock_init(&sbi->lockstate.lock);
	mxfs_lockstate_none(&sbi->lockstate.map, -ENODATA, false, "it was not looked for yet");
}

/**
 * mxfs_lockstate_probe - find the lock state without attaching
 * @sbi: the mount
 * @mnt: XFS, mounted read-only and without log recovery
 *
 * Another node may own the volume: what is found may be old, or in motion. Nothing is made of what is not found.
 */
void mxfs_lockstate_probe(struct mxfs_sb *sbi, struct vfsmount *mnt)
{
	const struct cred *old_cred = override_creds(sbi->cred);
	struct mxfs_lockstate_map map;
	struct dentry *found = mxfs_lockstate_look(sbi, mnt, &map);

	if (!map.err)
		mxfs_lockstate_judge(sbi, &map);
	mxfs_lockstate_set(sbi, &map);
	/* It is on the disk where whoever probes finds it. */
	sbi->lockstate.published = !map.err;
	dput(found);
	revert_creds(old_cred);
}

static int mxfs_lockstate_fill(struct mxfs_sb *sbi, struct file *file)
{
	u32 slot = mxfs_slot_bytes(sbi), index = 0, at;
	void *buf = kmalloc(MXFS_LOCKSTATE_CHUNK, GFP_KERNEL);
	ssize_t done = 0;
	loff_t pos = 0;

	if (!buf)
		return -ENOMEM;
	while (index < MXFS_LOCKSTATE_HEARTBEATS) {
		for (at = 0; at < MXFS_LOCKSTATE_CHUNK && index < MXFS_LOCKSTATE_HEARTBEATS; at += slot)
			mxfs_slot_free(sbi, buf + at, index++);
		done = kernel_write(file, buf, at, &pos);
		if (done != at)
			break;
		done = 0;
	}
	kfree(buf);
	return done < 0 ? done : done ? -EIO : vfs_fsync(file, 0);
}

/* It could not be made. A full volume may have no room for an inode, either. */
static void mxfs_lockstate_failed(struct mxfs_sb *sbi, struct mxfs_lockstate_map *map, int err)
{
	struct path root = { .mnt = sbi->lower, .dentry = sbi->lower->mnt_root };
	struct kstatfs fs;

	if (err == -ENOSPC && !vfs_statfs(&root, &fs))
		mxfs_lockstate_none(map, err, false, "the volume is too full to make it: it takes %llu bytes, and %llu are free",
				    mxfs_lockstate_bytes(sbi), (u64)fs.f_bavail * fs.f_bsize);
	else
		mxfs_lockstate_none(map, err, false, "it cannot be made (error %d)", -err);
}

/* The file, whole and flushed, without a name yet. */
static int mxfs_lockstate_write(struct mxfs_sb *sbi, struct file *file, struct mxfs_lockstate_map *map)
{
	struct dentry *dentry = file->f_path.dentry;
	struct inode *inode = d_inode(dentry);
	int err;

	err = mxfs_own_plain(dentry) ?: vfs_fallocate(file, 0, 0, mxfs_lockstate_bytes(sbi)) ?: mxfs_lockstate_fill(sbi, file);
	if (err) {
		mxfs_lockstate_failed(sbi, map, err);
		return err;
	}
	memset(map, 0, sizeof(*map));
	map->id = (struct mxfs_file_id){ .ino = inode->i_ino, .gen = inode->i_generation };
	mxfs_lockstate_extents(sbi, inode, map);
	if (!map->err)
		mxfs_lockstate_judge(sbi, map);
	if (!map->err && map->damaged)
		mxfs_lockstate_none(map, -EIO, false, "it was made, and does not read as it was written");
	return map->err;
}

/* With sbi->cred. Nobody knows of any, and this node is alone. */
static void mxfs_lockstate_make(struct mxfs_sb *sbi, struct mxfs_lockstate_map *map)
{
	struct path dir = { .mnt = sbi->lower, .dentry = mxfs_own_dir(sbi, "open", true) };
	struct file *file;
	int err;

	err = PTR_ERR_OR_ZERO(dir.dentry);
	if (err) {
		mxfs_lockstate_failed(sbi, map, err);
		return;
	}
	/* Not in .mxfs itself, which is immutable. */
	file = kernel_tmpfile_open(&nop_mnt_idmap, &dir, S_IFREG | 0600, O_RDWR | O_LARGEFILE, sbi->cred);
	dput(dir.dentry);
	err = PTR_ERR_OR_ZERO(file);
	if (err) {
		mxfs_lockstate_failed(sbi, map, err);
		return;
	}
	err = mxfs_lockstate_write(sbi, file, map);
	if (!err) {
		err = mxfs_own_place(sbi, file, MXFS_LOCKSTATE) ?: vfs_fsync(file, 0);
		if (err)
			mxfs_lockstate_failed(sbi, map, err);
	}
	__fput_sync(file);
	if (!err)
		mxfs_info(sbi, MXFS_OWN "/" MXFS_LOCKSTATE " was made: %llu bytes in %u pieces", mxfs_lockstate_bytes(sbi),
			  map->count);
}

/*
 * So that other nodes find it, XFS writes home what its log has. Return: 0, also when that has to be tried again at the next attach;
 * an error where XFS does not go on.
 *
 * A disk that fails shows in a sync before: a freeze that fails in its own does not thaw (fs/super.c: freeze_super()), and XFS has
 * stopped freeing inodes by then (fs/xfs/xfs_super.c: xfs_fs_sync_fs()).
 */
static int mxfs_lockstate_publish(struct mxfs_sb *sbi)
{
	struct super_block *lower = sbi->lower->mnt_sb;
	bool synced;
	int err;

	down_read(&lower->s_umount);
	err = sync_filesystem(lower);
	up_read(&lower->s_umount);
	synced = !err;
	if (synced)
		err = mxfs_freeze_lower(lower);
	if (!err) {
		err = mxfs_thaw_lower(lower);
		if (err)
			goto out_shutdown;
		sbi->lockstate.published = true;
		return 0;
	}
	if (!sbi->lockstate.freeze_told)
		mxfs_warn(sbi, MXFS_OWN "/" MXFS_LOCKSTATE " cannot be shown to other nodes yet (%pe)", ERR_PTR(err));
	sbi->lockstate.freeze_told = true;
	if (!synced || err == -EBUSY || err == -EINTR)
		return 0;
out_shutdown:
	mxfs_err(sbi, "XFS was frozen to write its log home, and does not go on (%pe)", ERR_PTR(err));
	if (lower->s_op->shutdown)
		lower->s_op->shutdown(lower);
	return -EIO;
}

/**
 * mxfs_lockstate_attach - look at the lock state, and make it where that is due
 * @sbi: the mount, attaching: XFS is mounted, and the gates are closed; .mxfs was looked at
 *
 * Without it the volume is mounted all the same.
 *
 * Return: 0, or -EIO when XFS does not go on.
 */
int mxfs_lockstate_attach(struct mxfs_sb *sbi)
{
	struct mxfs_lockstate *state = &sbi->lockstate;
	const struct cred *old_cred = override_creds(sbi->cred);
	bool writable = !sb_rdonly(sbi->lower->mnt_sb), first = writable && !sbi->change.begun, make;
	struct mxfs_lockstate_map map, seen;
	struct dentry *found;
	int err = 0;

	found = mxfs_lockstate_look(sbi, sbi->lower, &map);
	seen = map;
	if (!map.err && (first || !mxfs_lockstate_same(&state->seen, &map))) {
		if (!mxfs_lockstate_same(&state->map, &map))
			state->published = false;
		mxfs_lockstate_judge(sbi, &map);
	} else if (!map.err) {
		map = state->map; /* in its place: what was found in it */
	}
	state->seen = seen;
	if (found && first)
		err = mxfs_own_keep(found);
	if (err)
		mxfs_warn(sbi, MXFS_OWN "/" MXFS_LOCKSTATE " cannot be made immutable (%pe)", ERR_PTR(err));
	dput(found);
	/* Tried in vain, and still none: why it could not be made is the better answer. */
	if (map.remake && state->tried && state->map.err)
		map = state->map;
	/* Once a mount. Not where this node has been told of one: it may be writing there. */
	make = map.remake && writable && state->alone && !state->tried;
	if (!mxfs_lockstate_set(sbi, &map) && make) {
		state->tried = true;
		state->published = false;
		mxfs_lockstate_make(sbi, &map);
		mxfs_lockstate_set(sbi, &map);
		state->seen = map;
	}
	revert_creds(old_cred);
	if (map.err || state->published || !writable)
		return 0;
	return mxfs_lockstate_publish(sbi);
}
