// Votes: shapes checked, the GIL released, the core called.
#include <nanobind/nanobind.h>

#include <cstdint>

#include "arrays.hpp"
#include "bind_query.hpp"
#include "dissensus/votes.hpp"
#include "families.hpp"

namespace dissensus::bindings {

using namespace nb::literals;

namespace {

query::Votes votes_of(const In<std::uint8_t, 2>& votes, std::int64_t n_classes, std::int64_t start, std::int64_t stop) {
    const std::int64_t m = size(votes, 0), n = size(votes, 1);
    require(m >= 1 && m <= query::kMaxVoters && n_classes >= 1 && n_classes <= 255,
            "1 to 4096 members and 1 to 255 classes");
    require_block(start, stop, n);
    return {votes.data(), n, m, n_classes};
}

std::int64_t vote_entropy(In<std::uint8_t, 2> votes, std::int64_t n_classes, std::int64_t start, std::int64_t stop,
                          Out<float, 1> out) {
    const query::Votes from = votes_of(votes, n_classes, start, stop);
    require(size(out, 0) >= stop, "out is shorter than stop");
    nb::gil_scoped_release release;
    return query::vote_entropy(from, start, stop, out.data());
}

std::int64_t vote_top(In<std::uint8_t, 2> votes, std::int64_t n_classes, Positions exclude, std::int64_t start,
                      std::int64_t stop, Out<std::int64_t, 1> index, Out<double, 1> score) {
    const query::Votes from = votes_of(votes, n_classes, start, stop);
    require(size(score, 0) == size(index, 0), "index and score must be of one length");
    nb::gil_scoped_release release;
    return query::vote_top(from, excluded_of(exclude), start, stop, size(index, 0), index.data(), score.data());
}

}  // namespace

void bind_votes(nb::module_& m) {
    m.def("vote_entropy", &vote_entropy, "votes"_a.noconvert(), "n_classes"_a, "start"_a, "stop"_a, "out"_a.noconvert(),
          "Write the entropy (nats) of the votes into out[start:stop]; return how many tracks hold a bad vote.");
    m.def("vote_top", &vote_top, "votes"_a.noconvert(), "n_classes"_a, "exclude"_a.noconvert(), "start"_a, "stop"_a,
          "index"_a.noconvert(), "score"_a.noconvert(), "As query_top, on votes; -1 where a vote is out of range.");
}

}  // namespace dissensus::bindings
