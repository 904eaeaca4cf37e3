/*
 * TCP and TLS for the broker's connections. OpenSSL works on the same non-blocking descriptor, so there is no
 * second buffer of ours; what it has decrypted and not handed out is reported by broker_socket_pending().
 * Decides which certificates are good; leaves waiting, deadlines and reconnecting to broker_wire.c.
 */
#include "common/broker_socket.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>
#include <string.h>
#include <unistd.h>

struct broker_tls {
    SSL_CTX *context;
    bool verify;
};

static void last_ssl_words(char *out, size_t size)
{
    unsigned long code = ERR_peek_last_error();
    const char *reason = code ? ERR_reason_error_string(code) : NULL;

    snprintf(out, size, "%s", reason ? reason : "unknown TLS error");
    ERR_clear_error();
}

void broker_tls_free(struct broker_tls *tls)
{
    if (!tls)
        return;
    SSL_CTX_free(tls->context);
    free(tls);
}

/* The file that could not be used, or NULL. */
static const char *load_files(SSL_CTX *context, const char *ca_file, const char *cert_file,
                              const char *key_file)
{
    if (ca_file && SSL_CTX_load_verify_locations(context, ca_file, NULL) != 1)
        return ca_file;
    if (!ca_file && SSL_CTX_set_default_verify_paths(context) != 1)
        return "the system's certificates";
    if (cert_file && SSL_CTX_use_certificate_chain_file(context, cert_file) != 1)
        return cert_file;
    if (cert_file && !key_file)
        key_file = cert_file;
    if (key_file && SSL_CTX_use_PrivateKey_file(context, key_file, SSL_FILETYPE_PEM) != 1)
        return key_file;
    return NULL;
}

struct broker_tls *broker_tls_new(const char *ca_file, const char *cert_file, const char *key_file,
                                  bool verify, struct fault *ret_fault)
{
    struct broker_tls *tls = calloc(1, sizeof(*tls));
    const char *bad_file;

    ERR_clear_error();
    if (tls)
        tls->context = SSL_CTX_new(TLS_client_method());
    if (!tls || !tls->context) {
        *ret_fault = fault_of(ERR_NOMEM);
        broker_tls_free(tls);
        return NULL;
    }
    tls->verify = verify;
    SSL_CTX_set_min_proto_version(tls->context, TLS1_2_VERSION);
    SSL_CTX_set_mode(tls->context, SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER |
                                       SSL_MODE_RELEASE_BUFFERS);
    SSL_CTX_set_verify(tls->context, verify ? SSL_VERIFY_PEER : SSL_VERIFY_NONE, NULL);
    bad_file = load_files(tls->context, ca_file, cert_file, key_file);
    if (bad_file) {
        char words[120];

        /* OpenSSL's words for a file that is not there are "system lib". */
        if (access(bad_file, R_OK) != 0)
            snprintf(words, sizeof(words), "%s", strerror(errno));
        else
            last_ssl_words(words, sizeof(words));
        *ret_fault = fault_make(ERR_CONFIG, "TLS to the broker: cannot use %s: %s", bad_file, words);
        broker_tls_free(tls);
        return NULL;
    }
    return tls;
}

void broker_socket_init(struct broker_socket *sock)
{
    *sock = (struct broker_socket){.fd = -1};
}

void broker_socket_close(struct broker_socket *sock)
{
    SSL_free(sock->ssl);
    if (sock->fd >= 0)
        close(sock->fd);
    broker_socket_init(sock);
}

enum err broker_socket_connect(struct broker_socket *sock, const struct loop_address *address,
                               struct fault *ret_fault)
{
    const int on = 1;

    sock->fd = socket(address->storage.ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (sock->fd < 0) {
        *ret_fault = fault_make(ERR_NETWORK, "socket: %s", strerror(errno));
        return ERR_NETWORK;
    }
    /* Small frames in both directions: with Nagle each would wait for the other side's delayed ACK. */
    (void)setsockopt(sock->fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
    if (connect(sock->fd, (const struct sockaddr *)&address->storage, address->length) < 0 &&
        errno != EINPROGRESS) {
        *ret_fault = fault_make(ERR_NETWORK, "connect: %s", strerror(errno));
        return ERR_NETWORK;
    }
    return OK;
}

enum err broker_socket_connected(struct broker_socket *sock, struct fault *ret_fault)
{
    int error = 0;
    socklen_t length = sizeof(error);

    if (getsockopt(sock->fd, SOL_SOCKET, SO_ERROR, &error, &length) < 0)
        error = errno;
    if (error == 0)
        return OK;
    *ret_fault = fault_make(ERR_NETWORK, "connect: %s", strerror(error));
    return ERR_NETWORK;
}

static bool set_expected_host(SSL *ssl, const char *host)
{
    uint8_t address[sizeof(struct in6_addr)];

    if (inet_pton(AF_INET, host, address) == 1 || inet_pton(AF_INET6, host, address) == 1)
        return X509_VERIFY_PARAM_set1_ip_asc(SSL_get0_param(ssl), host) == 1;
    SSL_set_hostflags(ssl, X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS);
    return SSL_set1_host(ssl, host) == 1 && SSL_set_tlsext_host_name(ssl, host) == 1;
}

enum err broker_socket_tls_start(struct broker_socket *sock, struct broker_tls *tls, const char *host,
                                 struct fault *ret_fault)
{
    SSL *ssl = SSL_new(tls->context);

    sock->ssl = ssl;
    if (!ssl || SSL_set_fd(ssl, sock->fd) != 1 || (tls->verify && !set_expected_host(ssl, host))) {
        *ret_fault = fault_make(ERR_NOMEM, "TLS cannot be set up for host %s", host);
        return ERR_NOMEM;
    }
    SSL_set_connect_state(ssl);
    return OK;
}

/* What the last call on `ssl`, which returned `result`, is waiting for; or the fault that ended it. */
static enum broker_io explain(SSL *ssl, int result, const char *doing, struct fault *ret_fault)
{
    int saved_errno = errno;
    long verify;
    char words[120];

    switch (SSL_get_error(ssl, result)) {
    case SSL_ERROR_WANT_READ:
        return BROKER_IO_WANT_READ;
    case SSL_ERROR_WANT_WRITE:
        return BROKER_IO_WANT_WRITE;
    case SSL_ERROR_ZERO_RETURN:
        *ret_fault = fault_make(ERR_NETWORK, "the broker closed the connection");
        return BROKER_IO_FAILED;
    case SSL_ERROR_SYSCALL:
        if (ERR_peek_error() == 0) {
            *ret_fault = fault_make(ERR_NETWORK, "%s: %s", doing,
                                    saved_errno ? strerror(saved_errno) : "the broker closed the connection");
            return BROKER_IO_FAILED;
        }
        break;
    default:
        break;
    }
    verify = SSL_get_verify_result(ssl);
    last_ssl_words(words, sizeof(words));
    /* A certificate that is refused stays refused until a person changes something. */
    if (verify != X509_V_OK)
        *ret_fault = fault_make(ERR_CONFIG, "TLS: the broker's certificate is refused: %s",
                                X509_verify_cert_error_string(verify));
    else
        *ret_fault = fault_make(ERR_NETWORK, "%s: %s", doing, words);
    return BROKER_IO_FAILED;
}

enum broker_io broker_socket_tls_step(struct broker_socket *sock, struct fault *ret_fault)
{
    int result;

    ERR_clear_error();
    errno = 0;
    result = SSL_do_handshake(sock->ssl);
    return result == 1 ? BROKER_IO_DONE : explain(sock->ssl, result, "TLS handshake", ret_fault);
}

static enum broker_io explain_errno(ssize_t result, enum broker_io wanted, const char *doing,
                                    struct fault *ret_fault)
{
    if (result < 0 && (errno == EAGAIN || errno == EWOULDBLOCK || errno == EINTR))
        return wanted;
    if (result == 0)
        *ret_fault = fault_make(ERR_NETWORK, "the broker closed the connection");
    else
        *ret_fault = fault_make(ERR_NETWORK, "%s: %s", doing, strerror(errno));
    return BROKER_IO_FAILED;
}

enum broker_io broker_socket_read(struct broker_socket *sock, void *into, size_t size, size_t *ret_bytes,
                                  struct fault *ret_fault)
{
    if (sock->ssl) {
        int result;

        ERR_clear_error();
        errno = 0;
        result = SSL_read_ex(sock->ssl, into, size, ret_bytes);
        return result == 1 ? BROKER_IO_DONE : explain(sock->ssl, result, "TLS read", ret_fault);
    }
    ssize_t got = recv(sock->fd, into, size, 0);

    if (got <= 0)
        return explain_errno(got, BROKER_IO_WANT_READ, "recv", ret_fault);
    *ret_bytes = (size_t)got;
    return BROKER_IO_DONE;
}

enum broker_io broker_socket_write(struct broker_socket *sock, const void *from, size_t size,
                                   size_t *ret_bytes, struct fault *ret_fault)
{
    if (sock->ssl) {
        int result;

        ERR_clear_error();
        errno = 0;
        result = SSL_write_ex(sock->ssl, from, size, ret_bytes);
        return result == 1 ? BROKER_IO_DONE : explain(sock->ssl, result, "TLS write", ret_fault);
    }
    ssize_t sent = send(sock->fd, from, size, MSG_NOSIGNAL);

    if (sent < 0)
        return explain_errno(sent, BROKER_IO_WANT_WRITE, "send", ret_fault);
    *ret_bytes = (size_t)sent;
    return BROKER_IO_DONE;
}

bool broker_socket_pending(const struct broker_socket *sock)
{
    return sock->ssl && SSL_pending(sock->ssl) > 0;
}
