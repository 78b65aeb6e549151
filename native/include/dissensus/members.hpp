// Linear members of a committee over windows that lie in lanes: naive Bayes is linear in [x, x²], logistic members in
// x.
//
// A panel holds kPanelWindows windows feature by feature, so that a score is a sum over rows of lanes: it is added up
// in the same order wherever its window lies and whatever is asked beside it. A tile is a run of at most kTile windows
// of whole tracks (or a part of one longer track) in consecutive panels. No Python, no allocation.
#pragma once

#include <cstdint>

namespace dissensus::members {

constexpr std::int64_t kPanelWindows = 32;
constexpr std::int64_t kTile = 256;
constexpr std::int64_t kTilePanels = kTile / kPanelWindows;

struct Tile {
    std::int64_t row;      ///< first window
    std::int64_t windows;  ///< 1..kTile
    std::int64_t track;    ///< first track
    std::int64_t n_tracks;
    std::int64_t panel;  ///< first panel
};

/// Weights of models, feature by feature: score = sum over features of (linear + quadratic x) x; quadratic may be null.
struct Weights {
    const float* linear;     ///< (n_features, n)
    const float* quadratic;  ///< (n_features, n) or null
    std::int64_t n;
};

/// Memory that is needed next, fetched little by little while something else is done.
struct Soon {
    const void* at = nullptr;
    std::int64_t bytes = 0;
};

/// How windows are standardised: (x - mean) * inverse.
struct Scaling {
    const double* mean;     ///< (n_features,)
    const double* inverse;  ///< (n_features,)
    const float* quick;     ///< from quick_scaling, or null: float32 windows are then standardised in float64 too
};

/// What turns scores into votes; softmax members come first.
struct Votes {
    const float* offset;  ///< (n_members, n_classes) constant terms
    std::int64_t n_members, n_softmax, n_classes;
    const std::int64_t* start;  ///< (n_tracks + 1,) first window of each track
    std::int64_t n_tracks;
    double* sums;  ///< (n_members, n_tracks, n_classes), added to
};

/// Scores held panel by panel, (rows, kPanelWindows) each; a softmax member has as many rows as classes, or one less
/// (the first's score is then 0).
struct Held {
    const float* bent;
    std::int64_t bent_rows, bent_classes;  ///< rows of a panel; rows of a member
    const float* straight;
    std::int64_t straight_rows;
    const float* small;  ///< (n_small, kPanelWindows) a panel: the windows in a small space
    std::int64_t n_small;
    const float* move;  ///< (n_small, n_sigmoid * n_classes): added to straight
    bool follows;       ///< the scores of the next tile come after these
};

/// Floats of scratch that add_votes needs.
inline std::int64_t votes_scratch(std::int64_t n_sigmoid, std::int64_t n_classes) noexcept {
    return (n_sigmoid * n_classes + n_classes) * kTile;
}

/// Turn rows of weights, (n, n_features), into (n_features, n).
void by_feature(const float* rows, std::int64_t n, std::int64_t n_features, float* out) noexcept;

/// Floats that quick_scaling writes.
inline std::int64_t quick_floats(std::int64_t n_features) noexcept { return 3 * ((n_features + 15) / 16 * 16); }

/// Prepare the standardisation of float32 windows in float32, within 2 ulp; null where means or scales are beyond that.
const float* quick_scaling(const double* mean, const double* inverse, std::int64_t n_features, float* out) noexcept;

/// Standardise windows into panels; the first window with a value that is not finite, or -1.
std::int64_t lay_panels(const float* X, std::int64_t n_windows, std::int64_t n_features, const Scaling& scaling,
                        float* panels) noexcept;
std::int64_t lay_panels(const double* X, std::int64_t n_windows, std::int64_t n_features, const Scaling& scaling,
                        float* panels) noexcept;

/// Scores of panels: model k goes to row column[k] (k itself for null) of each panel of `out`, of out_rows rows of
/// kPanelWindows.
void panel_scores(const float* panels, std::int64_t n_panels, std::int64_t n_features, const Weights& weights,
                  const std::int64_t* column, float* out, std::int64_t out_rows, const Soon& soon) noexcept;

/// Add the probabilities of one tile's windows to the sums of its tracks.
void add_votes(const Tile& tile, const Held& held, const Votes& votes, float* scratch) noexcept;

}  // namespace dissensus::members
