#include "harness.h"

#include "base/mem.h"

#include <dirent.h>
#include <ftw.h>
#include <stdio.h>
#include <sys/mman.h>
#include <unistd.h>

static int hex_digit(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    if (c >= 'a' && c <= 'f')
        return c - 'a' + 10;
    if (c >= 'A' && c <= 'F')
        return c - 'A' + 10;
    fail_msg("not a hex digit: %c", c);
    return 0;
}

size_t hex_bytes(const char *hex, uint8_t *out, size_t max)
{
    size_t len = 0;
    while (*hex) {
        if (*hex == ' ') {
            hex++;
            continue;
        }
        assert_true(len < max);
        out[len++] = (uint8_t)(hex_digit(hex[0]) << 4 | hex_digit(hex[1]));
        hex += 2;
    }
    return len;
}

struct guard guard_copy(const void *data, size_t len)
{
    size_t page = (size_t)sysconf(_SC_PAGESIZE);
    size_t room = (len + page - 1) / page * page;
    struct guard guard = {.len = len, .map_len = room + page};
    guard.map =
        mmap(NULL, guard.map_len, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    assert_true(guard.map != MAP_FAILED);
    assert_int_equal(mprotect((uint8_t *)guard.map + room, page, PROT_NONE), 0);
    guard.data = (uint8_t *)guard.map + room - len;
    if (len)
        memcpy(guard.data, data, len);
    return guard;
}

void guard_free(struct guard *guard)
{
    munmap(guard->map, guard->map_len);
    *guard = (struct guard){0};
}

void fail_nth(bool (*run)(void *arg), void *arg)
{
    for (uint64_t n = 1;; n++) {
        cv_mem_fail_nth(n);
        bool succeeded = run(arg);
        bool struck = cv_mem_fail_nth(0) == 0;
        if (!struck) {
            assert_true(succeeded);
            return;
        }
        assert_true(n < 1000000);
    }
}

static void corpus_file(const char *path, void (*each)(const char *, const uint8_t *, size_t))
{
    FILE *file = fopen(path, "rb");
    assert_non_null(file);
    fseek(file, 0, SEEK_END);
    long size = ftell(file);
    assert_true(size >= 0);
    rewind(file);
    uint8_t *data = malloc((size_t)size + 1);
    assert_non_null(data);
    size_t len = fread(data, 1, (size_t)size, file);
    assert_int_equal(len, size);
    fclose(file);
    struct guard guard = guard_copy(data, len);
    each(path, guard.data, guard.len);
    guard_free(&guard);
    free(data);
}

size_t corpus_each(const char *name,
                   void (*each)(const char *file, const uint8_t *data, size_t len))
{
    const char *root = getenv("CORPUS");
    assert_non_null(root);
    char folder[1024];
    snprintf(folder, sizeof folder, "%s/%s", root, name);
    DIR *dir = opendir(folder);
    if (!dir)
        fail_msg("no corpus folder %s", folder);
    size_t count = 0;
    for (struct dirent *entry; (entry = readdir(dir));) {
        if (entry->d_name[0] == '.')
            continue;
        char path[2048];
        snprintf(path, sizeof path, "%s/%s", folder, entry->d_name);
        corpus_file(path, each);
        count++;
    }
    closedir(dir);
    assert_true(count > 0);
    return count;
}

static int remove_entry(const char *path, const struct stat *stat, int kind, struct FTW *place)
{
    (void)stat;
    (void)kind;
    (void)place;
    return remove(path);
}

int remove_tree(const char *folder)
{
    return nftw(folder, remove_entry, 8, FTW_DEPTH | FTW_PHYS);
}

static const char *looked_for;

static int look_into(const char *path, const struct stat *stat, int kind, struct FTW *place)
{
    (void)place;
    if (kind != FTW_F || stat->st_size == 0)
        return 0;
    size_t len = (size_t)stat->st_size;
    FILE *file = fopen(path, "rb");
    char *bytes = malloc(len);
    assert_non_null(file);
    assert_non_null(bytes);
    len = fread(bytes, 1, len, file);
    fclose(file);
    bool found = memmem(bytes, len, looked_for, strlen(looked_for)) != NULL;
    free(bytes);
    return found;
}

bool tree_has(const char *folder, const char *text)
{
    looked_for = text;
    return nftw(folder, look_into, 8, FTW_PHYS) == 1;
}

void append_text(char *buffer, size_t size, const char *text)
{
    size_t at = strlen(buffer);
    int len = snprintf(buffer + at, size - at, "%s", text);
    assert_true(len >= 0 && (size_t)len < size - at);
}

const char *path_in(const char *folder, const char *name)
{
    static char paths[4][256];
    static unsigned next;
    char *path = paths[next++ % 4];
    int len = snprintf(path, sizeof paths[0], "%s/%s", folder, name);
    assert_in_range(len, 1, sizeof paths[0] - 1);
    return path;
}

void file_write(const char *file, const char *text)
{
    FILE *out = fopen(file, "we");
    assert_non_null(out);
    fputs(text, out);
    fclose(out);
}
