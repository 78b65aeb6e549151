// The module object. Each family of kernels registers itself from its own file.
#include <nanobind/nanobind.h>

namespace nb = nanobind;

void bind_descent(nb::module_& m);
void bind_machine(nb::module_& m);
void bind_members(nb::module_& m);
void bind_mel(nb::module_& m);
void bind_query(nb::module_& m);
void bind_ratings(nb::module_& m);

NB_MODULE(_native, m) {
    m.doc() = "Compiled kernels of dissensus. Call them through dissensus._backend.resolve, not directly.";
    bind_descent(m);
    bind_machine(m);
    bind_members(m);
    bind_mel(m);
    bind_query(m);
    bind_ratings(m);
}
