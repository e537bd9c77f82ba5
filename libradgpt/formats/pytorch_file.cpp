#include "libradgpt/formats/pytorch_file.h"

#include <algorithm>
#include <cstring>
#include <unordered_map>
#include <unordered_set>
#include <utility>

#include "libradgpt/base/error.h"
#include "libradgpt/base/hash.h"
#include "libradgpt/formats/pickle.h"

namespace radgpt {
namespace {

constexpr uint64_t kLargestPickle = 64 << 20;
constexpr uint64_t kLongestNote = 64;
constexpr uint64_t kMostTimesFile = 64;
constexpr uint64_t kShortestDirectRun = 4096;
constexpr uint64_t kMostTimesTensor = 4;
constexpr size_t kSummedAtOnce = size_t{1} << 20;

/// Says what a file is that does not begin as a zip.
InputFile require_zip(InputFile file) {
  std::string begin(std::min<uint64_t>(16, file.size), '\0');
  read_exactly(file, 0, begin);
  require(begin.starts_with("PK\x03\x04"), file.path,
          ": must be a zip as torch.save writes it, got ", file.size, " bytes of another kind",
          describe_other_file(begin));
  return file;
}

std::string read_entry(const ZipArchive& archive, const std::string& name, uint64_t limit) {
  const int64_t entry = archive.find(name);
  require(entry >= 0, archive.path(), ": ", name, ": must be in the archive, but is missing");
  const uint64_t size = archive.entries()[entry].size;
  require(size <= limit, archive.path(), ": ", name, ": must have at most ", limit, " bytes, got ",
          size);
  std::string bytes(size, '\0');
  archive.read(entry, std::as_writable_bytes(std::span(bytes.data(), size)), 0);
  archive.check(entry);
  return bytes;
}

/// The entries that torch.save writes beside data.pkl and the storages.
void check_kind(const ZipArchive& archive) {
  const std::string& path = archive.path();
  for (const ZipEntry& entry : archive.entries()) {
    require(!entry.name.starts_with("code/") && entry.name != "constants.pkl", path, ": ",
            entry.name,
            ": must not be there: this is a TorchScript program; save the state_dict of the model");
  }
  const std::string version = read_entry(archive, "version", kLongestNote);
  require(version == "3\n" || version == "3", path, ": version: must be 3, got ", version.size(),
          " other bytes");
  if (archive.find("byteorder") < 0) return;  // before PyTorch 2.1
  require(read_entry(archive, "byteorder", kLongestNote) == "little", path,
          ": byteorder: must be little, got another");
}

/// torch.save writes an entry for each storage and none that nobody needs. Names that begin with a
/// dot are short notes of its own.
void check_entries(const ZipArchive& archive, const std::vector<PickledTensor>& tensors) {
  std::unordered_set<std::string> known{"data.pkl", "version", "byteorder"};
  for (const PickledTensor& tensor : tensors) known.insert("data/" + tensor.storage);
  const auto is_text = [](char byte) { return byte >= ' ' && byte <= '~'; };
  for (const ZipEntry& entry : archive.entries()) {
    if (known.contains(entry.name)) continue;
    const std::string place = archive.path() + ": " + entry.name;
    require(entry.name.starts_with("."), place, ": must be of use to a tensor, but none is in it");
    const std::string note = read_entry(archive, entry.name, kLongestNote);
    require(std::all_of(note.begin(), note.end(), is_text), place, ": must be plain text");
  }
}

void require_one_type(const ZipArchive& archive, const std::vector<PickledTensor>& tensors) {
  std::unordered_map<std::string, DataType> types;
  for (const PickledTensor& tensor : tensors) {
    const DataType type = types.try_emplace(tensor.storage, tensor.dtype).first->second;
    require(type == tensor.dtype, archive.path(), ": ", tensor.name,
            ": must have the type of the others in its storage, ", name_of(type), ", got ",
            name_of(tensor.dtype));
  }
}

/// Steps through a view's runs in row-major order.
class RunWalk {
 public:
  RunWalk(const Shape& runs, const Shape& steps, uint64_t first)
      : runs_(runs), steps_(steps), index_(runs.size(), 0) {
    uint64_t rest = first;
    for (size_t i = runs.size(); i-- > 0;) {
      index_[i] = static_cast<int64_t>(rest % static_cast<uint64_t>(runs[i]));
      rest /= static_cast<uint64_t>(runs[i]);
      offset_ += index_[i] * steps[i];
    }
  }
  /// Of the run, in bytes from that of the first.
  uint64_t offset() const { return static_cast<uint64_t>(offset_); }
  void next() {
    for (size_t i = runs_.size(); i-- > 0;) {
      offset_ += steps_[i];
      if (++index_[i] < runs_[i]) return;
      offset_ -= runs_[i] * steps_[i];
      index_[i] = 0;
    }
  }

 private:
  const Shape& runs_;
  const Shape& steps_;
  Shape index_;
  int64_t offset_ = 0;
};

}  // namespace

PytorchFile::PytorchFile(const std::string& path) : PytorchFile(open_regular_file(path)) {}

PytorchFile::PytorchFile(InputFile file)
    : TensorFile(file.path), archive_(require_zip(std::move(file))) {
  check_kind(archive_);
  const std::string pickle = read_entry(archive_, "data.pkl", kLargestPickle);
  const std::vector<PickledTensor> tensors = parse_tensor_pickle(pickle, path() + ": data.pkl");
  require_one_type(archive_, tensors);
  std::vector<TensorInfo> infos;
  uint64_t room = archive_.file_bytes() * kMostTimesFile;
  for (const PickledTensor& tensor : tensors) {
    views_.push_back(view_of(tensor));
    infos.push_back({tensor.name, tensor.dtype, tensor.shape});
    require(views_.back().bytes <= room, path(), ": ", tensor.name,
            ": must not bring all tensors to more than ", kMostTimesFile,
            " times the file's bytes, got shape ", to_text(tensor.shape));
    room -= views_.back().bytes;
  }
  check_entries(archive_, tensors);
  set_tensors(std::move(infos));
}

PytorchFile::View PytorchFile::view_of(const PickledTensor& tensor) const {
  const std::string name = "data/" + tensor.storage;
  const int64_t entry = archive_.find(name);
  require(entry >= 0, path(), ": ", tensor.name, ": storage: must be the archive's ", name,
          ", but that is missing");
  const auto element_bytes = static_cast<uint64_t>(size_of(tensor.dtype));
  const uint64_t record_bytes = archive_.entries()[entry].size;
  require(record_bytes % element_bytes == 0 &&
              record_bytes / element_bytes == static_cast<uint64_t>(tensor.storage_elements),
          path(), ": ", tensor.name, ": storage: must have the ", record_bytes, " bytes of ", name,
          ", got ", tensor.storage_elements, " elements of ", name_of(tensor.dtype));
  View view{.record = static_cast<size_t>(entry),
            .begin = static_cast<uint64_t>(tensor.offset) * element_bytes,
            .run_bytes = element_bytes,
            .runs = {},
            .steps = {},
            .bytes = byte_count(tensor.dtype, tensor.shape).value_or(0)};
  for (size_t i = tensor.shape.size(); view.bytes > 0 && i-- > 0;) {
    if (tensor.shape[i] == 1) continue;
    const int64_t step = tensor.strides[i] * static_cast<int64_t>(element_bytes);
    if (view.runs.empty() && static_cast<uint64_t>(step) == view.run_bytes) {
      view.run_bytes *= static_cast<uint64_t>(tensor.shape[i]);
      continue;
    }
    view.runs.insert(view.runs.begin(), tensor.shape[i]);
    view.steps.insert(view.steps.begin(), step);
  }
  return view;
}

uint64_t PytorchFile::View::span() const {
  uint64_t last = 0;
  for (size_t i = 0; i < runs.size(); ++i) last += static_cast<uint64_t>((runs[i] - 1) * steps[i]);
  return last + run_bytes;
}

bool PytorchFile::is_whole_record(const View& view) const {
  return view.runs.empty() && view.begin == 0 && view.bytes == archive_.entries()[view.record].size;
}

void PytorchFile::read_range(size_t index, std::span<std::byte> into, uint64_t from) const {
  const View& view = views_[index];
  if (view.bytes == 0) return;
  if (is_whole_record(view)) return archive_.read(view.record, into, from);
  archive_.check(view.record);
  const uint64_t span = view.span();
  const bool is_gathered =
      view.run_bytes < kShortestDirectRun && span / kMostTimesTensor <= view.bytes;
  if (is_gathered && (gathered_ != index || span_.empty())) {
    span_.resize(span);
    archive_.read(view.record, span_, view.begin);
    gathered_ = index;
  }
  RunWalk run(view.runs, view.steps, from / view.run_bytes);
  for (uint64_t skip = from % view.run_bytes; !into.empty(); skip = 0, run.next()) {
    const size_t count = std::min<uint64_t>(view.run_bytes - skip, into.size());
    if (is_gathered) {
      std::memcpy(into.data(), span_.data() + run.offset() + skip, count);
    } else {
      archive_.read(view.record, into.first(count), view.begin + run.offset() + skip);
    }
    into = into.subspan(count);
    from += count;
  }
  if (from == view.bytes) span_ = {};
}

uint32_t PytorchFile::crc32(const TensorInfo& tensor) const {
  const auto index = static_cast<size_t>(find(tensor.name) - tensors().data());
  if (is_whole_record(views_[index])) return archive_.entries()[views_[index].record].crc32;
  std::vector<std::byte> buffer(std::min<uint64_t>(kSummedAtOnce, views_[index].bytes));
  uint32_t sum = 0;
  for (uint64_t from = 0; from < views_[index].bytes; from += buffer.size()) {
    const auto piece =
        std::span(buffer).first(std::min<uint64_t>(buffer.size(), views_[index].bytes - from));
    read_range(index, piece, from);
    sum = radgpt::crc32({reinterpret_cast<const char*>(piece.data()), piece.size()}, sum);
  }
  return sum;
}

}  // namespace radgpt
