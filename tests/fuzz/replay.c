/*
 * Runs a fuzz target over the files of its corpus, once each: the plain ctest that keeps old finds fixed
 * where no fuzzer is built. Usage: replay FOLDER
 */
#include "fuzz.h"

#include "common/scope.h"

#include <dirent.h>
#include <stdio.h>

enum { MAX_INPUT_BYTES = 4 << 20 };

static int replay(const char *path)
{
    AUTO_FREE uint8_t *bytes = malloc(MAX_INPUT_BYTES);
    AUTO_FREE uint8_t *exact = NULL;
    FILE *file = fopen(path, "rb");
    size_t length;

    if (!bytes || !file) {
        perror(path);
        if (file)
            (void)fclose(file);
        return -1;
    }
    length = fread(bytes, 1, MAX_INPUT_BYTES, file);
    (void)fclose(file);
    /* Exactly as long as the input, so that a sanitizer sees a read beyond it. */
    exact = malloc(length > 0 ? length : 1);
    if (!exact)
        return -1;
    for (size_t i = 0; i < length; i++)
        exact[i] = bytes[i];
    printf("%s\n", path);
    (void)fflush(stdout);
    return LLVMFuzzerTestOneInput(exact, length);
}

int main(int argc, char **argv)
{
    DIR *folder = argc == 2 ? opendir(argv[1]) : NULL;
    const struct dirent *entry;
    int inputs = 0;

    if (!folder) {
        fprintf(stderr, "usage: replay FOLDER (a readable one)\n");
        return 2;
    }
    while ((entry = readdir(folder)) != NULL) {
        char path[4096];

        if (entry->d_name[0] == '.')
            continue;
        if (snprintf(path, sizeof(path), "%s/%s", argv[1], entry->d_name) >= (int)sizeof(path) ||
            replay(path) != 0) {
            (void)closedir(folder);
            return 1;
        }
        inputs++;
    }
    (void)closedir(folder);
    if (inputs == 0)
        fprintf(stderr, "%s: no inputs\n", argv[1]);
    return inputs > 0 ? 0 : 1;
}
