#include <nanobind/nanobind.h>

#include <cstddef>
#include <cstdint>
#include <memory>
#include <new>

#include "arrays.hpp"
#include "dissensus/mel.hpp"
#include "families.hpp"

namespace dissensus::bindings {

using namespace nb::literals;

namespace {

static_assert(sizeof(mel::Band) == 3 * sizeof(std::int64_t));

constexpr std::align_val_t kLine{64};

struct Free {
    void operator()(float* memory) const noexcept { ::operator delete(memory, kLine); }
};

void log_mel_frames(In<float, 1> signal, std::int64_t first, std::int64_t hop, In<double, 1> window,
                    In<std::int64_t, 2> band, In<float, 1> weight, In<double, 1> level, Out<float, 2> out) {
    const std::int64_t n_fft = size(window, 0), n_frames = size(out, 0), n_mels = size(out, 1);
    require(mel::size_is_known(n_fft), "n_fft must be 256, 512, 1024, 2048 or 4096");
    if (n_frames == 0 || n_mels == 0) return;
    require(first >= 0 && hop >= 1 && first + (n_frames - 1) * hop + n_fft <= size(signal, 0),
            "the frames reach beyond the signal");
    require(size(band, 0) == n_mels && size(band, 1) == 3 && size(level, 0) == 5,
            "band must be (n_mels, 3) and level (5,)");
    const auto* bands = reinterpret_cast<const mel::Band*>(band.data());
    for (std::int64_t m = 0; m < n_mels; ++m) {
        const mel::Band& b = bands[m];
        require(b.first_bin >= 0 && b.n_weights >= 0 && b.first_weight >= 0 &&
                    b.first_bin + b.n_weights <= n_fft / 2 + 1 && b.first_weight + b.n_weights <= size(weight, 0),
                "a mel band reaches beyond the spectrum or its weights");
    }
    const double* l = level.data();
    const mel::Level scale{l[0] == 1.0, static_cast<float>(l[1]), static_cast<float>(l[2]), static_cast<float>(l[3]),
                           static_cast<float>(l[4])};
    const mel::Job job{signal.data(), first,  hop,           n_frames, window.data(), n_fft,
                       bands,         n_mels, weight.data(), scale,    out.data()};
    nb::gil_scoped_release release;
    const std::unique_ptr<float, Free> scratch(
        static_cast<float*>(::operator new(mel::scratch_floats(job) * sizeof(float), kLine)));
    mel::log_mel_frames(job, scratch.get());
}

}  // namespace

void bind_mel(nb::module_& m) {
    m.def("log_mel_frames", &log_mel_frames, "signal"_a.noconvert(), "first"_a, "hop"_a, "window"_a.noconvert(),
          "band"_a.noconvert(), "weight"_a.noconvert(), "level"_a.noconvert(), "out"_a.noconvert(),
          "Write log-mel frames of a signal; frame f is signal[first + f * hop :][:n_fft].");
}

}  // namespace dissensus::bindings
