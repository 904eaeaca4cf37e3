/* Starts and stops the private redis-server of a test. */
#include "tests/support/redis_server.h"

#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

enum { START_TRIES = 500, TRY_MS = 20, EXIT_NOT_INSTALLED = 127 };
/* Below the ports that the kernel gives to outgoing connections. */
enum { PORT_FIRST = 20000, PORT_COUNT = 12000, PORT_TRIES = 1000 };

struct redis_server {
    char folder[64];
    char path[96];
    char uri[128];
    char reply[256];
    char tcp_uri[64];
    pid_t pid;
};

static void fail(const char *what)
{
    fprintf(stderr, "private redis-server: %s: %s\n", what, strerror(errno));
    exit(1);
}

static int find_port(void)
{
    for (int tries = 0; tries < PORT_TRIES; tries++) {
        int port = PORT_FIRST + (getpid() * 7 + tries * 13) % PORT_COUNT;
        struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
        int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
        int bound = fd >= 0 && bind(fd, (const struct sockaddr *)&address, sizeof(address)) == 0;

        if (fd >= 0)
            close(fd);
        if (bound)
            return port;
    }
    fail("port");
    return -1;
}

static void run_server(const struct redis_server *server)
{
    const char *port = strrchr(server->tcp_uri, ':') + 1;
    int null = open("/dev/null", O_RDWR);

    prctl(PR_SET_PDEATHSIG, SIGKILL); /* also when the test is killed */
    dup2(null, 0);
    dup2(null, 1);
    execlp("redis-server", "redis-server", "--port", port, "--bind", "127.0.0.1", "--unixsocket",
           server->path, "--dir", server->folder, "--save", "", "--appendonly", "no", "--daemonize", "no",
           "--enable-debug-command", "yes", (char *)NULL);
    _exit(EXIT_NOT_INSTALLED);
}

/* A connection, or -1. */
static int reach(const struct redis_server *server)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

    snprintf(address.sun_path, sizeof(address.sun_path), "%s", server->path);
    if (fd >= 0 && connect(fd, (const struct sockaddr *)&address, sizeof(address)) == 0)
        return fd;
    if (fd >= 0)
        close(fd);
    return -1;
}

static int answers(const struct redis_server *server)
{
    int fd = reach(server);

    if (fd >= 0)
        close(fd);
    return fd >= 0;
}

struct redis_server *redis_server_start(void)
{
    struct redis_server *server = calloc(1, sizeof(*server));

    if (!server)
        fail("memory");
    strcpy(server->folder, "/tmp/fulfilld-redis-XXXXXX");
    if (!mkdtemp(server->folder))
        fail("folder");
    snprintf(server->path, sizeof(server->path), "%s/socket", server->folder);
    snprintf(server->uri, sizeof(server->uri), "redis+unix://%s", server->path);
    snprintf(server->tcp_uri, sizeof(server->tcp_uri), "redis://127.0.0.1:%d", find_port());
    server->pid = fork();
    if (server->pid < 0)
        fail("fork");
    if (server->pid == 0)
        run_server(server);
    for (int i = 0; i < START_TRIES; i++) {
        int status;

        if (answers(server))
            return server;
        if (waitpid(server->pid, &status, WNOHANG) == server->pid) {
            server->pid = 0;
            redis_server_stop(server);
            if (WIFEXITED(status) && WEXITSTATUS(status) == EXIT_NOT_INSTALLED)
                return NULL;
            fail("it ended at once");
        }
        poll(NULL, 0, TRY_MS);
    }
    redis_server_stop(server);
    errno = ETIMEDOUT;
    fail("it does not answer");
    return NULL;
}

const char *redis_server_uri(const struct redis_server *server)
{
    return server->uri;
}

const char *redis_server_tcp_uri(const struct redis_server *server)
{
    return server->tcp_uri;
}

void redis_server_do(const struct redis_server *server, const char *command, char *ret_answer, size_t size)
{
    char line[1024];
    int length = snprintf(line, sizeof(line), "%s\r\n", command);
    int fd = reach(server);

    if (fd < 0 || send(fd, line, (size_t)length, MSG_NOSIGNAL) != length)
        fail("command");
    ssize_t count = recv(fd, ret_answer, size - 1, 0);
    close(fd);
    ret_answer[count > 0 ? count : 0] = '\0';
    ret_answer[strcspn(ret_answer, "\r\n")] = '\0';
}

pid_t redis_server_pid(const struct redis_server *server)
{
    return server->pid;
}

void redis_server_stop(struct redis_server *server)
{
    if (!server)
        return;
    if (server->pid > 0) {
        kill(server->pid, SIGKILL);
        waitpid(server->pid, NULL, 0);
    }
    unlink(server->path);
    rmdir(server->folder);
    free(server);
}
