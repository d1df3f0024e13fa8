/* A small uacce driver, written to the kernel's documentation, for testing the device model under LD_PRELOAD.
 *
 * Usage: driver SCENARIO [ARG]. Ends with status 0 and "ok" if all checks held; the first check that fails ends it
 * with status 1 and says which. A scenario that waits for its parent prints "ready" first. */
#include "queue.h"

static void discover(void)
{
	DIR *dir = opendir("/sys/class/uacce");
	CHECK(dir);
	int zip = 0, sec = 0, hpre = 0;
	for (struct dirent *e; (e = readdir(dir));) {
		if (e->d_name[0] == '.')
			continue;
		zip += !strncmp(e->d_name, "hisi_zip-", 9);
		sec += !strncmp(e->d_name, "hisi_sec2-", 10);
		hpre += !strncmp(e->d_name, "hisi_hpre-", 10);
		char text[400], path[PATH_MAX];
		attribute(e->d_name, "api", text, sizeof text);
		CHECK(!strcmp(text, "hisi_qm_v3") || !strcmp(text, "hisi_qm_v2"));
		CHECK(number(e->d_name, "flags") & 1);
		CHECK(number(e->d_name, "isolate") == 0);
		long numa = number(e->d_name, "device/numa_node");
		CHECK(numa == 0 || numa == 1);
		attribute(e->d_name, "algorithms", text, sizeof text);
		struct stat st;
		snprintf(path, sizeof path, "/dev/%s", e->d_name);
		CHECK(access(path, R_OK | W_OK) == 0);
		CHECK(stat(path, &st) == 0 && S_ISCHR(st.st_mode));
		int fd = node(e->d_name);
		struct stat of_fd;
		CHECK(fd >= 0 && fstat(fd, &of_fd) == 0 && of_fd.st_rdev == st.st_rdev && of_fd.st_ino == st.st_ino);
		long left = number(e->d_name, "available_instances");
		CHECK(close(fd) == 0);
		CHECK(number(e->d_name, "available_instances") == left + 1);
		FILE *file;
		snprintf(path, sizeof path, "/sys/class/uacce/%s/region_dus_size", e->d_name);
		CHECK((file = fopen(path, "r")) && fscanf(file, "%ld", &left) == 1 && left > 0);
		fclose(file);
	}
	closedir(dir);
	CHECK(zip == 2 && sec == 2 && hpre == 2);
	CHECK(access("/sys/class/uacce/hisi_zip-99", F_OK) == -1 && errno == ENOENT);
	CHECK(open("/dev/hisi_zip-99", O_RDWR) == -1 && errno == ENOENT);
}

static void states(const char *device)
{
	long page = sysconf(_SC_PAGESIZE);
	struct queue q = prepare(device, 0);
	char byte;
	CHECK(read(q.fd, &byte, 1) == -1 && errno == EINVAL);
	/* mappings */
	CHECK(mmap(NULL, q.dus_size, PROT_READ, MAP_SHARED, q.fd, page) == MAP_FAILED && errno == EEXIST);
	CHECK(mmap(NULL, q.mmio_size, PROT_READ, MAP_SHARED, q.fd, 0) == MAP_FAILED && errno == EEXIST);
	CHECK(mmap(NULL, page, PROT_READ, MAP_SHARED, q.fd, 2 * page) == MAP_FAILED && errno == EINVAL);
	CHECK(munmap(q.dus, q.dus_size) == 0);
	CHECK(mmap(NULL, q.dus_size - page, PROT_READ, MAP_SHARED, q.fd, page) == MAP_FAILED && errno == EINVAL);
	q.dus = mmap(NULL, q.dus_size, PROT_READ | PROT_WRITE, MAP_SHARED, q.fd, page);
	CHECK(q.dus != MAP_FAILED);
	/* ioctls */
	struct qp_ctx bad = { .qc_type = 3 };
	CHECK(ioctl(q.fd, QM_CTX, &bad) == -1 && errno == EINVAL);
	CHECK(ioctl(q.fd, QM_CTX, (void *)16) == -1 && errno == EFAULT);
	CHECK(ioctl(q.fd, QM_INFO, NULL) == -1 && errno == EFAULT);
	CHECK(ioctl(q.fd, _IO('W', 9)) == -1 && errno == EINVAL);
	errno = EBUSY;
	CHECK(ioctl(q.fd, START_Q) == 0 && errno == EBUSY);
	CHECK(ioctl(q.fd, START_Q) == -1 && errno == EINVAL);
	submit_nonsense(&q, 1);
	reap(&q, 0);
	ring_cq(&q, 0);
	CHECK(ioctl(q.fd, PUT_Q) == 0);
	/* a doorbell of a queue that was put is lost, and harmless */
	submit_nonsense(&q, 1);
	pause_ms(20);
	CHECK(!arrived(&q));
	CHECK(close(q.fd) == 0);
	CHECK(ioctl(q.fd, PUT_Q) == -1 && errno == EBADF);
}

static void zombie(const char *device)
{
	struct queue q = start(device, 0);
	CHECK(ioctl(q.fd, PUT_Q) == 0);
	CHECK(ioctl(q.fd, PUT_Q) == -1 && errno == ENXIO);
	CHECK(ioctl(q.fd, START_Q) == -1 && errno == ENXIO);
	CHECK(munmap(q.dus, q.dus_size) == 0);
	CHECK(mmap(NULL, q.dus_size, PROT_READ, MAP_SHARED, q.fd, sysconf(_SC_PAGESIZE)) == MAP_FAILED && errno == ENXIO);
	CHECK(close(q.fd) == 0);
}

/* Goes three times round the rings, with one SQ doorbell for a batch and one CQ doorbell at its end. */
static void rounds(const char *device)
{
	struct queue q = start(device, 0);
	int slot = 0;
	for (int done = 0, batch = 1; done < 3 * q.depth; done += batch, batch = batch % 200 + 7) {
		for (int n = 0; n < batch; n++)
			submit_nonsense(&q, 0);
		ring_sq(&q);
		for (int n = 0; n < batch; n++, slot = (slot + 1) % q.depth)
			reap(&q, slot);
		CHECK(!arrived(&q));
		ring_cq(&q, 0);
	}
	CHECK(tx(&q) == 0 && rx(&q) == 0);
	release(&q);
}

static void overflow(const char *device)
{
	struct queue q = start(device, 0);
	for (int round = 0; round < 2; round++) {
		for (int n = 0; n < q.depth - 1; n++)
			submit_nonsense(&q, 0);
		ring_sq(&q);
		for (int n = 0; n < 60000 && !rx(&q) && (round || !arrived(&q)); n++)
			pause_ms(1);
		for (int n = 0; !round && n < q.depth - 1; n++)
			reap(&q, n);
	}
	CHECK(tx(&q) == 1 && rx(&q) == 1);
	CHECK(close(q.fd) == 0);
	struct queue other = start(device, 0);
	CHECK(tx(&other) == 0 && rx(&other) == 0);
	release(&other);
}

static void bad_doorbells(const char *device)
{
	struct queue q = start(device, 0);
	store(&q, q.sqn | (uint64_t)q.depth << 32);          /* index = depth */
	store(&q, q.sqn | 2 << 12);                          /* command 2 */
	store(&q, q.sqn | 0xaaaa0000u);                      /* random data */
	store(&q, q.sqn | 1 << 12 | (uint64_t)5 << 32);      /* completion head beyond the last completion */
	store(&q, (q.sqn ^ 1) | (uint64_t)1 << 32);          /* somebody else's number */
	*(volatile uint32_t *)(q.mmio + 0x1000) = 0;         /* half a doorbell */
	*(volatile uint64_t *)(q.mmio + 0x1008) = 0;         /* elsewhere */
	submit_nonsense(&q, 1);
	reap(&q, 0);
	CHECK(tx(&q) == 0 && rx(&q) == 0);
	release(&q);
}

static void waiting(const char *device)
{
	struct queue q = start(device, 0);
	struct pollfd p = { .fd = q.fd, .events = POLLIN };
	CHECK(poll(&p, 1, 0) == 0);
	submit_nonsense(&q, 1);                              /* armed by START_Q */
	CHECK(poll(&p, 1, 60000) == 1 && (p.revents & POLLIN));
	CHECK(poll(&p, 1, 0) == 0);                          /* an edge: consumed by the positive answer */
	reap(&q, 0);
	ring_cq(&q, 0);                                      /* disarmed */
	submit_nonsense(&q, 1);
	await(&q);
	CHECK(poll(&p, 1, 0) == 1);                          /* poll looks at the ring before it sleeps */
	CHECK(poll(&p, 1, 0) == 0);
	reap(&q, 1);
	ring_cq(&q, 1);
	/* epoll, on a duplicate of the descriptor */
	int copy = dup(q.fd), ep = epoll_create1(0);
	struct epoll_event event = { .events = EPOLLIN };
	CHECK(copy >= 0 && epoll_ctl(ep, EPOLL_CTL_ADD, copy, &event) == 0);
	submit_nonsense(&q, 1);
	CHECK(epoll_wait(ep, &event, 1, 60000) == 1);
	reap(&q, 2);
	ring_cq(&q, 1);
	for (int n = 0; n < 60000 && epoll_wait(ep, &event, 1, 0); n++)
		pause_ms(1);
	CHECK(epoll_wait(ep, &event, 1, 0) == 0);            /* re-arming took the old event back */
	close(ep);
	CHECK(close(copy) == 0);
	submit_nonsense(&q, 1);                              /* the queue lives: one descriptor is left */
	reap(&q, 3);
	release(&q);
}

static void exhaustion(const char *device)
{
	long free_queues = number(device, "available_instances");
	int fds[1024];
	uint8_t seen[1024] = { 0 };
	for (long n = 0; n < free_queues; n++) {
		CHECK((fds[n] = node(device)) >= 0);
		struct qp_ctx ctx = { 0 };
		CHECK(ioctl(fds[n], QM_CTX, &ctx) == 0 && !seen[ctx.id]);
		seen[ctx.id] = 1;
	}
	CHECK(number(device, "available_instances") == 0);
	CHECK(node(device) == -1 && errno == EBUSY);
	CHECK(close(fds[0]) == 0);
	CHECK((fds[0] = node(device)) >= 0);
}

static void forking(const char *device)
{
	long before = number(device, "available_instances");
	struct queue q = start(device, 0);
	submit_nonsense(&q, 1);
	reap(&q, 0);
	ring_cq(&q, 0);
	pid_t child = fork();
	CHECK(child >= 0);
	if (!child) {
		CHECK(fcntl(q.fd, F_GETFD) >= 0);            /* the descriptor came along */
		int pipes[2];                                /* the mappings did not */
		CHECK(pipe(pipes) == 0);
		CHECK(write(pipes[1], q.dus, 1) == -1 && errno == EFAULT);
		CHECK(write(pipes[1], q.mmio, 1) == -1 && errno == EFAULT);
		CHECK(ioctl(q.fd, START_Q) == -1 && errno == EINVAL);
		struct queue own = start(device, 0);         /* with a device thread of its own */
		CHECK(own.sqn != q.sqn);
		submit_nonsense(&own, 1);
		reap(&own, 0);
		release(&own);
		CHECK(number(device, "available_instances") == before - 1);
		CHECK(close(q.fd) == 0);
		CHECK(number(device, "available_instances") == before - 1);
		_exit(0);
	}
	int status;
	CHECK(waitpid(child, &status, 0) == child && status == 0);
	submit_nonsense(&q, 1);
	reap(&q, 1);
	/* released only when both have closed it */
	int go[2];
	CHECK(pipe(go) == 0);
	child = fork();
	if (!child) {
		char byte;
		CHECK(read(go[0], &byte, 1) == 1);
		_exit(0);
	}
	release(&q);
	CHECK(number(device, "available_instances") == before - 1);
	CHECK(write(go[1], "x", 1) == 1 && waitpid(child, &status, 0) == child && status == 0);
	CHECK(number(device, "available_instances") == before);
}

static void executing(const char *device, char **argv)
{
	struct queue q = start(device, 0);
	CHECK(fcntl(q.fd, F_GETFD) & FD_CLOEXEC);
	char want[32];
	snprintf(want, sizeof want, "%ld", number(device, "available_instances") + 1);
	execl(argv[0], argv[0], "count", device, want, NULL);
	CHECK(!"exec");
}

static void hold(const char *device)
{
	struct queue q = start(device, 0);
	submit_nonsense(&q, 1);
	reap(&q, 0);
	printf("ready\n");
	fflush(stdout);
	pause();
}

/* Requests that take for ever: a put queue discards them, and touches nothing afterwards. */
static void retire(const char *device, int wait)
{
	struct queue q = start(device, 0);
	submit_nonsense(&q, 1);
	submit_nonsense(&q, 1);
	if (wait) {
		printf("ready\n");
		fflush(stdout);
		pause();
	}
	CHECK(ioctl(q.fd, PUT_Q) == 0);
	pause_ms(20);
	CHECK(!arrived(&q) && tx(&q) == 0);
	CHECK(close(q.fd) == 0);
}

static volatile sig_atomic_t faults;
static void on_fault(int sig, siginfo_t *info, void *context)
{
	(void)sig, (void)context;
	faults++;
	long page = sysconf(_SC_PAGESIZE);
	mprotect((void *)((uintptr_t)info->si_addr & ~(page - 1)), page, PROT_READ | PROT_WRITE);
}

/* The program's own SIGSEGV handler, and a thread that blocks every signal, beside the trapped doorbells. */
static void *blocked_ring(void *queue)
{
	sigset_t all;
	sigfillset(&all);
	CHECK(pthread_sigmask(SIG_SETMASK, &all, NULL) == 0);
	submit_nonsense(queue, 1);
	return NULL;
}

static void handlers(const char *device)
{
	long page = sysconf(_SC_PAGESIZE);
	struct sigaction own = { .sa_sigaction = on_fault, .sa_flags = SA_SIGINFO }, old;
	for (int early = 1; early >= 0; early--) {
		CHECK(sigaction(SIGSEGV, &(struct sigaction){ .sa_handler = SIG_DFL }, NULL) == 0);
		if (early)
			CHECK(sigaction(SIGSEGV, &own, NULL) == 0);
		struct queue q = start(device, 0);
		if (!early)
			CHECK(sigaction(SIGSEGV, &own, &old) == 0 && old.sa_handler == SIG_DFL);
		CHECK(sigaction(SIGSEGV, NULL, &old) == 0 && old.sa_sigaction == on_fault);
		submit_nonsense(&q, 1);
		reap(&q, 0);
		CHECK(faults == !early);
		char *wall = mmap(NULL, page, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
		*(volatile char *)wall = 7;
		CHECK(faults == !early + 1 && *wall == 7);
		pthread_t thread;
		CHECK(pthread_create(&thread, NULL, blocked_ring, &q) == 0 && pthread_join(thread, NULL) == 0);
		reap(&q, 1);
		release(&q);
	}
	/* and with the default action a wild store still ends the process */
	pid_t child = fork();
	if (!child) {
		struct queue q = start(device, 0);
		(void)q;
		signal(SIGSEGV, SIG_DFL);
		*(volatile char *)16 = 1;
		_exit(0);
	}
	int status;
	CHECK(waitpid(child, &status, 0) == child && WIFSIGNALED(status) && WTERMSIG(status) == SIGSEGV);
}

/* An access that is no plain store: the model cannot know what the device would see, and says so. */
static void undecodable(const char *device)
{
	struct queue q = start(device, 0);
	printf("ok\n");
	fflush(stdout);
	uint64_t expected = 0;
	__atomic_compare_exchange_n((uint64_t *)(q.mmio + 0x1000), &expected, 1, 0, __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST);
}

/* A program that closes every number it does not know. */
static void closing_all(const char *device)
{
	struct queue q = start(device, 0);
	for (int fd = 3; fd < 2048; fd++)
		if (fd != q.fd)
			close(fd);
	submit_nonsense(&q, 1);
	struct pollfd p = { .fd = q.fd, .events = POLLIN };
	CHECK(poll(&p, 1, 60000) == 1);
	reap(&q, 0);
	for (int fd = 700; fd < 720; fd++)
		CHECK(dup2(0, fd) == fd);
	submit_nonsense(&q, 1);
	reap(&q, 1);
	for (int fd = 700; fd < 720; fd++)
		CHECK(close(fd) == 0);
	long before = number(device, "available_instances");
	CHECK(syscall(436, 3, ~0u, 0) == 0 || errno == ENOSYS); /* close_range behind the model's back */
	int fd = open("/etc/passwd", O_RDONLY);
	char byte;
	CHECK(fd >= 3 && read(fd, &byte, 1) == 1 && close(fd) == 0);
	(void)before;
}

/* How many completions the model says it has dropped. */
static int dropped(void)
{
	char path[PATH_MAX], line[400];
	snprintf(path, sizeof path, "%s/model.log", getenv("WARPDRIVE_MODEL_DIR"));
	FILE *log = fopen(path, "r");
	int count = 0;
	while (log && fgets(line, sizeof line, log))
		count += !!strstr(line, "fault drop: ");
	if (log)
		fclose(log);
	return count;
}

/* What the plan does to three requests: prints one word for each. */
static void faulty(const char *device)
{
	struct queue q = start(device, 0);
	for (int n = 0; n < 3; n++) {
		int waited = 0, before = dropped();
		submit_nonsense(&q, 1);
		while (!arrived(&q) && !tx(&q) && dropped() == before && waited++ < 60000)
			pause_ms(1);
		if (tx(&q)) {
			for (waited = 0; !rx(&q) && waited < 60000; waited++)
				pause_ms(1);
			CHECK(rx(&q));
			printf("reset ");
			int fd = node(device);
			CHECK(fd >= 0 || errno == EPERM);
			close(fd);
			close(q.fd);
			while ((q.fd = node(device)) < 0)
				pause_ms(1);
			close(q.fd);
			q = start(device, 0);
			CHECK(tx(&q) == 0 && rx(&q) == 0);
		} else if (arrived(&q)) {
			printf("done ");
			reap(&q, (q.tail + q.depth - 1) % q.depth);
			ring_cq(&q, 0);
		} else if (dropped() > before) {
			pause_ms(20);
			CHECK(!arrived(&q));
			printf("lost ");
		} else {
			CHECK(!"any outcome");
		}
	}
	release(&q);
	printf("\n");
}

static void zip(const char *device)
{
	enum { SIZE = 300000 };
	static uint8_t data[SIZE], packed[SIZE], back[SIZE];
	for (int n = 0; n < SIZE; n++)
		data[n] = "the quick brown fox "[n % 20] + (n / 1000) % 3;
	uint32_t used, made, length;
	struct queue c = start(device, 0), d = start(device, 1);
	/* the class of a started queue is settled */
	struct qp_ctx late = { .qc_type = 1 };
	CHECK(ioctl(c.fd, QM_CTX, &late) == 0 && late.id == c.sqn);
	CHECK(request(&c, data, SIZE, packed, sizeof packed, &used, &length) == 0);
	CHECK(used == SIZE && length > 8 && length < SIZE / 4);
	CHECK(request(&d, packed, length, back, sizeof back, &used, &made) == 0);
	CHECK(made == SIZE && !memcmp(data, back, SIZE));
	/* an address that nobody has: a status, not a crash, and the queue goes on */
	CHECK(request(&c, (void *)4096, 1000, packed, sizeof packed, &used, &made) != 0);
	CHECK(request(&c, data, 1000, (void *)4096, 2000, &used, &made) != 0);
	CHECK(request(&c, data, SIZE, packed, sizeof packed, &used, &made) == 0 && made == length);
	release(&c);
	release(&d);
}

int main(int argc, char **argv)
{
	CHECK(argc >= 2);
	const char *what = argv[1], *device = argc > 2 ? argv[2] : "hisi_zip-4";
	if (!strcmp(what, "discover")) discover();
	else if (!strcmp(what, "states")) states(device);
	else if (!strcmp(what, "zombie")) zombie(device);
	else if (!strcmp(what, "rounds")) rounds(device);
	else if (!strcmp(what, "overflow")) overflow(device);
	else if (!strcmp(what, "doorbells")) bad_doorbells(device);
	else if (!strcmp(what, "poll")) waiting(device);
	else if (!strcmp(what, "exhaustion")) exhaustion(device);
	else if (!strcmp(what, "fork")) forking(device);
	else if (!strcmp(what, "exec")) executing(device, argv);
	else if (!strcmp(what, "count")) CHECK(number(device, "available_instances") == atol(argv[3]));
	else if (!strcmp(what, "hold")) hold(device);
	else if (!strcmp(what, "handlers")) handlers(device);
	else if (!strcmp(what, "closing")) closing_all(device);
	else if (!strcmp(what, "faulty")) faulty(device);
	else if (!strcmp(what, "undecodable")) undecodable(device);
	else if (!strcmp(what, "retire")) retire(device, 0);
	else if (!strcmp(what, "stuck")) retire(device, 1);
	else if (!strcmp(what, "zip")) zip(device);
	else if (!strcmp(what, "outlive")) {
		/* a mapping holds the file: the queue works on without its descriptor, and is free after munmap */
		long before = number(device, "available_instances");
		struct queue q = start(device, 0);
		CHECK(close(q.fd) == 0 && close(q.fd) == -1 && errno == EBADF);
		for (int n = 0; n < 3; n++) {
			submit_nonsense(&q, 1);
			reap(&q, n);
			ring_cq(&q, 0);
		}
		CHECK(munmap(q.dus, q.dus_size) == 0);
		CHECK(number(device, "available_instances") == before - 1);
		CHECK(munmap(q.mmio, q.mmio_size) == 0);
		CHECK(number(device, "available_instances") == before);
	}
	else if (!strcmp(what, "no-info")) {
		struct queue q = { .fd = node(device) };
		struct qp_info info = { 0 };
		CHECK(q.fd >= 0 && ioctl(q.fd, QM_INFO, &info) == -1 && errno == EINVAL);
	}
	else if (!strcmp(what, "open")) { CHECK(node(device) == -1 && errno == atoi(argv[3])); }
	else CHECK(!"a known scenario");
	printf("ok\n");
	return 0;
}
