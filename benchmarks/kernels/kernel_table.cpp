// Every kernel at the shapes of one linear layer of M rows from K to N features with an adapter:
// its result is checked at a small shape first, then its time, bytes a second and share of the rate
// of a large copy are measured.
//
//   kernel_table [--rows M] [--in K] [--out N] [--rank R] [--dropout P] [--runs RUNS]
//                [--results FOLDER]
//
// On the first GPU where the build has CUDA and there is one, else on all cores of the processor.
// Rows are appended to FOLDER/DEVICE.csv, benchmarks/results by default; RADGPT_COMMIT of the
// environment is their commit. Exit code 1: a check has failed.

#include <cstdio>

#include "benchmarks/kernels/more_kernel_cases.h"
#include "benchmarks/kernels/result_rows.h"

namespace radgpt::kernels {
namespace {

struct Options {
  Sizes sizes;
  int runs = 0;  ///< 0: as many as fit half a second, from 5 to 50
  std::string results = "benchmarks/results";
};

Options default_options(bool gpu) {
  Options options;
  options.sizes = gpu ? Sizes{.rows = 8192, .in = 4096, .out = 4096, .rank = 16, .dropout = 0.1}
                      : Sizes{.rows = 1024, .in = 1024, .out = 1024, .rank = 16, .dropout = 0.1};
  if (!gpu) options.sizes.most_logits_rows = 64;
  return options;
}

Options read_options(int argc, char** argv, bool gpu) {
  Options options = default_options(gpu);
  Sizes& sizes = options.sizes;
  for (int i = 1; i + 1 < argc; i += 2) {
    const std::string name = argv[i], value = argv[i + 1];
    if (name == "--rows")
      sizes.rows = std::stoll(value);
    else if (name == "--in")
      sizes.in = std::stoll(value);
    else if (name == "--out")
      sizes.out = std::stoll(value);
    else if (name == "--rank")
      sizes.rank = std::stoll(value);
    else if (name == "--dropout")
      sizes.dropout = std::stod(value);
    else if (name == "--runs")
      options.runs = std::stoi(value);
    else if (name == "--results")
      options.results = value;
    else
      fail(ErrorKind::kInput, "kernel_table: unknown option ", name);
  }
  require(argc % 2 == 1, "kernel_table: ", argv[argc - 1], " needs a value");
  require(sizes.rows > 0 && sizes.in > 0 && sizes.in % kHeadDim == 0 && sizes.out > 0 &&
              sizes.out % 8 == 0,
          "kernel_table: --in must be a multiple of 128 and --out of 8");
  require(sizes.rank >= 1 && sizes.rank <= kMostRank && sizes.dropout >= 0 && sizes.dropout < 1,
          "kernel_table: --rank must be in [1, 64] and --dropout in [0, 1)");
  return options;
}

/// How far what `ours` has written is from `exact`, in units of a rounding, in the 2-norm; of the
/// worst array.
double error_of(const Case& ours, const Case& exact) {
  double worst = 0;
  for (size_t array = 0; array < exact.written.size(); ++array) {
    const std::vector<double> values = ours.written[array](), expected = exact.written[array]();
    double difference = 0, all = 0;
    for (size_t i = 0; i < expected.size(); ++i) {
      difference += (values[i] - expected[i]) * (values[i] - expected[i]);
      all += expected[i] * expected[i];
    }
    const double error = std::sqrt(difference / std::max(all, 1e-300)) / ours.rounding;
    worst = std::isnan(error) || error > worst ? error : worst;
  }
  return worst;
}

/// Each kernel in bfloat16 on `machine` against the same in fp32 on the processor, with the same
/// inputs. Half a rounding is what a single store costs at most; chains have three or four.
bool check_all(Machine& machine, double dropout, int64_t rank) {
  constexpr double kMostError = 2.0;
  Processor processor;
  const Sizes small{.rows = 331,
                    .in = 256,
                    .out = 328,
                    .rank = rank,
                    .dropout = dropout,
                    .vocabulary = 10008,
                    .most_logits_rows = 7};
  const auto ours = all_cases<BFloat16>(), exact = all_cases<float>();
  bool right = true;
  for (size_t i = 0; i < ours.size(); ++i) {
    const Case one = ours[i](machine, small), other = exact[i](processor, small);
    one.run();
    machine.synchronise();
    other.run();
    const double error = error_of(one, other);
    const bool ok = error <= kMostError;
    right = right && ok;
    std::printf("check %-27s %-18s error %5.2f roundings   %s\n", one.kernel.c_str(),
                one.variant.c_str(), error, ok ? "ok" : "TOO LARGE");
  }
  return right;
}

void measure(Machine& machine, const Case& of, const Options& options, double peak,
             ResultFile& results) {
  constexpr double kMilliseconds = 500;
  of.run();  // to warm up
  const double once = spread_of(machine.time(2, of.run)).median;
  const int runs = options.runs > 0
                       ? options.runs
                       : static_cast<int>(std::clamp(kMilliseconds / (once + 1e-3), 5.0, 50.0));
  const Sizes& sizes = options.sizes;
  ResultRow row{.kernel = of.kernel,
                .dtype = of.dtype,
                .variant = of.variant,
                .rows = sizes.rows,
                .in = sizes.in,
                .out = sizes.out,
                .rank = sizes.rank,
                .dropout = sizes.dropout,
                .runs = runs,
                .milliseconds = spread_of(machine.time(runs, of.run))};
  const double seconds = row.milliseconds.median / 1e3;
  row.gb_per_s = of.bytes / seconds / 1e9;
  row.share_of_peak = of.bytes / seconds / peak;
  std::printf("%-27s %-18s %3d %9.4f %9.4f %9.4f %9.1f %6.1f %%", of.kernel.c_str(),
              of.variant.c_str(), runs, row.milliseconds.median, row.milliseconds.p20,
              row.milliseconds.p80, row.gb_per_s, 100 * row.share_of_peak);
  if (of.operations > 0) std::printf(" %8.2f", of.operations / seconds / 1e12);
  std::printf("\n");
  std::fflush(stdout);
  results.append(row);
}

int run(int argc, char** argv) {
  std::unique_ptr<Machine> machine;
#ifdef RADGPT_CUDA
  if (Gpu::present()) machine = std::make_unique<Gpu>();
#endif
  if (machine == nullptr) machine = std::make_unique<Processor>();
  const Options options = read_options(argc, argv, machine->is_gpu());
  const Sizes& sizes = options.sizes;
  ResultFile results(options.results, machine->name());
  std::printf("device   %s   memory %.1f GiB   commit %s   %s\n", machine->name().c_str(),
              machine->memory_bytes() / 0x1p30, results.commit().c_str(), results.date().c_str());
  if (!check_all(*machine, sizes.dropout, sizes.rank)) return 1;

  const double peak = measured_peak(*machine);
  std::printf("\nrows %lld  in %lld  out %lld  rank %lld  dropout %g   a large copy: %.1f GB/s\n",
              static_cast<long long>(sizes.rows), static_cast<long long>(sizes.in),
              static_cast<long long>(sizes.out), static_cast<long long>(sizes.rank), sizes.dropout,
              peak / 1e9);
  std::printf("%-27s %-18s %3s %9s %9s %9s %9s %8s %8s\n", "kernel", "", "n", "median ms", "p20",
              "p80", "GB/s", "of copy", "TFLOP/s");
  for (const auto make : all_cases<BFloat16>()) {
    measure(*machine, make(*machine, sizes), options, peak, results);
  }
  return 0;
}

}  // namespace
}  // namespace radgpt::kernels

int main(int argc, char** argv) {
  try {
    return radgpt::kernels::run(argc, argv);
  } catch (const std::exception& error) {
    std::fprintf(stderr, "error: %s\n", error.what());
    return 2;
  }
}
