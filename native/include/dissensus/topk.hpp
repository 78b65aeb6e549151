// The best few of many: a heap whose root is the worst of the best, by score, then by position.
#pragma once

#include <cstdint>

namespace dissensus::query {

/// Sorted positions that may not be chosen.
struct Excluded {
    const std::int64_t* index = nullptr;
    std::int64_t size = 0;

    bool holds(std::int64_t i) const noexcept;
};

/// Collects the best `capacity` of what it is offered into arrays of the caller's. Numbers grow from the front of the
/// arrays, positions of NaN from the back of `index` while there is room. The result depends on what was offered alone,
/// not on the order, but NaN must be offered with rising positions.
class Best {
public:
    Best(std::int64_t* index, double* score, std::int64_t capacity) noexcept
        : index_(index), score_(score), capacity_(capacity) {}

    bool full() const noexcept { return size_ == capacity_; }
    /// The score to reach; only when full and of positive capacity.
    double worst() const noexcept { return score_[0]; }
    void offer(double score, std::int64_t index) noexcept;
    /// Sort, best first, NaN after the numbers; how many there are.
    std::int64_t finish() noexcept;

private:
    bool worse(std::int64_t a, std::int64_t b) const noexcept;
    void swap(std::int64_t a, std::int64_t b) noexcept;
    void sink(std::int64_t at, std::int64_t size) noexcept;

    std::int64_t* index_;
    double* score_;
    std::int64_t capacity_;
    std::int64_t size_ = 0;
    std::int64_t missing_ = 0;
};

/// Positions of the best `k` utilities, best first; `score` is room for `k` numbers. Returns how many there are.
std::int64_t top_k(const float* utility, std::int64_t n, Excluded excluded, std::int64_t k, std::int64_t* index,
                   double* score) noexcept;
std::int64_t top_k(const double* utility, std::int64_t n, Excluded excluded, std::int64_t k, std::int64_t* index,
                   double* score) noexcept;

}  // namespace dissensus::query
