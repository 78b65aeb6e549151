// What a committee's disagreement about a track is measured by. Python knows the same names and numbers
// (dissensus/_measures.py), and a test holds them together.
#pragma once

namespace dissensus::query {

enum class Measure : int { consensus_entropy = 0, mean_kl = 1, margin = 2 };

/// Those that the mean of the members alone gives.
constexpr bool of_the_mean(Measure measure) noexcept {
    return measure == Measure::consensus_entropy || measure == Measure::margin;
}

}  // namespace dissensus::query
