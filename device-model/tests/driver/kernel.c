/* The rules of the kernel's state machine, mappings, descriptors and processes, for each kernel there is. */
#include "queue.h"
#include <sys/socket.h>
#include <sys/syscall.h>
#include <spawn.h>

static const char *kernel;
static int is(const char *name) { return !strcmp(kernel, name); }
static long page;

#define FAILS(call, error) do { errno = 0; CHECK((call) == -1); CHECK(errno == (error)); } while (0)
#define NO_MAP(call, error) do { errno = 0; CHECK((call) == MAP_FAILED); CHECK(errno == (error)); } while (0)

static void *region(struct queue *q, size_t size, int index) { return mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, q->fd, index * page); }

static void machine(const char *device)
{
	long idle = number(device, "available_instances");
	struct queue q = { .fd = node(device), .phase = 1 };
	struct qp_ctx ctx = { .id = 77, .qc_type = 2 };
	struct qp_info info = { .reserved = 0x1122334455667788 };
	/* INIT */
	if (is("old"))
		FAILS(ioctl(q.fd, QM_CTX, &ctx), EINVAL);
	else
		CHECK(ioctl(q.fd, QM_CTX, &ctx) == 0 && ctx.qc_type == 2 && ctx.id != 77);
	ctx.qc_type = 3;
	FAILS(ioctl(q.fd, QM_CTX, &ctx), EINVAL);
	ctx.qc_type = 0;
	if (is("old"))
		FAILS(ioctl(q.fd, QM_INFO, &info), EINVAL);
	else
		CHECK(ioctl(q.fd, QM_INFO, &info) == 0 && info.reserved == 0x1122334455667788 && info.sq_depth == 1024);
	FAILS(ioctl(q.fd, QM_CTX, (void *)8), EFAULT);
	FAILS(ioctl(q.fd, _IO('W', 2), 0), EINVAL);              /* KAE's own */
	FAILS(ioctl(q.fd, _IOR('W', 3, unsigned long), &info), EINVAL);
	FAILS(ioctl(q.fd, _IOWR('H', 10, uint64_t), &info), EINVAL);   /* another size is another number */
	FAILS(ioctl(q.fd, TIOCGWINSZ, &info), EINVAL);
	/* request numbers that a program keeps in an int */
	int request = (int)QM_CTX;
	CHECK(ioctl(q.fd, request, &ctx) == 0);
	/* data calls */
	char byte;
	FAILS(read(q.fd, &byte, 1), EINVAL);
	FAILS(write(q.fd, &byte, 1), EINVAL);
	FAILS(lseek(q.fd, 0, SEEK_SET), ESPIPE);
	/* regions */
	q.dus_size = number(device, "region_dus_size");
	q.mmio_size = number(device, "region_mmio_size");
	NO_MAP(region(&q, q.dus_size, 2), EINVAL);
	NO_MAP(region(&q, q.dus_size, 3), EINVAL);
	NO_MAP(region(&q, q.dus_size, 4000), EINVAL);
	NO_MAP(region(&q, q.dus_size + page, 1), EINVAL);
	NO_MAP(region(&q, q.dus_size - page, 1), EINVAL);
	NO_MAP(region(&q, q.mmio_size + page, 0), EINVAL);
	NO_MAP(region(&q, 0, 0), EINVAL);
	NO_MAP(mmap(NULL, q.dus_size, PROT_READ, MAP_SHARED, q.fd, page / 2), EINVAL);
	errno = EDOM;
	q.mmio = region(&q, q.mmio_size, 0);
	q.dus = region(&q, q.dus_size - 100, 1);                  /* rounded up to pages */
	CHECK(q.mmio != MAP_FAILED && q.dus != MAP_FAILED && errno == EDOM);
	NO_MAP(region(&q, q.mmio_size, 0), EEXIST);
	NO_MAP(region(&q, q.dus_size, 1), EEXIST);
	NO_MAP(region(&q, q.dus_size + page, 1), EEXIST);         /* before the size is looked at */
	/* mremap */
	if (is("newest")) {
		NO_MAP(mremap(q.dus, q.dus_size, q.dus_size + page, MREMAP_MAYMOVE), EPERM);
		NO_MAP(mremap(q.mmio, q.mmio_size, q.mmio_size - page, 0), EPERM);
	} else {
		NO_MAP(mremap(q.dus, q.dus_size, q.dus_size + page, MREMAP_MAYMOVE), EFAULT);
	}
	/* once more after munmap: not with old kernels */
	CHECK(munmap(q.dus, q.dus_size) == 0);
	q.dus = region(&q, q.dus_size, 1);
	if (is("old")) {
		CHECK(q.dus == MAP_FAILED && errno == EEXIST);
		return;
	}
	CHECK(q.dus != MAP_FAILED);
	/* STARTED */
	q.sqn = ctx.id, q.depth = 1024, q.sqe_size = info.sqe_size;
	CHECK(ioctl(q.fd, START_Q) == 0);
	FAILS(ioctl(q.fd, START_Q), EINVAL);
	submit_nonsense(&q, 1);
	reap(&q, 0);
	CHECK(number(device, "available_instances") == idle - 1);
	errno = EDOM;
	CHECK(ioctl(q.fd, PUT_Q) == 0 && errno == EDOM);
	if (is("newest")) {
		/* INIT again */
		CHECK(number(device, "available_instances") == idle - 1);
		CHECK(ioctl(q.fd, PUT_Q) == 0);
		CHECK(ioctl(q.fd, QM_CTX, &ctx) == 0);
		CHECK(ioctl(q.fd, START_Q) == 0);
		/* the rings start over; only open zeroes the completion ring */
		CHECK(ioctl(q.fd, PUT_Q) == 0);
	} else {
		/* ZOMBIE: the hardware queue is free while the descriptor lives */
		CHECK(number(device, "available_instances") == idle);
		FAILS(ioctl(q.fd, PUT_Q), ENXIO);
		FAILS(ioctl(q.fd, START_Q), ENXIO);
		FAILS(ioctl(q.fd, QM_CTX, &ctx), ENXIO);
		FAILS(ioctl(q.fd, _IO('W', 9)), ENXIO);
		CHECK(munmap(q.dus, q.dus_size) == 0);
		NO_MAP(region(&q, q.dus_size, 1), ENXIO);
		NO_MAP(region(&q, q.dus_size, 7), EINVAL);
	}
	struct pollfd p = { .fd = q.fd, .events = POLLIN };
	int events = poll(&p, 1, 0);
	CHECK(is("newest") ? events == 1 : events == 0);
	CHECK(poll(&p, 1, 20) == 0 && p.revents == 0);
	CHECK(close(q.fd) == 0);
	FAILS(close(q.fd), EBADF);
	FAILS(ioctl(q.fd, PUT_Q), EBADF);
}

/* Old kernels: a ZOMBIE's requests still reach the driver. */
static void old_zombie(const char *device)
{
	long idle = number(device, "available_instances");
	struct queue q = { .fd = node(device) };
	struct qp_ctx ctx = { 0 };
	CHECK(ioctl(q.fd, PUT_Q) == 0 && number(device, "available_instances") == idle);
	CHECK(ioctl(q.fd, PUT_Q) == 0);
	CHECK(ioctl(q.fd, QM_CTX, &ctx) == 0);
	FAILS(ioctl(q.fd, START_Q), EINVAL);
	NO_MAP(region(&q, page, 0), EINVAL);
	CHECK(close(q.fd) == 0 && number(device, "available_instances") == idle);
}

/* A put queue's number goes to the next one that asks, while the first descriptor lives. */
static void handed_on(const char *device)
{
	struct queue a = start(device, 0);
	submit_nonsense(&a, 1);
	reap(&a, 0);
	CHECK(ioctl(a.fd, PUT_Q) == 0);
	struct queue b = start(device, 0);
	CHECK(b.sqn == a.sqn);                           /* there is only one */
	CHECK(b.dus[127] == 0xff && !arrived(&b));         /* the old entry lies in the ring, the completion does not */
	FAILS(ioctl(a.fd, START_Q), ENXIO);
	CHECK(close(a.fd) == 0);
	submit_nonsense(&b, 1);
	reap(&b, 0);
	release(&b);
}

static void numbers(const char *device)
{
	long queues = number(device, "available_instances");
	struct qp_ctx first = { 0 }, ctx = { 0 };
	int fd = node(device);
	CHECK(ioctl(fd, QM_CTX, &first) == 0 && close(fd) == 0);
	for (long n = 1; n <= queues; n++) {
		fd = node(device);
		CHECK(ioctl(fd, QM_CTX, &ctx) == 0 && ctx.id == (first.id + n) % queues && close(fd) == 0);
	}
}

static void access_modes(const char *device)
{
	char path[PATH_MAX];
	snprintf(path, sizeof path, "/dev/%s", device);
	struct queue q = { .fd = open(path, O_RDONLY) };
	size_t size = number(device, "region_dus_size");
	CHECK(q.fd >= 0 && (fcntl(q.fd, F_GETFL) & (O_ACCMODE | O_NONBLOCK)) == O_RDONLY);
	NO_MAP(region(&q, size, 1), EACCES);
	CHECK(mmap(NULL, size, PROT_READ, MAP_SHARED, q.fd, page) != MAP_FAILED);
	q.fd = open(path, O_WRONLY);
	CHECK(q.fd >= 0);
	NO_MAP(region(&q, size, 1), EACCES);
	FAILS(open(path, O_RDWR | O_CREAT | O_EXCL, 0600), EEXIST);
	FAILS(open(path, O_RDWR | O_DIRECTORY), ENOTDIR);
	q.fd = open(path, O_RDWR | O_NONBLOCK | O_CREAT, 0600);
	CHECK(q.fd >= 0 && (fcntl(q.fd, F_GETFL) & (O_ACCMODE | O_NONBLOCK)) == (O_RDWR | O_NONBLOCK));
	CHECK(fcntl(q.fd, F_SETFL, 0) == 0 && !(fcntl(q.fd, F_GETFL) & O_NONBLOCK));
	CHECK(!(fcntl(q.fd, F_GETFD) & FD_CLOEXEC));
}

/* The doorbell page stays a doorbell whatever mprotect says, and is none where the program may not write. */
static volatile sig_atomic_t segv;
static void on_segv(int sig, siginfo_t *info, void *context)
{
	(void)sig, (void)context;
	segv++;
	CHECK(mprotect((void *)((uintptr_t)info->si_addr & ~(page - 1)), page, PROT_READ | PROT_WRITE) == 0);
}

static void protection(const char *device)
{
	struct queue q = start(device, 0);
	CHECK(sigaction(SIGSEGV, &(struct sigaction){ .sa_sigaction = on_segv, .sa_flags = SA_SIGINFO }, NULL) == 0);
	CHECK(mprotect(q.mmio, q.mmio_size, PROT_READ | PROT_WRITE) == 0);
	submit_nonsense(&q, 1);
	reap(&q, 0);
	CHECK(*(volatile uint64_t *)(q.mmio + 0x1000) == 0 && segv == 0);
	CHECK(mprotect(q.mmio, q.mmio_size, PROT_READ) == 0);
	submit_nonsense(&q, 1);                              /* the program's own fault, repaired by its handler */
	CHECK(segv == 1);
	reap(&q, 1);
	/* the status words and the completion ring read-only, as some drivers have them */
	CHECK(mprotect(q.dus + q.sqe_size * q.depth, q.dus_size - q.sqe_size * q.depth, PROT_READ) == 0);
	submit_nonsense(&q, 1);
	reap(&q, 2);
	release(&q);
}

static int touches(volatile uint8_t *at)
{
	pid_t child = fork();
	if (!child) {
		signal(SIGSEGV, SIG_DFL);
		*at = 1;
		_exit(0);
	}
	int status;
	CHECK(waitpid(child, &status, 0) == child);
	return !(WIFSIGNALED(status) && WTERMSIG(status) == SIGSEGV);
}

static void in_child(void (*what)(struct queue *), struct queue *q)
{
	pid_t child = fork();
	if (!child) {
		what(q);
		_exit(0);
	}
	int status;
	CHECK(waitpid(child, &status, 0) == child && status == 0);
}

static void start_it(struct queue *q) { CHECK(ioctl(q->fd, START_Q) == 0); FAILS(ioctl(q->fd, START_Q), EINVAL); }
static void put_it(struct queue *q) { CHECK(ioctl(q->fd, PUT_Q) == 0); }
static void close_it(struct queue *q) { CHECK(close(q->fd) == 0); }

static void map_and_ring(struct queue *q)
{
	NO_MAP(region(q, q->dus_size, 1), EEXIST);           /* the parent has it */
	q->mmio = region(q, q->mmio_size, 0);
	CHECK(q->mmio != MAP_FAILED);
	q->tail = 2;
	ring_sq(q);                                          /* two entries that the parent has filled */
	struct pollfd p = { .fd = q->fd, .events = POLLIN };
	CHECK(poll(&p, 1, 60000) == 1);
}

static void forks(const char *device)
{
	long idle = number(device, "available_instances");
	struct queue q = prepare(device, 0);
	CHECK(!touches(q.dus) && !touches(q.mmio + 0x1000));
	in_child(start_it, &q);                              /* the child starts the parent's queue */
	FAILS(ioctl(q.fd, START_Q), EINVAL);
	CHECK(munmap(q.mmio, q.mmio_size) == 0);
	submit_nonsense(&q, 0);
	submit_nonsense(&q, 0);
	in_child(map_and_ring, &q);                          /* and rings its doorbell */
	reap(&q, 0);
	reap(&q, 1);
	q.mmio = region(&q, q.mmio_size, 0);                 /* the child's mapping went with it */
	CHECK(q.mmio != MAP_FAILED);
	in_child(close_it, &q);
	submit_nonsense(&q, 1);
	reap(&q, 2);
	in_child(put_it, &q);
	submit_nonsense(&q, 1);
	pause_ms(20);
	CHECK(!arrived(&q));
	CHECK(close(q.fd) == 0);
	CHECK(munmap(q.dus, q.dus_size) == 0 && munmap(q.mmio, q.mmio_size) == 0);
	CHECK(number(device, "available_instances") == idle);
	/* the parent goes first: the queue lives until the child closes it */
	q = start(device, 0);
	int go[2], done[2];
	CHECK(pipe(go) == 0 && pipe(done) == 0);
	pid_t child = fork();
	char byte = 0;
	if (!child) {
		CHECK(read(go[0], &byte, 1) == 1);
		CHECK(ioctl(q.fd, START_Q) == -1 && errno == EINVAL);
		q.mmio = region(&q, q.mmio_size, 0);
		q.dus = region(&q, q.dus_size, 1);
		CHECK(q.dus != MAP_FAILED && q.mmio != MAP_FAILED);
		submit_nonsense(&q, 1);
		reap(&q, 0);
		CHECK(close(q.fd) == 0);
		CHECK(munmap(q.dus, q.dus_size) == 0 && munmap(q.mmio, q.mmio_size) == 0);
		CHECK(write(done[1], &byte, 1) == 1);
		_exit(0);
	}
	CHECK(munmap(q.dus, q.dus_size) == 0 && munmap(q.mmio, q.mmio_size) == 0);
	CHECK(close(q.fd) == 0);
	CHECK(number(device, "available_instances") == idle - 1);
	int status;
	CHECK(write(go[1], &byte, 1) == 1 && waitpid(child, &status, 0) == child && status == 0);
	CHECK(number(device, "available_instances") == idle);
}

/* After exec the descriptor is a queue without an address space: calls work, nothing is executed. */
static void executed(const char *device, const char *descriptor)
{
	long page_size = sysconf(_SC_PAGESIZE);
	struct queue q = { .fd = atoi(descriptor), .phase = 1 };
	struct qp_ctx ctx = { 0 };
	struct stat st;
	CHECK(fstat(q.fd, &st) == 0 && S_ISCHR(st.st_mode));
	CHECK(ioctl(q.fd, QM_CTX, &ctx) == 0);
	q.dus_size = number(device, "region_dus_size");
	q.dus = mmap(NULL, q.dus_size, PROT_READ | PROT_WRITE, MAP_SHARED, q.fd, page_size);
	CHECK(q.dus != MAP_FAILED && *q.dus == 0xff);            /* the same memory */
	CHECK(ioctl(q.fd, START_Q) == 0 && ioctl(q.fd, PUT_Q) == 0);
	long left = number(device, "available_instances");
	CHECK(munmap(q.dus, q.dus_size) == 0 && close(q.fd) == 0);
	CHECK(number(device, "available_instances") == left + 1);
}

static void execute(const char *device, char **argv)
{
	struct queue q = prepare(device, 0);
	*q.dus = 0xff;
	CHECK(fcntl(q.fd, F_SETFD, 0) == 0);
	char descriptor[16];
	snprintf(descriptor, sizeof descriptor, "%d", q.fd);
	execl(argv[0], argv[0], "executed", kernel, device, descriptor, NULL);
	CHECK(!"exec");
}

static void spawns(const char *device, char **argv)
{
	struct queue q = start(device, 0);
	char want[32];
	snprintf(want, sizeof want, "%ld", number(device, "available_instances"));
	char *args[] = { argv[0], "count", (char *)kernel, (char *)device, want, NULL };
	pid_t child;
	int status;
	extern char **environ;
	CHECK(posix_spawn(&child, argv[0], NULL, NULL, args, environ) == 0);
	CHECK(waitpid(child, &status, 0) == child && status == 0);
	child = vfork();
	if (!child) {
		execv(argv[0], args);
		_exit(1);
	}
	CHECK(waitpid(child, &status, 0) == child && status == 0);
	submit_nonsense(&q, 1);
	reap(&q, 0);
	release(&q);
}

/* Duplicates, in every way there is: the queue lives as long as one of them. */
static void duplicates(const char *device)
{
	long idle = number(device, "available_instances");
	struct queue q = start(device, 0);
	int copies[6];
	copies[0] = dup(q.fd);
	copies[1] = dup2(q.fd, 500);
	copies[2] = dup3(q.fd, 501, O_CLOEXEC);
	copies[3] = fcntl(q.fd, F_DUPFD, 600);
	copies[4] = fcntl(q.fd, F_DUPFD_CLOEXEC, 600);
	CHECK(dup2(q.fd, q.fd) == q.fd);
	FAILS(dup3(q.fd, q.fd, 0), EINVAL);
	CHECK((fcntl(501, F_GETFD) & FD_CLOEXEC) && !(fcntl(500, F_GETFD) & FD_CLOEXEC));
	/* through a socket */
	int pair[2];
	CHECK(socketpair(AF_UNIX, SOCK_STREAM, 0, pair) == 0);
	union { struct cmsghdr header; char bytes[CMSG_SPACE(sizeof(int))]; } control = { 0 };
	char byte = 1;
	struct iovec one = { &byte, 1 };
	struct msghdr message = { .msg_iov = &one, .msg_iovlen = 1, .msg_control = &control, .msg_controllen = sizeof control };
	control.header = (struct cmsghdr){ .cmsg_level = SOL_SOCKET, .cmsg_type = SCM_RIGHTS, .cmsg_len = CMSG_LEN(sizeof(int)) };
	memcpy(CMSG_DATA(&control.header), &q.fd, sizeof(int));
	CHECK(sendmsg(pair[0], &message, 0) == 1);
	memset(&control, 0, sizeof control);
	CHECK(recvmsg(pair[1], &message, 0) == 1);
	memcpy(&copies[5], CMSG_DATA(&control.header), sizeof(int));
	struct qp_ctx ctx = { 0 };
	for (int n = 0; n < 6; n++)
		CHECK(copies[n] >= 0 && ioctl(copies[n], QM_CTX, &ctx) == 0 && ctx.id == q.sqn);
	CHECK(munmap(q.dus, q.dus_size) == 0 && munmap(q.mmio, q.mmio_size) == 0);
	CHECK(close(q.fd) == 0);
	CHECK(dup2(0, copies[1]) == copies[1]);              /* replaced */
	FAILS(ioctl(copies[1], QM_CTX, &ctx), ENOTTY);
	CHECK(close(copies[2]) == 0 && close(copies[5]) == 0);
	CHECK(number(device, "available_instances") == idle - 1 && ioctl(copies[0], QM_CTX, &ctx) == 0);
	CHECK(close(copies[0]) == 0);
	CHECK(number(device, "available_instances") == idle - 1);
	CHECK(close_range(600, 699, 0) == 0);
	CHECK(number(device, "available_instances") == idle);
}

static long entries(const char *directory)
{
	long count = 0;
	DIR *listing = opendir(directory);
	CHECK(listing);
	while (readdir(listing))
		count++;
	CHECK(closedir(listing) == 0);
	return count;
}

/* Calls that fail change nothing; what the kernel does itself never reaches the driver. */
static void bystanders(const char *device)
{
	char path[PATH_MAX];
	snprintf(path, sizeof path, "/dev/%s", device);
	struct queue q = start(device, 0);
	struct qp_ctx ctx = { 0 };
	long left = number(device, "available_instances");
	FAILS(dup2(-1, q.fd), EBADF);
	FAILS(dup2(999, q.fd), EBADF);
	FAILS(dup3(0, q.fd, O_APPEND), EINVAL);
	FAILS(close_range(q.fd, q.fd, 0x80), EINVAL);
	CHECK(number(device, "available_instances") == left && ioctl(q.fd, QM_CTX, &ctx) == 0);
	CHECK(ioctl(q.fd, FIONCLEX) == 0 && fcntl(q.fd, F_GETFD) == 0);
	CHECK(ioctl(q.fd, FIOCLEX) == 0 && fcntl(q.fd, F_GETFD) == FD_CLOEXEC);
	int on = 1;
	CHECK(ioctl(q.fd, FIONBIO, &on) == 0 && fcntl(q.fd, F_GETFL) & O_NONBLOCK);
	on = 0;
	CHECK(ioctl(q.fd, FIONBIO, &on) == 0 && !(fcntl(q.fd, F_GETFL) & O_NONBLOCK));
	FAILS(ioctl(q.fd, FIONBIO, (void *)8), EFAULT);
	int place = open(path, O_PATH | O_CLOEXEC);           /* no open of the driver's */
	CHECK(place >= 0 && number(device, "available_instances") == left);
	FAILS(ioctl(place, QM_CTX, &ctx), EBADF);
	CHECK(close(place) == 0);
	submit_nonsense(&q, 1);
	reap(&q, 0);
	release(&q);
}

/* A server closes its queues while a forked child still has them; then the child is killed. */
static void orphans(const char *device)
{
	struct queue q = start(device, 0);
	pid_t first = fork();
	if (!first)
		_exit(0);
	CHECK(waitpid(first, NULL, 0) == first);               /* the attendant runs from here on */
	release(&q);
	long fds = entries("/proc/self/fd"), threads = entries("/proc/self/task"), idle = number(device, "available_instances");
	struct queue queues[8];
	for (int n = 0; n < 8; n++)
		queues[n] = start(device, 0);
	pid_t child = fork();
	if (!child)
		for (;;)
			pause();
	for (int n = 0; n < 8; n++) {
		CHECK(munmap(queues[n].dus, queues[n].dus_size) == 0 && munmap(queues[n].mmio, queues[n].mmio_size) == 0);
		CHECK(close(queues[n].fd) == 0);
	}
	CHECK(number(device, "available_instances") == idle - 8);
	CHECK(kill(child, SIGKILL) == 0 && waitpid(child, NULL, 0) == child);
	CHECK(number(device, "available_instances") == idle);
	q = start(device, 0);
	release(&q);
	CHECK(entries("/proc/self/fd") == fds);
	CHECK(entries("/proc/self/task") == threads);
}

/* The close of a queue whose number has gone to another opening leaves that one alone. */
static void late_close(const char *device)
{
	struct queue old = start(device, 0);
	CHECK(ioctl(old.fd, PUT_Q) == 0);
	struct queue q = start(device, 0);
	CHECK(q.sqn == old.sqn);
	CHECK(munmap(old.dus, old.dus_size) == 0 && munmap(old.mmio, old.mmio_size) == 0 && close(old.fd) == 0);
	submit_nonsense(&q, 1);
	reap(&q, 0);
	release(&q);
}

int main(int argc, char **argv)
{
	page = sysconf(_SC_PAGESIZE);
	CHECK(argc >= 4);
	const char *what = argv[1], *device = argv[3];
	kernel = argv[2];
	if (!strcmp(what, "machine")) machine(device);
	else if (!strcmp(what, "old-zombie")) old_zombie(device);
	else if (!strcmp(what, "handed-on")) handed_on(device);
	else if (!strcmp(what, "numbers")) numbers(device);
	else if (!strcmp(what, "access")) access_modes(device);
	else if (!strcmp(what, "protection")) protection(device);
	else if (!strcmp(what, "forks")) forks(device);
	else if (!strcmp(what, "execute")) execute(device, argv);
	else if (!strcmp(what, "executed")) executed(device, argv[4]);
	else if (!strcmp(what, "spawns")) spawns(device, argv);
	else if (!strcmp(what, "duplicates")) duplicates(device);
	else if (!strcmp(what, "bystanders")) bystanders(device);
	else if (!strcmp(what, "orphans")) orphans(device);
	else if (!strcmp(what, "late-close")) late_close(device);
	else if (!strcmp(what, "count")) CHECK(number(device, "available_instances") == atol(argv[4]));
	else CHECK(!"a known scenario");
	printf("ok\n");
	return 0;
}
