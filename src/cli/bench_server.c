#include "cli/bench_server.h"

#include "base/mem.h"
#include "io/loop.h"
#include "io/socket.h"
#include "io/thread.h"
#include "io/watch.h"

#include <dirent.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

enum { LINE_BYTES = 4096, STOP_MS = 10000 };

static const char place[] = "bench";

struct cv_bench_server {
    pid_t pid; // 0: not known
    bool child;
    uint16_t port;
    int log_fd; // what the child logs; -1: none
    struct cv_watch watch;
    char folder[256];
    char line[LINE_BYTES]; // of the log, not complete yet
    size_t line_len;
    char last[LINE_BYTES];
    bool ready;
    bool died;
    bool asked;
    struct cv_bench_counters counters;
};

uint16_t cv_bench_server_port(const struct cv_bench_server *server)
{
    return server->port;
}

bool cv_bench_server_is_ready(const struct cv_bench_server *server)
{
    return server->ready;
}

bool cv_bench_server_has_died(const struct cv_bench_server *server)
{
    return server->died;
}

const char *cv_bench_server_last_words(const struct cv_bench_server *server)
{
    return server->last;
}

// ---- its log --------------------------------------------------------------------------------

static uint64_t field(const char *line, const char *name)
{
    char key[32];
    snprintf(key, sizeof key, " %s=", name);
    const char *at = strstr(line, key);
    return at ? strtoull(at + strlen(key), NULL, 10) : 0;
}

static void read_counters(struct cv_bench_server *server, const char *line)
{
    server->asked = false;
    server->counters = (struct cv_bench_counters){
        .messages_out = field(line, "messages_out"),
        .bytes_out = field(line, "bytes_out"),
        .writes = field(line, "writes"),
        .flushes = field(line, "flushes"),
        .jumps = field(line, "jumps"),
        .skipped = field(line, "skipped"),
        .allocs = field(line, "allocs"),
    };
}

static void on_line(struct cv_bench_server *server, const char *line)
{
    memcpy(server->last, line, strlen(line) + 1);
    if (strstr(line, " server.ready"))
        server->ready = true;
    if (strstr(line, " server.stats"))
        read_counters(server, line);
}

static void add_log(struct cv_bench_server *server, const char *text, size_t len)
{
    for (size_t i = 0; i < len; i++) {
        if (text[i] != '\n' && server->line_len < sizeof server->line - 1) {
            server->line[server->line_len++] = text[i];
        } else if (text[i] == '\n') {
            server->line[server->line_len] = '\0';
            on_line(server, server->line);
            server->line_len = 0;
        }
    }
}

static void on_log(void *arg, unsigned events)
{
    struct cv_bench_server *server = arg;
    char text[LINE_BYTES];
    (void)events;
    ssize_t len = read(server->log_fd, text, sizeof text);
    if (len > 0) {
        add_log(server, text, (size_t)len);
        return;
    }
    if (len == 0) {
        server->died = true;
        cv_watch_set(&server->watch, 0);
    }
}

// ---- starting -------------------------------------------------------------------------------

static int choose_port(uint16_t *out, struct cv_why *why)
{
    struct cv_addr addr = {.family = CV_ADDR_IPV4, .ip = {127, 0, 0, 1}};
    int fd;
    int err = cv_socket_listen(&addr, &fd, 1, why);
    if (err != CV_OK)
        return err;
    err = cv_socket_local(fd, &addr);
    cv_socket_close(&fd);
    *out = addr.port;
    return err == CV_OK ? CV_OK : cv_why_set(why, err, place, "no free port");
}

static int write_config(const struct cv_bench_server *server,
                        const struct cv_bench_server_options *options)
{
    char path[sizeof server->folder + 16];
    snprintf(path, sizeof path, "%s/bench.yaml", server->folder);
    FILE *file = fopen(path, "w");
    if (!file)
        return CV_E_SYSTEM;
    fprintf(file,
            "latency_ms: %u\nlimits:\n  connections_max: 1000000\n"
            "  connections_per_address_max: 1000000\ntls:\n  self_signed: %s\n",
            options->latency_ms, options->tls ? "true" : "false");
    return fclose(file) == 0 ? CV_OK : CV_E_SYSTEM;
}

static int make_folder(struct cv_bench_server *server,
                       const struct cv_bench_server_options *options, struct cv_why *why)
{
    const char *parent = getenv("TMPDIR");
    snprintf(server->folder, sizeof server->folder, "%.200s/culvert-bench-XXXXXX",
             parent && *parent ? parent : "/tmp");
    if (!mkdtemp(server->folder)) {
        server->folder[0] = '\0';
        return cv_why_set(why, CV_E_SYSTEM, place, "cannot make a folder for the server's state");
    }
    int err = write_config(server, options);
    return err == CV_OK ? CV_OK : cv_why_set(why, err, place, "cannot write its configuration");
}

// In the child, after fork: becomes the server. The log is the pipe; what it prints is dropped.
_Noreturn static void become_server(const struct cv_bench_server *server,
                                    const struct cv_bench_server_options *options, int log_fd)
{
    char config[sizeof server->folder + 16];
    char listen[32];
    char threads[16];
    snprintf(config, sizeof config, "%s/bench.yaml", server->folder);
    snprintf(listen, sizeof listen, "127.0.0.1:%u", server->port);
    snprintf(threads, sizeof threads, "%u", options->threads);
    prctl(PR_SET_PDEATHSIG, SIGTERM);
    if (options->cpus)
        cv_thread_pin_set(options->cpus);
    int null = open("/dev/null", O_RDWR | O_CLOEXEC);
    dup2(null, STDIN_FILENO);
    dup2(null, STDOUT_FILENO);
    dup2(log_fd, STDERR_FILENO);
    execl("/proc/self/exe", "culvert", "serve", "--open-publish", "--config", config, "--listen",
          listen, "--state", server->folder, "--threads", threads, (char *)NULL);
    _exit(127);
}

static int spawn(struct cv_bench_server *server, const struct cv_bench_server_options *options,
                 struct cv_why *why)
{
    int fds[2];
    if (pipe2(fds, O_CLOEXEC) != 0)
        return cv_why_set(why, CV_E_SYSTEM, place, "no pipe for the server's log");
    server->log_fd = fds[0];
    pid_t pid = fork();
    if (pid == 0)
        become_server(server, options, fds[1]);
    close(fds[1]);
    if (pid < 0)
        return cv_why_set(why, CV_E_SYSTEM, place, "cannot start a process");
    server->pid = pid;
    server->child = true;
    return CV_OK;
}

int cv_bench_server_start(struct cv_loop *loop, const struct cv_bench_server_options *options,
                          struct cv_bench_server **out, struct cv_why *why)
{
    struct cv_bench_server *server = cv_bench_server_attach(0);
    if (!server)
        return cv_why_set(why, CV_E_NOMEM, place, "no memory");
    server->ready = false;
    int err = choose_port(&server->port, why);
    if (err == CV_OK)
        err = make_folder(server, options, why);
    if (err == CV_OK)
        err = spawn(server, options, why);
    if (err == CV_OK)
        err = cv_watch_start(&server->watch, loop, server->log_fd, CV_WATCH_READ, on_log, server);
    if (err != CV_OK) {
        cv_bench_server_free(server);
        return cv_why_set(why, err, place, "cannot read the server's log");
    }
    *out = server;
    return CV_OK;
}

struct cv_bench_server *cv_bench_server_attach(pid_t pid)
{
    struct cv_bench_server *server = cv_mem_zero(1, sizeof *server);
    if (!server)
        return NULL;
    server->pid = pid;
    server->log_fd = -1;
    server->ready = true;
    return server;
}

// ---- ending ---------------------------------------------------------------------------------

// The end of its log is the end of the process. One that does not end is killed.
static void wait_for_end(struct cv_bench_server *server)
{
    char text[LINE_BYTES];
    struct pollfd log = {.fd = server->log_fd, .events = POLLIN};
    kill(server->pid, SIGTERM);
    while (poll(&log, 1, STOP_MS) > 0 && read(server->log_fd, text, sizeof text) > 0)
        ;
    if (!(log.revents & POLLHUP))
        kill(server->pid, SIGKILL);
    waitpid(server->pid, NULL, 0);
}

static void remove_folder(const char *folder)
{
    DIR *dir = opendir(folder);
    struct dirent *entry;
    while (dir && (entry = readdir(dir)))
        unlinkat(dirfd(dir), entry->d_name, 0);
    if (dir)
        closedir(dir);
    rmdir(folder);
}

static void server_done(void *arg)
{
    cv_mem_free(arg);
}

void cv_bench_server_free(struct cv_bench_server *server)
{
    if (!server)
        return;
    if (server->child)
        wait_for_end(server);
    if (server->folder[0])
        remove_folder(server->folder);
    bool watched = cv_watch_is_open(&server->watch);
    if (watched)
        cv_watch_close(&server->watch, server_done, server);
    if (server->log_fd >= 0)
        close(server->log_fd);
    if (!watched)
        server_done(server);
}

// ---- measuring ------------------------------------------------------------------------------

void cv_bench_server_ask(struct cv_bench_server *server)
{
    if (!server->child || server->died)
        return;
    server->asked = true;
    kill(server->pid, SIGUSR1);
}

bool cv_bench_server_has_counters(const struct cv_bench_server *server)
{
    return !server->asked;
}

struct cv_bench_counters cv_bench_server_counters(const struct cv_bench_server *server)
{
    return server->counters;
}

pid_t cv_bench_server_pid(const struct cv_bench_server *server)
{
    return server->pid;
}
