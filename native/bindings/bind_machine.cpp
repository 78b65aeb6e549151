#include <nanobind/nanobind.h>
#include <nanobind/stl/string.h>

#include <string>

#include "arrays.hpp"
#include "dissensus/machine.hpp"
#include "dissensus/paths.hpp"
#include "families.hpp"

namespace dissensus::bindings {

void bind_machine(nb::module_& m) {
    m.def(
        "instruction_set", [] { return std::string(simd::name_of(simd::active_isa())); },
        "Name of the instruction set in use: 'avx512', 'avx2', 'neon' or 'baseline'.");
    m.def("refresh_instruction_set", &simd::refresh_isa,
          "Read DISSENSUS_CAPS again; for tests that mask instruction sets.");
    m.def(
        "paths_taken",
        [] {
            nb::dict out;
            for (int i = 0; i < paths::kPaths; ++i) {
                const auto path = static_cast<paths::Path>(i);
                out[paths::name_of(path)] = paths::times_taken(path);
            }
            return out;
        },
        nb::sig("def paths_taken() -> dict[str, int]"),
        "How often this process took each special path of a kernel, by name; for tests.");
    m.def("forget_paths", &paths::forget, "Count from zero again.");
}

}  // namespace dissensus::bindings
