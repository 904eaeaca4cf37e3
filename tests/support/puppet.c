/* See puppet.h. Everything aborts on a failure of the system: these are tests. */
#include "support/puppet.h"

#include <assert.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

struct puppet_peer {
    struct puppet_peer *next;
    struct puppet *puppet;
    int fd;
    struct loop_poll *poll;
    char *data;
    size_t length;
    size_t turns;
};

struct puppet {
    struct loop *loop;
    puppet_fn *fn;
    void *context;
    int fd, port;
    struct loop_poll *poll;
    struct puppet_peer *peers;
    size_t accepted;
    bool deaf;
};

static void need(bool is_true, const char *what)
{
    if (is_true)
        return;
    perror(what);
    abort();
}

static void on_data(void *context, int events)
{
    struct puppet_peer *peer = context;
    char chunk[65536];
    ssize_t count = recv(peer->fd, chunk, sizeof chunk, MSG_DONTWAIT);

    (void)events;
    if (count < 0 && errno == EAGAIN)
        return;
    if (count <= 0) {
        puppet_end(peer);
        return;
    }
    peer->data = realloc(peer->data, peer->length + (size_t)count + 1);
    need(peer->data, "realloc");
    memcpy(peer->data + peer->length, chunk, (size_t)count);
    peer->length += (size_t)count;
    peer->data[peer->length] = '\0';
    peer->puppet->fn(peer->puppet->context, peer, peer->data, peer->length);
}

static void on_peer(void *context, int events)
{
    struct puppet *puppet = context;
    int fd = accept4(puppet->fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);

    (void)events;
    if (fd < 0)
        return;
    struct puppet_peer *peer = calloc(1, sizeof *peer);
    need(peer, "calloc");
    puppet->accepted++;
    peer->puppet = puppet;
    peer->fd = fd;
    peer->next = puppet->peers;
    puppet->peers = peer;
    peer->poll = loop_poll_new(puppet->loop, fd, on_data, peer);
    need(peer->poll, "loop_poll_new");
    loop_poll_set(peer->poll, puppet->deaf ? 0 : LOOP_READABLE);
}

static void listen_on(struct puppet *puppet, int port)
{
    struct sockaddr_in address = {
        .sin_family = AF_INET, .sin_port = htons((uint16_t)port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t size = sizeof address;
    int one = 1;

    puppet->fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    need(puppet->fd >= 0, "socket");
    need(setsockopt(puppet->fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one) == 0, "setsockopt");
    need(bind(puppet->fd, (struct sockaddr *)&address, sizeof address) == 0, "bind");
    need(listen(puppet->fd, 128) == 0, "listen");
    need(getsockname(puppet->fd, (struct sockaddr *)&address, &size) == 0, "getsockname");
    puppet->port = ntohs(address.sin_port);
    puppet->poll = loop_poll_new(puppet->loop, puppet->fd, on_peer, puppet);
    need(puppet->poll, "loop_poll_new");
    loop_poll_set(puppet->poll, LOOP_READABLE);
}

struct puppet *puppet_new(struct loop *loop, puppet_fn *fn, void *context)
{
    struct puppet *puppet = calloc(1, sizeof *puppet);

    need(puppet, "calloc");
    puppet->loop = loop;
    puppet->fn = fn;
    puppet->context = context;
    listen_on(puppet, 0);
    return puppet;
}

int puppet_port(const struct puppet *puppet)
{
    return puppet->port;
}

size_t puppet_accepted(const struct puppet *puppet)
{
    return puppet->accepted;
}

void puppet_stop_listening(struct puppet *puppet)
{
    loop_poll_free(puppet->poll);
    puppet->poll = NULL;
    if (puppet->fd >= 0)
        close(puppet->fd);
    puppet->fd = -1;
}

void puppet_listen_again(struct puppet *puppet)
{
    listen_on(puppet, puppet->port);
}

void puppet_stop_reading(struct puppet *puppet)
{
    puppet->deaf = true;
    for (struct puppet_peer *peer = puppet->peers; peer; peer = peer->next)
        loop_poll_set(peer->poll, 0);
}

void puppet_send(struct puppet_peer *peer, const char *data, size_t length)
{
    /* The other side reads on the same loop: what it must be told at once fits into the socket's buffer. */
    need(send(peer->fd, data, length, MSG_NOSIGNAL) == (ssize_t)length, "send");
}

void puppet_say(struct puppet_peer *peer, const char *text)
{
    puppet_send(peer, text, strlen(text));
}

void puppet_forget(struct puppet_peer *peer)
{
    peer->length = 0;
    peer->turns++;
}

size_t puppet_turns(const struct puppet_peer *peer)
{
    return peer->turns;
}

void puppet_end(struct puppet_peer *peer)
{
    struct puppet_peer **at = &peer->puppet->peers;

    while (*at != peer)
        at = &(*at)->next;
    *at = peer->next;
    loop_poll_free(peer->poll);
    close(peer->fd);
    free(peer->data);
    free(peer);
}

void puppet_reset(struct puppet_peer *peer)
{
    struct linger now = {.l_onoff = 1};

    need(setsockopt(peer->fd, SOL_SOCKET, SO_LINGER, &now, sizeof now) == 0, "SO_LINGER");
    puppet_end(peer);
}

void puppet_end_all(struct puppet *puppet)
{
    while (puppet->peers)
        puppet_end(puppet->peers);
}

void puppet_reset_all(struct puppet *puppet)
{
    while (puppet->peers)
        puppet_reset(puppet->peers);
}

void puppet_free(struct puppet *puppet)
{
    if (!puppet)
        return;
    puppet_end_all(puppet);
    puppet_stop_listening(puppet);
    free(puppet);
}
