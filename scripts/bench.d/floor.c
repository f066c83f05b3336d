/*
 * The floors and peers that scripts/bench compares with: operations between two processes without ports.
 *
 * floor METHOD CPU1 CPU2 SIZE LIMIT
 *
 * futex    round trips through shared memory, the waker making a system call only for one who sleeps
 * spin     the same, both sides spinning
 * pipe, unix   round trips through two pipes, through a stream socket
 * view     futex round trips, 64 KiB being copied into shared memory and out of it for each
 * connect  connect, memfd, SCM_RIGHTS, mmap and one page touched on both sides
 * spawn    the program after LIMIT, with its arguments: started and waited for
 *
 * LIMIT and output: test-binaries/bench/sample.h.
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <linux/futex.h>
#include <sched.h>
#include <signal.h>
#include <spawn.h>
#include <stdatomic.h>
#include <stddef.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "sample.h"

extern char **environ;

enum { VIEW_SIZE = 65536 };

struct side {
    _Alignas(64) _Atomic unsigned word; /* low bit: asleep; rest: sequence */
    _Alignas(64) char data[4096];
};
static struct { struct side to, from; char view[VIEW_SIZE]; } *shared;
static int size, spins, copies_view;
static char local[4096];
static struct sample sample;

static long long sample_now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec * 1000000000LL + t.tv_nsec;
}

static void use_cpu(int cpu)
{
    cpu_set_t set;
    CPU_ZERO(&set);
    CPU_SET(cpu, &set);
    if (cpu >= 0)
        sched_setaffinity(0, sizeof set, &set);
}

static void need(int is_true, const char *what)
{
    if (!is_true) {
        perror(what);
        exit(1);
    }
}

/* Becomes the other process; returns 0 in it. It ends with this one. */
static pid_t fork_peer(int cpu)
{
    pid_t child = fork();
    need(child >= 0, "fork");
    if (!child) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        use_cpu(cpu);
    }
    return child;
}

static void post(struct side *side)
{
    memcpy(side->data, local, size);
    if (atomic_fetch_add(&side->word, 2) & 1) {
        atomic_fetch_and(&side->word, ~1u);
        syscall(SYS_futex, &side->word, FUTEX_WAKE, 1, NULL, NULL, 0);
    }
}

static void take(struct side *side, unsigned *seen)
{
    for (;;) {
        unsigned now = atomic_load(&side->word);
        if (now >> 1 != *seen >> 1) {
            *seen = now;
            memcpy(local, side->data, size);
            return;
        }
        if (spins)
            __builtin_ia32_pause();
        else if (atomic_compare_exchange_strong(&side->word, &now, now | 1))
            syscall(SYS_futex, &side->word, FUTEX_WAIT, now | 1, NULL, NULL, 0);
    }
}

static void shared_memory(int cpu1, int cpu2, const char *limit)
{
    static char outer[VIEW_SIZE];
    unsigned seen = 0;
    shared = mmap(NULL, sizeof *shared, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    need(shared != MAP_FAILED, "mmap");
    if (!fork_peer(cpu2))
        for (;;) {
            take(&shared->to, &seen);
            if (copies_view)
                memcpy(outer, shared->view, VIEW_SIZE);
            __asm__ volatile("" ::"r"(outer) : "memory");
            post(&shared->from);
        }
    use_cpu(cpu1);
    memset(outer, 7, VIEW_SIZE);
    for (sample_begin(&sample, limit, copies_view ? 16 : 128); sample_next(&sample);) {
        if (copies_view)
            memcpy(shared->view, outer, VIEW_SIZE);
        post(&shared->to);
        take(&shared->from, &seen);
    }
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

/* Round trips: this side writes to fds[0] and reads fds[1], the peer reads fds[2] and writes to fds[3]. */
static void descriptors(int cpu1, int cpu2, const char *limit, const int fds[4])
{
    if (!fork_peer(cpu2))
        for (;;) {
            move(fds[2], 0);
            move(fds[3], 1);
        }
    use_cpu(cpu1);
    for (sample_begin(&sample, limit, 128); sample_next(&sample);) {
        move(fds[0], 1);
        move(fds[1], 0);
    }
}

static void pipes(int cpu1, int cpu2, const char *limit)
{
    int there[2], back[2];
    need(!pipe(there) && !pipe(back), "pipe");
    descriptors(cpu1, cpu2, limit, (int[]){there[1], back[0], there[0], back[1]});
}

static void sockets(int cpu1, int cpu2, const char *limit)
{
    int ends[2];
    need(!socketpair(AF_UNIX, SOCK_STREAM, 0, ends), "socketpair");
    descriptors(cpu1, cpu2, limit, (int[]){ends[0], ends[0], ends[1], ends[1]});
}

static void send_fd(int socket, int fd)
{
    char byte = 0, space[CMSG_SPACE(sizeof fd)];
    struct iovec iov = {&byte, 1};
    struct msghdr m = {.msg_iov = &iov, .msg_iovlen = 1, .msg_control = space, .msg_controllen = sizeof space};
    struct cmsghdr *c = CMSG_FIRSTHDR(&m);
    c->cmsg_level = SOL_SOCKET, c->cmsg_type = SCM_RIGHTS, c->cmsg_len = CMSG_LEN(sizeof fd);
    memcpy(CMSG_DATA(c), &fd, sizeof fd);
    need(sendmsg(socket, &m, 0) == 1, "sendmsg");
}

static int receive_fd(int socket)
{
    int fd = -1;
    char byte, space[CMSG_SPACE(sizeof fd)];
    struct iovec iov = {&byte, 1};
    struct msghdr m = {.msg_iov = &iov, .msg_iovlen = 1, .msg_control = space, .msg_controllen = sizeof space};
    need(recvmsg(socket, &m, 0) == 1 && CMSG_FIRSTHDR(&m), "recvmsg");
    memcpy(&fd, CMSG_DATA(CMSG_FIRSTHDR(&m)), sizeof fd);
    return fd;
}

static char *map_page(int fd)
{
    char *page = mmap(NULL, 65536, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    need(page != MAP_FAILED, "mmap");
    return page;
}

static void connections(int cpu1, int cpu2, const char *limit)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    int listener = socket(AF_UNIX, SOCK_STREAM, 0);
    snprintf(address.sun_path + 1, 90, "ntlpc-floor-%d", getpid());
    need(!bind(listener, (void *)&address, sizeof address) && !listen(listener, 16), "listen");
    if (!fork_peer(cpu2))
        for (;;) {
            char byte;
            int s = accept(listener, NULL, NULL), fd = memfd_create("floor", 0);
            need(s >= 0 && fd >= 0 && !ftruncate(fd, 65536), "accept");
            char *page = map_page(fd);
            page[0] = 1;
            send_fd(s, fd);
            need(read(s, &byte, 1) >= 0, "read");
            munmap(page, 65536), close(fd), close(s);
        }
    use_cpu(cpu1);
    for (sample_begin(&sample, limit, 8); sample_next(&sample);) {
        int s = socket(AF_UNIX, SOCK_STREAM, 0);
        need(!connect(s, (void *)&address, sizeof address), "connect");
        int fd = receive_fd(s);
        char *page = map_page(fd);
        page[1] = page[0];
        munmap(page, 65536), close(fd), close(s);
    }
}

static void spawns(int cpu, const char *limit, char **program)
{
    posix_spawn_file_actions_t actions;
    need(program[0] != NULL, "spawn: no program");
    posix_spawn_file_actions_init(&actions);
    posix_spawn_file_actions_addopen(&actions, 1, "/dev/null", O_WRONLY, 0);
    use_cpu(cpu);
    for (sample_begin(&sample, limit, 1); sample_next(&sample);) {
        pid_t child;
        int status;
        need(!posix_spawn(&child, program[0], &actions, NULL, program, environ), program[0]);
        need(waitpid(child, &status, 0) == child && WIFEXITED(status), "waitpid");
    }
}

int main(int argc, char **argv)
{
    if (argc < 6)
        return 2;
    const char *method = argv[1], *limit = argv[5];
    int cpu1 = atoi(argv[2]), cpu2 = atoi(argv[3]);
    size = atoi(argv[4]);
    if (size < 0 || size > (int)sizeof local)
        return 2;
    spins = !strcmp(method, "spin");
    copies_view = !strcmp(method, "view");
    if (spins || copies_view || !strcmp(method, "futex"))
        shared_memory(cpu1, cpu2, limit);
    else if (!strcmp(method, "pipe"))
        pipes(cpu1, cpu2, limit);
    else if (!strcmp(method, "unix"))
        sockets(cpu1, cpu2, limit);
    else if (!strcmp(method, "connect"))
        connections(cpu1, cpu2, limit);
    else if (!strcmp(method, "spawn"))
        spawns(cpu1, limit, argv + 6);
    else
        return 2;
    sample_print(&sample);
    return 0;
}
