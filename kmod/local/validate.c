// SPDX-License-Identifier: GPL-2.0-only
/*
 * mxfs: is this a volume that can be mounted?
 *
 * The first look at a device that may hold anything. One sector is read past every cache, and
 * nothing is written. Each refusal says what was found and what was expected. What passes is then
 * looked at by XFS's own verifiers (mxfs_probe()).
 *
 * The superblock on disk: xfs_dsb in fs/xfs/libxfs/xfs_format.h of the kernel; "XFS Algorithms &
 * Data Structures", chapter "Superblocks". All big-endian but the checksum.
 */
#include <linux/bio.h>
#include <linux/blkdev.h>
#include <linux/crc32c.h>
#include <linux/log2.h>
#include <linux/slab.h>
#include <linux/unaligned.h>
#include "local/validate.h"

#define XSB_MAGIC 0x58465342 /* "XFSB" */
#define XSB_VERSION_MASK 0x000f
#define XSB_VERSION_5 5
#define XSB_VERSION_BORGBIT 0x4000 /* names without case */

/* Byte offsets in the superblock. */
enum {
	XSB_OFF_MAGIC = 0,
	XSB_OFF_BLOCKSIZE = 4,
	XSB_OFF_DBLOCKS = 8,
	XSB_OFF_RBLOCKS = 16,
	XSB_OFF_UUID = 32,
	XSB_OFF_LOGSTART = 48,
	XSB_OFF_ROOTINO = 56,
	XSB_OFF_AGBLOCKS = 84,
	XSB_OFF_AGCOUNT = 88,
	XSB_OFF_LOGBLOCKS = 96,
	XSB_OFF_VERSIONNUM = 100,
	XSB_OFF_SECTSIZE = 102,
	XSB_OFF_INODESIZE = 104,
	XSB_OFF_INOPBLOCK = 106,
	XSB_OFF_BLOCKLOG = 120,
	XSB_OFF_SECTLOG = 121,
	XSB_OFF_INODELOG = 122,
	XSB_OFF_AGBLKLOG = 124,
	XSB_OFF_INPROGRESS = 126,
	XSB_OFF_QFLAGS = 176,
	XSB_OFF_CRC = 224,
};

#define XSB_MIN_BLOCKSIZE 512
#define XSB_MAX_BLOCKSIZE 65536
#define XSB_MIN_SECTSIZE 512
#define XSB_MAX_SECTSIZE 32768
#define XSB_MIN_INODESIZE 256
#define XSB_MAX_INODESIZE 2048
#define XSB_MIN_AGBLOCKS 64

#define MXFS_READ_BYTES XSB_MAX_SECTSIZE

#define mxfs_refuse(sbi, fc, err, fmt, ...)                                 \
	({                                                                  \
		mxfs_err(sbi, "not mounted: " fmt, ##__VA_ARGS__);          \
		errorf(fc, "mxfs: %s: " fmt, (sbi)->source, ##__VA_ARGS__); \
		(err);                                                      \
	})

/**
 * mxfs_device_read - read straight from the device
 * @bdev: the device; its page cache may be from before another node wrote
 * @pos: in bytes, of a logical block
 * @buf: by kmalloc()
 * @bytes: of whole logical blocks
 *
 * Return: 0, or what the device says.
 */
int mxfs_device_read(struct block_device *bdev, u64 pos, void *buf, size_t bytes)
{
	struct bio *bio;
	size_t done, part;
	int err;

	bio = bio_alloc(bdev, DIV_ROUND_UP(bytes, PAGE_SIZE) + 1, REQ_OP_READ | REQ_SYNC | REQ_META,
			GFP_KERNEL);
	bio->bi_iter.bi_sector = pos >> SECTOR_SHIFT;
	for (done = 0; done < bytes; done += part) {
		part = min_t(size_t, bytes - done, PAGE_SIZE - offset_in_page(buf + done));
		if (!bio_add_page(bio, virt_to_page(buf + done), part, offset_in_page(buf + done))) {
			bio_put(bio);
			return -EIO;
		}
	}
	err = submit_bio_wait(bio);
	bio_put(bio);
	return err;
}

static const char *mxfs_guess(const u8 *buf, size_t bytes)
{
	size_t i;

	if (bytes >= 2048 && get_unaligned_le16(buf + 1080) == 0xef53)
		return "an ext2/3/4 file system";
	if (bytes >= 32768 - 4096 && !memcmp(buf + 3, "NTFS    ", 8))
		return "NTFS";
	if (bytes >= 1024 && !memcmp(buf + 536, "LABELONE", 8))
		return "an LVM physical volume";
	if (get_unaligned_le16(buf + 510) == 0xaa55)
		return "a partition table or boot sector; mount the partition that has the XFS";
	for (i = 0; i < bytes; i++)
		if (buf[i])
			return "unknown data";
	return "nothing but zeros; run mkfs.xfs first";
}

static int mxfs_check_geometry(struct mxfs_sb *sbi, struct fs_context *fc, const u8 *b,
			       u64 device_bytes, u32 device_sector)
{
	u32 blocksize = get_unaligned_be32(b + XSB_OFF_BLOCKSIZE);
	u64 dblocks = get_unaligned_be64(b + XSB_OFF_DBLOCKS);
	u64 rootino = get_unaligned_be64(b + XSB_OFF_ROOTINO);
	u32 agblocks = get_unaligned_be32(b + XSB_OFF_AGBLOCKS);
	u32 agcount = get_unaligned_be32(b + XSB_OFF_AGCOUNT);
	u32 logblocks = get_unaligned_be32(b + XSB_OFF_LOGBLOCKS);
	u32 sectsize = get_unaligned_be16(b + XSB_OFF_SECTSIZE);
	u32 inodesize = get_unaligned_be16(b + XSB_OFF_INODESIZE);
	u32 inopblock = get_unaligned_be16(b + XSB_OFF_INOPBLOCK);

	if (!is_power_of_2(blocksize) || blocksize < XSB_MIN_BLOCKSIZE ||
	    blocksize > XSB_MAX_BLOCKSIZE)
		return mxfs_refuse(sbi, fc, -EINVAL,
				   "block size %u, expected a power of two from %u to %u",
				   blocksize, XSB_MIN_BLOCKSIZE, XSB_MAX_BLOCKSIZE);
	if (blocksize < sectsize || ilog2(blocksize) != b[XSB_OFF_BLOCKLOG])
		return mxfs_refuse(sbi, fc, -EINVAL,
				   "block size %u does not fit its logarithm %u or sector size %u",
				   blocksize, b[XSB_OFF_BLOCKLOG], sectsize);
	if (sectsize < device_sector)
		return mxfs_refuse(
			sbi, fc, -EINVAL,
			"sector size %u is smaller than the device's %u; it was made for another disk",
			sectsize, device_sector);
	if (!is_power_of_2(inodesize) || inodesize < XSB_MIN_INODESIZE ||
	    inodesize > XSB_MAX_INODESIZE || ilog2(inodesize) != b[XSB_OFF_INODELOG] ||
	    (u64)inopblock * inodesize != blocksize)
		return mxfs_refuse(sbi, fc, -EINVAL,
				   "inode size %u (%u a block) does not fit block size %u",
				   inodesize, inopblock, blocksize);
	if (!dblocks || dblocks > U64_MAX >> ilog2(blocksize))
		return mxfs_refuse(sbi, fc, -EINVAL,
				   "%llu blocks of %u bytes is not a possible size", dblocks,
				   blocksize);
	if (agblocks < XSB_MIN_AGBLOCKS || !agcount ||
	    b[XSB_OFF_AGBLKLOG] != order_base_2(agblocks) || dblocks > (u64)agcount * agblocks ||
	    dblocks <= (u64)(agcount - 1) * agblocks)
		return mxfs_refuse(sbi, fc, -EINVAL,
				   "%u allocation groups of %u blocks do not make %llu blocks",
				   agcount, agblocks, dblocks);
	if (dblocks << ilog2(blocksize) > device_bytes)
		return mxfs_refuse(
			sbi, fc, -EINVAL,
			"the file system has %llu bytes, the device only %llu: truncated, or the wrong device",
			dblocks << ilog2(blocksize), device_bytes);
	if (!get_unaligned_be64(b + XSB_OFF_LOGSTART))
		return mxfs_refuse(
			sbi, fc, -EINVAL,
			"the log is on another device; mxfs needs an internal log (mkfs.xfs without -l logdev)");
	if (!logblocks || logblocks >= agblocks)
		return mxfs_refuse(sbi, fc, -EINVAL, "a log of %u blocks in groups of %u",
				   logblocks, agblocks);
	if (get_unaligned_be64(b + XSB_OFF_RBLOCKS))
		return mxfs_refuse(
			sbi, fc, -EINVAL,
			"a realtime section, which mxfs does not share (mkfs.xfs without -r)");
	if (!rootino || rootino == U64_MAX)
		return mxfs_refuse(sbi, fc, -EINVAL, "root inode number %llu", rootino);

	memcpy(sbi->geo.uuid, b + XSB_OFF_UUID, MXFS_UUID_SIZE);
	if (sbi->opts.quotas_given)
		sbi->device.quotas = sbi->opts.quotas;
	else if (!sbi->rdonly)
		sbi->device.quotas = get_unaligned_be16(b + XSB_OFF_QFLAGS) & MXFS_ALL_QUOTAS;
	sbi->geo.blocks = dblocks;
	sbi->geo.blocksize = blocksize;
	sbi->geo.sectsize = sectsize;
	return 0;
}

/**
 * mxfs_validate - read and check the superblock on disk
 * @sbi: the mount, whose geometry is filled in; it holds the device exclusively
 * @fc: where mount(8) reads messages
 *
 * Return: 0; -EINVAL for what is not a mountable XFS; -EUCLEAN for one that is damaged; or a read
 * error.
 */
int mxfs_validate(struct mxfs_sb *sbi, struct fs_context *fc)
{
	struct block_device *bdev = file_bdev(sbi->device.claim);
	u64 device_bytes = bdev_nr_bytes(bdev);
	u32 device_sector = bdev_logical_block_size(bdev), sectsize, crc, zero = 0;
	size_t bytes = min_t(u64, MXFS_READ_BYTES, device_bytes);
	u16 version;
	u8 *b;
	int err;

	bytes = round_down(bytes, device_sector);
	if (bytes < XSB_MIN_SECTSIZE)
		return mxfs_refuse(sbi, fc, -EINVAL,
				   "the device has %llu bytes, too few for any file system",
				   device_bytes);
	b = (u8 *)__get_free_pages(GFP_KERNEL | __GFP_ZERO, get_order(MXFS_READ_BYTES));
	if (!b)
		return -ENOMEM;
	err = mxfs_device_read(bdev, 0, b, bytes);
	if (err) {
		mxfs_refuse(sbi, fc, err, "the first %zu bytes cannot be read (%pe)", bytes,
			    ERR_PTR(err));
		goto out;
	}
	if (get_unaligned_be32(b + XSB_OFF_MAGIC) != XSB_MAGIC) {
		err = mxfs_refuse(sbi, fc, -EINVAL,
				  "no XFS here: magic %08x, expected %08x (\"XFSB\"); found %s",
				  get_unaligned_be32(b + XSB_OFF_MAGIC), XSB_MAGIC,
				  mxfs_guess(b, bytes));
		goto out;
	}
	version = get_unaligned_be16(b + XSB_OFF_VERSIONNUM);
	if ((version & XSB_VERSION_MASK) != XSB_VERSION_5) {
		err = mxfs_refuse(sbi, fc, -EINVAL,
				  "XFS version %u, expected %u (mkfs.xfs -m crc=1, the default)",
				  version & XSB_VERSION_MASK, XSB_VERSION_5);
		goto out;
	}
	/* The VFS knows names by what they are, byte for byte; XFS itself is giving this up. */
	if (version & XSB_VERSION_BORGBIT) {
		err = mxfs_refuse(
			sbi, fc, -EINVAL,
			"names without upper and lower case, which mxfs does not share (mkfs.xfs without -n version=ci)");
		goto out;
	}
	sectsize = get_unaligned_be16(b + XSB_OFF_SECTSIZE);
	if (!is_power_of_2(sectsize) || sectsize < XSB_MIN_SECTSIZE ||
	    sectsize > XSB_MAX_SECTSIZE || ilog2(sectsize) != b[XSB_OFF_SECTLOG] ||
	    sectsize > bytes) {
		err = mxfs_refuse(
			sbi, fc, -EINVAL,
			"sector size %u (logarithm %u), expected a power of two from %u to %u",
			sectsize, b[XSB_OFF_SECTLOG], XSB_MIN_SECTSIZE, XSB_MAX_SECTSIZE);
		goto out;
	}
	/*
	 * fs/xfs/libxfs/xfs_cksum.h: the sector with the checksum itself as zeros, seed ~0,
	 * inverted
	 */
	crc = crc32c(~0U, b, XSB_OFF_CRC);
	crc = crc32c(crc, &zero, sizeof(zero));
	crc = ~crc32c(crc, b + XSB_OFF_CRC + sizeof(zero), sectsize - XSB_OFF_CRC - sizeof(zero));
	if (get_unaligned_le32(b + XSB_OFF_CRC) != crc) {
		err = mxfs_refuse(
			sbi, fc, -EUCLEAN,
			"superblock checksum %08x, computed %08x: damaged; unmount everywhere and run xfs_repair",
			get_unaligned_le32(b + XSB_OFF_CRC), crc);
		goto out;
	}
	if (b[XSB_OFF_INPROGRESS]) {
		err = mxfs_refuse(sbi, fc, -EUCLEAN,
				  "mkfs or repair did not finish on this volume");
		goto out;
	}
	err = mxfs_check_geometry(sbi, fc, b, device_bytes, device_sector);
out:
	free_pages((unsigned long)b, get_order(MXFS_READ_BYTES));
	return err;
}

/**
 * mxfs_read_quotas - the quotas that are on, as the superblock on disk says
 * @sbi: the mount, which has the device; what only XFS's log has is not seen
 * @quotas: where they are put
 *
 * Return: 0; -ESTALE where the device carries another volume now, which must not be mounted, not
 * even for a look: its log would be replayed; or a read error.
 */
int mxfs_read_quotas(struct mxfs_sb *sbi, u16 *quotas)
{
	struct block_device *bdev = file_bdev(sbi->device.pin);
	u8 *b = (u8 *)__get_free_pages(GFP_KERNEL, get_order(sbi->geo.sectsize));
	int err;

	if (!b)
		return -ENOMEM;
	err = mxfs_device_read(bdev, 0, b, sbi->geo.sectsize);
	if (err)
		goto out;
	if (get_unaligned_be32(b + XSB_OFF_MAGIC) != XSB_MAGIC ||
	    memcmp(b + XSB_OFF_UUID, sbi->geo.uuid, MXFS_UUID_SIZE)) {
		mxfs_err(sbi, "the device carries something else now than the volume %pU",
			 sbi->geo.uuid);
		err = -ESTALE;
		goto out;
	}
	*quotas = get_unaligned_be16(b + XSB_OFF_QFLAGS) & MXFS_ALL_QUOTAS;
out:
	free_pages((unsigned long)b, get_order(sbi->geo.sectsize));
	return err;
}
