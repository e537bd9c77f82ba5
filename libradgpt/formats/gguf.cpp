#include "libradgpt/formats/gguf.h"

#include <set>
#include <type_traits>

#include "libradgpt/base/error.h"

namespace radgpt {
namespace {

constexpr uint32_t kVersion = 3;
constexpr uint64_t kAlignment = 32;
constexpr size_t kLongestName = 63;
constexpr size_t kMostDimensions = 4;

// The numbers of enum gguf_type and enum ggml_type.
enum class ValueType : uint32_t {
  kInt32 = 5,
  kUint32 = 4,
  kFloat = 6,
  kBool = 7,
  kString = 8,
  kArray = 9
};

uint32_t ggml_type(TensorEncoding encoding) {
  switch (encoding) {
    case TensorEncoding::kFp32:
      return 0;
    case TensorEncoding::kFp16:
      return 1;
    case TensorEncoding::kQ8_0:
      return 8;
    case TensorEncoding::kBf16:
      return 30;
  }
  fail(ErrorKind::kUsage, "gguf: unknown encoding ", static_cast<int>(encoding));
}

uint64_t padded(uint64_t bytes) { return (bytes + kAlignment - 1) / kAlignment * kAlignment; }

/// The bytes before the tensors.
class Preamble {
 public:
  void add(const GgufMetadata& metadata);
  void add(const GgufTensor& tensor, uint64_t offset);
  template <typename Number>
  void number(Number value) {
    static_assert(std::is_arithmetic_v<Number>);
    bytes_.append(reinterpret_cast<const char*>(&value), sizeof value);
  }
  /// Zeros up to the alignment.
  void pad() { bytes_.resize(padded(bytes_.size())); }
  const std::string& bytes() const { return bytes_; }

 private:
  void type(ValueType value) { number(static_cast<uint32_t>(value)); }
  void text(const std::string& value) {
    number(uint64_t{value.size()});
    bytes_ += value;
  }

  void value(bool flag) {
    type(ValueType::kBool);
    number(static_cast<uint8_t>(flag));
  }
  void value(uint32_t integer) {
    type(ValueType::kUint32);
    number(integer);
  }
  void value(float real) {
    type(ValueType::kFloat);
    number(real);
  }
  void value(const std::string& string) {
    type(ValueType::kString);
    text(string);
  }
  template <typename Element>
  void value(const std::vector<Element>& elements);

  std::string bytes_ = "GGUF";
};

template <typename Element>
void Preamble::value(const std::vector<Element>& elements) {
  type(ValueType::kArray);
  if constexpr (std::is_same_v<Element, std::string>) {
    type(ValueType::kString);
  } else {
    type(std::is_same_v<Element, float> ? ValueType::kFloat : ValueType::kInt32);
  }
  number(uint64_t{elements.size()});
  for (const Element& element : elements) {
    if constexpr (std::is_same_v<Element, std::string>) {
      text(element);
    } else {
      number(element);
    }
  }
}

void Preamble::add(const GgufMetadata& metadata) {
  for (const auto& [key, one] : metadata) {
    text(key);
    std::visit([this](const auto& alternative) { value(alternative); }, one);
  }
}

void Preamble::add(const GgufTensor& tensor, uint64_t offset) {
  text(tensor.name);
  number(static_cast<uint32_t>(tensor.shape.size()));
  for (auto size = tensor.shape.rbegin(); size != tensor.shape.rend(); ++size) {
    number(static_cast<uint64_t>(*size));
  }
  number(ggml_type(tensor.encoding));
  number(offset);
}

uint64_t bytes_of(const GgufTensor& tensor, const std::string& path) {
  const std::string where = path + ": " + tensor.name;
  require(!tensor.name.empty() && tensor.name.size() <= kLongestName, where,
          ": the name must have 1 to ", kLongestName, " bytes, got ", tensor.name.size());
  require(!tensor.shape.empty() && tensor.shape.size() <= kMostDimensions, where,
          ": shape must have 1 to ", kMostDimensions, " sizes, got ", to_text(tensor.shape));
  const std::optional<uint64_t> numbers = byte_count(DataType::kU8, tensor.shape);
  require(numbers.has_value(), where, ": shape must be of numbers that can be counted, got ",
          to_text(tensor.shape));
  require(*numbers > 0, where, ": shape must have an element at least, got ",
          to_text(tensor.shape));
  require(tensor.shape.back() % block_size(tensor.encoding) == 0, where,
          ": must have columns in multiples of ", block_size(tensor.encoding), " for ",
          name_of(tensor.encoding), ", got ", tensor.shape.back());
  return static_cast<uint64_t>(encoded_bytes(tensor.encoding, static_cast<int64_t>(*numbers)));
}

}  // namespace

GgufWriter::GgufWriter(const std::string& path, const GgufMetadata& metadata,
                       const std::vector<GgufTensor>& tensors)
    : file_(path), path_(path) {
  Preamble preamble;
  preamble.number(kVersion);
  preamble.number(uint64_t{tensors.size()});
  preamble.number(uint64_t{metadata.size()});
  preamble.add(metadata);
  std::set<std::string> names;
  uint64_t offset = 0;
  for (const GgufTensor& tensor : tensors) {
    tensor_bytes_.push_back(bytes_of(tensor, path));
    require(names.insert(tensor.name).second, path, ": ", tensor.name, ": must be there once");
    preamble.add(tensor, offset);
    offset += padded(tensor_bytes_.back());
  }
  preamble.pad();
  file_.write(preamble.bytes());
}

void GgufWriter::write(std::span<const std::byte> bytes) {
  require(tensor_ < tensor_bytes_.size() && bytes.size() <= tensor_bytes_[tensor_] - written_,
          path_, ": tensor ", tensor_, ": must not have more bytes than its shape, got ",
          written_ + bytes.size());
  file_.write({reinterpret_cast<const char*>(bytes.data()), bytes.size()});
  written_ += bytes.size();
  if (written_ == tensor_bytes_[tensor_]) pad_to_alignment();
}

void GgufWriter::pad_to_alignment() {
  file_.write(std::string(padded(written_) - written_, '\0'));
  written_ = 0;
  ++tensor_;
}

void GgufWriter::finish() {
  require(tensor_ == tensor_bytes_.size(), path_, ": must have ", tensor_bytes_.size(),
          " tensors, got ", tensor_, " and ", written_, " bytes");
  file_.commit();
}

}  // namespace radgpt
