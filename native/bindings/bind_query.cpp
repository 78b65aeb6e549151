// Disagreement, votes and the best few: shapes checked, the GIL released, the core called.
#include <nanobind/nanobind.h>
#include <nanobind/ndarray.h>

#include <stdexcept>
#include <vector>

#include "dissensus/entropy.hpp"
#include "dissensus/state.hpp"
#include "dissensus/topk.hpp"
#include "dissensus/votes.hpp"

namespace nb = nanobind;
using namespace nb::literals;
using namespace dissensus;

namespace {

template <class T, int ndim>
using In = nb::ndarray<const T, nb::ndim<ndim>, nb::c_contig, nb::device::cpu>;
template <class T>
using Out = nb::ndarray<T, nb::ndim<1>, nb::c_contig, nb::device::cpu>;
using Weight = In<double, 1>;
using Positions = In<std::int64_t, 1>;

void require(bool holds, const char* what) {
    if (!holds) throw nb::value_error(what);
}

template <class T>
Rows<T> rows_of(const In<T, 3>& proba, const Weight& weight, std::int64_t start, std::int64_t stop) {
    const auto m = std::int64_t(proba.shape(0)), n = std::int64_t(proba.shape(1)), c = std::int64_t(proba.shape(2));
    require(m >= 1 && c >= 1 && c <= kMaxClasses, "proba needs a member and 1 to 4096 classes");
    require(std::int64_t(weight.shape(0)) == m, "weight must hold one number per member");
    require(0 <= start && start <= stop && stop <= n, "start and stop must lie in the array, in this order");
    return {proba.data(), n * c, m, c};
}

Excluded excluded_of(const Positions& exclude) { return {exclude.data(), std::int64_t(exclude.shape(0))}; }

template <class T, Measure measure>
void write_utility(In<T, 3> proba, Weight weight, std::int64_t start, std::int64_t stop, Out<float> out) {
    const Rows<T> rows = rows_of(proba, weight, start, stop);
    require(std::int64_t(out.shape(0)) >= stop, "out is shorter than stop");
    nb::gil_scoped_release release;
    utility(measure, rows, weight.data(), start, stop, out.data());
}

template <class T>
std::int64_t query(In<T, 3> proba, Weight weight, int measure, Positions exclude, std::int64_t start, std::int64_t stop,
                   Out<std::int64_t> index, Out<double> score) {
    const Rows<T> rows = rows_of(proba, weight, start, stop);
    require(measure >= 0 && measure <= 2, "there is no such measure");
    require(score.shape(0) == index.shape(0), "index and score must be of one length");
    nb::gil_scoped_release release;
    return query_top(Measure(measure), rows, weight.data(), excluded_of(exclude), start, stop,
                     std::int64_t(index.shape(0)), index.data(), score.data());
}

Votes votes_of(const In<std::uint8_t, 2>& votes, std::int64_t n_classes, std::int64_t start, std::int64_t stop) {
    const auto m = std::int64_t(votes.shape(0)), n = std::int64_t(votes.shape(1));
    require(m >= 1 && m <= kMaxVoters && n_classes >= 1 && n_classes <= 255, "1 to 4096 members and 1 to 255 classes");
    require(0 <= start && start <= stop && stop <= n, "start and stop must lie in the array, in this order");
    return {votes.data(), n, m, n_classes};
}

template <class T>
std::int64_t best(In<T, 1> utility, Positions exclude, Out<std::int64_t> index) {
    std::vector<double> score(index.shape(0));
    nb::gil_scoped_release release;
    return top_k(utility.data(), std::int64_t(utility.shape(0)), excluded_of(exclude), std::int64_t(index.shape(0)),
                 index.data(), score.data());
}

// ---- the running mean: `held` may have more room per member than there are tracks ----

using TotalIn = nb::ndarray<std::int32_t, nb::ndim<2>, nb::c_contig, nb::device::cpu>;
template <class T>
using Held = nb::ndarray<T, nb::ndim<3>, nb::device::cpu>;

using Ceilings = nb::ndarray<float, nb::ndim<2>, nb::c_contig, nb::device::cpu>;

Totals totals_of(const TotalIn& total, const Out<std::uint16_t>& odd, const Ceilings& ceiling) {
    const std::int64_t n = std::int64_t(total.shape(0));
    require(std::int64_t(odd.shape(0)) == n, "odd must be (n_tracks,)");
    require(std::int64_t(ceiling.shape(0)) == (n + kCeilingTracks - 1) / kCeilingTracks && ceiling.shape(1) == 2,
            "ceiling must be (ceil(n_tracks / 256), 2)");
    return {n, total.data(), odd.data(), ceiling.data()};
}

template <class T>
Rows<T> rows_held(const Held<T>& held, const TotalIn& total, std::int64_t start, std::int64_t stop) {
    const auto m = std::int64_t(held.shape(0)), n = std::int64_t(held.shape(1)), c = std::int64_t(held.shape(2));
    require(m >= 1 && c >= 1 && c <= kMaxClasses, "held needs a member and 1 to 4096 classes");
    require(n <= 1 || (held.stride(2) == 1 && held.stride(1) == c), "a member's rows must be contiguous");
    require(std::int64_t(total.shape(0)) == n && std::int64_t(total.shape(1)) == c,
            "total must be (n_tracks, n_classes)");
    require(0 <= start && start <= stop && stop <= n, "start and stop must lie in the array, in this order");
    return {held.data(), held.stride(0), m, c};
}

template <class T>
void share_replace(TotalIn total, Out<std::uint16_t> odd, Ceilings ceiling, Held<T> held, std::int64_t member,
                   In<T, 2> rows, bool first, double factor, std::int64_t start, std::int64_t stop) {
    const Totals totals = totals_of(total, odd, ceiling);
    const Rows<T> from = rows_held(held, total, start, stop);
    require(0 <= member && member < from.n_members, "there is no such member");
    require(rows.shape(0) == held.shape(1) && rows.shape(1) == held.shape(2), "rows must be (n_tracks, n_classes)");
    T* to = held.data() + member * from.member_stride;
    nb::gil_scoped_release release;
    replace_share(totals, to, rows.data(), first, factor, from.n_classes, start, stop);
}

template <class T>
void write_state_utility(TotalIn total, Out<std::uint16_t> odd, Ceilings ceiling, Held<T> held, Weight weight,
                         int measure, std::int64_t start, std::int64_t stop, Out<float> out) {
    const Totals totals = totals_of(total, odd, ceiling);
    const Rows<T> rows = rows_held(held, total, start, stop);
    require(std::int64_t(weight.shape(0)) == rows.n_members, "weight must hold one number per member");
    require(measure == 0 || measure == 2, "the mean alone gives consensus entropy and margin");
    require(std::int64_t(out.shape(0)) >= stop, "out is shorter than stop");
    nb::gil_scoped_release release;
    state_utility(Measure(measure), totals, rows, weight.data(), start, stop, out.data());
}

template <class T>
std::int64_t query_state(TotalIn total, Out<std::uint16_t> odd, Ceilings ceiling, Held<T> held, Weight weight,
                         int measure, Positions exclude, std::int64_t start, std::int64_t stop, Out<std::int64_t> index,
                         Out<double> score) {
    const Totals totals = totals_of(total, odd, ceiling);
    const Rows<T> rows = rows_held(held, total, start, stop);
    require(std::int64_t(weight.shape(0)) == rows.n_members, "weight must hold one number per member");
    require(measure == 0 || measure == 2, "the mean alone gives consensus entropy and margin");
    require(score.shape(0) == index.shape(0), "index and score must be of one length");
    nb::gil_scoped_release release;
    return state_top(Measure(measure), totals, rows, weight.data(), excluded_of(exclude), start, stop,
                     std::int64_t(index.shape(0)), index.data(), score.data());
}

template <class T>
void bind_state(nb::module_& m) {
    m.def("share_replace", &share_replace<T>, "total"_a.noconvert(), "odd"_a.noconvert(), "ceiling"_a.noconvert(),
          "held"_a.noconvert(), "member"_a, "rows"_a.noconvert(), "first"_a, "factor"_a, "start"_a, "stop"_a,
          "Replace a member's rows of start:stop in held, and its share of the totals.");
    m.def("state_utility", &write_state_utility<T>, "total"_a.noconvert(), "odd"_a.noconvert(), "ceiling"_a.noconvert(),
          "held"_a.noconvert(), "weight"_a.noconvert(), "measure"_a, "start"_a, "stop"_a, "out"_a.noconvert(),
          "Write the utility of the running mean into out[start:stop].");
    m.def("state_top", &query_state<T>, "total"_a.noconvert(), "odd"_a.noconvert(), "ceiling"_a.noconvert(),
          "held"_a.noconvert(), "weight"_a.noconvert(), "measure"_a, "exclude"_a.noconvert(), "start"_a, "stop"_a,
          "index"_a.noconvert(), "score"_a.noconvert(), "As query_top, on the running mean.");
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
    m.def("query_top", &query<T>, "proba"_a.noconvert(), "weight"_a.noconvert(), "measure"_a, "exclude"_a.noconvert(),
          "start"_a, "stop"_a, "index"_a.noconvert(), "score"_a.noconvert(),
          "Write the best tracks of start:stop and their float64 scores, best first; return how many.");
    m.def("top_k", &best<T>, "utility"_a.noconvert(), "exclude"_a.noconvert(), "index"_a.noconvert(),
          "Write the positions of the best utilities, best first; return how many.");
}

}  // namespace

void bind_query(nb::module_& m) {
    bind_measure<Measure::consensus_entropy>(
        m, "consensus_entropy", "Write the entropy (nats) of the weighted mean member into out[start:stop].");
    bind_measure<Measure::mean_kl>(
        m, "mean_kl", "Write the mean divergence (nats) of the members from their mean into out[start:stop].");
    bind_measure<Measure::margin>(m, "margin", "Write one minus the lead of the first class into out[start:stop].");
    bind_queries<float>(m);
    bind_queries<double>(m);
    m.def(
        "state_ceilings",
        [](TotalIn total, Out<std::uint16_t> odd, Ceilings ceiling, std::int64_t start, std::int64_t stop) {
            const Totals totals = totals_of(total, odd, ceiling);
            const auto n = totals.n_tracks, c = std::int64_t(total.shape(1));
            require(c >= 1 && c <= kMaxClasses, "total needs 1 to 4096 classes");
            require(0 <= start && start <= stop && stop <= n, "start and stop must lie in the array, in this order");
            nb::gil_scoped_release release;
            refresh_ceilings(totals, c, start, stop);
        },
        "total"_a.noconvert(), "odd"_a.noconvert(), "ceiling"_a.noconvert(), "start"_a, "stop"_a,
        "Write what the tracks start:stop can score at most, and those that share a ceiling with them.");
    bind_state<float>(m);
    bind_state<double>(m);
    m.def(
        "vote_entropy",
        [](In<std::uint8_t, 2> votes, std::int64_t n_classes, std::int64_t start, std::int64_t stop, Out<float> out) {
            const Votes from = votes_of(votes, n_classes, start, stop);
            require(std::int64_t(out.shape(0)) >= stop, "out is shorter than stop");
            nb::gil_scoped_release release;
            return vote_entropy(from, start, stop, out.data());
        },
        "votes"_a.noconvert(), "n_classes"_a, "start"_a, "stop"_a, "out"_a.noconvert(),
        "Write the entropy (nats) of the votes into out[start:stop]; return how many tracks hold a bad vote.");
    m.def(
        "vote_top",
        [](In<std::uint8_t, 2> votes, std::int64_t n_classes, Positions exclude, std::int64_t start, std::int64_t stop,
           Out<std::int64_t> index, Out<double> score) {
            const Votes from = votes_of(votes, n_classes, start, stop);
            require(score.shape(0) == index.shape(0), "index and score must be of one length");
            nb::gil_scoped_release release;
            return vote_top(from, excluded_of(exclude), start, stop, std::int64_t(index.shape(0)), index.data(),
                            score.data());
        },
        "votes"_a.noconvert(), "n_classes"_a, "exclude"_a.noconvert(), "start"_a, "stop"_a, "index"_a.noconvert(),
        "score"_a.noconvert(), "As query_top, on votes; -1 where a vote is out of range.");
    m.def(
        "log_into",
        [](In<float, 1> x, Out<float> out) {
            require(out.shape(0) >= x.shape(0), "out is shorter than x");
            log_into(x.data(), std::int64_t(x.shape(0)), out.data());
        },
        "x"_a.noconvert(), "out"_a.noconvert(), "Write log(x) into out, within one unit in the last place.");
}
