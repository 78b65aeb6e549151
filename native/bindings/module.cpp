// The module object. Each family of kernels registers itself from its own file.
#include <nanobind/nanobind.h>

#include <exception>

#include "arrays.hpp"
#include "families.hpp"

namespace {

namespace nb = nanobind;

// Found only when it is needed: the module can be looked at where the package is not.
void raise_parameter_error(const char* what) {
    try {
        PyErr_SetString(nb::module_::import_("dissensus.errors").attr("ParameterError").ptr(), what);
    } catch (nb::python_error&) {
        PyErr_SetString(PyExc_ValueError, what);
    }
}

void translate(const std::exception_ptr& thrown, void* /*payload*/) {
    try {
        std::rethrow_exception(thrown);
    } catch (const dissensus::bindings::BadArgument& bad) {
        raise_parameter_error(bad.what());
    }
}

}  // namespace

NB_MODULE(_native, m) {
    m.doc() = "Compiled kernels of dissensus. Call them through dissensus._backend.resolve, not directly.";
    nb::register_exception_translator(translate);
    dissensus::bindings::bind_descent(m);
    dissensus::bindings::bind_machine(m);
    dissensus::bindings::bind_members(m);
    dissensus::bindings::bind_mel(m);
    dissensus::bindings::bind_query(m);
    dissensus::bindings::bind_ratings(m);
    dissensus::bindings::bind_state(m);
    dissensus::bindings::bind_votes(m);
}
