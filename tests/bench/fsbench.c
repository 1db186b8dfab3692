// SPDX-License-Identifier: Apache-2.0
/*
 * Speed of one file system, in operations or bytes a second; the same program runs on mxfs and on plain XFS.
 *
 *	fsbench meta DIRECTORY FILES	create, stat, readdir, unlink of empty files in one directory
 *	fsbench data DIRECTORY MIB	sequential and random, through the cache and O_DIRECT, on one file
 *
 * One line a result: "name value". What is timed is stated beside each; making durable is part of what writes.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#define MIB	(1 << 20)
#define SMALL	4096

static void must(int good, const char *what)
{
	if (good)
		return;
	fprintf(stderr, "fsbench: %s: %s\n", what, strerrorname_np(errno));
	exit(1);
}

static double now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec + t.tv_nsec / 1e9;
}

static void said(const char *name, double amount, double since)
{
	printf("%s %.1f\n", name, amount / (now() - since));
}

static void drop_caches(void)
{
	int fd = open("/proc/sys/vm/drop_caches", O_WRONLY);

	sync();
	must(fd >= 0 && write(fd, "3", 1) == 1, "drop_caches");
	close(fd);
}

static void meta(int files)
{
	struct dirent *entry;
	struct stat st;
	char name[32];
	double start;
	int fd, found, rounds;
	DIR *dir;

	must(!mkdir("bench", 0755) && !chdir("bench"), "bench");
	start = now();
	for (int i = 0; i < files; i++) {
		snprintf(name, sizeof(name), "file-%07d", i);
		fd = open(name, O_CREAT | O_EXCL | O_WRONLY, 0644);
		must(fd >= 0, "create");
		close(fd);
	}
	said("create", files, start);

	/* Twice each, in an order that is not that of creation. */
	start = now();
	for (int i = 0; i < 2 * files; i++) {
		snprintf(name, sizeof(name), "file-%07d", (int)((uint64_t)i * 7919 % files));
		must(!stat(name, &st), "stat");
	}
	said("stat", 2 * files, start);

	start = now();
	rounds = 5;
	for (int i = 0; i < rounds; i++) {
		found = 0;
		dir = opendir(".");
		must(dir != NULL, "opendir");
		while ((entry = readdir(dir)))
			found += entry->d_name[0] == 'f';
		closedir(dir);
		must(found == files, "readdir: number of entries");
	}
	said("readdir", (double)rounds * files, start);

	start = now();
	for (int i = 0; i < files; i++) {
		snprintf(name, sizeof(name), "file-%07d", i);
		must(!unlink(name), "unlink");
	}
	said("unlink", files, start);
	must(!chdir("..") && !rmdir("bench"), "bench");
}

static void sequential(const char *label, int mib, int flags, char *buf)
{
	char name[64];
	double start;
	int fd;

	fd = open("data", O_CREAT | O_TRUNC | O_WRONLY | flags, 0644);
	must(fd >= 0, "data");
	start = now();
	for (int i = 0; i < mib; i++)
		must(write(fd, buf, MIB) == MIB, "write");
	must(!fsync(fd), "fsync");
	snprintf(name, sizeof(name), "sequential-write-%s", label);
	said(name, mib, start);
	close(fd);

	drop_caches();
	fd = open("data", O_RDONLY | flags);
	must(fd >= 0, "data");
	start = now();
	for (int i = 0; i < mib; i++)
		must(read(fd, buf, MIB) == MIB, "read");
	snprintf(name, sizeof(name), "sequential-read-%s", label);
	said(name, mib, start);
	close(fd);
}

static void random_access(const char *label, int mib, int flags, char *buf, int count)
{
	uint64_t slots = (uint64_t)mib * MIB / SMALL, state = 1;
	char name[64];
	double start;
	int fd;

	fd = open("data", O_RDWR | flags);
	must(fd >= 0, "data");
	start = now();
	for (int i = 0; i < count; i++) {
		state = state * 6364136223846793005ull + 1442695040888963407ull;
		must(pread(fd, buf, SMALL, (state >> 33) % slots * SMALL) == SMALL, "pread");
	}
	snprintf(name, sizeof(name), "random-read-%s", label);
	said(name, count, start);

	start = now();
	for (int i = 0; i < count; i++) {
		state = state * 6364136223846793005ull + 1442695040888963407ull;
		must(pwrite(fd, buf, SMALL, (state >> 33) % slots * SMALL) == SMALL, "pwrite");
	}
	must(!fsync(fd), "fsync");
	snprintf(name, sizeof(name), "random-write-%s", label);
	said(name, count, start);
	close(fd);
}

int main(int argc, char **argv)
{
	void *buf;
	int n;

	if (argc != 4 || chdir(argv[2]) || (n = atoi(argv[3])) < 1 || posix_memalign(&buf, SMALL, MIB)) {
		fprintf(stderr, "usage: %s meta|data DIRECTORY FILES|MIB\n", argv[0]);
		return 2;
	}
	sync();
	if (!strcmp(argv[1], "meta")) {
		meta(n);
		return 0;
	}
	memset(buf, 0x5a, MIB);
	sequential("cached", n, 0, buf);
	/* All of it is in memory now: what is timed is the way there. */
	random_access("cached", n, 0, buf, 20000);
	sequential("direct", n, O_DIRECT, buf);
	random_access("direct", n, O_DIRECT, buf, 1500);
	must(!unlink("data"), "unlink");
	return 0;
}
