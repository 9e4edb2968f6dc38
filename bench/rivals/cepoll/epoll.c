// The floor: the least that an echo server on epoll can do, in C. One thread, level-triggered, one 64 KiB buffer for
// all connections, recv and send and nothing else. It is measured beside the others to show what the kernel alone
// costs; a server that people use has to do more than this.
//
//   cc -O2 -o cepoll epoll.c && ./cepoll
//
// It speaks the line protocol of bench/internal/line on its standard input and output. What a C program has not
// (garbage, goroutines to burn) it answers with "no".
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

enum { BUFFER = 64 << 10, EVENTS = 256, WORDS = 256 };

static char buffer[BUFFER];

static void fail(const char *what) {
    perror(what);
    exit(1);
}

static void watch(int ep, int fd) {
    struct epoll_event e = {.events = EPOLLIN, .data.fd = fd};
    if (epoll_ctl(ep, EPOLL_CTL_ADD, fd, &e) < 0)
        fail("epoll_ctl");
}

static int listen_anywhere(void) {
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0), one = 1;
    struct sockaddr_in at = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t size = sizeof at;
    if (fd < 0 || setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one) < 0)
        fail("socket");
    if (bind(fd, (struct sockaddr *)&at, size) < 0 || listen(fd, 4096) < 0)
        fail("listen");
    if (getsockname(fd, (struct sockaddr *)&at, &size) < 0)
        fail("getsockname");
    printf("listening 127.0.0.1:%d\n", ntohs(at.sin_port));
    return fd;
}

static void accept_all(int ep, int listener) {
    int fd, one = 1;
    while ((fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC)) >= 0) {
        setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
        watch(ep, fd);
    }
}

// send_all waits where the socket is full: every driver reads what it has asked for, so it never waits for long.
static int send_all(int fd, const char *p, ssize_t n) {
    while (n > 0) {
        ssize_t sent = send(fd, p, n, MSG_NOSIGNAL);
        if (sent < 0 && errno == EAGAIN) {
            struct pollfd full = {.fd = fd, .events = POLLOUT};
            poll(&full, 1, -1);
        } else if (sent < 0 && errno != EINTR) {
            return -1;
        } else if (sent > 0) {
            p += sent;
            n -= sent;
        }
    }
    return 0;
}

// echo reads once: level-triggered, what is left over is shown again by the next wait.
static void echo(int fd) {
    ssize_t n = recv(fd, buffer, sizeof buffer, 0);
    if (n < 0 && (errno == EAGAIN || errno == EINTR))
        return;
    if (n <= 0 || send_all(fd, buffer, n) < 0)
        close(fd); // leaves the epoll set by itself: the descriptor was never duplicated
}

static void answer(const char *word) {
    if (strcmp(word, "quit") == 0)
        exit(0);
    if (strcmp(word, "gc") == 0) {
        puts("ok"); // nothing to collect
    } else if (strcmp(word, "cpu") == 0) {
        struct rusage r;
        getrusage(RUSAGE_SELF, &r);
        printf("%lld\n", (r.ru_utime.tv_sec + r.ru_stime.tv_sec) * 1000000LL + r.ru_utime.tv_usec + r.ru_stime.tv_usec);
    } else {
        puts("no");
    }
}

// command reads the benchmark's words; the end of them is the end of the server.
static void command(void) {
    static char words[WORDS];
    static size_t have;
    ssize_t n = read(STDIN_FILENO, words + have, sizeof words - 1 - have);
    if (n <= 0)
        exit(0);
    have += n;
    words[have] = 0;
    char *start = words, *end;
    while ((end = strchr(start, '\n')) != NULL) {
        *end = 0;
        answer(start);
        start = end + 1;
    }
    have -= start - words;
    memmove(words, start, have);
    if (have == sizeof words - 1)
        exit(1); // no word is that long
}

int main(void) {
    struct epoll_event events[EVENTS];
    int ep = epoll_create1(EPOLL_CLOEXEC);
    if (ep < 0)
        fail("epoll_create1");
    setvbuf(stdout, NULL, _IOLBF, 0);
    int listener = listen_anywhere();
    watch(ep, listener);
    watch(ep, STDIN_FILENO);
    for (;;) {
        int n = epoll_wait(ep, events, EVENTS, -1);
        if (n < 0 && errno != EINTR)
            fail("epoll_wait");
        for (int i = 0; i < n; i++) {
            int fd = events[i].data.fd;
            if (fd == listener)
                accept_all(ep, listener);
            else if (fd == STDIN_FILENO)
                command();
            else
                echo(fd);
        }
    }
}
