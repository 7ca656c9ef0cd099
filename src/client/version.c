#include "culvert/culvert.h"

const char *culvert_version(void)
{
    return CULVERT_VERSION;
}
