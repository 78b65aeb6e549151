#include "dissensus/topk.hpp"

#include <cstdint>

#include "query/table.hpp"

namespace dissensus::query {

bool Excluded::holds(std::int64_t i) const noexcept {
    std::int64_t low = 0, high = size;
    while (low < high) {
        const std::int64_t middle = low + (high - low) / 2;
        if (index[middle] < i) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    return low < size && index[low] == i;
}

bool Best::worse(std::int64_t a, std::int64_t b) const noexcept {
    return score_[a] < score_[b] || (score_[a] == score_[b] && index_[a] > index_[b]);
}

void Best::swap(std::int64_t a, std::int64_t b) noexcept {
    const double score = score_[a];
    score_[a] = score_[b];
    score_[b] = score;
    const std::int64_t index = index_[a];
    index_[a] = index_[b];
    index_[b] = index;
}

void Best::sink(std::int64_t at, std::int64_t size) noexcept {
    for (;;) {
        std::int64_t child = 2 * at + 1;
        if (child >= size) return;
        if (child + 1 < size && worse(child + 1, child)) ++child;
        if (!worse(child, at)) return;
        swap(child, at);
        at = child;
    }
}

void Best::offer(double score, std::int64_t index) noexcept {
    if (score != score) {
        if (size_ + missing_ < capacity_) index_[capacity_ - 1 - missing_++] = index;
        return;
    }
    if (size_ < capacity_) {
        std::int64_t at = size_++;
        if (size_ + missing_ > capacity_) missing_ = capacity_ - size_;
        score_[at] = score;
        index_[at] = index;
        while (at > 0 && worse(at, (at - 1) / 2)) {
            swap(at, (at - 1) / 2);
            at = (at - 1) / 2;
        }
    } else if (capacity_ > 0 && (score > score_[0] || (score == score_[0] && index < index_[0]))) {
        score_[0] = score;
        index_[0] = index;
        sink(0, size_);
    }
}

std::int64_t Best::finish() noexcept {
    for (std::int64_t i = 0; i < missing_ / 2; ++i) {
        const std::int64_t low = capacity_ - missing_ + i, high = capacity_ - 1 - i;
        const std::int64_t index = index_[low];
        index_[low] = index_[high];
        index_[high] = index;
    }
    for (std::int64_t i = 0; i < missing_; ++i) {
        index_[size_ + i] = index_[capacity_ - missing_ + i];
        score_[size_ + i] = __builtin_nan("");
    }
    for (std::int64_t end = size_ - 1; end > 0; --end) {
        swap(0, end);
        sink(0, end);
    }
    return size_ + missing_;
}

namespace {

template <class T>
std::int64_t best_of(const T* utility, std::int64_t n, Excluded excluded, std::int64_t k, std::int64_t* index,
                     double* score, bool (*any_above)(const T*, std::int64_t, T)) noexcept {
    if (k <= 0) return 0;
    constexpr std::int64_t chunk = 1024;
    Best best(index, score, k);
    for (std::int64_t start = 0; start < n; start += chunk) {
        const std::int64_t stop = start + chunk < n ? start + chunk : n;
        // what ties with the worst comes later than it
        if (best.full() && !any_above(utility + start, stop - start, static_cast<T>(best.worst()))) continue;
        for (std::int64_t i = start; i < stop; ++i) {
            if (best.full() && !(utility[i] > best.worst())) continue;
            if (!excluded.holds(i)) best.offer(utility[i], i);
        }
    }
    return best.finish();
}

}  // namespace

std::int64_t top_k(const float* utility, std::int64_t n, Excluded excluded, std::int64_t k, std::int64_t* index,
                   double* score) noexcept {
    return best_of(utility, n, excluded, k, index, score, in_use().any_above_f32);
}

std::int64_t top_k(const double* utility, std::int64_t n, Excluded excluded, std::int64_t k, std::int64_t* index,
                   double* score) noexcept {
    return best_of(utility, n, excluded, k, index, score, in_use().any_above_f64);
}

}  // namespace dissensus::query
