/*
 * One HTTP exchange by libcurl: which options it is sent with, what is kept of the answer, and how its end is
 * named (enum http_outcome). Decides that no request is ever sent twice. When exchanges run, on which
 * connections and on what descriptors, is http.c's, the only caller.
 *
 * libcurl repeats a request by itself when a reused connection ends before the first byte of the answer, a
 * POST as well: the server may have acted on the first copy. For a repeat it opens a connection or takes
 * another idle one; it asks before either (CURLOPT_OPENSOCKETFUNCTION, CURLOPT_PREREQFUNCTION). Both are
 * refused, unless not one byte of the first copy had left (the connection was dead before).
 */
#include "common/http_curl.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

enum {
    HEAD_BYTES_MAX = 64 * 1024, /* of all header lines of an answer */
    ANSWER_CAPACITY_FIRST = 4096,
    /* One for each running handle: answers are small, and hundreds of libcurl's 16 KiB fill the caches. */
    READ_BUFFER_BYTES = 4096,
    CONNECTION_IDLE_S = 50,  /* shorter than the idle limits of common servers and balancers */
    CONNECTION_LIFE_S = 300, /* so that changes of DNS are followed */
    DNS_CACHE_S = 60,
    RETRY_AFTER_MAX_S = 366 * 24 * 3600
};

/* ---- the request ---- */

static bool is_token(const char *text)
{
    if (*text == '\0')
        return false;
    for (; *text; text++)
        if (*text <= ' ' || *text > '~' || strchr("()<>@,;:\\\"/[]?={}", *text))
            return false;
    return true;
}

/* Nothing that could begin another header line; a tab is allowed. */
static bool is_header_value(const char *text)
{
    for (; *text; text++)
        if ((unsigned char)*text == 0x7f || ((unsigned char)*text < ' ' && *text != '\t'))
            return false;
    return true;
}

static bool append_line(struct http_exchange *exchange, const char *line)
{
    struct curl_slist *longer = curl_slist_append(exchange->headers, line);

    if (longer)
        exchange->headers = longer;
    return longer != NULL;
}

static bool append_header(struct http_exchange *exchange, const struct http_header *header)
{
    size_t size = strlen(header->name) + strlen(header->value) + 3;
    char on_stack[512];
    AUTO_FREE char *on_heap = size > sizeof on_stack ? malloc(size) : NULL;
    char *line = size > sizeof on_stack ? on_heap : on_stack;

    if (!line)
        return false;
    /* libcurl's spelling: "Name;" sends an empty header, "Name:" would remove it. */
    if (*header->value == '\0')
        stpcpy(stpcpy(line, header->name), ";");
    else
        stpcpy(stpcpy(stpcpy(line, header->name), ": "), header->value);
    return append_line(exchange, line);
}

static bool has_header(const struct http_request *request, const char *name)
{
    for (size_t index = 0; index < request->header_count; index++)
        if (strcasecmp(request->headers[index].name, name) == 0)
            return true;
    return false;
}

static const char *why_unsendable(const struct http_request *request)
{
    if (!is_token(request->method))
        return "the method is not a word";
    if (strncasecmp(request->url, "http://", 7) != 0 && strncasecmp(request->url, "https://", 8) != 0)
        return "the URL is neither http:// nor https://";
    for (size_t index = 0; index < request->header_count; index++) {
        if (!is_token(request->headers[index].name))
            return "a header's name is not a word";
        if (!is_header_value(request->headers[index].value))
            return "a header's value has a line break or another control character";
    }
    return NULL;
}

static char *copy_bytes(char **at, const char *bytes, size_t length)
{
    char *copy = *at;

    if (length > 0)
        memcpy(copy, bytes, length);
    copy[length] = '\0';
    *at += length + 1;
    return copy;
}

static bool copy_headers(struct http_exchange *exchange, const struct http_request *request)
{
    /* libcurl would wait a second for "100 Continue", and call every body a form. */
    if (!append_line(exchange, "Expect:"))
        return false;
    if (!has_header(request, "Content-Type") && !append_line(exchange, "Content-Type:"))
        return false;
    for (size_t index = 0; index < request->header_count; index++)
        if (!append_header(exchange, &request->headers[index]))
            return false;
    return true;
}

struct http_exchange *http_exchange_new(const struct http_rules *rules, const struct http_request *request,
                                        struct http_op *op, const char **ret_why)
{
    size_t method_length = strlen(request->method);
    size_t url_length = strlen(request->url);
    size_t body_length = request->body ? request->body_length : 0;
    const char *why = why_unsendable(request);

    if (why) {
        *ret_why = why;
        return NULL;
    }
    *ret_why = "out of memory";
    struct http_exchange *exchange = malloc(sizeof *exchange + method_length + url_length + body_length + 3);
    if (!exchange)
        return NULL;
    *exchange = (struct http_exchange){.op = op, .rules = rules};
    char *at = exchange->copies;
    exchange->method = copy_bytes(&at, request->method, method_length);
    exchange->url = copy_bytes(&at, request->url, url_length);
    const char *body = copy_bytes(&at, request->body, body_length);
    exchange->body = request->body ? body : NULL;
    exchange->body_length = body_length;
    exchange->connect_timeout_ms = request->connect_timeout_ms;
    exchange->timeout_ms = request->timeout_ms;
    if (!copy_headers(exchange, request)) {
        http_exchange_free(exchange);
        return NULL;
    }
    return exchange;
}

void http_exchange_free(struct http_exchange *exchange)
{
    if (!exchange)
        return;
    curl_slist_free_all(exchange->headers);
    free(exchange->answer);
    free(exchange);
}

/* ---- libcurl's callbacks: none of them may call a curl_multi_ function ---- */

static bool make_room(struct http_exchange *exchange, size_t length)
{
    size_t capacity = exchange->answer_capacity ? exchange->answer_capacity : ANSWER_CAPACITY_FIRST;

    while (capacity < exchange->answer_length + length + 1)
        capacity *= 2;
    if (capacity == exchange->answer_capacity)
        return true;
    char *answer = realloc(exchange->answer, capacity);
    if (!answer)
        return false;
    exchange->answer = answer;
    exchange->answer_capacity = capacity;
    return true;
}

static size_t on_body(char *data, size_t size, size_t count, void *context)
{
    struct http_exchange *exchange = context;
    size_t length = size * count;

    if (length > exchange->rules->max_response_bytes - exchange->answer_length) {
        exchange->too_big = true;
        return length + 1; /* any other number than `length` ends the transfer */
    }
    if (!make_room(exchange, length)) {
        exchange->out_of_memory = true;
        return length + 1;
    }
    memcpy(exchange->answer + exchange->answer_length, data, length);
    exchange->answer_length += length;
    exchange->answer[exchange->answer_length] = '\0';
    return length;
}

static long status_of(CURL *easy)
{
    long status = 0;

    (void)curl_easy_getinfo(easy, CURLINFO_RESPONSE_CODE, &status);
    return status;
}

static size_t on_head_line(char *data, size_t size, size_t count, void *context)
{
    struct http_exchange *exchange = context;
    size_t length = size * count;
    bool is_end = length <= 2 && (data[0] == '\r' || data[0] == '\n');

    exchange->head_bytes += length;
    if (exchange->head_bytes > HEAD_BYTES_MAX) {
        exchange->too_big = true;
        return length + 1;
    }
    /* Interim answers (100 to 199) have a head as well. */
    if (is_end && status_of(exchange->easy) >= 200)
        exchange->head_complete = true;
    return length;
}

static int64_t info(CURL *easy, CURLINFO which)
{
    curl_off_t value = 0;

    (void)curl_easy_getinfo(easy, which, &value);
    return value;
}

static long bytes_begun(CURL *easy)
{
    long bytes = 0;

    (void)curl_easy_getinfo(easy, CURLINFO_REQUEST_SIZE, &bytes);
    return bytes;
}

/* Whole, or as good as: what the kernel took may have arrived. */
static bool was_sent(const struct http_exchange *exchange)
{
    /* libcurl has set its counts of the first copy back by then. */
    if (exchange->repeat_refused)
        return true;
    /* The first count has the head and as much of the body as left with it, the second the body alone. */
    return exchange->begun_count > 0 && bytes_begun(exchange->easy) > 0 &&
           (bytes_begun(exchange->easy) > (int64_t)exchange->body_length ||
            info(exchange->easy, CURLINFO_SIZE_UPLOAD_T) >= (int64_t)exchange->body_length);
}

bool http_exchange_refuses_repeat(struct http_exchange *exchange)
{
    if (exchange->begun_count == 0 || bytes_begun(exchange->easy) == 0)
        return false;
    exchange->repeat_refused = true;
    return true;
}

static int on_ready_to_send(void *context, char *peer, char *self, int peer_port, int self_port)
{
    struct http_exchange *exchange = context;

    (void)peer;
    (void)self;
    (void)peer_port;
    (void)self_port;
    if (http_exchange_refuses_repeat(exchange))
        return CURL_PREREQFUNC_ABORT;
    exchange->begun_count++;
    return CURL_PREREQFUNC_OK;
}

bool http_exchange_handle_is_fresh(const struct http_exchange *exchange)
{
    return exchange->answered && exchange->begun_count == 1;
}

/* ---- options ---- */

/* Sets an option; remembers the first refusal. */
#define SET(option, value)                                                                                   \
    do {                                                                                                     \
        if (code == CURLE_OK)                                                                                \
            code = curl_easy_setopt(easy, (option), (value));                                                \
    } while (0)

static CURLcode set_safety(CURL *easy, const struct http_rules *rules)
{
    CURLcode code = CURLE_OK;

    SET(CURLOPT_PROTOCOLS_STR, "http,https");
    SET(CURLOPT_HTTP_VERSION, (long)CURL_HTTP_VERSION_1_1);
    SET(CURLOPT_HTTP09_ALLOWED, 0L);
    SET(CURLOPT_FOLLOWLOCATION, 0L);
    SET(CURLOPT_PROXY, ""); /* else the environment's */
    SET(CURLOPT_NETRC, (long)CURL_NETRC_IGNORED);
    SET(CURLOPT_SSL_VERIFYPEER, 1L);
    SET(CURLOPT_SSL_VERIFYHOST, 2L);
    SET(CURLOPT_SSLVERSION, (long)CURL_SSLVERSION_TLSv1_2);
    if (rules->ca_file) {
        SET(CURLOPT_CAINFO, rules->ca_file);
        SET(CURLOPT_CAPATH, NULL); /* else the system's are trusted beside it */
    }
    SET(CURLOPT_MAXFILESIZE_LARGE, (curl_off_t)rules->max_response_bytes);
    return code;
}

static CURLcode set_transport(CURL *easy)
{
    CURLcode code = CURLE_OK;

    SET(CURLOPT_NOSIGNAL, 1L);
    SET(CURLOPT_NOPROGRESS, 1L);
    SET(CURLOPT_BUFFERSIZE, (long)READ_BUFFER_BYTES);
    SET(CURLOPT_TCP_NODELAY, 1L);
    SET(CURLOPT_TCP_KEEPALIVE, 1L);
    SET(CURLOPT_TCP_KEEPIDLE, 30L);
    SET(CURLOPT_TCP_KEEPINTVL, 10L);
    SET(CURLOPT_DNS_CACHE_TIMEOUT, (long)DNS_CACHE_S);
    SET(CURLOPT_MAXAGE_CONN, (long)CONNECTION_IDLE_S);
    SET(CURLOPT_MAXLIFETIME_CONN, (long)CONNECTION_LIFE_S);
    /* Ending a transfer in the middle of a name look-up would else wait for the look-up's thread. */
    SET(CURLOPT_QUICK_EXIT, 1L);
    SET(CURLOPT_WRITEFUNCTION, on_body);
    SET(CURLOPT_HEADERFUNCTION, on_head_line);
    SET(CURLOPT_PREREQFUNCTION, on_ready_to_send);
    return code;
}

CURL *http_easy_new(const struct http_rules *rules, curl_opensocket_callback on_open,
                    curl_closesocket_callback on_close, void *context)
{
    CURL *easy = curl_easy_init();
    CURLcode code = CURLE_OK;

    if (!easy)
        return NULL;
    SET(CURLOPT_OPENSOCKETFUNCTION, on_open);
    SET(CURLOPT_CLOSESOCKETFUNCTION, on_close);
    SET(CURLOPT_CLOSESOCKETDATA, context);
    if (code == CURLE_OK)
        code = set_safety(easy, rules);
    if (code == CURLE_OK)
        code = set_transport(easy);
    if (code != CURLE_OK) {
        curl_easy_cleanup(easy);
        return NULL;
    }
    return easy;
}

/* The handle was used before: every option that another method sets is set back. */
static CURLcode set_method(CURL *easy, const struct http_exchange *exchange)
{
    bool is_get = strcmp(exchange->method, "GET") == 0;
    bool is_head = strcmp(exchange->method, "HEAD") == 0;
    bool may_lack_body = is_get || is_head || strcmp(exchange->method, "DELETE") == 0 ||
                         strcmp(exchange->method, "OPTIONS") == 0;
    CURLcode code = CURLE_OK;

    SET(CURLOPT_NOBODY, 0L);
    SET(CURLOPT_POSTFIELDS, NULL); /* makes it a POST, so before HTTPGET */
    SET(CURLOPT_HTTPGET, 1L);
    SET(CURLOPT_CUSTOMREQUEST, NULL);
    if (exchange->body || !may_lack_body) {
        SET(CURLOPT_POST, 1L);
        SET(CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)exchange->body_length);
        SET(CURLOPT_POSTFIELDS, exchange->body ? exchange->body : "");
        if (strcmp(exchange->method, "POST") != 0)
            SET(CURLOPT_CUSTOMREQUEST, exchange->method);
    } else if (is_head) {
        SET(CURLOPT_NOBODY, 1L);
    } else if (!is_get) {
        SET(CURLOPT_CUSTOMREQUEST, exchange->method);
    }
    return code;
}

bool http_exchange_apply(struct http_exchange *exchange, CURL *easy)
{
    int64_t connect_timeout_ms = exchange->connect_timeout_ms;
    CURLcode code = CURLE_OK;

    if (connect_timeout_ms <= 0 || connect_timeout_ms > exchange->timeout_ms)
        connect_timeout_ms = exchange->timeout_ms;
    exchange->easy = easy;
    SET(CURLOPT_URL, exchange->url);
    if (code == CURLE_OK)
        code = set_method(easy, exchange);
    SET(CURLOPT_HTTPHEADER, exchange->headers);
    SET(CURLOPT_CONNECTTIMEOUT_MS, (long)connect_timeout_ms);
    SET(CURLOPT_TIMEOUT_MS, (long)exchange->timeout_ms);
    SET(CURLOPT_ERRORBUFFER, exchange->words);
    SET(CURLOPT_WRITEDATA, exchange);
    SET(CURLOPT_HEADERDATA, exchange);
    SET(CURLOPT_PREREQDATA, exchange);
    SET(CURLOPT_OPENSOCKETDATA, exchange);
    SET(CURLOPT_PRIVATE, exchange);
    return code == CURLE_OK;
}

/* ---- the outcome ---- */

/* The connection ended, or the time was over, with a connection made. */
static enum http_outcome lost_outcome(const struct http_exchange *exchange)
{
    if (exchange->head_complete)
        return HTTP_TRUNCATED;
    return was_sent(exchange) ? HTTP_NO_ANSWER : HTTP_SEND_FAILED;
}

static enum http_outcome timeout_outcome(const struct http_exchange *exchange)
{
    CURL *easy = exchange->easy;

    if (exchange->begun_count > 0)
        return was_sent(exchange) || exchange->head_complete ? HTTP_TIMED_OUT : HTTP_SEND_FAILED;
    if (info(easy, CURLINFO_NAMELOOKUP_TIME_T) == 0)
        return HTTP_NO_NAME;
    return info(easy, CURLINFO_CONNECT_TIME_T) == 0 ? HTTP_NO_CONNECTION : HTTP_NO_TLS;
}

static enum http_outcome answered_outcome(const struct http_exchange *exchange)
{
    long status = status_of(exchange->easy);

    /* libcurl calls an answer complete whose connection ended in the middle of the head. */
    if (!exchange->head_complete)
        return lost_outcome(exchange);
    return status >= 200 && status <= 599 ? HTTP_ANSWERED : HTTP_INVALID;
}

static enum http_outcome name_outcome(const struct http_exchange *exchange, CURLcode code)
{
    bool is_sent = was_sent(exchange);

    if (exchange->repeat_refused)
        return lost_outcome(exchange);
    /* libcurl has a hundred codes and adds more: STYLE: a default, because only these can come of what is
     * asked for here, and any other means the same as they do. */
    switch ((int)code) {
    case CURLE_OK:
        return answered_outcome(exchange);
    case CURLE_COULDNT_RESOLVE_HOST:
    case CURLE_COULDNT_RESOLVE_PROXY:
        return HTTP_NO_NAME;
    case CURLE_COULDNT_CONNECT:
        return exchange->forbidden ? HTTP_FORBIDDEN : HTTP_NO_CONNECTION;
    case CURLE_SSL_CONNECT_ERROR:
    case CURLE_PEER_FAILED_VERIFICATION:
    case CURLE_SSL_CERTPROBLEM:
    case CURLE_SSL_CIPHER:
    case CURLE_SSL_CACERT_BADFILE:
    case CURLE_SSL_ISSUER_ERROR:
    case CURLE_SSL_INVALIDCERTSTATUS:
    case CURLE_SSL_PINNEDPUBKEYNOTMATCH:
        return exchange->begun_count > 0 ? lost_outcome(exchange) : HTTP_NO_TLS;
    case CURLE_OPERATION_TIMEDOUT:
        return timeout_outcome(exchange);
    case CURLE_FILESIZE_EXCEEDED:
        return HTTP_TOO_BIG;
    case CURLE_WRITE_ERROR:
        return exchange->too_big ? HTTP_TOO_BIG : HTTP_TRUNCATED;
    case CURLE_WEIRD_SERVER_REPLY:
    case CURLE_UNSUPPORTED_PROTOCOL:
    case CURLE_OUT_OF_MEMORY: /* also of a header line without end */
        return is_sent ? HTTP_INVALID : HTTP_FAILED;
    case CURLE_SEND_ERROR:
    case CURLE_RECV_ERROR:
    case CURLE_GOT_NOTHING:
    case CURLE_PARTIAL_FILE:
    case CURLE_BAD_CONTENT_ENCODING:
    case CURLE_SEND_FAIL_REWIND:
        return exchange->begun_count > 0 ? lost_outcome(exchange) : HTTP_NO_CONNECTION;
    default:
        return exchange->begun_count > 0 ? lost_outcome(exchange) : HTTP_FAILED;
    }
}

static int64_t read_retry_after(CURL *easy, int64_t now_s)
{
    struct curl_header *header = NULL;

    if (curl_easy_header(easy, "Retry-After", 0, CURLH_HEADER, -1, &header) != CURLHE_OK)
        return -1;
    size_t digits = strspn(header->value, "0123456789");
    if (digits > 0 && header->value[digits] == '\0') {
        int64_t seconds = digits < 12 ? strtoll(header->value, NULL, 10) : RETRY_AFTER_MAX_S;
        return seconds < RETRY_AFTER_MAX_S ? seconds : RETRY_AFTER_MAX_S;
    }
    /* curl_getdate() would make a time of day out of almost anything: an HTTP date has words and colons. */
    time_t when = digits == 0 && strchr(header->value, ':') ? curl_getdate(header->value, NULL) : -1;
    if (when == -1)
        return -1;
    int64_t seconds = (int64_t)when - now_s;
    if (seconds < 0)
        return 0;
    return seconds < RETRY_AFTER_MAX_S ? seconds : RETRY_AFTER_MAX_S;
}

static void describe(struct http_exchange *exchange, CURLcode code)
{
    struct http_op *op = exchange->op;
    const char *words = exchange->words[0] ? exchange->words : curl_easy_strerror(code);

    if (op->outcome == HTTP_ANSWERED)
        return;
    if (exchange->repeat_refused)
        words = "the connection ended without an answer";
    else if (exchange->out_of_memory)
        words = "out of memory for the answer";
    else if (exchange->too_big)
        words = "the answer is larger than allowed";
    else if (code == CURLE_OK)
        words = "the answer ended before its head was complete";
    snprintf(op->detail, sizeof op->detail, "%.*s", (int)sizeof op->detail - 1, words);
}

void http_exchange_conclude(struct http_exchange *exchange, CURLcode code)
{
    struct http_op *op = exchange->op;
    CURL *easy = exchange->easy;

    op->outcome = name_outcome(exchange, code);
    exchange->answered = op->outcome == HTTP_ANSWERED;
    op->sent = exchange->head_complete || was_sent(exchange);
    op->status = (int)status_of(easy);
    op->body = exchange->answer ? exchange->answer : "";
    op->body_length = exchange->answer_length;
    op->elapsed_ms = info(easy, CURLINFO_TOTAL_TIME_T) / 1000;
    op->retry_after_s = read_retry_after(easy, loop_wall_us(exchange->rules->loop) / 1000000);
    describe(exchange, code);
}
