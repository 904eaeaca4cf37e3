/*
 * Takes and reads configuration snapshots. Called by the supervisor (take) and by main() of a worker (read).
 */
#include "worker/snapshot.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

/* Positioned reads: workers share one file offset with each other. */
static char *read_all(int fd, size_t *ret_length)
{
    AUTO_FREE char *text = malloc(SNAPSHOT_MAX_BYTES + 2);
    size_t length = 0;

    if (!text)
        return NULL;
    while (length <= SNAPSHOT_MAX_BYTES) {
        ssize_t count = pread(fd, text + length, SNAPSHOT_MAX_BYTES + 1 - length, (off_t)length);

        if (count < 0 && errno == EINTR)
            continue;
        if (count < 0)
            return NULL;
        if (count == 0)
            break;
        length += (size_t)count;
    }
    text[length] = '\0';
    *ret_length = length;
    return TAKE(text);
}

char *snapshot_read(int fd)
{
    size_t length;

    return read_all(fd, &length);
}

static enum err write_all(int fd, const char *text, size_t length)
{
    for (size_t done = 0; done < length;) {
        ssize_t count = write(fd, text + done, length - done);

        if (count < 0 && errno != EINTR)
            return ERR_NOMEM;
        done += count > 0 ? (size_t)count : 0;
    }
    return OK;
}

enum err snapshot_take(const char *path, struct snapshot *ret_snapshot, struct fault *ret_fault)
{
    AUTO_FREE char *text = NULL;
    size_t length = 0;
    int memory;
    int file = open(path, O_RDONLY | O_CLOEXEC);

    if (file < 0) {
        *ret_fault = fault_make(ERR_CONFIG, "%s: %s", path, strerror(errno));
        return ERR_CONFIG;
    }
    text = read_all(file, &length);
    close(file);
    if (!text || length > SNAPSHOT_MAX_BYTES || strlen(text) != length) {
        *ret_fault = fault_make(ERR_CONFIG, "%s: not a text file of at most 1 MiB", path);
        return ERR_CONFIG;
    }
    memory = memfd_create("fulfilld.ini", MFD_CLOEXEC);
    if (memory < 0 || write_all(memory, text, length) != OK) {
        if (memory >= 0)
            close(memory);
        *ret_fault = fault_make(ERR_NOMEM, "no memory for the configuration: %s", strerror(errno));
        return ERR_NOMEM;
    }
    ret_snapshot->text = TAKE(text);
    ret_snapshot->fd = memory;
    return OK;
}

void snapshot_close(struct snapshot *snapshot)
{
    free(snapshot->text);
    if (snapshot->fd >= 0)
        close(snapshot->fd);
    *snapshot = (struct snapshot)SNAPSHOT_NONE;
}
