#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "libradgpt/formats/tensor_file.h"
#include "libradgpt/formats/zip_archive.h"

namespace radgpt {

struct PickledTensor;

/// A file of torch.save (PyTorch 1.6 or newer) that holds a dict of BF16, F16 or F32 tensors, such
/// as pytorch_model.bin: a zip archive (zip_archive.h) of data.pkl, which describes tensors
/// (pickle.h), and of the records data/0, data/1, … that are their storages. Everything is checked
/// against everything else when the file is opened; nothing in it is run. Tensors may share a
/// storage and need not be row-major; devices are ignored. All tensors together have at most 64
/// times the file's bytes, since an expanded view can describe any size. TorchScript programs and
/// the format before PyTorch 1.6 are refused with what to do.
///
/// A storage's CRC-32 is verified while it is read once: a tensor that is a whole storage is
/// checked when its last bytes are read, if they are read in order; otherwise the storage is read
/// once more before the first byte is given out. Memory for reading: none for a tensor that lies
/// in its storage in rows of 4 kB or more; for others (transposed, expanded) up to 4 times the
/// tensor, until its last byte is read.
class PytorchFile : public TensorFile {
 public:
  explicit PytorchFile(const std::string& path);
  /// Takes a file that is already open.
  explicit PytorchFile(InputFile file);

  /// The CRC-32 of a tensor's bytes. Costs nothing where it is a whole storage, whose CRC-32 the
  /// archive lists; the others are read.
  uint32_t crc32(const TensorInfo& tensor) const;

 private:
  /// Where a tensor lies: runs of consecutive bytes, as long as shape and strides allow.
  struct View {
    size_t record = 0;
    uint64_t begin = 0;  ///< of the first element, in bytes from the record's start
    uint64_t run_bytes = 0;
    Shape runs;   ///< how many runs, by outer dimension
    Shape steps;  ///< bytes from one to the next
    uint64_t bytes = 0;

    /// Bytes from the first to behind the last.
    uint64_t span() const;
  };

  View view_of(const PickledTensor& tensor) const;
  bool is_whole_record(const View& view) const;
  void read_range(size_t index, std::span<std::byte> into, uint64_t from) const override;

  ZipArchive archive_;
  std::vector<View> views_;
  mutable size_t gathered_ = 0;  ///< the view whose span is in memory
  mutable std::vector<std::byte> span_;
};

}  // namespace radgpt
