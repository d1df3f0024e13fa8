/* A driver that means no good: random descriptors, scatter/gather lists, lengths, addresses, stream contexts and
 * doorbells. Every announced descriptor must be completed, with its inputs unchanged and nothing written outside its
 * output, whatever it says; and afterwards a fresh queue must work.
 *
 * Usage: hostile DEVICE QC_TYPE ROUNDS SEED. Ends with status 0 and "ok", or says what failed. */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

#define CHECK(what)                                                                                        \
	do {                                                                                               \
		if (!(what)) {                                                                             \
			printf("failed at line %d: %s (errno %d)\n", __LINE__, #what, errno);              \
			fflush(stdout);                                                                    \
			_exit(1);                                                                          \
		}                                                                                          \
	} while (0)

enum { ARENA = 1 << 24, OUT = 1 << 20, CANARY = 4096, DEPTH_MOST = 4096 };
/* Alone in 8 GiB, so that a changed lower half of an address never leads to anything else of this program. */
static uint8_t *const arena = (uint8_t *)0x280000000000;
static const char *device;
static int zip, sec, v3, qc_type;
static uint64_t state;

static uint64_t noise(void)
{
	uint64_t z = state += 0x9e3779b97f4a7c15;
	z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9;
	z = (z ^ z >> 27) * 0x94d049bb133111eb;
	return z ^ z >> 31;
}
static uint32_t below(uint32_t n) { return noise() % n; }

static long number(const char *name, char *text)
{
	char path[256], own[128];
	text = text ? text : own;
	snprintf(path, sizeof path, "/sys/class/uacce/%s/%s", device, name);
	int fd = open(path, O_RDONLY);
	CHECK(fd >= 0);
	ssize_t n = read(fd, text, 127);
	CHECK(n > 0);
	text[n] = 0;
	close(fd);
	return strtol(text, NULL, 10);
}

struct queue {
	int fd;
	uint8_t *dus, *mmio;
	size_t dus_size, mmio_size;
	uint32_t size;
	uint16_t number, depth, tail, head;
	int phase;
};

static struct queue begin(void)
{
	char path[64];
	snprintf(path, sizeof path, "/dev/%s", device);
	struct queue q = { .phase = 1 };
	q.fd = open(path, O_RDWR | O_CLOEXEC);
	CHECK(q.fd >= 0);
	q.dus_size = number("region_dus_size", NULL);
	q.mmio_size = number("region_mmio_size", NULL);
	q.dus = mmap(NULL, q.dus_size, PROT_READ | PROT_WRITE, MAP_SHARED, q.fd, sysconf(_SC_PAGESIZE));
	q.mmio = mmap(NULL, q.mmio_size, PROT_READ | PROT_WRITE, MAP_SHARED, q.fd, 0);
	CHECK(q.dus != MAP_FAILED && q.mmio != MAP_FAILED);
	uint16_t ctx[2] = { 0, qc_type }, info[8] = { 0 };
	CHECK(ioctl(q.fd, 0xC004480A, ctx) == 0 && ioctl(q.fd, 0xC010480B, info) == 0);
	q.number = ctx[0], q.size = info[0], q.depth = info[2];
	CHECK(q.depth <= DEPTH_MOST && ioctl(q.fd, _IO('W', 0)) == 0);
	return q;
}

static void end(struct queue *q)
{
	if (below(2))
		CHECK(ioctl(q->fd, _IO('W', 1)) == 0);
	CHECK(munmap(q->dus, q->dus_size) == 0 && munmap(q->mmio, q->mmio_size) == 0);
	CHECK(close(q->fd) == 0);
}

static void store(struct queue *q, uint64_t value)
{
	__atomic_thread_fence(__ATOMIC_SEQ_CST);
	*(volatile uint64_t *)(q->mmio + 0x1000) = value;
}

static void put(uint8_t *sqe, int at, uint64_t value) { memcpy(sqe + at, &value, 8); }
static void put32(uint8_t *sqe, int at, uint32_t value) { memcpy(sqe + at, &value, 4); }

/* Some place of the arena, at least `len` before its end. */
static uint64_t place(uint32_t len) { return (uint64_t)(uintptr_t)arena + below(ARENA - CANARY - len); }
static uint64_t bad_address(void)
{
	const uint64_t some[] = { 0, 1, 4096, (uint64_t)(uintptr_t)arena - 1, (uint64_t)(uintptr_t)arena + ARENA - 1,
		0x7ffffffff000, 0x800000000000, 0xffff800000000000, UINT64_MAX, UINT64_MAX - 4095 };
	return some[below(sizeof some / sizeof *some)];
}

static uint64_t some_list(void);

/* A chain of lists, most of them broken somehow: loops, no entries, too many, no length, nowhere. */
static uint64_t list_at(uint64_t at)
{
	uint16_t used = below(4) ? 1 + below(8) : below(400), capacity = below(8) ? used : below(400);
	uint8_t *header = (uint8_t *)(uintptr_t)at;
	memset(header, 0, 64);
	uint64_t next = below(3) ? 0 : below(2) ? at : below(8) ? at + 64 * below(64) : bad_address();
	put(header, 0, next);
	memcpy(header + 10, &used, 2);
	memcpy(header + 12, &capacity, 2);
	for (int n = 0; n < used && n < 255; n++) {
		uint32_t len = below(6) ? 1 + below(5000) : below(3) ? 0 : below(1 << 24);
		put(header, 64 + 32 * n, below(30) ? place(len) : bad_address());
		put32(header, 64 + 32 * n + 16, len);
	}
	return at;
}
static uint64_t some_list(void) { return list_at((place(64 * 1024) & ~63ull) + (below(20) ? 0 : 8)); }

/* A descriptor that keeps to the tables, with its output at `out` and at most `room` long. */
static void decent(uint8_t *sqe, uint64_t out, uint32_t room)
{
	if (zip) {
		uint32_t len = below(4) ? below(3000) : below(300000), flags = (v3 ? 3u : 0) << 28;
		int stateful = below(3) == 0;
		put32(sqe, 0x10, len);
		put32(sqe, 0x1c, flags | (stateful ? 1 << 26 : 0) | below(4) % 2 << 27 | below(2) << 25);
		put32(sqe, 0x24, (1 + !v3 + below(v3 ? 3 : 2)) | below(5) << 12);
		put32(sqe, 0x38, below(4) ? room : below(room));
		put(sqe, 0x48, place(len));
		put(sqe, 0x50, out);
		put(sqe, 0x58, place(65536) & ~15ull);
	} else if (sec) {
		uint32_t len = 16 * (1 + below(room / 16)), mode = "\0\1\4\7"[below(4)], key = below(3), alg = 2 + below(2);
		if (alg == 3)
			key = 0;
		if (v3) {
			put32(sqe, 0, 0x223);
			put32(sqe, 4, (1 + below(2)) | key << 13 | mode << 16 | alg << 20);
			put32(sqe, 56, 0x08000000 | (mode == 4 ? 2u << 25 : 0));
			put32(sqe, 72, len);
			put(sqe, 16, place(len)), put(sqe, 48, place(64)), put(sqe, 76, out), put(sqe, 92, place(16));
		} else {
			put32(sqe, 0, below(2) ? 0xa12 : 0xa22);
			put32(sqe, 12, key << 9 | mode << 12 | alg << 16);
			put32(sqe, 20, len);
			put(sqe, 96, place(len)), put(sqe, 88, place(64)), put(sqe, 104, out), put(sqe, 80, place(16));
		}
	} else {
		uint32_t widths[] = { 0x0b, 0x0f, 0x17, 0x1f }, alg = below(6);
		put32(sqe, 0, 0x40000000 | alg);
		put32(sqe, 4, widths[below(4)]);
		put(sqe, 8, place(8192)), put(sqe, 16, place(8192)), put(sqe, 24, out);
	}
}

static void spoil(uint8_t *sqe, uint32_t size)
{
	for (int n = 1 + below(4); n > 0; n--) {
		int at = 4 * below(size / 4);
		uint32_t old;
		memcpy(&old, sqe + at, 4);
		uint32_t values[] = { noise(), 0, UINT32_MAX, old ^ 1u << below(32), old + 1, 0x800000, 0x800001, below(300) };
		put32(sqe, at, values[below(8)]);
	}
	if (below(4) == 0 && size == 128)
		put(sqe, 0x48 + 8 * below(7), bad_address());
	if (below(4) == 0 && size == 64)
		put(sqe, 8 + 8 * below(3), bad_address());
}

/* Whether byte `at` of a descriptor is one that the device writes. */
static int written_back(int at)
{
	if (zip)
		return at < 16 || (at >= 0x3c && at < 0x40) || at >= 0x70;
	if (sec)
		return at >= 112;
	return at < 4 || at == 7 || (at >= 24 && at < 32);
}

static void await(struct queue *q, uint8_t (*sent)[128], int slot)
{
	uint8_t *cqe = q->dus + q->size * q->depth + 16 * q->head;
	while ((__atomic_load_n((uint16_t *)(cqe + 14), __ATOMIC_ACQUIRE) & 1) != q->phase)
		usleep(50);
	uint16_t place[2];
	memcpy(place, cqe + 8, 4);
	CHECK(place[0] == slot && place[1] == q->number);
	const uint8_t *sqe = q->dus + q->size * slot;
	for (uint32_t at = 0; at < q->size; at++)
		CHECK(written_back(at) || sqe[at] == sent[slot][at]);
	/* a descriptor that came back has a verdict */
	if (sec)
		CHECK(sqe[112] & 1);
	else if (!zip)
		CHECK(sqe[3] >> 6 == 3);
	if (++q->head == q->depth)
		q->head = 0, q->phase = !q->phase;
	store(q, q->number | 1 << 12 | (uint64_t)q->head << 32);
}

static void burst(struct queue *q)
{
	static uint8_t sent[DEPTH_MOST][128];
	int count = below(4) ? 1 + below(4) : 1 + below(60), first = q->tail, checked = below(2);
	/* one output of its own between canaries, for a burst of descriptors that keep to the tables */
	uint8_t *out = arena + ARENA / 2;
	if (checked) {
		memset(out - CANARY, 0x5a, CANARY);
		memset(out + OUT, 0xa5, CANARY);
	}
	for (int n = 0; n < count; n++, q->tail = (q->tail + 1) % q->depth) {
		uint8_t sqe[128] = { 0 };
		int how = checked ? 0 : 1 + below(4);
		decent(sqe, how ? place(OUT) : (uint64_t)(uintptr_t)out, OUT);
		if (how == 0 && zip)
			put(sqe, 0x58, (uint64_t)(uintptr_t)arena), put(sqe, 0x48, (uint64_t)(uintptr_t)arena + 65536);
		if (how == 1)
			spoil(sqe, q->size);
		if (how == 2)
			for (int at = 0; at < 128; at += 8)
				put(sqe, at, below(3) ? noise() : 0);
		if (how == 3 && zip) {
			put32(sqe, 0x24, 0x102 + below(2));
			put(sqe, 0x48, some_list()), put(sqe, 0x50, some_list());
			put32(sqe, 0x10, below(4) ? below(20000) : below(3) ? noise() : below(1 << 26));
			put32(sqe, 0x38, below(4) ? below(200000) : noise());
		}
		if (how == 3 && sec) {
			put32(sqe, 0, v3 ? 0x4a23 : 0x48a12);
			put(sqe, v3 ? 16 : 96, some_list()), put(sqe, v3 ? 76 : 104, some_list());
		}
		memcpy(sent[q->tail], sqe, 128);
		memcpy(q->dus + q->size * q->tail, sqe, q->size);
	}
	store(q, q->number | (uint64_t)q->tail << 32);
	for (int n = 0; n < count; n++)
		await(q, sent, (first + n) % q->depth);
	for (int n = 0; checked && n < CANARY; n++)
		CHECK(out[n - CANARY] == 0x5a && out[OUT + n] == 0xa5);
}

/* Doorbells without sense. The queue is given up afterwards: one may have announced what was never written. */
static void ring_nonsense(struct queue *q)
{
	for (int n = 0; n < 100; n++) {
		uint64_t value = below(2) ? noise() : q->number | (uint64_t)below(2 * q->depth) << 32 | below(2) << 12;
		if (below(8))
			store(q, value);
		else if (below(2))
			*(volatile uint32_t *)(q->mmio + 4 * below(q->mmio_size / 4)) = value;
		else
			*(volatile uint8_t *)(q->mmio + below(q->mmio_size)) = value;
	}
}

int main(int argc, char **argv)
{
	CHECK(argc == 5);
	char api[128];
	device = argv[1], qc_type = atoi(argv[2]), state = strtoull(argv[4], NULL, 0);
	zip = strstr(device, "zip") != NULL, sec = strstr(device, "sec") != NULL;
	number("api", api);
	v3 = strstr(api, "v3") != NULL;
	CHECK(mmap(arena, ARENA, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0) == arena);
	for (int at = 0; at < ARENA; at += 8)
		put(arena, at, below(3) ? noise() : 0x6161616161616161);
	struct queue q = begin();
	for (int round = atoi(argv[3]); round > 0; round--) {
		burst(&q);
		if (below(16) == 0) {
			if (below(2))
				ring_nonsense(&q);
			end(&q);
			q = begin();
		}
	}
	end(&q);
	printf("ok\n");
	return 0;
}
