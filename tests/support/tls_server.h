/*
 * An HTTPS server of the test's own (openssl s_server), with a certificate by a CA of the test's own.
 * Everything lies in a private folder that goes with it.
 */
#ifndef FULFILLD_TESTS_SUPPORT_TLS_SERVER_H
#define FULFILLD_TESTS_SUPPORT_TLS_SERVER_H

struct tls_server;

/** `subject_alt_name` as OpenSSL writes it: "IP:127.0.0.1", "DNS:elsewhere.example". NULL = no openssl here.
 */
struct tls_server *tls_server_start(const char *subject_alt_name);
void tls_server_stop(struct tls_server *server);
/** https://127.0.0.1:PORT/; answers GET with 200. */
const char *tls_server_url(const struct tls_server *server);
/** The CA's certificate. */
const char *tls_server_ca_file(const struct tls_server *server);

#endif
