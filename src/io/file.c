#include "io/file.h"

#include "base/check.h"
#include "base/err.h"
#include "base/limits.h"
#include "base/mem.h"
#include "io/beneath.h"
#include "io/loop.h"
#include "io/loop_uv.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <utlist.h>
#include <uv.h>

enum job { JOB_NONE, JOB_OPEN, JOB_READ, JOB_CLOSE };

// While `running`, the helper thread has all but disk, waits, user and arg.
struct cv_file {
    uv_work_t work;
    struct cv_disk *disk;
    struct cv_file *prev, *next;     // in line
    const struct cv_file_user *user; // NULL: closed
    void *arg;
    enum job job; // on its way
    bool running; // it is not in line any more
    int code;     // what came of it
    int fd;       // -1: not open
    struct cv_file_info info;
    uint64_t offset;
    size_t len;
    struct cv_block *block;
    const char *path; // in names, behind root
    char names[];     // root NUL path NUL
};

void cv_disk_init(struct cv_disk *disk, struct cv_loop *loop)
{
    *disk = (struct cv_disk){.loop = loop};
}

// ---- on a helper thread -----------------------------------------------------------------------

// What was opened: a regular file stays open.
static int look(struct cv_file *file, int fd)
{
    struct stat stat;
    if (fstat(fd, &stat) != 0)
        return CV_E_SYSTEM;
    if (S_ISDIR(stat.st_mode)) {
        file->info.folder = true;
        return CV_OK;
    }
    if (!S_ISREG(stat.st_mode))
        return CV_E_DENIED;
    file->info.size = (uint64_t)stat.st_size;
    file->info.modified_s = stat.st_mtim.tv_sec;
    file->info.modified_ns = (uint32_t)stat.st_mtim.tv_nsec;
    file->fd = fd;
    return CV_OK;
}

static int run_open(struct cv_file *file)
{
    int folder = open(file->names, O_PATH | O_DIRECTORY | O_CLOEXEC);
    if (folder < 0)
        return cv_open_error(errno);
    int fd = cv_open_beneath(folder, file->path);
    close(folder);
    if (fd < 0)
        return fd;
    int err = look(file, fd);
    if (file->fd < 0)
        close(fd);
    return err;
}

static int run_read(struct cv_file *file)
{
    struct cv_block *block = cv_block_new(file->len);
    int err = block ? CV_OK : CV_E_NOMEM;
    while (err == CV_OK && block->len < file->len) {
        ssize_t got = pread(file->fd, block->data + block->len, file->len - block->len,
                            (off_t)(file->offset + block->len));
        if (got > 0)
            block->len += (uint32_t)got;
        else if (got == 0)
            err = CV_E_TRUNCATED;
        else if (errno != EINTR)
            err = CV_E_SYSTEM;
    }
    if (err != CV_OK)
        cv_block_unref(&block);
    file->block = block;
    return err;
}

static void run(uv_work_t *work)
{
    struct cv_file *file = work->data;
    if (file->job == JOB_OPEN)
        file->code = run_open(file);
    else if (file->job == JOB_READ)
        file->code = run_read(file);
    else
        close(file->fd);
}

// ---- on the loop ------------------------------------------------------------------------------

static void on_ran(uv_work_t *work, int status);

static void start_waiting(struct cv_disk *disk)
{
    while (disk->waiting && disk->running < CV_LIMIT_FILE_JOBS) {
        struct cv_file *file = disk->waiting;
        DL_DELETE(disk->waiting, file);
        disk->running++;
        file->running = true;
        int failed = uv_queue_work(cv__loop_uv(disk->loop), &file->work, run, on_ran);
        CV_ASSERT(!failed); // fails only without a function
    }
}

static void start(struct cv_file *file, enum job job)
{
    cv_loop_assert_owner(file->disk->loop);
    CV_ASSERT(file->job == JOB_NONE);
    file->job = job;
    DL_APPEND(file->disk->waiting, file);
    start_waiting(file->disk);
}

static void file_free(struct cv_file *file)
{
    cv_block_unref(&file->block);
    cv_mem_free(file);
}

// Closed, and no job is on its way.
static void finish(struct cv_file *file)
{
    if (file->fd < 0)
        file_free(file);
    else
        start(file, JOB_CLOSE); // the last one to close a deleted file may have to wait, too
}

static void tell(struct cv_file *file, enum job job)
{
    struct cv_block *block = file->block;
    file->block = NULL;
    if (job == JOB_OPEN)
        file->user->opened(file->arg, file->code, &file->info);
    else
        file->user->read(file->arg, file->code, block);
}

static void on_ran(uv_work_t *work, int status)
{
    struct cv_file *file = work->data;
    struct cv_disk *disk = file->disk;
    enum job job = file->job;
    cv__loop_enter(disk->loop);
    disk->running--;
    file->running = false;
    file->job = JOB_NONE;
    if (job == JOB_CLOSE && status == 0)
        file->fd = -1;
    if (file->user)
        tell(file, job);
    else
        finish(file);
    start_waiting(disk);
}

struct cv_file *cv_file_open(struct cv_disk *disk, const char *root, const char *path,
                             const char *index, const struct cv_file_user *user, void *arg)
{
    size_t root_len = strlen(root);
    size_t names_len = root_len + 1 + strlen(path) + 1 + (index ? strlen(index) + 1 : 0);
    struct cv_file *file = cv_mem_zero(1, sizeof *file + names_len);
    if (!file)
        return NULL;
    const char *slash = index && path[0] ? "/" : "";
    snprintf(file->names, names_len, "%s", root);
    snprintf(file->names + root_len + 1, names_len - root_len - 1, "%s%s%s", path, slash,
             index ? index : "");
    file->path = file->names + root_len + 1;
    file->work.data = file;
    file->disk = disk;
    file->user = user;
    file->arg = arg;
    file->fd = -1;
    start(file, JOB_OPEN);
    return file;
}

void cv_file_read(struct cv_file *file, uint64_t offset, size_t len)
{
    CV_ASSERT(file->fd >= 0 && len > 0);
    file->offset = offset;
    file->len = len;
    start(file, JOB_READ);
}

void cv_file_close(struct cv_file **file)
{
    struct cv_file *gone = *file;
    *file = NULL;
    if (!gone)
        return;
    gone->user = NULL;
    if (gone->running) {
        uv_cancel((uv_req_t *)&gone->work); // if it runs already, it ends by itself
        return;
    }
    if (gone->job != JOB_NONE)
        DL_DELETE(gone->disk->waiting, gone);
    gone->job = JOB_NONE;
    finish(gone);
}
