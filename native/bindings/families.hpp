// Every family of kernels; module.cpp registers them all.
#pragma once

#include <nanobind/nanobind.h>

namespace dissensus::bindings {

void bind_descent(nanobind::module_& m);
void bind_machine(nanobind::module_& m);
void bind_members(nanobind::module_& m);
void bind_mel(nanobind::module_& m);
void bind_query(nanobind::module_& m);
void bind_ratings(nanobind::module_& m);
void bind_state(nanobind::module_& m);
void bind_votes(nanobind::module_& m);

}  // namespace dissensus::bindings
