/*
 * Creates and maps the memory shared by the pool. A note has one writer; a reader that meets a note half
 * written shows a garbled line once, which is harmless: it always finds an end.
 */
#include "worker/shared.h"

#include "common/metrics.h"

#include <errno.h>
#include <string.h>
#include <stdint.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

struct header {
    uint64_t slot_count;
    char padding[56]; /* what follows is aligned to 64 bytes */
};

static struct {
    struct header *header;
    char *notes; /* slot_count × SHARED_NOTE_BYTES, behind the header; the metrics follow */
    size_t own;
} shared;

static size_t notes_bytes(size_t slot_count)
{
    return slot_count * SHARED_NOTE_BYTES;
}

static size_t total_bytes(size_t slot_count)
{
    return sizeof(struct header) + notes_bytes(slot_count) + metrics_region_bytes(slot_count);
}

static char *metrics_region(const struct header *header)
{
    return (char *)(uintptr_t)header + sizeof(*header) + notes_bytes(header->slot_count);
}

int shared_create(size_t slot_count, struct fault *ret_fault)
{
    size_t bytes = total_bytes(slot_count);
    int fd = memfd_create("fulfilld.shared", MFD_CLOEXEC);
    struct header *header;

    if (fd < 0 || ftruncate(fd, (off_t)bytes) != 0) {
        *ret_fault = fault_make(ERR_NOMEM, "no shared memory: %s", strerror(errno));
        if (fd >= 0)
            close(fd);
        return -1;
    }
    header = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    if (header == MAP_FAILED) {
        *ret_fault = fault_make(ERR_NOMEM, "no shared memory: %s", strerror(errno));
        close(fd);
        return -1;
    }
    header->slot_count = slot_count;
    metrics_format(metrics_region(header), slot_count);
    munmap(header, bytes);
    return fd;
}

enum err shared_attach(int fd, size_t slot, struct fault *ret_fault)
{
    struct stat status;
    struct header *header;

    if (fstat(fd, &status) != 0 || (size_t)status.st_size < sizeof(*header)) {
        *ret_fault = fault_make(ERR_MALFORMED, "descriptor %d is not the shared memory", fd);
        return ERR_MALFORMED;
    }
    header = mmap(NULL, (size_t)status.st_size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    if (header == MAP_FAILED) {
        *ret_fault = fault_make(ERR_NOMEM, "cannot map the shared memory: %s", strerror(errno));
        return ERR_NOMEM;
    }
    if (total_bytes(header->slot_count) != (size_t)status.st_size || slot >= header->slot_count ||
        metrics_attach(metrics_region(header), metrics_region_bytes(header->slot_count), slot) != OK) {
        *ret_fault = fault_make(ERR_MALFORMED, "the shared memory is of another version");
        munmap(header, (size_t)status.st_size);
        return ERR_MALFORMED;
    }
    shared.header = header;
    shared.notes = (char *)header + sizeof(*header);
    shared.own = slot;
    return OK;
}

void shared_note(const char *text)
{
    char *note;

    if (!shared.header)
        return;
    note = shared.notes + shared.own * SHARED_NOTE_BYTES;
    strncpy(note, text, SHARED_NOTE_BYTES - 1);
}

void shared_note_of(size_t slot, char *ret_text)
{
    ret_text[0] = '\0';
    if (!shared.header || slot >= shared.header->slot_count)
        return;
    memcpy(ret_text, shared.notes + slot * SHARED_NOTE_BYTES, SHARED_NOTE_BYTES);
    ret_text[SHARED_NOTE_BYTES - 1] = '\0';
}

void shared_reset(size_t slot)
{
    if (!shared.header || slot >= shared.header->slot_count)
        return;
    memset(shared.notes + slot * SHARED_NOTE_BYTES, 0, SHARED_NOTE_BYTES);
    metrics_slot_reset(slot);
}
