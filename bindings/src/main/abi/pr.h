/* SPDX-License-Identifier: Apache-2.0 */
/*
 * linux/pr.h, with what older headers lack. A machine with newer headers checks the table against those, and so confirms what is
 * written here.
 */
#include <linux/ioctl.h>
#include <linux/pr.h>
#include <linux/version.h>

#if LINUX_VERSION_CODE < KERNEL_VERSION(6, 3, 0)
enum pr_status {
	PR_STS_SUCCESS = 0x0,
	PR_STS_IOERR = 0x2,
	PR_STS_RESERVATION_CONFLICT = 0x18,
	PR_STS_RETRY_PATH_FAILURE = 0xe0000,
	PR_STS_PATH_FAST_FAILED = 0xf0000,
	PR_STS_PATH_FAILED = 0x10000,
};
#endif

#ifndef IOC_PR_READ_KEYS
struct pr_read_keys {
	__u32 generation;
	__u32 num_keys;
	__u64 keys_ptr;
};
#define IOC_PR_READ_KEYS _IOWR('p', 206, struct pr_read_keys)
#endif

#ifndef IOC_PR_READ_RESERVATION
struct pr_read_reservation {
	__u64 key;
	__u32 generation;
	__u32 type;
};
#define IOC_PR_READ_RESERVATION _IOR('p', 207, struct pr_read_reservation)
#endif
