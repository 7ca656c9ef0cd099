#include "tunnel_kit.h"
int main(void)
{
    return 0;
}
