// SPDX-License-Identifier: Apache-2.0
/*
 * What was acknowledged as durable is there after a fault. Threads write records and make them durable, each in a way of its own; only
 * when that has succeeded a line says so, in one write(2), so that whoever keeps the lines outside of the machine knows what must be found.
 *
 *	durable write DIRECTORY NUMBER	until a line or the end of its input comes: one thread a kind, in files of this number
 *	durable check DIRECTORY		reads such lines, "NUMBER KIND SEQUENCE", and compares what is there with them
 *
 * kind		acknowledged after				what has to be there of a sequence that was acknowledged
 * append	fsync(2) of the file				each record, in its place
 * over		fdatasync(2); 32 records in one file		in each place that record, or one written there later
 * rename	fsync(2), rename over, fsync of the folder	that record, or a later one
 * create	fsync(2) of a new file, and of the folder	the file, if its number is even
 * remove	unlink of a file with an odd number, fsync of the folder	no such file
 * map		msync(2) of a page				each page
 * shared	fsync(2); all nodes append to one file		each record, once, in order for each node
 *
 * A record says what it is, and its bytes follow from that, so nothing else is taken for it: not a part of it, not an older one.
 */
#include "tap.h"
#include <pthread.h>

enum kind { APPEND, OVER, RENAME, CREATE, REMOVE, MAP, SHARED, KINDS };

static const char *const kinds[KINDS] = { "append", "over", "rename", "create", "remove", "map", "shared" };

enum { PAGE = 4096, PLACES = 32, SMALL = 512, PAGES = 1 << 14, NODES = 65 };

#define MAGIC 0x656c6261727564ull

struct record {
	uint64_t magic;
	uint32_t number, kind;
	uint64_t sequence, length;	/* the length of all of it */
	unsigned char body[];
};

static volatile bool stop;
static int number, folder;

static uint64_t seed(uint32_t of, uint32_t kind, uint64_t sequence)
{
	return tap_mix(tap_mix((uint64_t)of << 8 | kind) ^ sequence);
}

static struct record *make(void *buf, enum kind kind, uint64_t sequence, size_t length)
{
	struct record *r = buf;

	*r = (struct record){ MAGIC, number, kind, sequence, length };
	tap_pattern(r->body, length - sizeof(*r), seed(number, kind, sequence), 0);
	return r;
}

/* Of a size that is no power of two where it may be any, up to some pages. */
static size_t length_of(uint64_t sequence)
{
	return sizeof(struct record) + 1 + tap_mix(sequence) % 9000;
}

/* Whole, and of nobody else. */
static bool whole(const struct record *r, size_t length, uint32_t of, enum kind kind)
{
	return r->magic == MAGIC && r->number == of && r->kind == kind && r->length == length &&
	       tap_differs(r->body, length - sizeof(*r), seed(of, kind, r->sequence), 0) < 0;
}

static void acknowledge(enum kind kind, uint64_t sequence)
{
	char line[64];
	int n = snprintf(line, sizeof(line), "%d %s %llu\n", number, kinds[kind], (unsigned long long)sequence);

	if (write(STDOUT_FILENO, line, n) != n)
		_exit(2);	/* nobody listens: the machine that does has gone */
}

static int make_file(const char *name, int flags)
{
	int fd = openat(folder, name, O_CREAT | O_RDWR | flags, 0644);

	if (fd < 0)
		tap_end(errno, "%s: create", name);
	return fd;
}

static void put(int fd, const char *name, const struct record *r, off_t at)
{
	if (pwrite(fd, r, r->length, at) != (ssize_t)r->length)
		tap_end(errno, "%s: write of record %llu", name, (unsigned long long)r->sequence);
}

static void *append(void *buf)
{
	char name[32];
	off_t at = 0;
	int fd;

	snprintf(name, sizeof(name), "append-%d", number);
	fd = make_file(name, 0);
	for (uint64_t i = 1; !stop; i++) {
		struct record *r = make(buf, APPEND, i, length_of(i));

		put(fd, name, r, at);
		if (fsync(fd))
			tap_end(errno, "%s: fsync", name);
		at += r->length;
		acknowledge(APPEND, i);
	}
	return NULL;
}

static void *over(void *buf)
{
	char name[32];
	int fd;

	snprintf(name, sizeof(name), "over-%d", number);
	fd = make_file(name, 0);
	for (uint64_t i = 1; !stop; i++) {
		put(fd, name, make(buf, OVER, i, PAGE), i % PLACES * PAGE);
		if (fdatasync(fd))
			tap_end(errno, "%s: fdatasync", name);
		acknowledge(OVER, i);
	}
	return NULL;
}

static void *renames(void *buf)
{
	char name[32], fresh[32];
	int fd;

	snprintf(name, sizeof(name), "rename-%d", number);
	snprintf(fresh, sizeof(fresh), "rename-%d.new", number);
	for (uint64_t i = 1; !stop; i++) {
		fd = make_file(fresh, O_EXCL);
		put(fd, fresh, make(buf, RENAME, i, length_of(i)), 0);
		if (fsync(fd) || close(fd) || renameat(folder, fresh, folder, name) || fsync(folder))
			tap_end(errno, "%s: rename", name);
		acknowledge(RENAME, i);
	}
	return NULL;
}

static void *creates(void *buf)
{
	char name[32];
	int fd;

	for (uint64_t i = 1; !stop; i++) {
		snprintf(name, sizeof(name), "create-%d-%llu", number, (unsigned long long)i);
		fd = make_file(name, O_EXCL);
		put(fd, name, make(buf, CREATE, i, length_of(i)), 0);
		if (fsync(fd) || close(fd) || fsync(folder))
			tap_end(errno, "%s: fsync", name);
		acknowledge(CREATE, i);
		if (i % 2 == 0 || i < 8)
			continue;
		snprintf(name, sizeof(name), "create-%d-%llu", number, (unsigned long long)i - 6);
		if (unlinkat(folder, name, 0) || fsync(folder))
			tap_end(errno, "%s: unlink", name);
		acknowledge(REMOVE, i - 6);
	}
	return NULL;
}

static void *map(void *buf)
{
	char name[32], *m;
	int fd;

	snprintf(name, sizeof(name), "map-%d", number);
	fd = make_file(name, 0);
	if (ftruncate(fd, (off_t)PAGES * PAGE) || fsync(fd))
		tap_end(errno, "%s: truncate", name);
	m = mmap(NULL, (size_t)PAGES * PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	if (m == MAP_FAILED)
		tap_end(errno, "%s: mmap", name);
	/* No page is stored to twice: a fault may come between two stores into one. */
	for (uint64_t i = 1; !stop && i < PAGES; i++) {
		memcpy(m + i * PAGE, make(buf, MAP, i, PAGE), PAGE);
		if (msync(m + i * PAGE, PAGE, MS_SYNC))
			tap_end(errno, "%s: msync", name);
		acknowledge(MAP, i);
	}
	if (!stop)
		tap_end(errno, "%s: full", name);
	return NULL;
}

static void *shared(void *buf)
{
	int fd = make_file("shared", O_APPEND);

	for (uint64_t i = 1; !stop; i++) {
		if (write(fd, make(buf, SHARED, i, SMALL), SMALL) != SMALL || fsync(fd))
			tap_end(errno, "shared: append");
		acknowledge(SHARED, i);
	}
	return NULL;
}

static int work(void)
{
	void *(*const threads[])(void *) = { append, over, renames, creates, map, shared };
	enum { COUNT = sizeof(threads) / sizeof(*threads) };
	pthread_t made[COUNT];
	char c;

	for (int i = 0; i < COUNT; i++)
		if (pthread_create(&made[i], NULL, threads[i], malloc(4 * PAGE)))
			tap_end(errno, "a thread");
	while (read(STDIN_FILENO, &c, 1) < 0 && errno == EINTR)
		;
	stop = true;
	for (int i = 0; i < COUNT; i++)
		pthread_join(made[i], NULL);
	printf("ended\n");
	return 0;
}

/* ---- the other side */

struct acknowledged {
	uint64_t last;
	uint64_t last_in[PLACES];	/* of OVER: in each place */
	unsigned char *seen;		/* of CREATE, REMOVE */
	size_t size;
};

static struct acknowledged acks[NODES][KINDS];
static long compared;

static void *read_file(const char *name, size_t *size, bool needed)
{
	int fd = openat(folder, name, O_RDONLY);
	struct stat st;
	size_t got = 0;
	ssize_t n;
	char *buf;

	*size = 0;
	if (fd < 0) {
		if (needed || errno != ENOENT)
			tap_end(errno, "%s: cannot be opened", name);
		return NULL;
	}
	if (fstat(fd, &st))
		tap_end(errno, "%s: fstat", name);
	buf = malloc(st.st_size + 1);
	while ((n = pread(fd, buf + got, st.st_size - got, got)) > 0)
		got += n;
	if (n < 0 || got != (size_t)st.st_size)
		tap_end(errno, "%s: read of %zu at %zu of %lld", name, (size_t)st.st_size - got, got, (long long)st.st_size);
	close(fd);
	*size = got;
	return buf;
}

static void check_append(uint32_t of)
{
	uint64_t last = acks[of][APPEND].last;
	char name[32], *buf;
	size_t size, at = 0;

	snprintf(name, sizeof(name), "append-%u", of);
	buf = read_file(name, &size, last);
	for (uint64_t i = 1; i <= last; i++) {
		struct record *r = (void *)(buf + at);

		if (at + length_of(i) > size)
			tap_end(0, "%s: %zu bytes; record %llu of %llu was acknowledged, and ends at %zu", name, size, (unsigned long long)i,
			      (unsigned long long)last, at + length_of(i));
		if (!whole(r, length_of(i), of, APPEND) || r->sequence != i)
			tap_end(0, "%s: record %llu of %llu at %zu is not what was written", name, (unsigned long long)i, (unsigned long long)last, at);
		at += length_of(i);
		compared++;
	}
	free(buf);
}

static void check_over(uint32_t of)
{
	const struct acknowledged *a = &acks[of][OVER];
	char name[32], *buf;
	size_t size;

	snprintf(name, sizeof(name), "over-%u", of);
	buf = read_file(name, &size, a->last);
	for (int i = 0; i < PLACES; i++) {
		struct record *r = (void *)(buf + i * PAGE);

		if (!a->last_in[i])
			continue;
		if ((size_t)(i + 1) * PAGE > size || !whole(r, PAGE, of, OVER) || r->sequence % PLACES != (uint64_t)i ||
		    r->sequence < a->last_in[i])
			tap_end(0, "%s: place %d of %zu bytes has record %llu; %llu was acknowledged", name, i, size,
			      (size_t)(i + 1) * PAGE > size ? 0 : (unsigned long long)r->sequence, (unsigned long long)a->last_in[i]);
		compared++;
	}
	free(buf);
}

static void check_one(const char *name, uint32_t of, enum kind kind, uint64_t least, uint64_t most, bool needed)
{
	size_t size;
	struct record *r = read_file(name, &size, needed);

	if (!r)
		return;
	/* What nobody was told of may be a part. */
	if (needed && (size < sizeof(*r) || !whole(r, size, of, kind) || r->sequence < least || r->sequence > most))
		tap_end(0, "%s: %zu bytes, record %llu; %llu was acknowledged", name, size,
		      size < sizeof(*r) ? 0 : (unsigned long long)r->sequence, (unsigned long long)least);
	compared += needed;
	free(r);
}

static void check_creates(uint32_t of)
{
	const struct acknowledged *made = &acks[of][CREATE], *removed = &acks[of][REMOVE];
	char name[32];

	for (uint64_t i = 1; i < made->size || i < removed->size; i++) {
		snprintf(name, sizeof(name), "create-%u-%llu", of, (unsigned long long)i);
		if (i < removed->size && removed->seen[i]) {
			if (!faccessat(folder, name, F_OK, 0) || errno != ENOENT)
				tap_end(0, "%s: its removal was acknowledged", name);
			compared++;
		} else if (i < made->size && made->seen[i]) {
			check_one(name, of, CREATE, i, i, i % 2 == 0);
		}
	}
}

static void check_map(uint32_t of)
{
	uint64_t last = acks[of][MAP].last;
	char name[32], *buf;
	size_t size;

	snprintf(name, sizeof(name), "map-%u", of);
	buf = read_file(name, &size, last);
	if (last && size != (size_t)PAGES * PAGE)
		tap_end(0, "%s: %zu bytes", name, size);
	for (uint64_t i = 1; i <= last; i++) {
		struct record *r = (void *)(buf + i * PAGE);

		if (!whole(r, PAGE, of, MAP) || r->sequence != i)
			tap_end(0, "%s: page %llu of %llu is not what was stored", name, (unsigned long long)i, (unsigned long long)last);
		compared++;
	}
	free(buf);
}

/* A node's records come in order, whatever the others do, and nothing is between them that nobody wrote. */
static void check_shared(void)
{
	uint64_t met[NODES] = { 0 };
	size_t size;
	char *buf = read_file("shared", &size, false);

	for (size_t at = 0; at + SMALL <= size; at += SMALL) {
		struct record *r = (void *)(buf + at);

		if (r->number >= NODES || !whole(r, SMALL, r->number, SHARED))
			tap_end(0, "shared: at %zu of %zu there is no record", at, size);
		if (r->sequence != met[r->number] + 1)
			tap_end(0, "shared: at %zu of %zu record %llu of node %u follows %llu", at, size, (unsigned long long)r->sequence, r->number,
			      (unsigned long long)met[r->number]);
		met[r->number] = r->sequence;
		compared++;
	}
	for (uint32_t of = 0; of < NODES; of++)
		if (met[of] < acks[of][SHARED].last)
			tap_end(0, "shared: %zu bytes end with record %llu of node %u; %llu was acknowledged", size, (unsigned long long)met[of], of,
			      (unsigned long long)acks[of][SHARED].last);
	free(buf);
}

static void learn(uint32_t of, enum kind kind, uint64_t sequence)
{
	struct acknowledged *a = &acks[of][kind];

	if (sequence > a->last)
		a->last = sequence;
	if (kind == OVER && sequence > a->last_in[sequence % PLACES])
		a->last_in[sequence % PLACES] = sequence;
	if (kind != CREATE && kind != REMOVE)
		return;
	if (sequence >= a->size) {
		size_t size = sequence * 2 + 1;

		a->seen = realloc(a->seen, size);
		memset(a->seen + a->size, 0, size - a->size);
		a->size = size;
	}
	a->seen[sequence] = 1;
}

static int check(void)
{
	unsigned long long sequence;
	char line[128], word[32];
	long lines = 0;
	uint32_t of;
	int kind;

	while (fgets(line, sizeof(line), stdin)) {
		if (sscanf(line, "%u %31s %llu", &of, word, &sequence) != 3 || of >= NODES)
			tap_end(0, "no such line: %s", line);
		for (kind = 0; kind < KINDS && strcmp(word, kinds[kind]); kind++)
			;
		if (kind == KINDS)
			tap_end(0, "no such kind: %s", word);
		learn(of, kind, sequence);
		lines++;
	}
	for (of = 0; of < NODES; of++) {
		char name[32];

		check_append(of);
		check_over(of);
		snprintf(name, sizeof(name), "rename-%u", of);
		check_one(name, of, RENAME, acks[of][RENAME].last, UINT64_MAX, acks[of][RENAME].last);
		check_creates(of);
		check_map(of);
	}
	check_shared();
	printf("ok: %ld acknowledged, %ld compared\n", lines, compared);
	return 0;
}

int main(int argc, char **argv)
{
	setvbuf(stdout, NULL, _IOLBF, 0);
	umask(022);
	if (argc < 3 || (folder = open(argv[2], O_RDONLY | O_DIRECTORY)) < 0) {
		fprintf(stderr, "usage: %s write DIRECTORY NUMBER | check DIRECTORY\n", argv[0]);
		return 2;
	}
	if (!strcmp(argv[1], "check") && argc == 3)
		return check();
	number = argc == 4 ? atoi(argv[3]) : 0;
	if (!strcmp(argv[1], "write") && number > 0 && number < NODES)
		return work();
	fprintf(stderr, "no such command, or a number outside of 1 to %d\n", NODES - 1);
	return 2;
}
