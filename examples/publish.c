// Sends an FLV file to a server, in real time: publish FILE.flv rtmp://host/live/name?key=KEY
//     cc publish.c $(pkg-config --cflags --libs culvert) -o publish
#include <culvert/culvert.h>

#include <stdio.h>
#include <stdlib.h>
#include <time.h>

static int64_t now_ms(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

static int fail(const char *why)
{
    fprintf(stderr, "publish: %s\n", why);
    return 1;
}

// Lets the connection work until `until_ms`. False when it has ended, with *result set.
static bool work(struct culvert *culvert, int64_t until_ms, int *result)
{
    const struct culvert_event *event;
    int64_t left_ms;
    while ((left_ms = until_ms - now_ms()) > 0) {
        int got = culvert_wait(culvert, &event, left_ms < 1000 ? (int)left_ms : 1000);
        if (got < 0)
            return false;
        if (got > 0 && event->type == CULVERT_EVENT_THROUGH)
            fprintf(stderr, "publish: through by %s\n", event->way);
        if (got > 0 && event->type == CULVERT_EVENT_CUT)
            fprintf(stderr, "publish: cut, coming back: %s\n", event->why);
        if (got > 0 && event->type == CULVERT_EVENT_ENDED && event->error)
            *result = fail(event->why);
    }
    return true;
}

int main(int argc, char **argv)
{
    FILE *file = argc == 3 ? fopen(argv[1], "rb") : NULL;
    if (!file)
        return fail("usage: publish FILE.flv URL, with a file that can be read");
    struct culvert_config config = {.size = sizeof config, .url = argv[2]};
    struct culvert *culvert = culvert_connect(&config);
    if (culvert_publish(culvert, NULL) != CULVERT_OK)
        return fail(culvert_why(culvert));

    int64_t start_ms = now_ms();
    int result = 0;
    char data[4096];
    uint32_t ts_ms = 0;
    for (size_t len; result == 0 && (len = fread(data, 1, sizeof data, file)) > 0;) {
        if (culvert_send_flv(culvert, data, len, &ts_ms) < 0)
            result = fail(culvert_why(culvert));
        work(culvert, start_ms + ts_ms, &result);
    }
    culvert_close(culvert);
    while (work(culvert, INT64_MAX, &result))
        continue;
    culvert_free(culvert);
    fclose(file);
    return result;
}
