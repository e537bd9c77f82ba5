// How long a model takes to load, and the memory for it:
//
//   load_checkpoint FOLDER RESULTS_FOLDER [ROUNDS]
//
// Writes a checkpoint of 2 GB in bf16 into FOLDER twice, as safetensors and as torch.save would,
// and loads each in a process of its own, with the files in the page cache ("warm") and without
// ("cold"). Beside it stands a plain sequential read of the same file into one buffer, in the same
// process and state. Medians are appended to RESULTS_FOLDER/DEVICE.csv; RADGPT_COMMIT of the
// environment names the commit. Exit code 1: a load took more memory than the weights and the
// largest tensor. FOLDER needs 4.2 GB; what is written is removed at the end.

#include <fcntl.h>
#include <sys/wait.h>
#include <torch/types.h>
#include <unistd.h>

#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>

#include "benchmarks/kernels/interleaved.h"
#include "benchmarks/kernels/result_rows.h"
#include "libradgpt/base/error.h"
#include "libradgpt/base/hash.h"
#include "libradgpt/formats/safetensors.h"
#include "libradgpt/model/baichuan.h"
#include "libradgpt/record/manifest.h"
#include "tests/formats/pickle_bytes.h"

namespace radgpt {
namespace {

constexpr size_t kBlock = size_t{8} << 20;
constexpr const char* kFormats[] = {"safetensors", "pytorch"};
constexpr const char* kStates[] = {"cold", "warm"};

/// A 7B model of half the width and half the layers: 2.05 GB, of which embedding and head have
/// 268 MB each.
ModelConfig config() {
  return {.vocab_size = 65536,
          .hidden_size = 2048,
          .intermediate_size = 5504,
          .num_hidden_layers = 15,
          .num_attention_heads = 16};
}

uint64_t bytes_of(const NamedShape& tensor) {
  return byte_count(DataType::kBF16, tensor.shape).value_or(0);
}

/// Small bf16 numbers, other ones at every place.
std::string make_block() {
  std::string block;
  for (uint32_t i = 0; block.size() < kBlock; ++i) {
    block += little_endian(static_cast<uint16_t>(0x3C00 | ((i * 2654435761U) >> 23)));
  }
  return block;
}

/// Calls write(bytes) until `count` bytes are given.
template <typename Write>
void repeat(const std::string& block, uint64_t count, const Write& write) {
  for (uint64_t done = 0; done < count; done += block.size()) {
    write(std::string_view(block).substr(0, std::min<uint64_t>(block.size(), count - done)));
  }
}

std::string write_safetensors_model(const std::string& folder, const std::string& block) {
  const std::vector<NamedShape> tensors = named_tensors(config());
  std::vector<TensorSpec> specs;
  for (const NamedShape& tensor : tensors) {
    specs.push_back({tensor.name, DataType::kBF16, tensor.shape});
  }
  SafetensorsWriter writer(folder + "/model.safetensors", specs);
  for (const NamedShape& tensor : tensors) {
    repeat(block, bytes_of(tensor), [&](std::string_view bytes) {
      writer.write(std::as_bytes(std::span(bytes.data(), bytes.size())));
    });
  }
  writer.finish();
  return folder + "/model.safetensors";
}

/// data.pkl of a dict of all tensors, a storage each.
std::string pickle_of(const std::vector<NamedShape>& tensors) {
  std::vector<std::pair<std::string, std::string>> entries;
  for (size_t i = 0; i < tensors.size(); ++i) {
    const Shape& shape = tensors[i].shape;
    const std::string storage = storage_op("BFloat16Storage", std::to_string(i),
                                           static_cast<int64_t>(bytes_of(tensors[i]) / 2));
    const Shape strides = shape.size() == 1 ? Shape{1} : Shape{shape[1], 1};
    entries.emplace_back(tensors[i].name, tensor_op(storage, 0, shape, strides));
  }
  return dict_pickle(entries);
}

std::string write_pytorch_model(const std::string& folder, const std::string& block) {
  const std::vector<NamedShape> tensors = named_tensors(config());
  AtomicFile file(folder + "/pytorch_model.bin");
  uint64_t offset = 0;
  std::string directory;
  size_t entries = 0;
  const auto write = [&](std::string_view bytes) {
    file.write(bytes);
    offset += bytes.size();
  };
  const auto add = [&](const ZipPart& part, const auto& write_data) {
    directory += zip_central_header(part, offset);
    write(zip_local_header(part, offset));
    write_data();
    write(zip_descriptor(part));
    ++entries;
  };
  const ZipPart pickle{.name = "pytorch_model/data.pkl", .bytes = pickle_of(tensors)};
  const ZipPart version{.name = "pytorch_model/version", .bytes = "3\n"};
  add(pickle, [&] { write(pickle.bytes); });
  add(version, [&] { write(version.bytes); });
  for (size_t i = 0; i < tensors.size(); ++i) {
    ZipPart part{.name = "pytorch_model/data/" + std::to_string(i), .bytes = {}};
    part.size = bytes_of(tensors[i]);
    uint32_t sum = 0;
    repeat(block, *part.size, [&](std::string_view bytes) { sum = crc32(bytes, sum); });
    part.crc32 = sum;
    add(part, [&] { repeat(block, *part.size, write); });
  }
  write(directory + zip_end(entries, directory.size(), offset));
  file.commit();
  return folder + "/pytorch_model.bin";
}

/// A line of /proc/self/status in bytes: VmRSS now, VmHWM at its highest.
int64_t status_bytes(const std::string& key) {
  std::ifstream status("/proc/self/status");
  for (std::string line; std::getline(status, line);) {
    if (line.starts_with(key)) return std::atoll(line.c_str() + key.size() + 1) * 1024;
  }
  fail(ErrorKind::kEnvironment, "/proc/self/status: lacks ", key);
}

template <typename Action>
double seconds_of(const Action& action) {
  const auto start = std::chrono::steady_clock::now();
  action();
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
}

/// Brings a file into the page cache, or out of it.
void prepare(const InputFile& file, const std::string& state) {
  if (state == "cold") {
    posix_fadvise(file.descriptor.get(), 0, 0, POSIX_FADV_DONTNEED);
    return;
  }
  std::string buffer(kBlock, '\0');
  for (uint64_t at = 0; at < file.size; at += kBlock) {
    read_exactly(file, at, std::span(buffer).first(std::min<uint64_t>(kBlock, file.size - at)));
  }
}

struct Measured {
  double plain_seconds = 0;
  double seconds = 0;
  int64_t peak = 0;
};

Measured measure(const std::string& path, const std::string& state) {
  Measured measured;
  const InputFile file = open_regular_file(path);
  prepare(file, state);
  measured.plain_seconds = seconds_of([&] {
    std::string buffer(kBlock, '\0');
    for (uint64_t at = 0; at < file.size; at += kBlock) {
      read_exactly(file, at, std::span(buffer).first(std::min<uint64_t>(kBlock, file.size - at)));
    }
  });
  prepare(file, state);
  const int64_t before = status_bytes("VmRSS:");
  std::unique_ptr<Baichuan> model;
  measured.seconds = seconds_of(
      [&] { model = Baichuan::load(std::filesystem::path(path).parent_path(), at::kBFloat16); });
  measured.peak = status_bytes("VmHWM:") - before;
  return measured;
}

/// `measure` in a process of its own, whose peak is that of one load.
Measured measure_apart(const std::string& path, const std::string& state) {
  int ends[2];
  if (pipe(ends) != 0) fail(ErrorKind::kEnvironment, "cannot make a pipe");
  const pid_t child = fork();
  if (child == 0) {
    int code = 2;
    try {
      const Measured measured = measure(path, state);
      code = write(ends[1], &measured, sizeof measured) == sizeof measured ? 0 : 2;
    } catch (const std::exception& error) {
      std::fprintf(stderr, "error: %s\n", error.what());
    }
    _exit(code);
  }
  close(ends[1]);
  Measured measured;
  const bool is_whole = read(ends[0], &measured, sizeof measured) == sizeof measured;
  close(ends[0]);
  int status = 0;
  waitpid(child, &status, 0);
  if (!is_whole || status != 0) fail(ErrorKind::kEnvironment, "load_checkpoint: a load has failed");
  return measured;
}

/// Whether the memory stays within its bound.
bool report(const std::vector<Measured>& runs, const std::string& format, const std::string& state,
            ResultFile& results) {
  uint64_t weights = 0, largest = 0;
  for (const NamedShape& tensor : named_tensors(config())) {
    weights += bytes_of(tensor);
    largest = std::max(largest, bytes_of(tensor));
  }
  std::vector<double> loads, shares;
  int64_t peak = 0;
  for (const Measured& run : runs) {
    loads.push_back(1000 * run.seconds);
    shares.push_back(run.plain_seconds / run.seconds);
    peak = std::max(peak, run.peak);
  }
  const Spread spread = spread_of(loads);
  const double share = spread_of(shares).median;
  const double rate = static_cast<double>(weights) / spread.median / 1e6;  // GB/s
  const bool is_within = peak <= static_cast<int64_t>(weights + largest);
  std::printf("%-12s %-5s %8.2f s %8.0f MB/s   %5.2f of a plain read   peak %5ld MB of %5ld %s\n",
              format.c_str(), state.c_str(), spread.median / 1e3, 1e3 * rate, share,
              peak / 1'000'000, static_cast<long>((weights + largest) / 1'000'000),
              is_within ? "ok" : "TOO MUCH");
  results.append({.kernel = "load_checkpoint",
                  .variant = format + " " + state,
                  .rows = config().vocab_size,
                  .in = config().hidden_size,
                  .out = config().intermediate_size,
                  .runs = static_cast<int>(runs.size()),
                  .milliseconds = spread,
                  .gb_per_s = rate,
                  .share_of_peak = share});
  return is_within;
}

bool run(int argc, char** argv) {
  require(argc == 3 || argc == 4, "usage: load_checkpoint FOLDER RESULTS_FOLDER [ROUNDS]");
  const int rounds = argc > 3 ? std::atoi(argv[3]) : 3;
  require(rounds > 0, "load_checkpoint: ROUNDS must be a positive number, got ", argv[argc - 1]);
  const std::string block = make_block();
  std::vector<std::string> files;
  for (const std::string format : kFormats) {
    const std::string folder = std::string(argv[1]) + "/load_checkpoint_" + format;
    std::filesystem::create_directories(folder);
    write_model_config(folder + "/config.json", config());
    files.push_back(format == "pytorch" ? write_pytorch_model(folder, block)
                                        : write_safetensors_model(folder, block));
  }
  ResultFile results(argv[2], processor_name());
  std::printf("device   %s   2 GB of bf16 weights, %d rounds\n", processor_name().c_str(), rounds);
  std::vector<std::vector<Measured>> runs(4);
  for (int round = 0; round < rounds; ++round) {
    for (size_t i = 0; i < 4; ++i) {
      runs[i].push_back(measure_apart(files[i / 2], kStates[i % 2]));
    }
  }
  bool is_within = true;
  for (size_t i = 0; i < 4; ++i) {
    is_within = report(runs[i], kFormats[i / 2], kStates[i % 2], results) && is_within;
  }
  for (const std::string& file : files) {
    std::filesystem::remove_all(std::filesystem::path(file).parent_path());
  }
  return is_within;
}

}  // namespace
}  // namespace radgpt

int main(int argc, char** argv) {
  try {
    return radgpt::run(argc, argv) ? 0 : 1;
  } catch (const std::exception& error) {
    std::fprintf(stderr, "error: %s\n", error.what());
    return 2;
  }
}
