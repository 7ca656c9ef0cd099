// A target with a bug, for the test of the replay driver: an input of 'X' alone makes it read one
// byte behind the end. Not a fuzz target of the house.
#include <stddef.h>
#include <stdint.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    volatile uint8_t sink = 0;
    if (len == 1 && data[0] == 'X')
        sink = *(const volatile uint8_t *)(data + len);
    return sink ? 0 : 0;
}
