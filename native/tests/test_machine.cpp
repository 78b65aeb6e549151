#include <cstdio>
#include <cstdlib>
#include <cstring>

#include "dissensus/machine.hpp"

#define CHECK(condition)                                                              \
    do {                                                                              \
        if (!(condition)) {                                                           \
            std::fprintf(stderr, "%s:%d: %s\n", __FILE__, __LINE__, #condition);      \
            return 1;                                                                 \
        }                                                                             \
    } while (0)

int main() {
    using namespace dissensus;
    const Isa widest = active_isa();
    setenv("DISSENSUS_CAPS", "baseline", 1);
    refresh_isa();
    CHECK(active_isa() == Isa::baseline);
    CHECK(std::strcmp(name_of(active_isa()), "baseline") == 0);
    unsetenv("DISSENSUS_CAPS");
    refresh_isa();
    CHECK(active_isa() == widest);
    return 0;
}
