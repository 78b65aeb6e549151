// How often the kernels of this process took each of their special paths: a test of what is rare asks whether it met
// it. Counted once a call.
#pragma once

#include <cstdint>

namespace dissensus::paths {

enum class Path : int {
    mel_halves_shared,         // groups of frames that share the halves of their neighbours
    mel_halves_apart,          // groups of frames that do not
    query_tiles_left_out,      // tiles of 16 tracks whose bound lay under the best ones
    query_tracks_again,        // tracks scored again in float64
    state_blocks_left_out,     // blocks of a state whose ceiling lay under the best ones
    state_tracks_again,        // tracks of a state scored again in float64
    votes_blocks_left_out,     // blocks of votes without anyone above the best ones
    votes_tracks_again,        // tracks scored again from their counts
    descent_steps_shortened,   // trials of a descent after which a step had to be shorter
    members_scaled_in_double,  // calls whose features are too large or too small for float32 factors
};
constexpr int kPaths = 10;

void taken(Path path, std::int64_t times) noexcept;
std::int64_t times_taken(Path path) noexcept;
void forget() noexcept;
const char* name_of(Path path) noexcept;

}  // namespace dissensus::paths
