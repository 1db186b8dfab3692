// SPDX-License-Identifier: Apache-2.0
/*
 * A system call on a file, with a buffer that nobody brings into memory until he is told to: held FILE HOW [OFFSET [BYTES]].
 * The buffer's last page but two, or of a buffer of two pages the second one, is under userfaultfd; an ordinary user may do the same with
 * a map of a FUSE file of his own.
 *
 *	write, append, read, direct-write, direct-append, direct-read, aio-read, version (FS_IOC_GETVERSION; OFFSET does not matter)
 *
 * Prints "held" once the kernel waits for the page, reads a line, gives the page and prints "done RESULT" or "errno ENAME".
 * A write writes BYTES (two pages) of the pattern of seed 7 from OFFSET on; a read says what it found: "done RESULT same" for that
 * pattern, "done RESULT other" for that of seed 8, "done RESULT different" for anything else.
 */
#include "tap.h"
#include <linux/aio_abi.h>
#include <linux/fs.h>
#include <linux/userfaultfd.h>
#include <poll.h>
#include <pthread.h>

enum { PAGE = 4096 };

static int fd;
static const char *how;
static off_t offset;
static size_t len = 2 * PAGE;
static char *buf;
static long result;
static int error;

static bool is(const char *name)
{
	return !strcmp(how, name);
}

static long asynchronous(void)
{
	struct iocb cb = { .aio_lio_opcode = IOCB_CMD_PREAD, .aio_fildes = fd, .aio_buf = (uintptr_t)buf, .aio_nbytes = len,
			   .aio_offset = offset }, *list = &cb;
	aio_context_t context = 0;
	struct io_event event;

	OK(syscall(SYS_io_setup, 1, &context));
	OK(syscall(SYS_io_submit, context, 1, &list));
	CHECK_EQ(syscall(SYS_io_getevents, context, 1, 1, &event, NULL), 1);
	return event.res;
}

static void *work(void *unused)
{
	(void)unused;
	if (is("write") || is("direct-write"))
		result = pwrite(fd, buf, len, offset);
	else if (strstr(how, "append"))
		result = write(fd, buf, len);
	else if (is("aio-read"))
		result = asynchronous();
	else if (is("version"))
		result = ioctl(fd, FS_IOC_GETVERSION, buf + PAGE);
	else
		result = pread(fd, buf, len, offset);
	error = errno;
	return NULL;
}

int main(int argc, char **argv)
{
	struct uffdio_api api = { .api = UFFD_API };
	struct uffdio_register range = { .mode = UFFDIO_REGISTER_MODE_MISSING };
	struct uffdio_copy copy = { 0 };
	static char given[PAGE];
	struct uffd_msg message;
	pthread_t thread;
	size_t at;
	char line[16];
	int uffd;

	tap_pipe = 2;
	if (argc < 3)
		return 2;
	how = argv[2];
	offset = argc > 3 ? atoll(argv[3]) : 0;
	len = argc > 4 ? atoll(argv[4]) : 2 * PAGE;
	at = len == 2 * PAGE ? PAGE : len - 3 * PAGE;
	fd = OK(open(argv[1], O_RDWR | O_CREAT | (strstr(how, "append") ? O_APPEND : 0) |
			      (strstr(how, "direct") || is("aio-read") ? O_DIRECT : 0), 0644));
	uffd = OK(syscall(SYS_userfaultfd, O_CLOEXEC));
	OK(ioctl(uffd, UFFDIO_API, &api));
	buf = OK(mmap(NULL, len, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0));
	/* Or the page would come with its neighbours. */
	OK(madvise(buf, len, MADV_NOHUGEPAGE));
	tap_pattern(buf, at, 7, offset);
	if (len > at + PAGE)
		tap_pattern(buf + at + PAGE, len - at - PAGE, 7, offset + at + PAGE);
	range.range.start = (uintptr_t)buf + at;
	range.range.len = PAGE;
	OK(ioctl(uffd, UFFDIO_REGISTER, &range));
	CHECK_EQ(pthread_create(&thread, NULL, work, NULL), 0);
	CHECK_EQ(read(uffd, &message, sizeof(message)), sizeof(message));
	CHECK_EQ(message.event, UFFD_EVENT_PAGEFAULT);
	printf("held\n");
	fflush(stdout);
	if (!fgets(line, sizeof(line), stdin))
		return 1;
	tap_pattern(given, PAGE, 7, offset + at);
	copy.dst = range.range.start;
	copy.src = (uintptr_t)given;
	copy.len = PAGE;
	OK(ioctl(uffd, UFFDIO_COPY, &copy));
	pthread_join(thread, NULL);
	if (result < 0)
		printf("errno %s\n", strerrorname_np(error));
	else if (strstr(how, "read"))
		printf("done %ld %s\n", result, tap_differs(buf, result, 7, offset) < 0 ? "same" :
		       tap_differs(buf, result, 8, offset) < 0 ? "other" : "different");
	else
		printf("done %ld\n", result);
	return 0;
}
