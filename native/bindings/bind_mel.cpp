#include <nanobind/nanobind.h>
#include <nanobind/ndarray.h>

#include <new>
#include <stdexcept>

#include "dissensus/mel.hpp"

namespace nb = nanobind;
using namespace nb::literals;

namespace {

template <class T, int D>
using In = nb::ndarray<const T, nb::ndim<D>, nb::c_contig, nb::device::cpu>;
template <class T, int D>
using Out = nb::ndarray<T, nb::ndim<D>, nb::c_contig, nb::device::cpu>;

static_assert(sizeof(dissensus::MelBand) == 3 * sizeof(std::int64_t));

void log_mel_frames(In<float, 1> signal, std::int64_t first, std::int64_t hop, In<double, 1> window,
                    In<std::int64_t, 2> band, In<float, 1> weight, In<double, 1> level, Out<float, 2> out) {
    const auto n_fft = static_cast<std::int64_t>(window.shape(0)), n_frames = static_cast<std::int64_t>(out.shape(0));
    const auto n_mels = static_cast<std::int64_t>(out.shape(1));
    if (!dissensus::mel_size_is_known(n_fft)) throw std::invalid_argument("n_fft must be 256, 512, 1024, 2048 or 4096");
    if (n_frames == 0 || n_mels == 0) return;
    if (first < 0 || hop < 1 || first + (n_frames - 1) * hop + n_fft > static_cast<std::int64_t>(signal.shape(0))) {
        throw std::invalid_argument("the frames reach beyond the signal");
    }
    if (static_cast<std::int64_t>(band.shape(0)) != n_mels || band.shape(1) != 3 || level.shape(0) != 5) {
        throw std::invalid_argument("band must be (n_mels, 3) and level (5,)");
    }
    const auto* bands = reinterpret_cast<const dissensus::MelBand*>(band.data());
    for (std::int64_t m = 0; m < n_mels; ++m) {
        const auto& b = bands[m];
        if (b.first_bin < 0 || b.n_weights < 0 || b.first_weight < 0 || b.first_bin + b.n_weights > n_fft / 2 + 1 ||
            b.first_weight + b.n_weights > static_cast<std::int64_t>(weight.shape(0))) {
            throw std::invalid_argument("a mel band reaches beyond the spectrum or its weights");
        }
    }
    const double* l = level.data();
    const dissensus::MelJob job{signal.data(),
                                first,
                                hop,
                                n_frames,
                                window.data(),
                                n_fft,
                                bands,
                                n_mels,
                                weight.data(),
                                {l[0] == 1.0, static_cast<float>(l[1]), static_cast<float>(l[2]),
                                 static_cast<float>(l[3]), static_cast<float>(l[4])},
                                out.data()};
    nb::gil_scoped_release release;
    constexpr std::align_val_t line{64};
    auto* scratch = static_cast<float*>(::operator new(dissensus::mel_scratch(job) * sizeof(float), line));
    dissensus::log_mel_frames(job, scratch);
    ::operator delete(scratch, line);
}

}  // namespace

void bind_mel(nb::module_& m) {
    m.def("log_mel_frames", &log_mel_frames, "signal"_a.noconvert(), "first"_a, "hop"_a, "window"_a.noconvert(),
          "band"_a.noconvert(), "weight"_a.noconvert(), "level"_a.noconvert(), "out"_a.noconvert(),
          "Write log-mel frames of a signal; frame f is signal[first + f * hop :][:n_fft].");
}
