#include <nanobind/nanobind.h>
#include <nanobind/stl/string.h>

#include <string>

#include "arrays.hpp"
#include "dissensus/machine.hpp"
#include "families.hpp"

namespace dissensus::bindings {

void bind_machine(nb::module_& m) {
    m.def(
        "instruction_set", [] { return std::string(simd::name_of(simd::active_isa())); },
        "Name of the instruction set in use: 'avx512', 'avx2', 'neon' or 'baseline'.");
    m.def("refresh_instruction_set", &simd::refresh_isa,
          "Read DISSENSUS_CAPS again; for tests that mask instruction sets.");
}

}  // namespace dissensus::bindings
