#include <nanobind/nanobind.h>

#include <cstdint>
#include <vector>

#include "arrays.hpp"
#include "dissensus/members.hpp"
#include "families.hpp"

namespace dissensus::bindings {

using namespace nb::literals;

namespace {

using members::kPanelWindows;
using members::kTilePanels;
using members::Soon;
using members::Tile;

static_assert(sizeof(Tile) == 5 * sizeof(std::int64_t));

/// The tiles begin..end, all of them inside of the windows, tracks and panels there are.
const Tile* checked_tiles(const In<std::int64_t, 1>& start, const In<std::int64_t, 2>& tiles, std::int64_t begin,
                          std::int64_t end, std::int64_t n_rows, std::int64_t n_panels) {
    require(tiles.shape(1) == 5 && begin >= 0 && end <= size(tiles, 0) && size(start, 0) >= 1, "tiles must be (n, 5)");
    const auto* all = reinterpret_cast<const Tile*>(tiles.data());
    const std::int64_t n_tracks = size(start, 0) - 1;
    for (std::int64_t j = begin; j < end; ++j) {
        const Tile& t = all[j];
        require(t.windows >= 1 && t.windows <= members::kTile && t.row >= 0 && t.track >= 0 && t.n_tracks >= 1 &&
                    t.n_tracks <= n_tracks && t.track <= n_tracks - t.n_tracks && t.panel >= 0,
                "a tile is not one");
        require(n_rows < 0 || (t.row <= n_rows - t.windows), "a tile reaches beyond the windows");
        require(n_panels < 0 || t.panel <= n_panels - (t.windows + kPanelWindows - 1) / kPanelWindows,
                "a tile reaches beyond the panels");
    }
    return all;
}

/// What float32 windows are standardised with, prepared once for a call.
struct Prepared {
    std::vector<float> quick;
    members::Scaling scaling;

    Prepared(const In<double, 1>& mean, const In<double, 1>& inverse)
        : quick(static_cast<std::size_t>(members::quick_floats(size(mean, 0)))),
          scaling{mean.data(), inverse.data(),
                  members::quick_scaling(mean.data(), inverse.data(), size(mean, 0), quick.data())} {}
};

/// Rows of weights turned round, once for a call.
struct Turned {
    std::vector<float> linear, quadratic;
    members::Weights weights;

    Turned(const In<float, 2>& rows, const In<float, 2>* bend)
        : linear(turned(rows)),
          quadratic(bend != nullptr ? turned(*bend) : std::vector<float>()),
          weights{linear.data(), quadratic.empty() ? nullptr : quadratic.data(), size(rows, 0)} {}

    static std::vector<float> turned(const In<float, 2>& rows) {
        std::vector<float> out(rows.shape(0) * rows.shape(1));
        members::by_feature(rows.data(), size(rows, 0), size(rows, 1), out.data());
        return out;
    }
};

template <class T>
std::int64_t lay_panels(In<T, 2> X, In<double, 1> mean, In<double, 1> inverse, In<std::int64_t, 1> start,
                        In<std::int64_t, 2> tiles, std::int64_t begin, std::int64_t end, Out<float, 3> panels) {
    const std::int64_t F = size(X, 1);
    require(size(mean, 0) == F && size(inverse, 0) == F && size(panels, 1) == F && size(panels, 2) == kPanelWindows,
            "mean, inverse and panels must have as many features as X, and panels 32 lanes");
    const Tile* all = checked_tiles(start, tiles, begin, end, size(X, 0), size(panels, 0));
    const Prepared prepared(mean, inverse);
    nb::gil_scoped_release release;
    std::int64_t bad = -1;
    for (std::int64_t j = begin; j < end && bad < 0; ++j) {
        bad = members::lay_panels(X.data() + all[j].row * F, all[j].windows, F, prepared.scaling,
                                  panels.data() + all[j].panel * F * kPanelWindows);
        if (bad >= 0) bad += all[j].row;
    }
    return bad;
}

/// Checks of weights that score panels into `out`.
void check_weights(const In<float, 3>& panels, const In<float, 2>& linear, const In<float, 2>& quadratic,
                   const In<std::int64_t, 1>& column, const Out<float, 3>& out) {
    const std::int64_t F = size(panels, 1), K = size(linear, 0), rows = size(out, 1);
    require(size(panels, 2) == kPanelWindows && size(out, 2) == kPanelWindows, "panels have 32 lanes");
    require(size(linear, 1) == F && size(quadratic, 1) == F && (size(quadratic, 0) == 0 || size(quadratic, 0) == K),
            "linear and quadratic must have as many features as panels");
    require(size(column, 0) == K, "one column per model");
    for (std::int64_t k = 0; k < K; ++k)
        require(column.data()[k] >= 0 && column.data()[k] < rows, "a column is not in out");
}

void panel_scores(In<float, 3> panels, std::int64_t first, std::int64_t last, In<float, 2> linear,
                  In<float, 2> quadratic, In<std::int64_t, 1> column, Out<float, 3> out) {
    const std::int64_t F = size(panels, 1), K = size(linear, 0), rows = size(out, 1);
    check_weights(panels, linear, quadratic, column, out);
    require(first >= 0 && last <= size(panels, 0) && last <= size(out, 0), "there are fewer panels");
    if (first >= last || K == 0) return;
    const Turned turned(linear, size(quadratic, 0) ? &quadratic : nullptr);
    nb::gil_scoped_release release;
    members::panel_scores(panels.data() + first * F * kPanelWindows, last - first, F, turned.weights, column.data(),
                          out.data() + first * rows * kPanelWindows, rows, {});
}

members::Votes checked_votes(const In<float, 2>& offset, std::int64_t n_softmax, const In<std::int64_t, 1>& start,
                             Out<double, 3>& sums) {
    const members::Votes votes{offset.data(), size(offset, 0),    n_softmax,  size(offset, 1),
                               start.data(),  size(start, 0) - 1, sums.data()};
    require(n_softmax >= 0 && n_softmax <= votes.n_members && votes.n_classes >= 1,
            "more softmax members than members");
    require(size(sums, 0) == votes.n_members && size(sums, 1) == votes.n_tracks && size(sums, 2) == votes.n_classes,
            "sums must be (members, tracks, classes)");
    return votes;
}

void panel_votes(In<float, 3> panels, In<float, 2> linear, In<float, 2> quadratic, In<std::int64_t, 1> column,
                 Out<float, 3> bent, In<float, 3> straight, In<float, 3> small, In<float, 2> move,
                 In<std::int64_t, 1> start, In<std::int64_t, 2> tiles, std::int64_t begin, std::int64_t end,
                 In<float, 2> offset, std::int64_t n_softmax, Out<float, 2> work, Out<double, 3> sums) {
    const members::Votes votes = checked_votes(offset, n_softmax, start, sums);
    const std::int64_t P = size(bent, 0), F = size(panels, 1), C = votes.n_classes,
                       n_sigmoid = votes.n_members - n_softmax;
    const std::int64_t K = size(linear, 0), bent_rows = size(bent, 1);
    check_weights(panels, linear, quadratic, column, bent);
    require(size(quadratic, 0) == K,
            "the scores that are held anew are those of softmax members: linear and quadratic");
    require(size(panels, 0) == P && size(straight, 0) == P && size(small, 0) == P &&
                size(straight, 2) == kPanelWindows && size(small, 2) == kPanelWindows,
            "panels, bent, straight and small must have the same panels");
    const std::int64_t bent_classes = n_softmax ? bent_rows / n_softmax : C;
    require(bent_rows == n_softmax * bent_classes && (bent_classes == C || bent_classes == C - 1) &&
                size(straight, 1) == n_sigmoid * C && size(move, 0) == n_sigmoid * C && size(move, 1) == size(small, 1),
            "rows do not fit members, classes and the small space");
    require(size(work, 0) * size(work, 1) >= members::votes_scratch(n_sigmoid, C), "work is too small");
    const Tile* all = checked_tiles(start, tiles, begin, end, -1, P);
    const Turned turned(linear, &quadratic), moved(move, nullptr);
    const members::Held held{bent.data(),
                             bent_rows,
                             bent_classes,
                             straight.data(),
                             size(straight, 1),
                             small.data(),
                             n_sigmoid ? size(small, 1) : 0,
                             moved.linear.data(),
                             true};
    nb::gil_scoped_release release;
    for (std::int64_t j = begin; j < end; ++j) {
        const std::int64_t n_panels = (all[j].windows + kPanelWindows - 1) / kPanelWindows;
        if (K > 0) {
            members::panel_scores(panels.data() + all[j].panel * F * kPanelWindows, n_panels, F, turned.weights,
                                  column.data(), bent.data() + all[j].panel * bent_rows * kPanelWindows, bent_rows, {});
        }
        members::add_votes(all[j], held, votes, work.data());
    }
}

template <class T>
std::int64_t tile_votes(In<T, 2> X, In<double, 1> mean, In<double, 1> inverse, In<std::int64_t, 1> start,
                        In<std::int64_t, 2> tiles, std::int64_t begin, std::int64_t end, In<float, 2> bent,
                        In<float, 2> bend, In<float, 2> straight, In<float, 2> offset, std::int64_t n_softmax,
                        Out<float, 3> panels, Out<float, 3> held, Out<float, 2> work, Out<double, 3> sums) {
    const members::Votes votes = checked_votes(offset, n_softmax, start, sums);
    const std::int64_t F = size(X, 1), C = votes.n_classes, n_sigmoid = votes.n_members - n_softmax;
    const std::int64_t n_bent = size(bent, 0), n_straight = size(straight, 0);
    require(size(mean, 0) == F && size(inverse, 0) == F && size(bent, 1) == F && size(bend, 1) == F &&
                size(straight, 1) == F,
            "everything must have as many features as X");
    require(n_bent == n_softmax * (C - 1) && size(bend, 0) == n_bent && n_straight == n_sigmoid * C,
            "rows do not fit members and classes");
    require(size(panels, 0) >= kTilePanels && size(panels, 1) == F && size(panels, 2) == kPanelWindows &&
                size(held, 0) >= kTilePanels && size(held, 1) >= n_bent + n_straight &&
                size(held, 2) == kPanelWindows && size(work, 0) * size(work, 1) >= members::votes_scratch(n_sigmoid, C),
            "scratch is too small");
    const Tile* all = checked_tiles(start, tiles, begin, end, size(X, 0), -1);
    float *scores = held.data(), *plain = scores + kTilePanels * n_bent * kPanelWindows;
    const members::Held tile_held{scores, n_bent, C - 1, plain, n_straight, nullptr, 0, nullptr, false};
    const Prepared prepared(mean, inverse);
    const Turned curved(bent, &bend), flat(straight, nullptr);
    const std::int64_t share = 4 * n_bent + 2 * n_straight > 0 ? 4 * n_bent + 2 * n_straight : 1;  // of the work
    nb::gil_scoped_release release;
    for (std::int64_t j = begin; j < end; ++j) {
        Tile tile = all[j];
        const std::int64_t n_panels = (tile.windows + kPanelWindows - 1) / kPanelWindows;
        const std::int64_t bad =
            members::lay_panels(X.data() + tile.row * F, tile.windows, F, prepared.scaling, panels.data());
        if (bad >= 0) return tile.row + bad;
        Soon early{panels.data(), 0}, late = early;
        if (j + 1 < end) {
            const std::int64_t bytes = all[j + 1].windows * F * static_cast<std::int64_t>(sizeof(T));
            early = {X.data() + all[j + 1].row * F, bytes * 4 * n_bent / share};
            late = {static_cast<const char*>(early.at) + early.bytes, bytes - early.bytes};
        }
        members::panel_scores(panels.data(), n_panels, F, curved.weights, nullptr, scores, n_bent, early);
        members::panel_scores(panels.data(), n_panels, F, flat.weights, nullptr, plain, n_straight, late);
        tile.panel = 0;
        members::add_votes(tile, tile_held, votes, work.data());
    }
    return -1;
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
    m.def("panel_votes", &panel_votes, "panels"_a.noconvert(), "linear"_a.noconvert(), "quadratic"_a.noconvert(),
          "column"_a.noconvert(), "bent"_a.noconvert(), "straight"_a.noconvert(), "small"_a.noconvert(),
          "move"_a.noconvert(), "start"_a.noconvert(), "tiles"_a.noconvert(), "begin"_a, "end"_a,
          "offset"_a.noconvert(), "n_softmax"_a, "work"_a.noconvert(), "sums"_a.noconvert(),
          "As tile_votes, from scores that are held, some of them anew, and a move of the sigmoid members' weights in "
          "a small space.");
}

}  // namespace dissensus::bindings
