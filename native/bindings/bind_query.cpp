// Disagreement and the best few: shapes checked, the GIL released, the core called.
#include "bind_query.hpp"

#include <nanobind/nanobind.h>

#include <cstdint>
#include <vector>

#include "arrays.hpp"
#include "dissensus/entropy.hpp"
#include "dissensus/measures.hpp"
#include "dissensus/topk.hpp"
#include "families.hpp"

namespace dissensus::bindings {

using namespace nb::literals;
using query::Measure;

namespace {

template <class T>
query::Rows<T> rows_of(const In<T, 3>& proba, const Weight& weight, std::int64_t start, std::int64_t stop) {
    const std::int64_t m = size(proba, 0), n = size(proba, 1), c = size(proba, 2);
    require(m >= 1 && c >= 1 && c <= query::kMaxClasses, "proba needs a member and 1 to 4096 classes");
    require(size(weight, 0) == m, "weight must hold one number per member");
    require_block(start, stop, n);
    return {proba.data(), n * c, m, c};
}

template <class T, Measure measure>
void write_utility(In<T, 3> proba, Weight weight, std::int64_t start, std::int64_t stop, Out<float, 1> out) {
    const query::Rows<T> rows = rows_of(proba, weight, start, stop);
    require(size(out, 0) >= stop, "out is shorter than stop");
    nb::gil_scoped_release release;
    query::utility(measure, rows, weight.data(), start, stop, out.data());
}

template <class T>
std::int64_t query_top(In<T, 3> proba, Weight weight, int measure, Positions exclude, std::int64_t start,
                       std::int64_t stop, Out<std::int64_t, 1> index, Out<double, 1> score) {
    const query::Rows<T> rows = rows_of(proba, weight, start, stop);
    const Measure by = measure_of(measure);
    require(size(score, 0) == size(index, 0), "index and score must be of one length");
    nb::gil_scoped_release release;
    return query::query_top(by, rows, weight.data(), excluded_of(exclude), start, stop, size(index, 0), index.data(),
                            score.data());
}

template <class T>
std::int64_t top_k(In<T, 1> utility, Positions exclude, Out<std::int64_t, 1> index) {
    std::vector<double> score(index.shape(0));
    nb::gil_scoped_release release;
    return query::top_k(utility.data(), size(utility, 0), excluded_of(exclude), size(index, 0), index.data(),
                        score.data());
}

template <Measure measure>
void bind_measure(nb::module_& m, const char* name, const char* doc) {
    m.def(name, &write_utility<float, measure>, "proba"_a.noconvert(), "weight"_a.noconvert(), "start"_a, "stop"_a,
          "out"_a.noconvert(), doc);
    m.def(name, &write_utility<double, measure>, "proba"_a.noconvert(), "weight"_a.noconvert(), "start"_a, "stop"_a,
          "out"_a.noconvert(), doc);
}

template <class T>
void bind_queries(nb::module_& m) {
    m.def("query_top", &query_top<T>, "proba"_a.noconvert(), "weight"_a.noconvert(), "measure"_a,
          "exclude"_a.noconvert(), "start"_a, "stop"_a, "index"_a.noconvert(), "score"_a.noconvert(),
          "Write the best tracks of start:stop and their float64 scores, best first; return how many.");
    m.def("top_k", &top_k<T>, "utility"_a.noconvert(), "exclude"_a.noconvert(), "index"_a.noconvert(),
          "Write the positions of the best utilities, best first; return how many.");
}

void log_into(In<float, 1> x, Out<float, 1> out) {
    require(size(out, 0) >= size(x, 0), "out is shorter than x");
    query::log_into(x.data(), size(x, 0), out.data());
}

}  // namespace

void bind_query(nb::module_& m) {
    nb::enum_<Measure>(m, "Measure", nb::is_arithmetic())
        .value("consensus_entropy", Measure::consensus_entropy)
        .value("mean_kl", Measure::mean_kl)
        .value("margin", Measure::margin);
    bind_measure<Measure::consensus_entropy>(
        m, "consensus_entropy", "Write the entropy (nats) of the weighted mean member into out[start:stop].");
    bind_measure<Measure::mean_kl>(
        m, "mean_kl", "Write the mean divergence (nats) of the members from their mean into out[start:stop].");
    bind_measure<Measure::margin>(m, "margin", "Write one minus the lead of the first class into out[start:stop].");
    bind_queries<float>(m);
    bind_queries<double>(m);
    m.def("log_into", &log_into, "x"_a.noconvert(), "out"_a.noconvert(),
          "Write log(x) into out, within one unit in the last place.");
}

}  // namespace dissensus::bindings
