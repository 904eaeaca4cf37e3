/* See tls_server.h. */
#include "support/tls_server.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

struct tls_server {
    pid_t pid;
    char folder[64], ca_file[96], url[64];
};

/* $1 is the folder, $2 the subject's alternative name. */
static const char make_certificates[] =
    "cd \"$1\" && key='-newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes' &&"
    " openssl req -x509 $key -days 2 -keyout ca.key -out ca.pem -subj '/CN=CA of a test' 2>log &&"
    " openssl req $key -keyout key.pem -out request.pem -subj '/CN=a test' 2>>log &&"
    " echo \"subjectAltName=$2\" > names &&"
    " openssl x509 -req -in request.pem -CA ca.pem -CAkey ca.key -CAcreateserial -days 2 -extfile names"
    " -out certificate.pem 2>>log";

static int run_shell(const char *script, const char *first, const char *second)
{
    int status = -1;
    pid_t pid = fork();

    if (pid == 0) {
        execl("/bin/sh", "sh", "-c", script, "sh", first, second, (char *)NULL);
        _exit(127);
    }
    return pid > 0 && waitpid(pid, &status, 0) == pid ? status : -1;
}

static void run_server(const struct tls_server *server, int out)
{
    prctl(PR_SET_PDEATHSIG, SIGKILL); /* an aborted test leaves nothing behind */
    dup2(out, STDOUT_FILENO);
    if (chdir(server->folder) == 0 && freopen("/dev/null", "r", stdin) && freopen("log", "a", stderr))
        execlp("openssl", "openssl", "s_server", "-accept", "127.0.0.1:0", "-cert", "certificate.pem", "-key",
               "key.pem", "-www", (char *)NULL);
    _exit(127);
}

/* The server says "ACCEPT 127.0.0.1:PORT" when it is ready. */
static int read_port(int fd)
{
    FILE *said = fdopen(fd, "r");
    char line[256];
    int port = -1;

    while (said && port < 0 && fgets(line, sizeof line, said)) {
        const char *colon = strncmp(line, "ACCEPT", 6) == 0 ? strrchr(line, ':') : NULL;
        if (colon)
            port = atoi(colon + 1);
    }
    if (said)
        fclose(said);
    return port;
}

struct tls_server *tls_server_start(const char *subject_alt_name)
{
    struct tls_server *server = calloc(1, sizeof *server);
    int ends[2];

    if (!server || pipe(ends) < 0)
        abort();
    snprintf(server->folder, sizeof server->folder, "/tmp/fulfilld-tls-XXXXXX");
    if (!mkdtemp(server->folder))
        abort();
    snprintf(server->ca_file, sizeof server->ca_file, "%s/ca.pem", server->folder);
    server->pid = run_shell(make_certificates, server->folder, subject_alt_name) == 0 ? fork() : -1;
    if (server->pid == 0)
        run_server(server, ends[1]);
    close(ends[1]);
    int port = read_port(ends[0]);
    snprintf(server->url, sizeof server->url, "https://127.0.0.1:%d/", port);
    if (port > 0)
        return server;
    tls_server_stop(server);
    return NULL;
}

void tls_server_stop(struct tls_server *server)
{
    if (!server)
        return;
    if (server->pid > 0) {
        kill(server->pid, SIGKILL);
        (void)waitpid(server->pid, NULL, 0);
    }
    (void)run_shell("rm -rf \"$1\"", server->folder, "");
    free(server);
}

const char *tls_server_url(const struct tls_server *server)
{
    return server->url;
}

const char *tls_server_ca_file(const struct tls_server *server)
{
    return server->ca_file;
}
