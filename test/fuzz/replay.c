// Runs a fuzz target over a corpus, one TAP line per file. usage: replay_<name> FOLDER
//
// Each input ends at an unreadable page, so that reading one byte too far crashes also without
// sanitizers. The name of a file is printed before it runs: after a crash the last one is the
// culprit.
#include <dirent.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

static void give_up(const char *what, const char *path)
{
    printf("not ok 1 - %s: %s\n1..1\n", what, path);
    exit(1);
}

// Maps `len` bytes of the file so that an unreadable page follows, runs the target, unmaps.
static void replay(FILE *file, size_t len, const char *path)
{
    size_t page = (size_t)sysconf(_SC_PAGESIZE);
    size_t room = (len + page - 1) / page * page;
    uint8_t *map =
        mmap(NULL, room + page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (map == MAP_FAILED || mprotect(map + room, page, PROT_NONE) != 0)
        give_up("no memory", path);
    uint8_t *data = map + room - len;
    if (fread(data, 1, len, file) != len)
        give_up("cannot read", path);
    LLVMFuzzerTestOneInput(data, len);
    munmap(map, room + page);
}

static void replay_file(const char *path)
{
    FILE *file = fopen(path, "rb");
    struct stat info;
    if (!file || fstat(fileno(file), &info) != 0 || !S_ISREG(info.st_mode))
        give_up("cannot open", path);
    replay(file, (size_t)info.st_size, path);
    fclose(file);
}

static int is_visible(const struct dirent *entry)
{
    return entry->d_name[0] != '.';
}

int main(int argc, char **argv)
{
    struct dirent **entries;
    if (argc != 2)
        give_up("usage", "replay_<name> FOLDER");
    int count = scandir(argv[1], &entries, is_visible, alphasort);
    if (count <= 0)
        give_up("empty or missing corpus", argv[1]);
    setvbuf(stdout, NULL, _IOLBF, 0);
    printf("1..%d\n", count);
    for (int i = 0; i < count; i++) {
        char path[4096];
        snprintf(path, sizeof path, "%s/%s", argv[1], entries[i]->d_name);
        printf("# %s\n", entries[i]->d_name);
        replay_file(path);
        printf("ok %d - %s\n", i + 1, entries[i]->d_name);
        free(entries[i]);
    }
    free(entries);
    return 0;
}
