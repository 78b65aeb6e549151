// Linear members of a committee over windows that lie in lanes: naive Bayes is linear in [x, x²], logistic members in x.
//
// A panel holds kLanes windows feature by feature, so that a score is a sum over rows of lanes: it is added up in the same
// order wherever its window lies and whatever is asked beside it. A tile is a run of at most kTile windows of whole tracks
// (or a part of one longer track) in consecutive panels. No Python, no allocation.
#pragma once

#include <cstdint>

namespace dissensus {

constexpr std::int64_t kLanes = 32;
constexpr std::int64_t kTile = 256;
constexpr std::int64_t kTilePanels = kTile / kLanes;

struct Tile {
    std::int64_t row;       ///< first window
    std::int64_t windows;   ///< 1..kTile
    std::int64_t track;     ///< first track
    std::int64_t n_tracks;
    std::int64_t panel;     ///< first panel
};

/// Weights of models: score = sum over features of (linear + quadratic x) x; quadratic may be null.
struct Weights {
    const float* linear;     ///< (n, n_features)
    const float* quadratic;  ///< (n, n_features) or null
    std::int64_t n;
};

/// What turns scores into votes; softmax members come first.
struct Votes {
    const float* offset;     ///< (n_members, n_classes) constant terms
    std::int64_t n_members, n_softmax, n_classes;
    const std::int64_t* start;  ///< (n_tracks + 1,) first window of each track
    std::int64_t n_tracks;
    double* sums;            ///< (n_members, n_tracks, n_classes), added to
};

/// Scores held panel by panel, (rows, kLanes) each; a softmax member has as many rows as classes, or one less (the first's
/// score is then 0).
struct Held {
    const float* bent;
    std::int64_t bent_rows, bent_classes;  ///< rows of a panel; rows of a member
    const float* straight;
    std::int64_t straight_rows;
    const float* small;      ///< (n_small, kLanes) a panel: the windows in a small space
    std::int64_t n_small;
    const float* move;       ///< (n_sigmoid * n_classes, n_small): added to straight
};

/// Floats of scratch that add_votes needs.
inline std::int64_t votes_scratch(std::int64_t n_sigmoid, std::int64_t n_classes) noexcept {
    return (n_sigmoid * n_classes + n_classes) * kTile;
}

/// Standardise windows, (x - mean) * inverse in float64, into panels; the first window with a value that is not finite, or -1.
std::int64_t lay_panels(const float* X, std::int64_t n_windows, std::int64_t n_features, const double* mean,
                        const double* inverse, float* panels) noexcept;
std::int64_t lay_panels(const double* X, std::int64_t n_windows, std::int64_t n_features, const double* mean,
                        const double* inverse, float* panels) noexcept;

/// Scores of panels: model k goes to row column[k] (k itself for null) of each panel of `out`, of out_rows rows of kLanes.
void panel_scores(const float* panels, std::int64_t n_panels, std::int64_t n_features, const Weights& weights,
                  const std::int64_t* column, float* out, std::int64_t out_rows) noexcept;

/// Add the probabilities of one tile's windows to the sums of its tracks.
void add_votes(const Tile& tile, const Held& held, const Votes& votes, float* scratch) noexcept;

/// One minimisation of the log loss over a move of the weights, for every model by itself; see the Numba twin.
struct Bound {
    const float* by_row;     ///< (n_rows / kLanes, n_weights, kLanes)
    const float* by_weight;  ///< (n_weights / kLanes, n_rows, kLanes)
    const float* start;      ///< (n_models, n_rows)
    const float* target;     ///< (n_models, n_rows)
    const float* weight;     ///< (n_rows,)
    const float* inverse;    ///< (n_weights / kLanes, n_weights, kLanes)
    const float* penalty;    ///< (n_weights,)
    std::int64_t n_rows, n_weights, n_models;
    std::int64_t max_steps;
    float tol;
    float* score;            ///< (n_models, n_rows) scratch
    float* work;             ///< (4, n_models, n_weights) scratch
    float* move;             ///< (n_models, n_weights) zero at first, then the result
};
std::int64_t bound_descent(const Bound& job) noexcept;

}  // namespace dissensus
