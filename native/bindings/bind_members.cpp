#include <nanobind/nanobind.h>
#include <nanobind/ndarray.h>

#include <cstdint>
#include <stdexcept>

#include "dissensus/members.hpp"

namespace nb = nanobind;
using namespace nb::literals;

namespace {

using dissensus::kLanes;
using dissensus::kTilePanels;
using dissensus::Tile;

template <class T, int D>
using In = nb::ndarray<const T, nb::ndim<D>, nb::c_contig, nb::device::cpu>;
template <class T, int D>
using Out = nb::ndarray<T, nb::ndim<D>, nb::c_contig, nb::device::cpu>;

static_assert(sizeof(Tile) == 5 * sizeof(std::int64_t));

template <class A>
std::int64_t size(const A& array, std::size_t axis) {
    return static_cast<std::int64_t>(array.shape(axis));
}

void require(bool holds, const char* what) {
    if (!holds) throw std::invalid_argument(what);
}

/// The tiles begin..end, all of them inside of the windows, tracks and panels there are.
const Tile* checked_tiles(const In<std::int64_t, 1>& start, const In<std::int64_t, 2>& tiles, std::int64_t begin,
                          std::int64_t end, std::int64_t n_rows, std::int64_t n_panels) {
    require(tiles.shape(1) == 5 && begin >= 0 && end <= size(tiles, 0) && size(start, 0) >= 1, "tiles must be (n, 5)");
    const auto* all = reinterpret_cast<const Tile*>(tiles.data());
    const std::int64_t n_tracks = size(start, 0) - 1;
    for (std::int64_t j = begin; j < end; ++j) {
        const Tile& t = all[j];
        require(t.windows >= 1 && t.windows <= dissensus::kTile && t.row >= 0 && t.track >= 0 && t.n_tracks >= 1 &&
                    t.n_tracks <= n_tracks && t.track <= n_tracks - t.n_tracks && t.panel >= 0,
                "a tile is not one");
        require(n_rows < 0 || (t.row <= n_rows - t.windows), "a tile reaches beyond the windows");
        require(n_panels < 0 || t.panel <= n_panels - (t.windows + kLanes - 1) / kLanes, "a tile reaches beyond the panels");
    }
    return all;
}

template <class T>
std::int64_t lay_panels(In<T, 2> X, In<double, 1> mean, In<double, 1> inverse, In<std::int64_t, 1> start,
                        In<std::int64_t, 2> tiles, std::int64_t begin, std::int64_t end, Out<float, 3> panels) {
    const std::int64_t F = size(X, 1);
    require(size(mean, 0) == F && size(inverse, 0) == F && size(panels, 1) == F && size(panels, 2) == kLanes,
            "mean, inverse and panels must have as many features as X, and panels 32 lanes");
    const Tile* all = checked_tiles(start, tiles, begin, end, size(X, 0), size(panels, 0));
    nb::gil_scoped_release release;
    std::int64_t bad = -1;
    for (std::int64_t j = begin; j < end && bad < 0; ++j) {
        bad = dissensus::lay_panels(X.data() + all[j].row * F, all[j].windows, F, mean.data(), inverse.data(),
                                    panels.data() + all[j].panel * F * kLanes);
        if (bad >= 0) bad += all[j].row;
    }
    return bad;
}

void panel_scores(In<float, 3> panels, std::int64_t first, std::int64_t last, In<float, 2> linear, In<float, 2> quadratic,
                  In<std::int64_t, 1> column, Out<float, 3> out) {
    const std::int64_t F = size(panels, 1), K = size(linear, 0), rows = size(out, 1);
    require(size(panels, 2) == kLanes && size(out, 2) == kLanes, "panels have 32 lanes");
    require(size(linear, 1) == F && size(quadratic, 1) == F && (size(quadratic, 0) == 0 || size(quadratic, 0) == K),
            "linear and quadratic must have as many features as panels");
    require(size(column, 0) == K, "one column a model");
    for (std::int64_t k = 0; k < K; ++k) require(column.data()[k] >= 0 && column.data()[k] < rows, "a column is not in out");
    require(first >= 0 && last <= size(panels, 0) && last <= size(out, 0), "there are fewer panels");
    if (first >= last || K == 0) return;
    const dissensus::Weights weights{linear.data(), size(quadratic, 0) ? quadratic.data() : nullptr, K};
    nb::gil_scoped_release release;
    dissensus::panel_scores(panels.data() + first * F * kLanes, last - first, F, weights, column.data(),
                            out.data() + first * rows * kLanes, rows);
}

dissensus::Votes checked_votes(const In<float, 2>& offset, std::int64_t n_softmax, const In<std::int64_t, 1>& start,
                               Out<double, 3>& sums) {
    const dissensus::Votes votes{offset.data(), size(offset, 0), n_softmax,          size(offset, 1),
                                 start.data(),  size(start, 0) - 1, sums.data()};
    require(n_softmax >= 0 && n_softmax <= votes.n_members && votes.n_classes >= 1, "more softmax members than members");
    require(size(sums, 0) == votes.n_members && size(sums, 1) == votes.n_tracks && size(sums, 2) == votes.n_classes,
            "sums must be (members, tracks, classes)");
    return votes;
}

void panel_votes(In<float, 3> bent, In<float, 3> straight, In<float, 3> small, In<float, 2> move,
                 In<std::int64_t, 1> start, In<std::int64_t, 2> tiles, std::int64_t begin, std::int64_t end,
                 In<float, 2> offset, std::int64_t n_softmax, Out<float, 2> work, Out<double, 3> sums) {
    const dissensus::Votes votes = checked_votes(offset, n_softmax, start, sums);
    const std::int64_t P = size(bent, 0), C = votes.n_classes, n_sigmoid = votes.n_members - n_softmax;
    require(size(straight, 0) == P && size(small, 0) == P && size(bent, 2) == kLanes && size(straight, 2) == kLanes &&
                size(small, 2) == kLanes,
            "bent, straight and small must have the same panels");
    const std::int64_t bent_classes = n_softmax ? size(bent, 1) / n_softmax : C;
    require(size(bent, 1) == n_softmax * bent_classes && (bent_classes == C || bent_classes == C - 1) &&
                size(straight, 1) == n_sigmoid * C && size(move, 0) == n_sigmoid * C && size(move, 1) == size(small, 1),
            "rows do not fit members, classes and the small space");
    require(size(work, 0) * size(work, 1) >= dissensus::votes_scratch(n_sigmoid, C), "work is too small");
    const Tile* all = checked_tiles(start, tiles, begin, end, -1, P);
    const dissensus::Held held{bent.data(),      size(bent, 1), bent_classes,   straight.data(),
                               size(straight, 1), small.data(), n_sigmoid ? size(small, 1) : 0, move.data()};
    nb::gil_scoped_release release;
    for (std::int64_t j = begin; j < end; ++j) dissensus::add_votes(all[j], held, votes, work.data());
}

template <class T>
std::int64_t tile_votes(In<T, 2> X, In<double, 1> mean, In<double, 1> inverse, In<std::int64_t, 1> start,
                          In<std::int64_t, 2> tiles, std::int64_t begin, std::int64_t end, In<float, 2> bent,
                          In<float, 2> bend, In<float, 2> straight, In<float, 2> offset, std::int64_t n_softmax,
                          Out<float, 3> panels, Out<float, 3> held, Out<float, 2> work, Out<double, 3> sums) {
    const dissensus::Votes votes = checked_votes(offset, n_softmax, start, sums);
    const std::int64_t F = size(X, 1), C = votes.n_classes, n_sigmoid = votes.n_members - n_softmax;
    const std::int64_t n_bent = size(bent, 0), n_straight = size(straight, 0);
    require(size(mean, 0) == F && size(inverse, 0) == F && size(bent, 1) == F && size(bend, 1) == F && size(straight, 1) == F,
            "everything must have as many features as X");
    require(n_bent == n_softmax * (C - 1) && size(bend, 0) == n_bent && n_straight == n_sigmoid * C,
            "rows do not fit members and classes");
    require(size(panels, 0) >= kTilePanels && size(panels, 1) == F && size(panels, 2) == kLanes &&
                size(held, 0) >= kTilePanels && size(held, 1) >= n_bent + n_straight && size(held, 2) == kLanes &&
                size(work, 0) * size(work, 1) >= dissensus::votes_scratch(n_sigmoid, C),
            "scratch is too small");
    const Tile* all = checked_tiles(start, tiles, begin, end, size(X, 0), -1);
    float *scores = held.data(), *plain = scores + kTilePanels * n_bent * kLanes;
    const dissensus::Held tile_held{scores, n_bent, C - 1, plain, n_straight, nullptr, 0, nullptr};
    nb::gil_scoped_release release;
    for (std::int64_t j = begin; j < end; ++j) {
        Tile tile = all[j];
        const std::int64_t n_panels = (tile.windows + kLanes - 1) / kLanes;
        const std::int64_t bad =
            dissensus::lay_panels(X.data() + tile.row * F, tile.windows, F, mean.data(), inverse.data(), panels.data());
        if (bad >= 0) return tile.row + bad;
        dissensus::panel_scores(panels.data(), n_panels, F, {bent.data(), bend.data(), n_bent}, nullptr, scores, n_bent);
        dissensus::panel_scores(panels.data(), n_panels, F, {straight.data(), nullptr, n_straight}, nullptr, plain,
                                n_straight);
        tile.panel = 0;
        dissensus::add_votes(tile, tile_held, votes, work.data());
    }
    return -1;
}

std::int64_t bound_descent(In<float, 3> by_row, In<float, 3> by_weight, In<float, 2> start, In<float, 2> target,
                            In<float, 1> weight, In<float, 3> inverse, In<float, 1> penalty, std::int64_t max_steps,
                            double tol, Out<float, 3> score, Out<float, 3> work, Out<float, 2> move) {
    const std::int64_t K = size(move, 0), F = size(move, 1), N = size(weight, 0);
    require(N % kLanes == 0 && F % kLanes == 0, "rows and weights must be multiples of 32");
    require(size(by_row, 0) * kLanes == N && size(by_row, 1) == F && size(by_row, 2) == kLanes &&
                size(by_weight, 0) * kLanes == F && size(by_weight, 1) == N && size(by_weight, 2) == kLanes &&
                size(inverse, 0) * kLanes == F && size(inverse, 1) == F && size(inverse, 2) == kLanes,
            "panels do not fit rows and weights");
    require(size(start, 0) == K && size(start, 1) == N && size(target, 0) == K && size(target, 1) == N &&
                size(score, 0) >= 1 && size(score, 1) == K && size(score, 2) == N && size(work, 0) == 4 && size(work, 1) == K &&
                size(work, 2) == F && size(penalty, 0) == F,
            "arrays do not fit models, rows and weights");
    const dissensus::Bound job{by_row.data(), by_weight.data(), start.data(),  target.data(), weight.data(),
                               inverse.data(), penalty.data(),  N,             F,             K,
                               max_steps,      static_cast<float>(tol), score.data(), work.data(), move.data()};
    nb::gil_scoped_release release;
    return dissensus::bound_descent(job);
}

template <class T>
void bind_windows(nb::module_& m) {
    m.def("lay_panels", &lay_panels<T>, "X"_a.noconvert(), "mean"_a.noconvert(), "inverse"_a.noconvert(),
          "start"_a.noconvert(), "tiles"_a.noconvert(), "begin"_a, "end"_a, "panels"_a.noconvert(),
          "Standardise the windows of some tiles into lanes; the first window that is not finite, or -1.");
    m.def("tile_votes", &tile_votes<T>, "X"_a.noconvert(), "mean"_a.noconvert(), "inverse"_a.noconvert(),
          "start"_a.noconvert(), "tiles"_a.noconvert(), "begin"_a, "end"_a, "bent"_a.noconvert(), "bend"_a.noconvert(),
          "straight"_a.noconvert(), "offset"_a.noconvert(), "n_softmax"_a, "panels"_a.noconvert(), "held"_a.noconvert(),
          "work"_a.noconvert(), "sums"_a.noconvert(),
          "Add the probabilities of linear members for some tiles to the sums of tracks; the first bad window, or -1.");
}

}  // namespace

void bind_members(nb::module_& m) {
    bind_windows<float>(m);
    bind_windows<double>(m);
    m.def("panel_scores", &panel_scores, "panels"_a.noconvert(), "first"_a, "last"_a, "linear"_a.noconvert(),
          "quadratic"_a.noconvert(), "column"_a.noconvert(), "out"_a.noconvert(),
          "Write the scores of some models for some panels where they are held.");
    m.def("panel_votes", &panel_votes, "bent"_a.noconvert(), "straight"_a.noconvert(), "small"_a.noconvert(),
          "move"_a.noconvert(), "start"_a.noconvert(), "tiles"_a.noconvert(), "begin"_a, "end"_a, "offset"_a.noconvert(),
          "n_softmax"_a, "work"_a.noconvert(), "sums"_a.noconvert(),
          "As tile_votes, from scores that are held and a move of the sigmoid members' weights in a small space.");
    m.def("bound_descent", &bound_descent, "by_row"_a.noconvert(), "by_weight"_a.noconvert(), "start"_a.noconvert(),
          "target"_a.noconvert(), "weight"_a.noconvert(), "inverse"_a.noconvert(), "penalty"_a.noconvert(), "max_steps"_a,
          "tol"_a, "score"_a.noconvert(), "work"_a.noconvert(), "move"_a.noconvert(),
          "Minimise the log loss over a move of the weights by accelerated bound optimisation; the steps taken.");
}
