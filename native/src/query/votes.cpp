#include "dissensus/votes.hpp"

#include <cmath>
#include <cstdint>

#include "dissensus/paths.hpp"
#include "dissensus/topk.hpp"
#include "query/blocks.hpp"
#include "query/table.hpp"

namespace dissensus::query {
namespace {

constexpr std::int64_t kMaxVoteClasses = 255;

void fill_table(std::int64_t n_members, std::int32_t* table) noexcept {
    table[0] = 0;
    for (std::int64_t count = 1; count <= n_members; ++count) {
        const double share = double(count) / double(n_members);
        table[count] = static_cast<std::int32_t>(std::nearbyint(-share * std::log(share) / kVoteUnit));
    }
}

constexpr std::int64_t kCounters = 64 * 256;

// Tracks per block: as many as the counters have room for.
std::int64_t block_tracks(std::int64_t n_classes) noexcept {
    const std::int64_t fit = kCounters / n_classes / 64 * 64;
    return fit < kBlockVotes ? fit : kBlockVotes;
}

struct Counted {
    std::uint16_t counts[kCounters];
    std::int32_t table[kMaxVoters + 1];
};

// Utilities of at most block_tracks tracks into out[0..n-1]; how many tracks hold a bad vote.
std::int64_t block(const Table& b, const Votes& votes, std::int64_t start, std::int64_t n, Counted& work,
                   float* out) noexcept {
    const std::int64_t stride = block_tracks(votes.n_classes);
    b.count_votes(votes.data + start, votes.member_stride, votes.n_members, votes.n_classes, n, stride, work.counts);
    b.vote_sums(work.counts, votes.n_members, votes.n_classes, n, stride, work.table, out);
    std::uint16_t cast[kBlockVotes];
    for (std::int64_t i = 0; i < n; ++i) cast[i] = work.counts[i];
    for (std::int64_t c = 1; c < votes.n_classes; ++c) {
        const std::uint16_t* row = work.counts + c * stride;
        for (std::int64_t i = 0; i < n; ++i) cast[i] = static_cast<std::uint16_t>(cast[i] + row[i]);
    }
    const std::uint16_t all = static_cast<std::uint16_t>(votes.n_members);
    int some = 0;
    for (std::int64_t i = 0; i < n; ++i) some |= static_cast<int>(cast[i] != all);
    if (some == 0) return 0;
    std::int64_t bad = 0;
    for (std::int64_t i = 0; i < n; ++i) {
        if (cast[i] == all) continue;
        out[i] = __builtin_nanf("");
        ++bad;
    }
    return bad;
}

// The same of any number of tracks: the fast way as far as it goes, then a group the other way, and on.
std::int64_t entropies(const Table& b, const Votes& votes, std::int64_t start, std::int64_t stop, Counted& work,
                       float* out) noexcept {
    const bool few = votes.n_classes <= kFewClasses && votes.n_members <= kFewVoters && b.few_votes != nullptr;
    const std::int64_t step = few ? 64 : block_tracks(votes.n_classes);
    std::int64_t bad = 0;
    for (std::int64_t low = start; low < stop;) {
        if (few) {
            low += b.few_votes(votes.data + low, votes.member_stride, votes.n_members, votes.n_classes, stop - low,
                               work.table, out + (low - start));
        }
        const std::int64_t n = stop - low < step ? stop - low : step;
        if (n > 0) bad += block(b, votes, low, n, work, out + (low - start));
        low += n;
    }
    return bad;
}

// Scores tracks one by one in float64, counts from small to large, as the reference does it. Tracks with the same
// counts come in crowds, so the last ones are remembered.
class Scorer {
public:
    double score(const Votes& votes, std::int64_t track) noexcept {
        std::uint16_t counts[kMaxVoteClasses] = {};
        for (std::int64_t m = 0; m < votes.n_members; ++m) ++counts[votes.data[m * votes.member_stride + track]];
        return score_counts(counts, votes.n_members, votes.n_classes);
    }

    // The most there is: votes spread as evenly as can be. Any other counts come to less by at least 1 / n_members^2,
    // far more than rounding.
    double most(std::int64_t n_members, std::int64_t n_classes) noexcept {
        std::uint16_t counts[kMaxVoteClasses];
        for (std::int64_t c = 0; c < n_classes; ++c) {
            counts[c] = static_cast<std::uint16_t>(n_members / n_classes +
                                                   static_cast<std::int64_t>(c < n_members % n_classes));
        }
        return score_counts(counts, n_members, n_classes);
    }

private:
    double score_counts(const std::uint16_t* counts, std::int64_t n_members, std::int64_t n_classes) noexcept {
        std::uint16_t sorted[kMaxVoteClasses];
        std::int64_t size = 0;
        for (std::int64_t c = 0; c < n_classes; ++c) {
            if (counts[c] == 0) continue;
            std::int64_t at = size++;
            for (; at > 0 && sorted[at - 1] > counts[c]; --at) sorted[at] = sorted[at - 1];
            sorted[at] = counts[c];
        }
        bool same = size == size_;
        for (std::int64_t c = 0; same && c < size; ++c) same = sorted[c] == sorted_[c];
        if (same) return score_;
        score_ = 0.0;
        size_ = size;
        for (std::int64_t c = 0; c < size; ++c) {
            const double share = double(sorted_[c] = sorted[c]) / double(n_members);
            score_ += -share * std::log(share);
        }
        return score_;
    }

    std::uint16_t sorted_[kMaxVoteClasses] = {};
    std::int64_t size_ = 0;
    double score_ = 0.0;
};

}  // namespace

std::int64_t vote_entropy(const Votes& votes, std::int64_t start, std::int64_t stop, float* out) noexcept {
    Counted work;
    fill_table(votes.n_members, work.table);
    return entropies(in_use(), votes, start, stop, work, out + start);
}

std::int64_t vote_top(const Votes& votes, Excluded excluded, std::int64_t start, std::int64_t stop, std::int64_t k,
                      std::int64_t* index, double* score_out) noexcept {
    const Table& b = in_use();
    Counted work;
    fill_table(votes.n_members, work.table);
    float out[kBlockVotes];
    Best best(index, score_out, k);
    Scorer scorer;
    const double most = scorer.most(votes.n_members, votes.n_classes);
    constexpr double near = 1e-6;
    std::int64_t left_out = 0, again = 0;
    const std::int64_t step = block_tracks(votes.n_classes);
    for (std::int64_t low = start; low < stop; low += step) {
        const std::int64_t n = stop - low < step ? stop - low : step;
        if (entropies(b, votes, low, low + n, work, out) > 0) return -1;
        if (k <= 0 || (best.full() && best.worst() >= most)) continue;  // of equals, the first is taken
        if (best.full() && !b.any_above_f32(out, n, static_cast<float>(best.worst() - 2.0 * near))) {
            ++left_out;
            continue;
        }
        for (std::int64_t i = 0; i < n; ++i) {
            // NOLINTNEXTLINE(clang-analyzer-core.UndefinedBinaryOperatorResult): entropies wrote it
            if (best.full() && !(out[i] >= best.worst() - near)) continue;
            if (excluded.holds(low + i)) continue;
            best.offer(scorer.score(votes, low + i), low + i);
            ++again;
        }
    }
    paths::taken(paths::Path::votes_blocks_left_out, left_out);
    paths::taken(paths::Path::votes_tracks_again, again);
    return best.finish();
}

}  // namespace dissensus::query
