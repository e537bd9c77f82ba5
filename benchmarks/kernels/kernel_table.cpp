// Every kernel at the shapes of linear layers of ROWS rows from IN to OUT features with an adapter:
// its result is checked at a small shape first, then its time, bytes a second and share of the rate
// of a large copy are measured.
//
//   kernel_table [--kernels all|adapted] [--runs RUNS] [--results FOLDER]
//                [RANK DROPOUT [ROWS IN OUT]...]
//
// adapted: only those that rank or dropout makes faster or slower. On the first GPU where the build
// has CUDA and there is one, else on all cores of the processor. Rows are appended to
// FOLDER/DEVICE.csv, benchmarks/results by default; RADGPT_COMMIT of the environment is their
// commit. Exit code 1: a check has failed; that kernel is not measured.

#include <cstdio>

#include "benchmarks/kernels/adapted_layers.h"
#include "benchmarks/kernels/more_kernel_cases.h"
#include "benchmarks/kernels/result_rows.h"

namespace radgpt::kernels {
namespace {

enum class Kernels { kAll, kAdapted };

template <typename T>
std::vector<MakeCase> cases(Kernels kernels) {
  return kernels == Kernels::kAll ? all_cases<T>() : adapted_cases<T>();
}

struct Options {
  Kernels kernels = Kernels::kAll;
  int runs = 0;
  std::string results = "benchmarks/results";
  AdaptedLayers layers;
};

Options read_options(int argc, char** argv, bool gpu) {
  Options options;
  std::vector<std::string> numbers;
  for (int i = 1; i < argc; ++i) {
    const std::string name = argv[i];
    if (!name.starts_with("--")) {
      numbers.push_back(name);
      continue;
    }
    require(i + 1 < argc, "kernel_table: ", name, " needs a value");
    const std::string value = argv[++i];
    if (name == "--kernels") {
      require(value == "all" || value == "adapted",
              "kernel_table: --kernels must be all or adapted, got ", value);
      options.kernels = value == "all" ? Kernels::kAll : Kernels::kAdapted;
    } else if (name == "--runs") {
      options.runs = std::stoi(value);
    } else if (name == "--results") {
      options.results = value;
    } else {
      fail(ErrorKind::kInput, "kernel_table: unknown option ", name);
    }
  }
  const LayerShape shape = gpu ? LayerShape{8192, 4096, 4096} : LayerShape{1024, 1024, 1024};
  options.layers = read_layers(numbers, {16, 0.1, {shape}});
  for (const auto& [rows, in, out] : options.layers.shapes) {
    require(rows > 0 && in > 0 && in % kHeadDim == 0 && out > 0 && out % 8 == 0,
            "kernel_table: IN must be a multiple of 128 and OUT of 8, got ", in, " and ", out);
  }
  require(options.layers.rank <= kMostRank, "kernel_table: RANK must be at most 64, got ",
          options.layers.rank);
  return options;
}

/// How far what `ours` has written is from `exact`, in units of a rounding, in the 2-norm; of the
/// worst array.
double error_of(const Case& ours, const Case& exact) {
  double worst = 0;
  for (size_t array = 0; array < exact.written.size(); ++array) {
    const std::vector<double> values = ours.written[array].values(),
                              expected = exact.written[array].values();
    double difference = 0, all = 0;
    for (size_t i = 0; i < expected.size(); ++i) {
      difference += (values[i] - expected[i]) * (values[i] - expected[i]);
      all += expected[i] * expected[i];
    }
    const double error =
        std::sqrt(difference / std::max(all, 1e-300)) / ours.written[array].rounding;
    worst = std::isnan(error) || error > worst ? error : worst;
  }
  return worst;
}

/// A kernel on `machine` against the same in double precision on the processor, with the same
/// inputs. Half a rounding is what a single store costs at most; chains have three or four.
bool check(Machine& machine, const Sizes& sizes, const MakeCase make, const MakeCase make_exact) {
  constexpr double kMostError = 2.0;
  Processor processor;
  const Case ours = make(machine, sizes), exact = make_exact(processor, sizes);
  ours.run();
  machine.synchronise();
  exact.run();
  const double error = error_of(ours, exact);
  const bool ok = error <= kMostError;
  std::printf("check %-27s %-18s error %5.2f roundings   %s\n", ours.kernel.c_str(),
              ours.variant.c_str(), error, ok ? "ok" : "TOO LARGE");
  return ok;
}

/// Those of `makers` that are right at a small shape.
std::vector<MakeCase> right_ones(Machine& machine, double dropout, int64_t rank, Kernels kernels) {
  const Sizes small{.rows = 331,
                    .in = 256,
                    .out = 328,
                    .rank = rank,
                    .dropout = dropout,
                    .vocabulary = 10008,
                    .most_logits_rows = 7};
  const std::vector<MakeCase> ours = cases<BFloat16>(kernels), exact = cases<double>(kernels);
  std::vector<MakeCase> right;
  for (size_t i = 0; i < ours.size(); ++i) {
    if (check(machine, small, ours[i], exact[i])) right.push_back(ours[i]);
  }
  return right;
}

void print_head(const Sizes& sizes, double peak) {
  std::printf("\nrows %lld  in %lld  out %lld  rank %lld  dropout %g   a large copy: %.1f GB/s\n",
              static_cast<long long>(sizes.rows), static_cast<long long>(sizes.in),
              static_cast<long long>(sizes.out), static_cast<long long>(sizes.rank), sizes.dropout,
              peak / 1e9);
  std::printf("%-27s %-18s %3s %9s %9s %9s %9s %8s %8s\n", "kernel", "", "n", "median ms", "p20",
              "p80", "GB/s", "of copy", "TFLOP/s");
}

/// `runs` 0: as many as fit half a second, from 5 to 50.
void measure(Machine& machine, const Case& of, const Sizes& sizes, int runs, double peak,
             ResultFile& results) {
  constexpr double kMilliseconds = 500;
  of.run();  // to warm up
  const double once = spread_of(machine.time(2, of.run)).median;
  if (runs == 0) runs = static_cast<int>(std::clamp(kMilliseconds / (once + 1e-3), 5.0, 50.0));
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
  const auto& [rank, dropout, shapes] = options.layers;
  ResultFile results(options.results, machine->name());
  std::printf("device   %s   memory %.1f GiB   commit %s   %s\n", machine->name().c_str(),
              machine->memory_bytes() / 0x1p30, results.commit().c_str(), results.date().c_str());
  const std::vector<MakeCase> right = right_ones(*machine, dropout, rank, options.kernels);
  const double peak = measured_peak(*machine);
  for (const auto& [rows, in, out] : shapes) {
    Sizes sizes{.rows = rows, .in = in, .out = out, .rank = rank, .dropout = dropout};
    if (!machine->is_gpu()) sizes.most_logits_rows = 64;
    print_head(sizes, peak);
    for (const MakeCase make : right) {
      measure(*machine, make(*machine, sizes), sizes, options.runs, peak, results);
    }
  }
  return right.size() == cases<BFloat16>(options.kernels).size() ? 0 : 1;
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
