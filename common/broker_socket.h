/*
 * One non-blocking TCP connection, in the clear or under TLS, without any waiting of its own: each call does
 * what can be done now and says what to wait for. SIGPIPE must be ignored by the process (OpenSSL writes).
 */
#ifndef FULFILLD_COMMON_BROKER_SOCKET_H
#define FULFILLD_COMMON_BROKER_SOCKET_H

#include "common/loop.h"

/* The settings of TLS, shared by all connections of one broker. */
struct broker_tls;

/**
 * Reads the files (NULL = the system's CAs, no client certificate). At least TLS 1.2.
 * @return NULL with ret_fault naming the file and OpenSSL's reason
 */
struct broker_tls *broker_tls_new(const char *ca_file, const char *cert_file, const char *key_file,
                                  bool verify, struct fault *ret_fault);
void broker_tls_free(struct broker_tls *tls);

enum broker_io { BROKER_IO_DONE, BROKER_IO_WANT_READ, BROKER_IO_WANT_WRITE, BROKER_IO_FAILED };

struct broker_socket {
    int fd;    /* -1 = closed */
    void *ssl; /* OpenSSL's SSL; NULL = in the clear */
};

void broker_socket_init(struct broker_socket *sock);
/** Starts connecting. OK: wait until writable, then broker_socket_connected(). */
MUST_CHECK enum err broker_socket_connect(struct broker_socket *sock, const struct loop_address *address,
                                          struct fault *ret_fault);
MUST_CHECK enum err broker_socket_connected(struct broker_socket *sock, struct fault *ret_fault);
/** Prepares TLS towards `host`, whose name or address the certificate must carry (when tls verifies). */
MUST_CHECK enum err broker_socket_tls_start(struct broker_socket *sock, struct broker_tls *tls,
                                            const char *host, struct fault *ret_fault);
enum broker_io broker_socket_tls_step(struct broker_socket *sock, struct fault *ret_fault);
/** DONE with *ret_bytes 1.. read; FAILED also at the end of the stream. */
enum broker_io broker_socket_read(struct broker_socket *sock, void *into, size_t size, size_t *ret_bytes,
                                  struct fault *ret_fault);
enum broker_io broker_socket_write(struct broker_socket *sock, const void *from, size_t size,
                                   size_t *ret_bytes, struct fault *ret_fault);
/** Bytes that were received but lie where no poll can see them. */
bool broker_socket_pending(const struct broker_socket *sock);
/** Closes at once; the watch on it must be gone. Harmless when closed. */
void broker_socket_close(struct broker_socket *sock);

#endif
