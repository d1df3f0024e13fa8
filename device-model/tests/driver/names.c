/* Every spelling of names and waits that C programs use, on nodes, class entries and queues. */
#include "queue.h"
#include <ftw.h>
#include <glob.h>
#include <sys/select.h>

static const char *device;
static char node_path[PATH_MAX], class_entry[PATH_MAX];
#define FAILS(call, error) do { errno = 0; CHECK((call) == -1); CHECK(errno == (error)); } while (0)

static int is_node(const struct stat *st) { return S_ISCHR(st->st_mode) && st->st_rdev; }

static int count;
static int wanted(const struct dirent *e) { return !strncmp(e->d_name, "hisi_", 5); }
static int visit(const char *path, const struct stat *st, int kind, struct FTW *at)
{
	(void)st, (void)kind;
	CHECK(!strncmp(path, "/sys/class/uacce", 16) && at->base > 0 && path[at->base - 1] == '/');
	count += !strcmp(path + at->base, "hisi_zip-4");
	return 0;
}

/* __open_2 and its kind have no declaration that a program may use. */
extern int __open_2(const char *, int), __open64_2(const char *, int), __openat_2(int, const char *, int), __openat64_2(int, const char *, int);
extern ssize_t __read_chk(int, void *, size_t, size_t), __readlink_chk(const char *, char *, size_t, size_t);
extern char *__realpath_chk(const char *, char *, size_t);
extern int __poll_chk(struct pollfd *, nfds_t, int, size_t), __ppoll_chk(struct pollfd *, nfds_t, const struct timespec *, const sigset_t *, size_t);
extern int __xstat(int, const char *, struct stat *), __lxstat(int, const char *, struct stat *), __fxstat(int, int, struct stat *), __fxstatat(int, int, const char *, struct stat *, int);

static void names(void)
{
	char text[PATH_MAX], real[PATH_MAX], link[PATH_MAX];
	struct stat st;
	struct stat64 st64;
	struct statx stx;
	errno = EDOM;
	/* stat and its kind */
	CHECK(stat(node_path, &st) == 0 && is_node(&st) && lstat(node_path, &st) == 0 && is_node(&st));
	CHECK(stat64(node_path, &st64) == 0 && S_ISCHR(st64.st_mode) && lstat64(node_path, &st64) == 0);
	CHECK(fstatat(AT_FDCWD, node_path, &st, 0) == 0 && is_node(&st));
	CHECK(statx(AT_FDCWD, node_path, 0, STATX_ALL, &stx) == 0 && S_ISCHR(stx.stx_mode));
	CHECK(access(node_path, R_OK | W_OK) == 0 && faccessat(AT_FDCWD, node_path, W_OK, 0) == 0);
	CHECK(eaccess(node_path, R_OK) == 0 && euidaccess(node_path, R_OK) == 0);
	CHECK(errno == EDOM);
	FAILS(access(node_path, X_OK), EACCES);
#ifdef __x86_64__
	CHECK(__xstat(1, node_path, &st) == 0 && is_node(&st) && __lxstat(1, node_path, &st) == 0 && is_node(&st));
	CHECK(__fxstatat(1, AT_FDCWD, node_path, &st, 0) == 0 && is_node(&st));
#endif
	/* opens */
	int dev = open("/dev", O_RDONLY | O_DIRECTORY), class = open("/sys/class/uacce", O_RDONLY | O_DIRECTORY);
	CHECK(dev >= 0 && class >= 0);
	int opened[] = { open(node_path, O_RDWR), open64(node_path, O_RDWR), __open_2(node_path, O_RDWR), __open64_2(node_path, O_RDWR),
		openat(AT_FDCWD, node_path, O_RDWR), openat64(dev, device, O_RDWR), __openat_2(dev, device, O_RDWR), __openat64_2(AT_FDCWD, node_path, O_RDWR) };
	for (size_t n = 0; n < sizeof opened / sizeof *opened; n++) {
		struct qp_ctx ctx = { 0 };
		CHECK(opened[n] >= 0 && ioctl(opened[n], QM_CTX, &ctx) == 0);
		CHECK(fstat(opened[n], &st) == 0 && is_node(&st) && close(opened[n]) == 0);
	}
	CHECK(fopen(node_path, "r+") == NULL && errno == EINVAL);
	/* relative */
	CHECK(fstatat(dev, device, &st, 0) == 0 && is_node(&st) && faccessat(dev, device, F_OK, 0) == 0);
	char attribute_name[PATH_MAX + 20];
	snprintf(attribute_name, sizeof attribute_name, "%s/available_instances", device);
	int fd = openat(class, attribute_name, O_RDONLY);
	CHECK(fd >= 0 && __read_chk(fd, text, 16, sizeof text) > 1 && close(fd) == 0);
	CHECK(readlinkat(class, device, link, sizeof link) > 0 && !strncmp(link, "../../devices/", 14));
	CHECK(chdir("/dev") == 0 && stat(device, &st) == 0 && is_node(&st));
	CHECK((fd = open(device, O_RDWR)) >= 0 && close(fd) == 0);
	CHECK(chdir(class_entry) == 0 && getcwd(text, sizeof text) && strstr(text, "/sys/devices/pci") == text);
	CHECK((fd = open("isolate_strategy", O_WRONLY)) >= 0);
	FAILS(write(fd, "x", 1), EINVAL);
	CHECK(close(fd) == 0 && chdir("/") == 0);
	/* resolved names */
	CHECK(realpath(class_entry, real) && !strncmp(real, "/sys/devices/pci", 16));
	CHECK(__realpath_chk(class_entry, text, sizeof text) && !strcmp(text, real));
	char *name = canonicalize_file_name(class_entry);
	CHECK(name && !strcmp(name, real));
	free(name);
	CHECK(readlink(class_entry, link, sizeof link) > 0 && __readlink_chk(class_entry, link, 100, sizeof link) > 0);
	snprintf(text, sizeof text, "/sys/dev/char/%u:%u", (unsigned)((st.st_rdev >> 8) & 0xfff), (unsigned)(st.st_rdev & 0xff));
	CHECK(realpath(text, link) && !strcmp(link, real));
	/* attributes: modes and newlines */
	static const char *const readable[] = { "api", "algorithms", "flags", "available_instances", "region_mmio_size",
		"region_dus_size", "isolate", "dev", "device/vendor", "device/numa_node", "device/uevent", "isolate_strategy", "uevent" };
	for (size_t n = 0; n < sizeof readable / sizeof *readable; n++) {
		snprintf(text, sizeof text, "%.500s/%s", class_entry, readable[n]);
		CHECK(stat(text, &st) == 0 && (st.st_mode & 07777) == (n == 11 ? 0644 : 0444));
		if (n != 11)
			FAILS(open(text, O_WRONLY), EACCES);
		FILE *file = fopen(text, "r");
		char last = 0;
		for (int c; file && (c = getc(file)) != EOF;)
			last = c;
		CHECK(file && last == '\n' && fclose(file) == 0);
	}
	snprintf(text, sizeof text, "%.500s/something", class_entry);
	FAILS(open(text, O_WRONLY | O_CREAT, 0600), EACCES);
	FAILS(open("/dev/hisi_zip-77", O_RDWR), ENOENT);
}

static void listings(void)
{
	/* readdir of /dev has the nodes beside what is there, and once */
	DIR *dir = opendir("/dev");
	for (int round = 0; round < 2; round++) {
		int nodes = 0, null = 0;
		errno = EDOM;
		for (struct dirent *e; (e = readdir(dir));) {
			nodes += !strncmp(e->d_name, "hisi_", 5) && e->d_type == DT_CHR;
			null += !strcmp(e->d_name, "null");
		}
		CHECK(nodes == 6 && null == 1 && errno == EDOM);
		rewinddir(dir);
	}
	CHECK(closedir(dir) == 0);
	dir = fdopendir(open("/dev", O_RDONLY | O_DIRECTORY));
	int nodes = 0;
	for (struct dirent64 *e; (e = readdir64(dir));)
		nodes += !strncmp(e->d_name, "hisi_", 5);
	CHECK(nodes == 6 && closedir(dir) == 0);
	struct dirent **list;
	CHECK(scandir("/dev", &list, wanted, alphasort) == 6 && !strcmp(list[0]->d_name, "hisi_hpre-2"));
	CHECK(scandir("/sys/class/uacce", &list, wanted, alphasort) == 6 && !strcmp(list[5]->d_name, "hisi_zip-5"));
	glob_t found;
	CHECK(glob("/dev/hisi_zip-*", 0, NULL, &found) == 0 && found.gl_pathc == 2 && !strcmp(found.gl_pathv[0], "/dev/hisi_zip-4"));
	globfree(&found);
	CHECK(glob("/sys/class/uacce/*/api", 0, NULL, &found) == 0 && found.gl_pathc == 6);
	globfree(&found);
	CHECK(glob("/etc/pass*d", 0, NULL, &found) == 0 && found.gl_pathc == 1);
	globfree(&found);
	CHECK(nftw("/sys/class/uacce", visit, 8, FTW_PHYS) == 0 && count == 1);
	CHECK(system("ls /dev | grep -q '^hisi_zip-4$'") == 0);
	CHECK(system("ls -l /dev/hisi_zip-4 | grep -q '^crw-rw-rw-'") == 0);
	CHECK(system("test -c /dev/hisi_zip-4 && cat /sys/class/uacce/hisi_zip-4/api > /dev/null") == 0);
	CHECK(system("test \"$(echo /dev/hisi_zip-*)\" = '/dev/hisi_zip-4 /dev/hisi_zip-5'") == 0);
}

static void waits(void)
{
	struct queue q = start(device, 0);
	struct pollfd p = { .fd = q.fd, .events = POLLIN };
	struct timespec now = { 0 }, minute = { .tv_sec = 60 };
	int slot = 0;
#define NEXT(wait) do { submit_nonsense(&q, 1); CHECK(wait); reap(&q, slot++); ring_cq(&q, 1); } while (0)
	NEXT(__poll_chk(&p, 1, 60000, sizeof p) == 1);
	NEXT(ppoll(&p, 1, &minute, NULL) == 1 && p.revents == POLLIN);
	NEXT(__ppoll_chk(&p, 1, &minute, NULL, sizeof p) == 1);
	CHECK(ppoll(&p, 1, &now, NULL) == 0);
	/* select: the same edge */
	fd_set set;
	struct timeval limit = { .tv_sec = 60 }, none = { 0 };
	FD_ZERO(&set);
	FD_SET(q.fd, &set);
	NEXT(select(q.fd + 1, &set, NULL, NULL, &limit) == 1 && FD_ISSET(q.fd, &set));
	CHECK(select(q.fd + 1, &set, NULL, NULL, &none) == 0 && !FD_ISSET(q.fd, &set));
	FD_SET(q.fd, &set);
	NEXT(pselect(q.fd + 1, &set, NULL, NULL, &minute, NULL) == 1);
	/* epoll, level-triggered: one positive answer for what is there, like the kernel */
	int ep = epoll_create1(0);
	struct epoll_event event = { .events = EPOLLIN | EPOLLOUT, .data.u64 = 0x123456789abcdef0 }, got = { 0 };
	submit_nonsense(&q, 1);
	await(&q);
	pause_ms(5);
	CHECK(epoll_ctl(ep, EPOLL_CTL_ADD, q.fd, &event) == 0);  /* asks the queue, and so consumes what is there */
	CHECK(epoll_wait(ep, &got, 1, 20) == 0);
	reap(&q, slot++);
	ring_cq(&q, 1);
	for (int n = 0; n < 3; n++) {
		NEXT(epoll_wait(ep, &got, 1, 60000) == 1 && got.events == EPOLLIN && got.data.u64 == event.data.u64);
		CHECK(epoll_wait(ep, &got, 1, 5) == 0);
	}
	event.data.u64 = 7;
	event.events = EPOLLIN | EPOLLET;
	CHECK(epoll_ctl(ep, EPOLL_CTL_MOD, q.fd, &event) == 0);
	NEXT(epoll_pwait(ep, &got, 1, 60000, NULL) == 1 && got.data.u64 == 7);
	/* beside another descriptor */
	int pipes[2];
	CHECK(pipe(pipes) == 0 && write(pipes[1], "x", 1) == 1);
	CHECK(epoll_ctl(ep, EPOLL_CTL_ADD, pipes[0], &(struct epoll_event){ .events = EPOLLIN, .data.fd = pipes[0] }) == 0);
	CHECK(epoll_wait(ep, &got, 1, 60000) == 1 && got.data.fd == pipes[0]);
	CHECK(epoll_ctl(ep, EPOLL_CTL_DEL, q.fd, NULL) == 0);
	/* not armed: no interrupt, so a sleeper is not woken; the next question finds the completion */
	ring_cq(&q, 0);
	submit_nonsense(&q, 1);
	await(&q);
	CHECK(poll(&p, 1, 0) == 1 && poll(&p, 1, 0) == 0);
	release(&q);
	CHECK(poll(&p, 1, 0) == 1 && p.revents == POLLNVAL);
}

int main(int argc, char **argv)
{
	CHECK(argc >= 2);
	device = "hisi_zip-4";
	snprintf(node_path, sizeof node_path, "/dev/%s", device);
	snprintf(class_entry, sizeof class_entry, "/sys/class/uacce/%s", device);
	if (!strcmp(argv[1], "names")) names();
	else if (!strcmp(argv[1], "listings")) listings();
	else if (!strcmp(argv[1], "waits")) waits();
	else CHECK(!"a known scenario");
	printf("ok\n");
	return 0;
}
