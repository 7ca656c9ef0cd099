// Writes what it plays to standard output, as FLV: play rtmp://host/live/name | ffplay -
//     cc play.c $(pkg-config --cflags --libs culvert) -o play
#include <culvert/culvert.h>

#include <stdio.h>

static int fail(const char *why)
{
    fprintf(stderr, "play: %s\n", why);
    return 1;
}

static void write_message(const struct culvert_event *event)
{
    uint8_t head[CULVERT_FLV_HEAD_BYTES], tail[CULVERT_FLV_TAIL_BYTES];
    culvert_flv_tag(event, head, tail);
    fwrite(head, 1, sizeof head, stdout);
    fwrite(event->data, 1, event->len, stdout);
    fwrite(tail, 1, sizeof tail, stdout);
    fflush(stdout);
}

int main(int argc, char **argv)
{
    if (argc != 2)
        return fail("usage: play URL");
    struct culvert_config config = {.size = sizeof config, .url = argv[1]};
    struct culvert *culvert = culvert_connect(&config);
    int result = culvert_play(culvert, NULL) == CULVERT_OK ? 0 : fail(culvert_why(culvert));

    uint8_t header[CULVERT_FLV_HEADER_BYTES];
    culvert_flv_header(header);
    fwrite(header, 1, sizeof header, stdout);
    const struct culvert_event *event;
    while (result == 0 && !ferror(stdout) && culvert_wait(culvert, &event, -1) > 0) {
        if (event->type == CULVERT_EVENT_MESSAGE)
            write_message(event);
        else if (event->type == CULVERT_EVENT_THROUGH)
            fprintf(stderr, "play: through by %s\n", event->way);
        else if (event->type == CULVERT_EVENT_ENDED && event->error)
            result = fail(event->why);
    }
    if (ferror(stdout))
        result = fail("cannot write");
    culvert_free(culvert);
    return result;
}
