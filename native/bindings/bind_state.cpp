// The running mean: shapes checked, the GIL released, the core called.
#include <nanobind/nanobind.h>

#include <cstdint>

#include "arrays.hpp"
#include "bind_query.hpp"
#include "dissensus/entropy.hpp"
#include "dissensus/measures.hpp"
#include "dissensus/state.hpp"
#include "families.hpp"

namespace dissensus::bindings {

using namespace nb::literals;

namespace {

using TotalOf = Out<std::int32_t, 2>;
using Odd = Out<std::uint16_t, 1>;
using Ceilings = Out<float, 2>;
/// There may be more memory per member than there are tracks: a member's rows are contiguous, members are not.
template <class T>
using HeldRows = nb::ndarray<T, nb::ndim<3>, nb::device::cpu>;

query::Totals totals_of(const TotalOf& total, const Odd& odd, const Ceilings& ceiling) {
    const std::int64_t n = size(total, 0);
    require(size(odd, 0) == n, "odd must be (n_tracks,)");
    require(size(ceiling, 0) == (n + query::kCeilingTracks - 1) / query::kCeilingTracks && size(ceiling, 1) == 2,
            "ceiling must be (ceil(n_tracks / 256), 2)");
    return {n, total.data(), odd.data(), ceiling.data()};
}

template <class T>
query::Rows<T> rows_held(const HeldRows<T>& held, const TotalOf& total, std::int64_t start, std::int64_t stop) {
    const std::int64_t m = size(held, 0), n = size(held, 1), c = size(held, 2);
    require(m >= 1 && c >= 1 && c <= query::kMaxClasses, "held needs a member and 1 to 4096 classes");
    require(n <= 1 || (held.stride(2) == 1 && held.stride(1) == c), "a member's rows must be contiguous");
    require(size(total, 0) == n && size(total, 1) == c, "total must be (n_tracks, n_classes)");
    require_block(start, stop, n);
    return {held.data(), held.stride(0), m, c};
}

query::Measure measure_of_mean(int number) {
    const auto measure = static_cast<query::Measure>(number);
    require(query::of_the_mean(measure), "the mean alone gives consensus entropy and margin");
    return measure;
}

template <class T>
void replace_share(TotalOf total, Odd odd, Ceilings ceiling, HeldRows<T> held, std::int64_t member, In<T, 2> rows,
                   bool first, double factor, std::int64_t start, std::int64_t stop) {
    const query::Totals totals = totals_of(total, odd, ceiling);
    const query::Rows<T> from = rows_held(held, total, start, stop);
    require(0 <= member && member < from.n_members, "there is no such member");
    require(size(rows, 0) == size(held, 1) && size(rows, 1) == size(held, 2), "rows must be (n_tracks, n_classes)");
    T* to = held.data() + member * from.member_stride;
    nb::gil_scoped_release release;
    query::replace_share(totals, to, rows.data(), first, factor, from.n_classes, start, stop);
}

template <class T>
void state_utility(TotalOf total, Odd odd, Ceilings ceiling, HeldRows<T> held, Weight weight, int measure,
                   std::int64_t start, std::int64_t stop, Out<float, 1> out) {
    const query::Totals totals = totals_of(total, odd, ceiling);
    const query::Rows<T> rows = rows_held(held, total, start, stop);
    const query::Measure by = measure_of_mean(measure);
    require(size(weight, 0) == rows.n_members, "weight must hold one number per member");
    require(size(out, 0) >= stop, "out is shorter than stop");
    nb::gil_scoped_release release;
    query::state_utility(by, totals, rows, weight.data(), start, stop, out.data());
}

template <class T>
std::int64_t state_top(TotalOf total, Odd odd, Ceilings ceiling, HeldRows<T> held, Weight weight, int measure,
                       Positions exclude, std::int64_t start, std::int64_t stop, Out<std::int64_t, 1> index,
                       Out<double, 1> score) {
    const query::Totals totals = totals_of(total, odd, ceiling);
    const query::Rows<T> rows = rows_held(held, total, start, stop);
    const query::Measure by = measure_of_mean(measure);
    require(size(weight, 0) == rows.n_members, "weight must hold one number per member");
    require(size(score, 0) == size(index, 0), "index and score must be of one length");
    nb::gil_scoped_release release;
    return query::state_top(by, totals, rows, weight.data(), excluded_of(exclude), start, stop, size(index, 0),
                            index.data(), score.data());
}

void state_ceilings(TotalOf total, Odd odd, Ceilings ceiling, std::int64_t start, std::int64_t stop) {
    const query::Totals totals = totals_of(total, odd, ceiling);
    const std::int64_t c = size(total, 1);
    require(c >= 1 && c <= query::kMaxClasses, "total needs 1 to 4096 classes");
    require_block(start, stop, totals.n_tracks);
    nb::gil_scoped_release release;
    query::refresh_ceilings(totals, c, start, stop);
}

template <class T>
void bind_rows(nb::module_& m) {
    m.def("replace_share", &replace_share<T>, "total"_a.noconvert(), "odd"_a.noconvert(), "ceiling"_a.noconvert(),
          "held"_a.noconvert(), "member"_a, "rows"_a.noconvert(), "first"_a, "factor"_a, "start"_a, "stop"_a,
          "Replace a member's rows of start:stop in held, and its share of the totals.");
    m.def("state_utility", &state_utility<T>, "total"_a.noconvert(), "odd"_a.noconvert(), "ceiling"_a.noconvert(),
          "held"_a.noconvert(), "weight"_a.noconvert(), "measure"_a, "start"_a, "stop"_a, "out"_a.noconvert(),
          "Write the utility of the running mean into out[start:stop].");
    m.def("state_top", &state_top<T>, "total"_a.noconvert(), "odd"_a.noconvert(), "ceiling"_a.noconvert(),
          "held"_a.noconvert(), "weight"_a.noconvert(), "measure"_a, "exclude"_a.noconvert(), "start"_a, "stop"_a,
          "index"_a.noconvert(), "score"_a.noconvert(), "As query_top, on the running mean.");
}

}  // namespace

void bind_state(nb::module_& m) {
    m.def("state_ceilings", &state_ceilings, "total"_a.noconvert(), "odd"_a.noconvert(), "ceiling"_a.noconvert(),
          "start"_a, "stop"_a,
          "Write what the tracks start:stop can score at most, and those that share a ceiling with them.");
    bind_rows<float>(m);
    bind_rows<double>(m);
}

}  // namespace dissensus::bindings
