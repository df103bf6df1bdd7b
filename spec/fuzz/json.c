/* The JSON of policies: runs spec/fuzz/json.lua over each input. */
#include "script.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t length)
{
    static lua_State *L; /* kept, as a host program keeps its own */
    if (!L)
        L = open_script("spec/fuzz/json.lua", NULL);
    run_script(L, bytes, length);
    return 0;
}
