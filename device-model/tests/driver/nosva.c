/* A driver for devices without SVA, written to the kernel documentation of KAE: all memory of a request comes from the
 * SS region of its queue, and the addresses in a request are the device's.
 *
 * Usage: nosva SCENARIO. Ends with status 0 and "ok" if all checks held; the first check that fails ends it with
 * status 1 and says which. */
#include "queue.h"

#define SHARE_SVAS _IO('W', 2)
#define GET_SS_DMA _IOR('W', 3, unsigned long)

#define DEVICE "hisi_zip-4"
#define GRAIN 65536ul

struct slice { uint8_t *va; uint64_t dma; size_t size; };
struct memory { uint8_t *va; size_t len; int count; struct slice slice[4096]; };

static long page(void) { return sysconf(_SC_PAGESIZE); }
static void *map_ss(struct queue *q, size_t len) { return mmap(NULL, len, PROT_READ | PROT_WRITE, MAP_SHARED, q->fd, 2 * page()); }
static int iommu(void) { return (number(DEVICE, "flags") & 128) != 0; }

static int anybodys(uint64_t addr)
{
	unsigned long from, to;
	char line[600];
	int found = 0;
	FILE *maps = fopen("/proc/self/maps", "r");
	CHECK(maps);
	while (fgets(line, sizeof line, maps))
		if (sscanf(line, "%lx-%lx", &from, &to) == 2 && addr >= from && addr < to)
			found = 1;
	fclose(maps);
	return found;
}

/* Mappings of SS memory in this process, the device's included. */
static int ss_mappings(void)
{
	char line[600];
	int found = 0;
	FILE *maps = fopen("/proc/self/maps", "r");
	CHECK(maps);
	while (fgets(line, sizeof line, maps))
		found += strstr(line, "model-ss") != NULL;
	fclose(maps);
	return found;
}

/* Maps the region and asks for its slices, as drivers do. */
static struct memory *reserve(struct queue *q, size_t len)
{
	struct memory *m = calloc(1, sizeof *m);
	m->len = len;
	m->va = map_ss(q, len);
	CHECK(m->va != MAP_FAILED);
	size_t done = 0;
	for (int left = 1; left > 0; m->count++) {
		CHECK(m->count < 4096);
		uint64_t word = m->count;
		errno = EBUSY;
		left = ioctl(q->fd, GET_SS_DMA, &word);
		CHECK(left >= 0 && errno == EBUSY);
		struct slice *s = &m->slice[m->count];
		s->size = iommu() ? len : (word & 0xfff) * GRAIN;
		s->dma = word & ~0xffful;
		s->va = m->va + done;
		done += s->size;
		CHECK(s->size > 0 && s->dma >= 1ul << 32 && !anybodys(s->dma));
		CHECK(m->count == 0 || s->dma >= s[-1].dma + s[-1].size);
	}
	CHECK(done == len);
	for (size_t n = 0; n < len; n += 511)
		CHECK(m->va[n] == 0);
	return m;
}

/* As libraries without SVA open a queue: the driver may not write to its completion ring. */
static struct queue begin(int qc_type)
{
	struct queue q = prepare(DEVICE, qc_type);
	size_t ring = (size_t)q.sqe_size * q.depth;
	CHECK(ring % page() == 0 && mprotect(q.dus + ring, q.dus_size - ring, PROT_READ) == 0);
	CHECK(ioctl(q.fd, START_Q) == 0);
	return q;
}

static void end(struct queue *q, struct memory *m)
{
	CHECK(ioctl(q->fd, PUT_Q) == 0);
	CHECK(munmap(q->dus, q->dus_size) == 0 && munmap(q->mmio, q->mmio_size) == 0);
	if (m)
		CHECK(munmap(m->va, m->len) == 0);
	free(m);
	CHECK(close(q->fd) == 0);
}

static void text(uint8_t *to, size_t len)
{
	for (size_t n = 0; n < len; n++)
		to[n] = "the quick brown fox "[n % 20] + (n / 1000) % 3;
}

/* Compresses from slice a to slice b and back; all of it inside one slice each. */
static void there_and_back(struct queue *c, struct memory *mc, struct queue *d, struct memory *md, int a, int b)
{
	enum { SIZE = 30000 };
	uint32_t used, packed, made;
	struct slice in = mc->slice[a], out = mc->slice[b], din = md->slice[a], dout = md->slice[b];
	text(in.va + 100, SIZE);
	CHECK(request_at(c, in.dma + 100, SIZE, out.dma + 40000, 20000, &used, &packed) == 0);
	CHECK(used == SIZE && packed > 8 && packed < SIZE / 4);
	memcpy(din.va + 3, out.va + 40000, packed);
	CHECK(request_at(d, din.dma + 3, packed, dout.dma + 5000, SIZE, &used, &made) == 0);
	CHECK(used == packed && made == SIZE && !memcmp(dout.va + 5000, in.va + 100, SIZE));
}

static void slices(void)
{
	struct queue c = begin(0), d = begin(1);
	struct memory *mc = reserve(&c, 24 * GRAIN), *md = reserve(&d, 24 * GRAIN);
	CHECK(mc->count == md->count);
	for (int n = 0; n < mc->count; n++)
		there_and_back(&c, mc, &d, md, n, mc->count - 1 - n);
	printf("%d\n", mc->count);
	end(&c, mc);
	end(&d, md);
	CHECK(ss_mappings() == 0);
}

/* A buffer that runs over a border of slices: refused at a gap, fine where the device sees none. */
static void gaps(void)
{
	struct queue q = begin(0);
	struct memory *m = reserve(&q, 40 * GRAIN);
	uint32_t used, made;
	int apart = 0, together = 0;
	text(m->va, m->len);
	for (int n = 0; n + 1 < m->count; n++) {
		struct slice *s = &m->slice[n];
		int gap = s->dma + s->size != s[1].dma;
		*(gap ? &apart : &together) += 1;
		uint64_t over = s->dma + s->size - 1000, out = m->slice[(n + 2) % m->count].dma + 20000;
		if (s->size < 3000 || m->slice[(n + 2) % m->count].size < 30000)
			continue;
		CHECK((request_at(&q, over, 2000, out, 5000, &used, &made) == 0) == !gap);
		CHECK((request_at(&q, out, 2000, s->dma + s->size - 20, 4000, &used, &made) == 0) == !gap);
		CHECK(request_at(&q, over, 1000, out, 5000, &used, &made) == 0 && used == 1000);
	}
	printf("%d %d\n", apart, together);
	end(&q, m);
}

/* Addresses that this queue's device does not know: a status, nothing written, and the queue goes on. */
static void strangers(void)
{
	struct queue q = begin(0), other = begin(0);
	struct memory *m = reserve(&q, 4 * GRAIN), *foreign = reserve(&other, 4 * GRAIN);
	uint32_t used, made;
	static uint8_t own[20000];
	uint64_t good = m->slice[0].dma, out = m->slice[m->count - 1].dma + 30000;
	uint64_t end_of_all = m->slice[m->count - 1].dma + m->slice[m->count - 1].size;
	uint64_t strange[] = { (uintptr_t)m->va, (uintptr_t)own, (uintptr_t)q.dus, foreign->slice[0].dma, 0, 4096,
			       end_of_all, good - 1, ~0ul - 100 };
	text(m->va, 4 * GRAIN);
	text(foreign->va, 4 * GRAIN);
	for (size_t n = 0; n < sizeof strange / sizeof *strange; n++) {
		CHECK(request_at(&q, strange[n], 1000, out, 3000, &used, &made) != 0);
		CHECK(request_at(&q, good, 1000, strange[n], 3000, &used, &made) != 0);
	}
	for (size_t n = 0; n < sizeof own; n++)
		CHECK(own[n] == 0);
	CHECK(request_at(&q, good, 1000, out, 3000, &used, &made) == 0 && used == 1000);
	/* the other queue knows its own */
	CHECK(request_at(&other, foreign->slice[0].dma, 1000, foreign->slice[0].dma + 30000, 3000, &used, &made) == 0);
	CHECK(request_at(&other, good, 1000, foreign->slice[0].dma + 30000, 3000, &used, &made) != 0);
	end(&q, m);
	end(&other, foreign);
}

static void errors(void)
{
	struct queue q = prepare(DEVICE, 0);
	uint64_t word = 0;
	CHECK(ioctl(q.fd, GET_SS_DMA, &word) == -1 && errno == EINVAL);
	CHECK(ioctl(q.fd, GET_SS_DMA, NULL) == -1 && errno == EINVAL);
	CHECK(mmap(NULL, page(), PROT_READ, MAP_SHARED, q.fd, 3 * page()) == MAP_FAILED && errno == EINVAL);
	CHECK(map_ss(&q, 1ul << 40) == MAP_FAILED && errno == ENOMEM);
	CHECK(map_ss(&q, ~0ul - 100) == MAP_FAILED && errno == ENOMEM);
	CHECK(ioctl(q.fd, GET_SS_DMA, &word) == -1 && errno == EINVAL);
	struct memory *m = reserve(&q, 4 * GRAIN);
	CHECK(map_ss(&q, GRAIN) == MAP_FAILED && errno == EEXIST);
	CHECK(ioctl(q.fd, GET_SS_DMA, (void *)16) == -1 && errno == EFAULT);
	const uint64_t *constant = mmap(NULL, page(), PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	CHECK(ioctl(q.fd, GET_SS_DMA, constant) == -1 && errno == EFAULT);
	for (uint64_t bad = m->count; bad; bad = bad < 1ul << 63 ? bad * 2 : 0) {
		word = bad;
		CHECK(ioctl(q.fd, GET_SS_DMA, &word) == -1 && errno == EINVAL && word == bad);
	}
	struct qp_ctx ctx = { .qc_type = 2 };
	CHECK(ioctl(q.fd, QM_CTX, &ctx) == -1 && errno == EINVAL);
	CHECK(ioctl(q.fd, START_Q) == 0 && ioctl(q.fd, PUT_Q) == 0);
	/* the memory is there until it is unmapped, but the put queue tells nothing any more */
	word = 0;
	CHECK(ioctl(q.fd, GET_SS_DMA, &word) == -1 && errno == EINVAL);
	m->va[0] = 1;
	CHECK(ss_mappings() == 2);
	CHECK(munmap(m->va, m->len) == 0);
	CHECK(ss_mappings() == 0);
	CHECK(close(q.fd) == 0);
}

/* What a mainline kernel says to all this. */
static void mainline(void)
{
	struct queue q = prepare(DEVICE, 0);
	uint64_t word = 0;
	CHECK(map_ss(&q, GRAIN) == MAP_FAILED && errno == EINVAL);
	CHECK(ioctl(q.fd, GET_SS_DMA, &word) == -1 && errno == EINVAL);
	CHECK(ioctl(q.fd, SHARE_SVAS, q.fd) == -1 && errno == EINVAL);
	CHECK(access("/sys/class/uacce/" DEVICE "/numa_distance", F_OK) == -1);
	release(&q);
}

/* Unmapping the region of a started queue stops it, for its requests have no memory any more. */
static void unmapping(void)
{
	struct queue q = begin(0);
	struct memory *m = reserve(&q, 4 * GRAIN);
	uint64_t before = m->slice[0].dma;
	uint32_t used, made;
	text(m->va, 1000);
	CHECK(request_at(&q, before, 1000, before + 30000, 3000, &used, &made) == 0);
	CHECK(munmap(m->va, m->len) == 0 && ss_mappings() == 0);
	submit_nonsense(&q, 1);
	pause_ms(20);
	CHECK(!arrived(&q));
	/* new memory, at another place */
	struct memory *again = reserve(&q, 4 * GRAIN);
	CHECK(again->slice[0].dma != before);
	CHECK(ioctl(q.fd, START_Q) == -1 && errno == EINVAL);
	end(&q, again);
	/* a region outlives the descriptor, as the kernel keeps the file */
	long free_before = number(DEVICE, "available_instances");
	q = begin(0);
	free(m);
	m = reserve(&q, GRAIN);
	CHECK(close(q.fd) == 0 && munmap(q.dus, q.dus_size) == 0 && munmap(q.mmio, q.mmio_size) == 0);
	CHECK(number(DEVICE, "available_instances") == free_before - 1 && m->va[0] == 0);
	CHECK(munmap(m->va, m->len) == 0 && ss_mappings() == 0);
	CHECK(number(DEVICE, "available_instances") == free_before);
}

/* A child has the descriptor, and neither the mapping nor the memory. */
static void forking(void)
{
	struct queue q = begin(0);
	struct memory *m = reserve(&q, 4 * GRAIN);
	uint32_t used, made;
	int ends[2];
	CHECK(pipe(ends) == 0);
	text(m->va, 1000);
	pid_t child = fork();
	if (child == 0) {
		CHECK(write(ends[1], m->va, 1) == -1 && errno == EFAULT);
		for (uint64_t n = 0; n < (uint64_t)m->count; n++) {
			uint64_t word = n;
			CHECK(ioctl(q.fd, GET_SS_DMA, &word) == m->count - 1 - (int)n);
			CHECK((word & ~0xffful) == m->slice[n].dma);
		}
		CHECK(map_ss(&q, GRAIN) == MAP_FAILED && errno == EEXIST);
		/* a queue of its own works */
		struct queue own = begin(0);
		struct memory *mine = reserve(&own, GRAIN);
		text(mine->va, 1000);
		CHECK(request_at(&own, mine->slice[0].dma, 1000, mine->slice[0].dma + 30000, 3000, &used, &made) == 0);
		CHECK(request_at(&own, m->slice[0].dma, 1000, mine->slice[0].dma + 30000, 3000, &used, &made) != 0);
		end(&own, mine);
		CHECK(close(q.fd) == 0);
		_exit(0);
	}
	int status;
	CHECK(waitpid(child, &status, 0) == child && status == 0);
	CHECK(request_at(&q, m->slice[0].dma, 1000, m->slice[0].dma + 30000, 3000, &used, &made) == 0 && used == 1000);
	end(&q, m);
}

static void sharing(void)
{
	struct queue q = begin(0), other = begin(0);
	uint64_t word = 0;
	uint32_t used, made;
	CHECK(ioctl(q.fd, SHARE_SVAS, other.fd) == -1 && errno == EINVAL);
	struct memory *m = reserve(&q, GRAIN);
	CHECK(ioctl(q.fd, SHARE_SVAS, 1) == -1 && errno == EINVAL);
	CHECK(ioctl(q.fd, SHARE_SVAS, q.fd) == -1 && errno == EINVAL);
	CHECK(ioctl(q.fd, SHARE_SVAS, other.fd) == 0);
	CHECK(ioctl(q.fd, SHARE_SVAS, other.fd) == -1 && errno == EINVAL);
	CHECK(map_ss(&other, GRAIN) == MAP_FAILED && errno == EEXIST);
	CHECK(ioctl(other.fd, GET_SS_DMA, &word) == -1 && errno == EINVAL);
	text(m->va, 1000);
	CHECK(request_at(&other, m->slice[0].dma, 1000, m->slice[0].dma + 30000, 3000, &used, &made) == 0);
	uint64_t gone = m->slice[0].dma;
	end(&q, m);
	CHECK(request_at(&other, gone, 1000, gone + 30000, 3000, &used, &made) != 0);
	end(&other, NULL);
}

/* With `ss_reach=device`: memory of one queue serves all queues of the device, until it is unmapped. */
static void device_wide(void)
{
	struct queue q = begin(0), other = begin(0);
	struct memory *m = reserve(&q, 4 * GRAIN), *mine = reserve(&other, GRAIN);
	uint64_t at = m->slice[0].dma;
	uint32_t used, made;
	text(m->va, 1000);
	CHECK(request_at(&other, at, 1000, mine->slice[0].dma, 3000, &used, &made) == 0 && used == 1000);
	CHECK(request_at(&q, at, 1000, at + 30000, 3000, &used, &made) == 0);
	CHECK(!memcmp(mine->va, m->va + 30000, made));
	CHECK(request_at(&other, (uintptr_t)m->va, 1000, at + 30000, 3000, &used, &made) != 0);
	end(&q, m);
	CHECK(request_at(&other, at, 1000, mine->slice[0].dma, 3000, &used, &made) != 0);
	end(&other, mine);
}

/* KAE with SVA: process addresses count, and the SS region is ordinary memory of the process. */
static void both(void)
{
	struct queue q = begin(0);
	struct memory *m = reserve(&q, 4 * GRAIN);
	uint32_t used, made;
	static uint8_t in[1000], out[3000];
	text(in, sizeof in);
	text(m->va, 1000);
	CHECK(request(&q, in, sizeof in, out, sizeof out, &used, &made) == 0 && used == sizeof in);
	CHECK(request(&q, m->va, 1000, m->va + 30000, 3000, &used, &made) == 0 && used == 1000);
	CHECK(!memcmp(out, m->va + 30000, made));
	CHECK(request_at(&q, m->slice[0].dma, 1000, m->slice[0].dma + 30000, 3000, &used, &made) != 0);
	end(&q, m);
}

int main(int argc, char **argv)
{
	CHECK(argc == 2);
	const struct { const char *name; void (*run)(void); } all[] = {
		{ "slices", slices }, { "gaps", gaps }, { "strangers", strangers }, { "errors", errors },
		{ "mainline", mainline }, { "unmapping", unmapping }, { "fork", forking }, { "sharing", sharing },
		{ "both", both }, { "device", device_wide },
	};
	for (size_t n = 0; n < sizeof all / sizeof *all; n++) {
		if (!strcmp(argv[1], all[n].name)) {
			all[n].run();
			printf("ok\n");
			return 0;
		}
	}
	CHECK(!"a known scenario");
}
