/*
 * The floors and peers that scripts/bench compares with: round trips of SIZE bytes between two processes.
 * `floor METHOD CPU1 CPU2 SIZE COUNT`, METHOD = futex, spin, pipe, unix, connect or view. Prints nanoseconds in all.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <linux/futex.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

struct side {
    _Alignas(64) _Atomic unsigned word; /* low bit: asleep; rest: sequence */
    char data[4096];
};
static struct { struct side to, from; char view[65536]; } *shared;
static int size;
static char local[65536];

static void use_cpu(int cpu)
{
    cpu_set_t set;
    CPU_ZERO(&set);
    CPU_SET(cpu, &set);
    if (cpu >= 0)
        sched_setaffinity(0, sizeof set, &set);
}

static void post(struct side *side)
{
    memcpy(side->data, local, size);
    if (atomic_fetch_add(&side->word, 2) & 1) {
        atomic_fetch_and(&side->word, ~1u);
        syscall(SYS_futex, &side->word, FUTEX_WAKE, 1, NULL, NULL, 0);
    }
}

static void take(struct side *side, unsigned *seen, int spins)
{
    for (;;) {
        unsigned now = atomic_load(&side->word);
        if (now >> 1 != *seen >> 1) {
            *seen = now;
            memcpy(local, side->data, size);
            return;
        }
        if (spins) {
            __builtin_ia32_pause();
            continue;
        }
        if (atomic_compare_exchange_strong(&side->word, &now, now | 1))
            syscall(SYS_futex, &side->word, FUTEX_WAIT, now | 1, NULL, NULL, 0);
    }
}

static long long now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec * 1000000000LL + t.tv_nsec;
}

static void move(int fd, int is_write)
{
    for (int at = 0; at < size;) {
        ssize_t n = is_write ? write(fd, local + at, size - at) : read(fd, local + at, size - at);
        if (n <= 0)
            exit(0);
        at += n;
    }
}

/* One connection as a port makes it: connect, memfd, SCM_RIGHTS, mmap with one page touched on both sides. */
static void hand_over(int socket, int fd)
{
    char byte = 0, space[CMSG_SPACE(sizeof fd)];
    struct iovec iov = {&byte, 1};
    struct msghdr m = {.msg_iov = &iov, .msg_iovlen = 1, .msg_control = space, .msg_controllen = sizeof space};
    struct cmsghdr *c = CMSG_FIRSTHDR(&m);
    c->cmsg_level = SOL_SOCKET, c->cmsg_type = SCM_RIGHTS, c->cmsg_len = CMSG_LEN(sizeof fd);
    memcpy(CMSG_DATA(c), &fd, sizeof fd);
    sendmsg(socket, &m, 0);
}

static int receive_fd(int socket)
{
    int fd = -1;
    char byte, space[CMSG_SPACE(sizeof fd)];
    struct iovec iov = {&byte, 1};
    struct msghdr m = {.msg_iov = &iov, .msg_iovlen = 1, .msg_control = space, .msg_controllen = sizeof space};
    if (recvmsg(socket, &m, 0) == 1 && CMSG_FIRSTHDR(&m))
        memcpy(&fd, CMSG_DATA(CMSG_FIRSTHDR(&m)), sizeof fd);
    return fd;
}

static int bare_connect(int cpu1, int cpu2, long count)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    int listener = socket(AF_UNIX, SOCK_STREAM, 0);
    snprintf(address.sun_path + 1, 90, "ntlpc-floor-%d", getpid());
    bind(listener, (void *)&address, sizeof address);
    listen(listener, 16);
    if (!fork()) {
        use_cpu(cpu2);
        for (;;) {
            int s = accept(listener, NULL, NULL), fd = memfd_create("floor", 0);
            if (ftruncate(fd, 65536))
                exit(1);
            char *p = mmap(NULL, 65536, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
            p[0] = 1;
            hand_over(s, fd);
            char byte;
            if (read(s, &byte, 1) < 0)
                exit(1);
            munmap(p, 65536), close(fd), close(s);
        }
    }
    use_cpu(cpu1);
    long long from = now();
    for (long i = 0; i < count; i++) {
        int s = socket(AF_UNIX, SOCK_STREAM, 0);
        if (connect(s, (void *)&address, sizeof address))
            return 1;
        int fd = receive_fd(s);
        char *p = mmap(NULL, 65536, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
        p[1] = p[0];
        munmap(p, 65536), close(fd), close(s);
    }
    printf("%lld\n", now() - from);
    fflush(stdout);
    kill(0, 15);
    return 0;
}

int main(int argc, char **argv)
{
    if (argc < 6)
        return 2;
    const char *method = argv[1];
    int cpu1 = atoi(argv[2]), cpu2 = atoi(argv[3]), spins = !strcmp(method, "spin");
    int is_view = !strcmp(method, "view"), pair[2][2], is_socket = !strcmp(method, "unix");
    long count = atol(argv[5]);
    size = atoi(argv[4]);
    setpgid(0, 0);
    signal(15, SIG_IGN);
    if (!strcmp(method, "connect"))
        return bare_connect(cpu1, cpu2, count);
    shared = mmap(NULL, sizeof *shared, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    int is_shared = spins || is_view || !strcmp(method, "futex");
    if (is_socket) {
        if (socketpair(AF_UNIX, SOCK_STREAM, 0, pair[0]))
            return 1;
        pair[1][0] = pair[0][1], pair[1][1] = pair[0][0];
        int swap = pair[0][1];
        pair[0][1] = pair[0][0], pair[0][0] = swap;
    } else if (pipe(pair[0]) || pipe(pair[1]))
        return 1;
    pid_t child = fork();
    if (!child) {
        unsigned seen = 0;
        signal(15, SIG_DFL);
        use_cpu(cpu2);
        for (;;) {
            if (is_shared) {
                take(&shared->to, &seen, spins);
                if (is_view) {
                    static char copy[65536];
                    memcpy(copy, shared->view, sizeof copy);
                    __asm__ volatile("" ::"r"(copy) : "memory");
                }
                post(&shared->from);
            } else {
                move(pair[0][0], 0);
                move(pair[1][1], 1);
            }
        }
    }
    use_cpu(cpu1);
    unsigned seen = 0;
    long long from = 0;
    static char source[65536];
    for (long i = -count / 20; i < count; i++) {
        if (i == 0)
            from = now();
        if (is_shared) {
            if (is_view)
                memcpy(shared->view, source, sizeof source);
            post(&shared->to);
            take(&shared->from, &seen, spins);
        } else {
            move(pair[0][1], 1);
            move(pair[1][0], 0);
        }
    }
    printf("%lld\n", now() - from);
    fflush(stdout);
    kill(child, 9);
    return 0;
}
