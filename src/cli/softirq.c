#include "cli/softirq.h"

#include <dirent.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

// The beginning of a file of a process; "" when there is none. proc(5).
static void read_proc(const char *pid, const char *name, char *out, size_t size)
{
    char path[300];
    snprintf(path, sizeof path, "/proc/%s/%s", pid, name);
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    ssize_t len = fd < 0 ? 0 : read(fd, out, size - 1);
    out[len > 0 ? len : 0] = '\0';
    if (fd >= 0)
        close(fd);
}

static bool is_thread_of(const char *pid, unsigned cpu)
{
    char wanted[32];
    char name[32];
    snprintf(wanted, sizeof wanted, "ksoftirqd/%u\n", cpu);
    read_proc(pid, "comm", name, sizeof name);
    return strcmp(name, wanted) == 0;
}

uint64_t cv_softirq_us(unsigned cpu)
{
    char text[100] = "";
    DIR *dir = opendir("/proc");
    struct dirent *entry;
    while (dir && (entry = readdir(dir))) {
        if (entry->d_name[0] < '0' || entry->d_name[0] > '9' || !is_thread_of(entry->d_name, cpu))
            continue;
        read_proc(entry->d_name, "schedstat", text, sizeof text);
        break;
    }
    if (dir)
        closedir(dir);
    return strtoull(text, NULL, 10) / 1000;
}
