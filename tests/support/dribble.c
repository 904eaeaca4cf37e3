/* One process accepts; one more for each connection copies bytes both ways. Called by test_broker_rabbitmq.c.
 */
#include "support/dribble.h"

#include "support/unit.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

enum { SINGLE_BYTES = 3000, CRUMB_BYTES = 4093, BUFFER_BYTES = 8192 };

static int connect_to(int port)
{
    const int on = 1;
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
    int fd = socket(AF_INET, SOCK_STREAM, 0);

    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    (void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
    return connect(fd, (struct sockaddr *)&address, sizeof(address)) == 0 ? fd : -1;
}

/* False at the end of the stream. */
static int pass(int from, int to, size_t *passed)
{
    char buffer[BUFFER_BYTES];
    ssize_t got = read(from, buffer, sizeof(buffer));

    for (ssize_t at = 0; at < got;) {
        ssize_t crumb = *passed < SINGLE_BYTES ? 1 : CRUMB_BYTES;

        if (crumb > got - at)
            crumb = got - at;
        if (write(to, buffer + at, (size_t)crumb) != crumb)
            return 0;
        at += crumb;
        *passed += (size_t)crumb;
    }
    return got > 0;
}

static void copy_both_ways(int client, int target_port)
{
    const int on = 1;
    int server = connect_to(target_port);
    size_t passed[2] = {0, 0};
    struct pollfd fds[2] = {{client, POLLIN, 0}, {server, POLLIN, 0}};

    (void)setsockopt(client, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
    while (server >= 0 && poll(fds, 2, -1) > 0) {
        if (fds[0].revents && !pass(client, server, &passed[0]))
            break;
        if (fds[1].revents && !pass(server, client, &passed[1]))
            break;
    }
    _exit(0);
}

static void serve(int listener, int target_port)
{
    (void)signal(SIGCHLD, SIG_IGN);
    for (;;) {
        int client = accept(listener, NULL, NULL);

        if (client < 0)
            _exit(1);
        if (fork() == 0) {
            (void)prctl(PR_SET_PDEATHSIG, SIGKILL);
            copy_both_ways(client, target_port);
        }
        close(client);
    }
}

void dribble_start(struct dribble *dribble, int target_port)
{
    struct sockaddr_in address = {.sin_family = AF_INET};
    socklen_t length = sizeof(address);
    int listener = socket(AF_INET, SOCK_STREAM, 0);

    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    assert_int_equal(bind(listener, (struct sockaddr *)&address, sizeof(address)), 0);
    assert_int_equal(listen(listener, 8), 0);
    assert_int_equal(getsockname(listener, (struct sockaddr *)&address, &length), 0);
    dribble->port = ntohs(address.sin_port);
    dribble->pid = fork();
    assert_true(dribble->pid >= 0);
    if (dribble->pid == 0) {
        (void)prctl(PR_SET_PDEATHSIG, SIGKILL);
        serve(listener, target_port);
    }
    close(listener);
}

void dribble_stop(struct dribble *dribble)
{
    (void)kill(dribble->pid, SIGKILL);
    (void)waitpid(dribble->pid, NULL, 0);
}
