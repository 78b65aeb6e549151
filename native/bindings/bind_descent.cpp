#include <nanobind/nanobind.h>

#include <cstdint>

#include "arrays.hpp"
#include "dissensus/descent.hpp"
#include "families.hpp"

namespace dissensus::bindings {

using namespace nb::literals;

namespace {

using descent::kPanelRows;

void project_rows(In<float, 2> X, In<std::int64_t, 1> row, In<float, 3> basis, Out<float, 2> out) {
    const std::int64_t n = size(row, 0);
    require(size(basis, 1) == size(X, 1) && size(basis, 2) == kPanelRows, "basis must be (n, n_features, 32)");
    require(size(out, 0) == size(basis, 0) * kPanelRows && size(out, 1) == n, "out must be (32 n, n_rows)");
    for (std::int64_t i = 0; i < n; ++i) require(row.data()[i] >= 0 && row.data()[i] < size(X, 0), "a row is not in X");
    const descent::Projection job{X.data(), row.data(), basis.data(), n, size(X, 1), size(basis, 0), out.data()};
    nb::gil_scoped_release release;
    descent::project_rows(job);
}

std::int64_t anchored_descent(In<float, 3> known_by_row, In<float, 3> known_by_weight, In<float, 2> known_start,
                              In<float, 2> known_target, In<float, 1> known_weight, In<float, 2> told,
                              In<std::int64_t, 1> label, In<float, 1> told_weight, In<double, 3> metric,
                              In<float, 1> penalty, std::int64_t n_classes, std::int64_t first, std::int64_t max_steps,
                              double tol, Out<float, 1> work, Out<double, 2> room, Out<float, 2> move) {
    const std::int64_t K = size(move, 0), F = size(move, 1), N = size(known_weight, 0), T = size(label, 0);
    require(F % kPanelRows == 0 && F > 0 && N % kPanelRows == 0 && K > 0,
            "weights and known rows must be multiples of 32");
    require(size(known_by_row, 0) * kPanelRows == N && size(known_by_row, 1) == F &&
                size(known_by_row, 2) == kPanelRows && size(known_by_weight, 0) * kPanelRows == F &&
                size(known_by_weight, 1) == N && size(known_by_weight, 2) == kPanelRows,
            "known must be (n_known / 32, n_weights, 32) and (n_weights / 32, n_known, 32)");
    require(size(known_start, 0) == K && size(known_start, 1) == N && size(known_target, 0) == K &&
                size(known_target, 1) == N,
            "known_start and known_target must be (n_models, n_known)");
    require(first >= 0 && n_classes > 0 && size(told, 0) >= F + first + K && size(told, 1) == T &&
                size(told_weight, 0) == T,
            "told must be (n_weights + n_models, n_told)");
    require(size(metric, 0) > 0 && size(metric, 1) == F && size(metric, 2) == F && size(penalty, 0) == F &&
                size(room, 0) == F && size(room, 1) == F,
            "metric, penalty and room must fit the weights");
    require(size(work, 0) >= descent::descent_scratch(N, T, F, K, n_classes), "work is too small");
    const descent::Descent job{known_by_row.data(),
                               known_by_weight.data(),
                               known_start.data(),
                               known_target.data(),
                               known_weight.data(),
                               told.data(),
                               label.data(),
                               told_weight.data(),
                               metric.data(),
                               penalty.data(),
                               N,
                               T,
                               F,
                               K,
                               n_classes,
                               size(metric, 0),
                               first,
                               max_steps,
                               static_cast<float>(tol),
                               work.data(),
                               room.data(),
                               move.data()};
    nb::gil_scoped_release release;
    return descent::anchored_descent(job);
}

}  // namespace

void bind_descent(nb::module_& m) {
    m.def("project_rows", &project_rows, "X"_a.noconvert(), "row"_a.noconvert(), "basis"_a.noconvert(),
          "out"_a.noconvert(), "Products of some rows with the columns of a basis, column by column.");
    m.def(
        "anchored_descent", &anchored_descent, "known_by_row"_a.noconvert(), "known_by_weight"_a.noconvert(),
        "known_start"_a.noconvert(), "known_target"_a.noconvert(), "known_weight"_a.noconvert(), "told"_a.noconvert(),
        "label"_a.noconvert(), "told_weight"_a.noconvert(), "metric"_a.noconvert(), "penalty"_a.noconvert(),
        "n_classes"_a, "first"_a, "max_steps"_a, "tol"_a, "work"_a.noconvert(), "room"_a.noconvert(),
        "move"_a.noconvert(),
        "Minimise the log loss over a move of the weights by a quasi-Newton method; the most steps that a model took.");
}

}  // namespace dissensus::bindings
