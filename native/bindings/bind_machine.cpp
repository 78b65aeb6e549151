#include <nanobind/nanobind.h>
#include <nanobind/stl/string.h>

#include "dissensus/machine.hpp"

namespace nb = nanobind;

void bind_machine(nb::module_& m) {
    m.def(
        "instruction_set", [] { return std::string(dissensus::name_of(dissensus::active_isa())); },
        "Name of the instruction set in use: 'avx512', 'avx2', 'neon' or 'baseline'.");
    m.def("refresh_instruction_set", &dissensus::refresh_isa,
          "Read DISSENSUS_CAPS again; for tests that mask instruction sets.");
}
