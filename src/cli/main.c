#include "cli/cli.h"

#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

// A standard descriptor that is closed would be given to the next socket, and what is printed would
// go there. In its place comes one that cannot be read, or written: whoever needs it fails.
static void hold_standard_descriptors(void)
{
    static const int flags[] = {O_WRONLY, O_RDONLY, O_WRONLY};
    for (int fd = STDIN_FILENO; fd <= STDERR_FILENO; fd++) {
        if (fcntl(fd, F_GETFD) < 0 && open("/dev/null", flags[fd]) != fd)
            _Exit(CV_EXIT_FAILURE);
    }
}

int main(int argc, char **argv)
{
    hold_standard_descriptors();
    return cv_cli_run(argc, argv);
}
