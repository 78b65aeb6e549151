#include <cstdio>
#include <cstdlib>
#include <cstring>

#include "check.hpp"
#include "dissensus/machine.hpp"

int main() {
    using namespace dissensus::simd;
    const Isa widest = active_isa();
    setenv("DISSENSUS_CAPS", "baseline", 1);
    refresh_isa();
    CHECK(active_isa() == Isa::baseline);
    CHECK(std::strcmp(name_of(active_isa()), "baseline") == 0);
    unsetenv("DISSENSUS_CAPS");
    refresh_isa();
    CHECK(active_isa() == widest);
    return outcome();
}
