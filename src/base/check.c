#include "base/check.h"

#include <stdio.h>
#include <stdlib.h>

_Noreturn void cv_check_failed(const char *file, int line, const char *what)
{
    fprintf(stderr, "culvert: bug at %s:%d: %s\n", file, line, what);
    abort();
}
