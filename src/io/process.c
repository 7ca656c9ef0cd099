#include "io/process.h"

#include "base/check.h"
#include "base/err.h"
#include "base/mem.h"
#include "io/loop.h"
#include "io/loop_uv.h"
#include "io/watch.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <uv.h>

enum { READ_BYTES = 4096, US_PER_MS = 1000 };

extern char **environ;

struct cv_process {
    uv_process_t child;
    struct cv_watch watch; // of its output
    int fd;                //
    unsigned open;         // of these two, to be closed before the memory goes
    struct cv_loop *loop;
    const struct cv_process_user *user; // NULL: freed
    void *arg;
    struct cv_timer timer;
    bool stopped; // it has had its SIGTERM
    bool exited;  //
    bool silent;  // its output has ended
    struct cv_process_end end;
    size_t line_len;
    char line[CV_PROCESS_LINE_BYTES];
};

// ---- its memory -------------------------------------------------------------------------------

static void process_free(struct cv_process *process)
{
    if (process->fd >= 0)
        close(process->fd);
    cv_mem_free(process);
}

static void on_closed(void *arg)
{
    struct cv_process *process = arg;
    if (--process->open == 0)
        process_free(process);
}

static void on_child_closed(uv_handle_t *handle)
{
    on_closed(handle->data);
}

// ---- its end ----------------------------------------------------------------------------------

static void send_signal(const struct cv_process *process, int number)
{
    CV_ASSERT(process->child.pid > 1);
    kill(-process->child.pid, number); // nobody may be left
}

static void end_line(struct cv_process *process)
{
    size_t len = process->line_len;
    process->line_len = 0;
    if (len > 0)
        process->user->line(process->arg, process->line, len);
}

// The user may free it in each of the two calls.
static void tell_end(struct cv_process *process)
{
    if (!process->exited || !process->silent)
        return;
    cv_timer_stop(&process->timer);
    end_line(process);
    if (process->user)
        process->user->ended(process->arg, &process->end);
}

static void become_silent(struct cv_process *process)
{
    cv_watch_set(&process->watch, 0);
    process->silent = true;
    tell_end(process);
}

static void on_exited(uv_process_t *child, int64_t status, int signal_number)
{
    struct cv_process *process = child->data;
    cv__loop_enter(process->loop);
    process->exited = true;
    process->end.status = (int)status;
    process->end.signal = signal_number;
    if (!process->user) { // freed before
        uv_close((uv_handle_t *)child, on_child_closed);
        return;
    }
    cv_timer_start(&process->timer, (uint64_t)CV_PROCESS_REST_MS * US_PER_MS);
    tell_end(process);
}

// Its time is over; or it has ended, and somebody else holds its output open.
static void on_timer(void *arg)
{
    struct cv_process *process = arg;
    if (process->exited) {
        send_signal(process, SIGKILL);
        become_silent(process);
        return;
    }
    process->end.timed_out = true;
    send_signal(process, process->stopped ? SIGKILL : SIGTERM);
    process->stopped = true;
    cv_timer_start(&process->timer, (uint64_t)CV_PROCESS_KILL_MS * US_PER_MS);
}

// ---- its output -------------------------------------------------------------------------------

static void take_byte(struct cv_process *process, char byte)
{
    bool ends = byte == '\n' || byte == '\r';
    if (ends || process->line_len == CV_PROCESS_LINE_BYTES)
        end_line(process);
    if (!ends && process->user)
        process->line[process->line_len++] = byte;
}

// One read a turn: others want theirs.
static void on_readable(void *arg, unsigned events)
{
    struct cv_process *process = arg;
    char bytes[READ_BYTES];
    (void)events;
    ssize_t got = read(process->fd, bytes, sizeof bytes);
    if (got < 0 && (errno == EAGAIN || errno == EINTR))
        return;
    for (ssize_t i = 0; i < got && process->user; i++)
        take_byte(process, bytes[i]);
    if (got <= 0)
        become_silent(process);
}

// ---- its beginning ----------------------------------------------------------------------------

static size_t count_of(const char *const *texts)
{
    size_t count = 0;
    while (texts && texts[count])
        count++;
    return count;
}

// "NAME=value" sets the same variable as one of these.
static bool is_among(const char *const *texts, const char *text)
{
    size_t name_len = strcspn(text, "=");
    for (size_t i = 0; texts && texts[i]; i++) {
        if (strncmp(texts[i], text, name_len + 1) == 0)
            return true;
    }
    return false;
}

static char **environment(const struct cv_process_plan *plan)
{
    size_t count = count_of(plan->env);
    size_t inherited = count_of((const char *const *)environ);
    char **all = cv_mem_zero(count + inherited + 1, sizeof *all);
    if (!all)
        return NULL;
    for (size_t i = 0; i < count; i++)
        all[i] = (char *)(uintptr_t)plan->env[i];
    for (size_t i = 0; i < inherited; i++) {
        if (!is_among(plan->env, environ[i]))
            all[count++] = environ[i];
    }
    return all;
}

static int code_of(int uv_error)
{
    switch (uv_error) {
    case 0:
        return CV_OK;
    case UV_ENOENT:
        return CV_E_NOT_FOUND;
    case UV_EACCES:
    case UV_EPERM:
        return CV_E_DENIED;
    case UV_ENOMEM:
        return CV_E_NOMEM;
    default:
        return CV_E_SYSTEM;
    }
}

// The mask is the whole process's for a moment: no other thread makes files.
static int spawn(struct cv_process *process, const struct cv_process_plan *plan, char **env,
                 int output)
{
    uv_stdio_container_t stdio[3] = {{.flags = UV_IGNORE},
                                     {.flags = UV_INHERIT_FD, .data.fd = output},
                                     {.flags = UV_INHERIT_FD, .data.fd = output}};
    const uv_process_options_t options = {
        .exit_cb = on_exited,
        .file = plan->argv[0],
        .args = (char **)(uintptr_t)plan->argv,
        .env = env,
        .flags = UV_PROCESS_DETACHED,
        .stdio_count = 3,
        .stdio = stdio,
    };
    mode_t mask = umask(077);
    int failed = uv_spawn(cv__loop_uv(process->loop), &process->child, &options);
    umask(mask);
    process->child.data = process;
    process->exited = failed != 0;
    process->open++; // one that failed is closed, too
    return code_of(failed);
}

// What it opens is closed by cv_process_free, also when it fails.
static int open_both(struct cv_process *process, const struct cv_process_plan *plan)
{
    int ends[2];
    if (pipe2(ends, O_CLOEXEC) != 0)
        return errno == EMFILE || errno == ENFILE ? CV_E_NO_DESCRIPTORS : CV_E_SYSTEM;
    process->fd = ends[0];
    char **env = environment(plan);
    int err = env ? CV_OK : CV_E_NOMEM;
    if (err == CV_OK)
        err = cv_watch_start(&process->watch, process->loop, ends[0], CV_WATCH_READ, on_readable,
                             process);
    if (err == CV_OK) {
        process->open++;
        err = spawn(process, plan, env, ends[1]);
    }
    cv_mem_free(env);
    close(ends[1]);
    return err;
}

int cv_process_start(struct cv_process **out, struct cv_loop *loop,
                     const struct cv_process_plan *plan, const struct cv_process_user *user,
                     void *arg)
{
    cv_loop_assert_owner(loop);
    CV_ASSERT(plan->argv[0] && plan->limit_ms > 0);
    struct cv_process *process = cv_mem_zero(1, sizeof *process);
    if (!process)
        return CV_E_NOMEM;
    process->fd = -1;
    process->loop = loop;
    process->user = user;
    process->arg = arg;
    process->exited = true; // nothing runs yet
    cv_timer_init(&process->timer, loop, on_timer, process);
    int err = open_both(process, plan);
    if (err != CV_OK) {
        cv_process_free(&process);
        return err;
    }
    cv_timer_start(&process->timer, plan->limit_ms * US_PER_MS);
    *out = process;
    return CV_OK;
}

// ---- freeing ------------------------------------------------------------------------------------

void cv__process_let_go(struct uv_process_s *child)
{
    const struct cv_process *process = child->data;
    CV_ASSERT(process && !process->user);
    uv_close((uv_handle_t *)child, on_child_closed);
}

// A child that was killed stays a zombie until it has been waited for: its handle stays open for
// that, and on_exited closes it.
void cv_process_free(struct cv_process **process)
{
    struct cv_process *gone = *process;
    *process = NULL;
    if (!gone)
        return;
    gone->user = NULL;
    cv_timer_stop(&gone->timer);
    if (!gone->exited)
        send_signal(gone, SIGKILL);
    if (gone->open == 0) {
        process_free(gone);
        return;
    }
    if (gone->child.data && gone->exited)
        uv_close((uv_handle_t *)&gone->child, on_child_closed);
    cv_watch_close(&gone->watch, on_closed, gone);
}
