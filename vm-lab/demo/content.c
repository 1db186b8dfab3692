// SPDX-License-Identifier: Apache-2.0
/*
 * Files with known content, for the demo. The same program runs on the nodes and, on a plain folder, on the host:
 * whatever differs between the two afterwards is a fault of the file system in between.
 *
 *	content tree SEED DIR FILES BIG		makes a tree: FILES small files, one of BIG bytes, links
 *	content change SEED DIR			overwrites, truncates, appends, renames, replaces, removes in it
 *	content both SEED DIR NODE SECONDS	works in DIR together with another node; says at the end what must be there
 *	content make SEED DIR			makes the files that such a report (on stdin) names
 *
 * Everything follows from SEED: byte i of the stream KEY is byte i % 8 of mix(SEED, KEY, i / 8), so any part of any
 * file can be made and checked alone. Static, because the host's C library may be older than the nodes'.
 * LDLIBS: -static
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

static uint64_t seed;

static void __attribute__((noreturn, format(printf, 1, 2))) fail(const char *format, ...)
{
	int err = errno;
	va_list list;

	fprintf(stderr, "content: ");
	va_start(list, format);
	vfprintf(stderr, format, list);
	va_end(list);
	if (err)
		fprintf(stderr, ": %s (%s)", strerror(err), strerrorname_np(err));
	fprintf(stderr, "\n");
	exit(1);
}

/* A wrong byte or a wrong outcome, as opposed to a call that failed. */
#define wrong(...) do { errno = 0; fail(__VA_ARGS__); } while (0)

/* ---- content */

/* The finaliser of splitmix64: every input bit changes half of the output bits. */
static uint64_t mix(uint64_t x)
{
	x += 0x9e3779b97f4a7c15;
	x = (x ^ x >> 30) * 0xbf58476d1ce4e5b9;
	x = (x ^ x >> 27) * 0x94d049bb133111eb;
	return x ^ x >> 31;
}

static void stream(uint64_t key, uint64_t offset, uint8_t *to, size_t length)
{
	uint64_t base = mix(seed ^ mix(key)), word;

	for (size_t done = 0; done < length;) {
		uint64_t at = offset + done;
		size_t skip = at % 8, n = 8 - skip;

		word = mix(base + at / 8);
		if (n > length - done)
			n = length - done;
		memcpy(to + done, (uint8_t *)&word + skip, n);
		done += n;
	}
}

static uint8_t buffer[1 << 20], expected[1 << 20];

static int open_at(const char *name, int flags)
{
	int fd = open(name, flags | O_CLOEXEC, 0644);

	if (fd < 0)
		fail("open of %s", name);
	return fd;
}

static void write_all(int fd, const char *name, const uint8_t *data, size_t length)
{
	while (length) {
		ssize_t n = write(fd, data, length);

		if (n <= 0)
			fail("write of %zu bytes to %s", length, name);
		data += n;
		length -= (size_t)n;
	}
}

/* Writes length bytes of the stream from offset on, at the file position. */
static void write_stream(int fd, const char *name, uint64_t key, uint64_t offset, uint64_t length)
{
	while (length) {
		size_t n = length < sizeof(buffer) ? length : sizeof(buffer);

		stream(key, offset, buffer, n);
		write_all(fd, name, buffer, n);
		offset += n;
		length -= n;
	}
}

static void close_file(int fd, const char *name)
{
	if (close(fd))
		fail("close of %s", name);
}

static void make_file(const char *name, int flags, uint64_t key, uint64_t length)
{
	int fd = open_at(name, O_WRONLY | O_CREAT | flags);

	write_stream(fd, name, key, 0, length);
	close_file(fd, name);
}

static void do_rename(const char *from, const char *to)
{
	if (rename(from, to))
		fail("rename of %s to %s", from, to);
}

/* ---- the tree */

#define DIRECTORIES 12

static uint64_t small_size(uint64_t i)
{
	static const uint64_t classes[] = { 1, 100, 4096, 20000, 65536, 200000 };
	uint64_t x = mix(seed + i);

	/* Edges of blocks and pages on purpose, among random sizes. */
	if (i % 16 == 0)
		return (uint64_t[]){ 0, 1, 4095, 4096, 4097, 65536, 131071 }[x % 7];
	return x % classes[(x >> 40) % 6];
}

static void small_name(char *to, size_t size, uint64_t i)
{
	snprintf(to, size, "d%02" PRIu64 "/f%04" PRIu64, i % DIRECTORIES, i);
}

static void make_tree(uint64_t files, uint64_t big)
{
	char name[64], other[64];
	struct stat st;

	for (int i = 0; i < DIRECTORIES; i++) {
		snprintf(name, sizeof(name), "d%02d", i);
		if (mkdir(name, 0755))
			fail("mkdir of %s", name);
	}
	for (uint64_t i = 0; i < files; i++) {
		small_name(name, sizeof(name), i);
		make_file(name, O_EXCL, i, small_size(i));
	}
	make_file("big", O_EXCL, 1000000, big);

	/* A file with holes: data at 0, 1 MiB, 5 MiB. */
	int fd = open_at("sparse", O_RDWR | O_CREAT | O_EXCL);

	for (int i = 0; i < 3; i++) {
		off_t at = (off_t[]){ 0, 1 << 20, 5 << 20 }[i];

		if (lseek(fd, at, SEEK_SET) != at)
			fail("lseek in sparse");
		write_stream(fd, "sparse", 1000001, (uint64_t)at, 5000);
	}
	close_file(fd, "sparse");

	small_name(name, sizeof(name), 1);
	if (link(name, "hardlink"))
		fail("link of %s to hardlink", name);
	if (symlink(name, "symlink"))
		fail("symlink");
	if (stat("symlink", &st) || lstat("hardlink", &st) || st.st_nlink != 2)
		fail("the links just made (link count %ju)", (uintmax_t)st.st_nlink);
	for (uint64_t i = 5; i < files; i += 17) {
		small_name(name, sizeof(name), i);
		if (chmod(name, 0400 + i % 0400))
			fail("chmod of %s", name);
	}
	if (mkdir("deep", 0700) || mkdir("deep/er", 0750) || mkdir("deep/er/still", 01777))
		fail("mkdir below deep");
	snprintf(other, sizeof(other), "deep/er/still/file");
	make_file(other, O_EXCL, 1000002, 12345);
}

static void cut(const char *name, off_t length)
{
	if (truncate(name, length))
		fail("truncate of %s to %jd", name, (intmax_t)length);
}

static off_t size_of(const char *name)
{
	struct stat st;

	if (lstat(name, &st))
		fail("stat of %s", name);
	return st.st_size;
}

static void overwrite(const char *name, off_t at, uint64_t key, uint64_t length)
{
	int fd = open_at(name, O_WRONLY);

	if (lseek(fd, at, SEEK_SET) != at)
		fail("lseek in %s", name);
	write_stream(fd, name, key, 0, length);
	close_file(fd, name);
}

static void append(const char *name, uint64_t key, uint64_t length)
{
	int fd = open_at(name, O_WRONLY | O_APPEND);

	write_stream(fd, name, key, 0, length);
	close_file(fd, name);
}

static void change_tree(void)
{
	char name[64], other[80];
	struct stat st;
	uint64_t i;

	for (i = 0; ; i++) {
		uint64_t key = 2000000 + i;

		small_name(name, sizeof(name), i);
		if (lstat(name, &st)) {
			if (errno == ENOENT)
				break;	/* all small files seen */
			fail("stat of %s", name);
		}
		if (chmod(name, (st.st_mode & 07777) | 0600))
			fail("chmod of %s", name);
		switch (i % 12) {
		case 0:
			overwrite(name, st.st_size / 2, key, 3000);
			break;
		case 1:
			append(name, key, 1 + mix(key) % 9000);
			break;
		case 2:
			cut(name, st.st_size / 3);
			break;
		case 3:
			cut(name, st.st_size + 70000);	/* the new part reads as zeros */
			break;
		case 4:
			snprintf(other, sizeof(other), "%s.renamed", name);
			do_rename(name, other);
			break;
		case 5:
			snprintf(other, sizeof(other), "d%02" PRIu64 "/moved-%04" PRIu64, (i + 5) % DIRECTORIES, i);
			do_rename(name, other);
			break;
		case 6:
			if (unlink(name))
				fail("unlink of %s", name);
			break;
		case 7:
			make_file(name, O_TRUNC, key, mix(key) % 30000);
			break;
		case 8:
			small_name(other, sizeof(other), i);
			strcat(other, ".new");
			make_file(other, O_EXCL, key, mix(key) % 50000);
			do_rename(other, name);		/* replaces it, as editors and package managers do */
			break;
		case 9:
			overwrite(name, st.st_size + 10000, key, 100);	/* leaves a hole */
			break;
		case 10:
			if (chmod(name, 0640))
				fail("chmod of %s", name);
			break;
		}
	}
	if (!i)
		wrong("no small file here: is this the tree?");

	off_t big = size_of("big");

	overwrite("big", big / 2 + 1234, 3000000, 4 << 20);
	cut("big", big - (3 << 20) - 77);
	append("big", 3000001, (1 << 20) + 5);

	append("hardlink", 3000002, 100);
	if (unlink("symlink") || symlink("moved/still/file", "symlink"))
		fail("replacing the symbolic link");
	do_rename("deep/er", "moved");
	if (rmdir("deep"))
		fail("rmdir of deep");
	append("symlink", 3000003, 5000);
	if (mkdir("both", 0755))
		fail("mkdir of both");
}

/* ---- two nodes at once in one directory */

#define LIVE 160

/*
 * Each file starts with a header that names its stream, so that any node can check any file at any moment:
 * whatever its length, it must be a prefix of header and stream, because every append is one write(2).
 */
struct header {
	uint64_t magic, key;
};

#define MAGIC UINT64_C(0x6d7866732d64656d)

struct file {
	bool live;
	uint32_t serial;	/* in its name */
	uint64_t key, length;
};

struct record {
	char text[32];		/* "node 1 record 00000017 ........\n" */
};

static struct {
	uint64_t created, appended, renamed, replaced, removed, records, claims, lost, checked, others, listed;
} did;

static double now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static void file_name(char *to, size_t size, int node, uint32_t serial)
{
	snprintf(to, size, "n%d-%06" PRIu32, node, serial);
}

/* Byte range [offset, offset + length) of a file: header, then stream. */
static void file_bytes(uint64_t key, uint64_t offset, uint8_t *to, size_t length)
{
	struct header header = { MAGIC, key };
	size_t head = offset < sizeof(header) ? sizeof(header) - offset : 0;

	if (head > length)
		head = length;
	memcpy(to, (uint8_t *)&header + offset, head);
	stream(key, offset + head, to + head, length - head);
}

static void append_to(int fd, const char *name, struct file *file, size_t length)
{
	ssize_t n;

	file_bytes(file->key, file->length, buffer, length);
	n = write(fd, buffer, length);
	if (n != (ssize_t)length)
		fail("append of %zu bytes to %s wrote %zd", length, name, n);
	file->length += length;
}

/* Reads a file whole; `own` is what this node knows of it. Returns false when another node removed it first. */
static bool check_file(const char *name, const struct file *own)
{
	struct header header;
	size_t length = 0;
	ssize_t n;
	int fd = open(name, O_RDONLY | O_CLOEXEC);

	if (fd < 0) {
		if (errno == ENOENT && !own)
			return false;
		fail("open of %s for a check", name);
	}
	while ((n = read(fd, buffer + length, sizeof(buffer) - length)) > 0)
		length += (size_t)n;
	if (n < 0)
		fail("read of %s", name);
	close_file(fd, name);
	if (own && length != own->length)
		wrong("%s has %zu bytes, %" PRIu64 " were written", name, length, own->length);
	if (length < sizeof(header)) {
		/* Created by the other node, its first write still to come. */
		if (own || length)
			wrong("%s has %zu bytes, less than its first write", name, length);
		return true;
	}
	memcpy(&header, buffer, sizeof(header));
	if (header.magic != MAGIC || (own && header.key != own->key))
		wrong("%s starts with %016" PRIx64 " %016" PRIx64 ", which no node wrote there", name, header.magic, header.key);
	file_bytes(header.key, 0, expected, length);
	for (size_t i = 0; i < length; i++)
		if (buffer[i] != expected[i])
			wrong("%s: byte %zu of %zu is %02x, written was %02x", name, i, length, buffer[i], expected[i]);
	return true;
}

/* Lists the directory and checks one file of the other node. */
static void check_other(int node, uint64_t dice)
{
	char prefix[16], chosen[NAME_MAX + 1] = "";
	DIR *dir = opendir(".");
	struct dirent *entry;
	uint64_t seen = 0;

	if (!dir)
		fail("opendir");
	snprintf(prefix, sizeof(prefix), "n%d-", 3 - node);
	errno = 0;
	while ((entry = readdir(dir))) {
		if (strncmp(entry->d_name, prefix, strlen(prefix)))
			continue;
		if (dice % ++seen == 0)
			snprintf(chosen, sizeof(chosen), "%s", entry->d_name);
		errno = 0;
	}
	if (errno)
		fail("readdir");
	closedir(dir);
	did.listed++;
	if (*chosen && check_file(chosen, NULL))
		did.others++;
}

static void add_record(int node)
{
	struct record record;
	char line[64];
	int fd = open_at("common", O_WRONLY | O_CREAT | O_APPEND);
	ssize_t n;

	snprintf(line, sizeof(line), "node %d record %08" PRIu64 " %08" PRIx32 "\n", node, did.records,
		 (uint32_t)mix(seed ^ (did.records * 2 + (uint64_t)node)));
	memcpy(record.text, line, sizeof(record.text));
	n = write(fd, &record, sizeof(record));
	if (n != sizeof(record))
		fail("append of a record to common wrote %zd", n);
	close_file(fd, "common");
	did.records++;
}

static void claim(int node, uint64_t number)
{
	char name[32], text[2] = { (char)('0' + node), '\n' };
	int fd;

	snprintf(name, sizeof(name), "claim-%06" PRIu64, number);
	fd = open(name, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0644);
	if (fd < 0) {
		if (errno != EEXIST)
			fail("exclusive create of %s", name);
		did.lost++;
		return;
	}
	write_all(fd, name, (uint8_t *)text, sizeof(text));
	close_file(fd, name);
	did.claims++;
	printf("claim %" PRIu64 "\n", number);
}

static struct file files[LIVE];

static void work(int node, double seconds)
{
	struct file held = { true, 999999, (uint64_t)node << 40 | 999999, 0 };
	uint64_t dice = mix(seed ^ (uint64_t)node), live = 0, claimed = 0;
	double start = now(), longest = 0;
	uint32_t serial = 0;
	char name[32], other[32], held_name[32];
	int held_fd;

	/* Open from the first moment to the last: an open file outlives every change of owner. */
	file_name(held_name, sizeof(held_name), node, held.serial);
	held_fd = open_at(held_name, O_RDWR | O_CREAT | O_EXCL | O_APPEND);
	append_to(held_fd, held_name, &held, 1000);

	for (uint64_t step = 0; ; step++) {
		double before = now();

		if (before - start >= seconds)
			break;
		dice = mix(dice);

		struct file *file = &files[dice % LIVE];
		unsigned int act = (unsigned int)(dice >> 32) % 16;

		file_name(name, sizeof(name), node, file->serial);
		if (!file->live) {
			*file = (struct file){ true, serial++, (uint64_t)node << 40 | step, 0 };
			file_name(name, sizeof(name), node, file->serial);

			int fd = open_at(name, O_WRONLY | O_CREAT | O_EXCL | O_APPEND);

			append_to(fd, name, file, sizeof(struct header) + (dice >> 40) % 16000);
			close_file(fd, name);
			live++;
			did.created++;
		} else if (act < 5) {
			int fd = open_at(name, O_WRONLY | O_APPEND);

			if (file->length < sizeof(buffer) / 2) {
				append_to(fd, name, file, 1 + (dice >> 40) % 8000);
				did.appended++;
			}
			close_file(fd, name);
		} else if (act < 7) {
			uint32_t to = serial++;

			file_name(other, sizeof(other), node, to);
			do_rename(name, other);
			file->serial = to;
			did.renamed++;
		} else if (act < 8) {
			struct file *victim = &files[(dice >> 20) % LIVE];

			if (victim != file && victim->live) {
				file_name(other, sizeof(other), node, victim->serial);
				do_rename(name, other);
				file->serial = victim->serial;
				victim->live = false;
				live--;
				did.replaced++;
			}
		} else if (act < 10) {
			if (unlink(name))
				fail("unlink of %s", name);
			file->live = false;
			live--;
			did.removed++;
		} else if (act < 13) {
			check_file(name, file);
			did.checked++;
		} else if (act < 14) {
			add_record(node);
		} else if (act < 15) {
			append_to(held_fd, held_name, &held, held.length < sizeof(buffer) / 2 ? 200 : 0);
		} else if (step % 4 == 0) {
			check_other(node, dice >> 8);
		}
		/* Both nodes want the same numbers at about the same time: exactly one may get each. */
		while (claimed < (uint64_t)((now() - start) * 20))
			claim(node, claimed++);
		if (now() - before > longest)
			longest = now() - before;
	}
	check_file(held_name, &held);
	close_file(held_fd, held_name);
	for (int i = 0; i < LIVE; i++)
		if (files[i].live) {
			file_name(name, sizeof(name), node, files[i].serial);
			check_file(name, &files[i]);
			printf("file %s %" PRIu64 " %" PRIu64 "\n", name, files[i].key, files[i].length);
		}
	printf("file %s %" PRIu64 " %" PRIu64 "\n", held_name, held.key, held.length);
	printf("records %" PRIu64 "\n", did.records);
	printf("did created %" PRIu64 " appended %" PRIu64 " renamed %" PRIu64 " replaced %" PRIu64 " removed %" PRIu64
	       " records %" PRIu64 " claims %" PRIu64 " lost %" PRIu64 " checked %" PRIu64 " others %" PRIu64
	       " listed %" PRIu64 " longest_ms %.0f\n", did.created, did.appended, did.renamed, did.replaced, did.removed,
	       did.records, did.claims, did.lost, did.checked, did.others, did.listed, longest * 1000);
}

static void make_reported(void)
{
	char line[128], name[64];
	uint64_t key, length;

	while (fgets(line, sizeof(line), stdin)) {
		if (sscanf(line, "file %63s %" SCNu64 " %" SCNu64, name, &key, &length) != 3)
			continue;
		if (strchr(name, '/') || length > sizeof(buffer))
			wrong("'%s' is no report of this program", line);
		file_bytes(key, 0, buffer, length);

		int fd = open_at(name, O_WRONLY | O_CREAT | O_EXCL);

		write_all(fd, name, buffer, length);
		close_file(fd, name);
	}
}

static uint64_t number(const char *text)
{
	char *end;
	uint64_t value;

	errno = 0;
	value = strtoull(text, &end, 10);
	if (errno || *end || end == text)
		wrong("'%s' is no number", text);
	return value;
}

int main(int argc, char **argv)
{
	if (argc < 4)
		wrong("usage: content tree SEED DIR FILES BIG | change SEED DIR | both SEED DIR NODE SECONDS | make SEED DIR");
	seed = number(argv[2]);
	umask(022);
	if (chdir(argv[3]))
		fail("chdir to %s", argv[3]);
	if (!strcmp(argv[1], "tree") && argc == 6)
		make_tree(number(argv[4]), number(argv[5]));
	else if (!strcmp(argv[1], "change") && argc == 4)
		change_tree();
	else if (!strcmp(argv[1], "both") && argc == 6)
		work((int)number(argv[4]), (double)number(argv[5]));
	else if (!strcmp(argv[1], "make") && argc == 4)
		make_reported();
	else
		wrong("unknown command or wrong number of arguments: %s", argv[1]);
	if (fflush(stdout))
		fail("output");
	return 0;
}
