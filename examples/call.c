// Calls functions of a server, inside an event loop of its own (poll): call rtmp://host/app
// Each line of standard input is a function's name and numbers: sum 1 2
//     cc call.c $(pkg-config --cflags --libs culvert) -o call
#include <culvert/amf.h>

#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static int waiting; // calls without their results

// Sends the line's call. False at the end of the input.
static bool read_line(struct culvert *culvert, struct culvert_amf_writer *args)
{
    char line[256];
    if (!fgets(line, sizeof line, stdin))
        return false;
    const char *name = strtok(line, " \n");
    if (!name)
        return true;
    culvert_amf_writer_reset(args);
    for (const char *word; (word = strtok(NULL, " \n"));)
        culvert_amf_put_number(args, strtod(word, NULL));
    int error = culvert_call(culvert, name, args, NULL);
    if (error)
        fprintf(stderr, "call: %s: %s\n", name, culvert_error_text(error));
    else
        waiting++;
    return true;
}

static void print_result(const struct culvert_event *event)
{
    waiting--;
    printf("%u %s", (unsigned)event->call, event->ok ? "returned" : "failed");
    for (const struct culvert_amf *value = event->args; value; value = culvert_amf_next(value)) {
        if (culvert_amf_kind(value) == CULVERT_AMF_NUMBER)
            printf(" %g", culvert_amf_number(value, 0));
        else if (culvert_amf_kind(value) == CULVERT_AMF_OBJECT)
            printf(" %s", culvert_amf_string(culvert_amf_get(value, "code"), NULL));
        else
            printf(" %s", culvert_amf_string(value, NULL));
    }
    printf("\n");
}

int main(int argc, char **argv)
{
    struct culvert_config config = {.size = sizeof config, .url = argc == 2 ? argv[1] : ""};
    struct culvert *culvert = culvert_connect(&config);
    struct culvert_amf_writer *args = culvert_amf_writer_new();
    if (!culvert || !args)
        return fprintf(stderr, "call: out of memory\n"), 1;

    setvbuf(stdin, NULL, _IONBF, 0); // so that poll knows of every line
    struct pollfd ready[2] = {{.fd = culvert_fd(culvert), .events = POLLIN},
                              {.fd = -1, .events = POLLIN}};
    bool started = false, eof = false;
    int error = culvert_open(culvert); // what is wrong is told by an event, too
    do {
        ready[1].fd = started && !eof ? fileno(stdin) : -1;
        if (poll(ready, 2, culvert_timeout_ms(culvert)) > 0 && ready[1].revents)
            eof = !read_line(culvert, args);
        const struct culvert_event *event;
        while (culvert_next(culvert, &event) > 0) {
            if (event->type == CULVERT_EVENT_STARTED)
                started = true;
            else if (event->type == CULVERT_EVENT_RESULT)
                print_result(event);
            else if (event->type == CULVERT_EVENT_ENDED && (error = event->error) != 0)
                fprintf(stderr, "call: %s\n", event->why);
        }
        if (eof && waiting == 0)
            culvert_close(culvert);
    } while (culvert_process(culvert) >= 0);
    culvert_amf_writer_free(args);
    culvert_free(culvert);
    return error != 0;
}
