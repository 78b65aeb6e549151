#include "dissensus/paths.hpp"

#include <atomic>
#include <cstdint>

namespace dissensus::paths {
namespace {

std::atomic<std::int64_t> counts[kPaths];

}  // namespace

void taken(Path path, std::int64_t times) noexcept {
    if (times != 0) counts[static_cast<int>(path)].fetch_add(times, std::memory_order_relaxed);
}

std::int64_t times_taken(Path path) noexcept { return counts[static_cast<int>(path)].load(std::memory_order_relaxed); }

void forget() noexcept {
    for (auto& count : counts) count.store(0, std::memory_order_relaxed);
}

const char* name_of(Path path) noexcept {
    switch (path) {
        case Path::mel_halves_shared: return "mel_halves_shared";
        case Path::mel_halves_apart: return "mel_halves_apart";
        case Path::query_tiles_left_out: return "query_tiles_left_out";
        case Path::query_tracks_again: return "query_tracks_again";
        case Path::state_blocks_left_out: return "state_blocks_left_out";
        case Path::state_tracks_again: return "state_tracks_again";
        case Path::votes_blocks_left_out: return "votes_blocks_left_out";
        case Path::votes_tracks_again: return "votes_tracks_again";
        case Path::descent_steps_shortened: return "descent_steps_shortened";
        default: return "members_scaled_in_double";
    }
}

}  // namespace dissensus::paths
