#pragma once

#include <cstdint>
#include <cstring>
#include <map>
#include <stdexcept>
#include <string>
#include <vector>

namespace radgpt {

/// A GGUF file taken apart by the page that describes the format, sharing nothing with the writer.
/// For files that the writer has made: no guard against others.
class GgufReader {
 public:
  struct Tensor {
    std::vector<uint64_t> sizes;  ///< columns first
    uint32_t type = 0;
    uint64_t offset = 0;
  };

  explicit GgufReader(std::string bytes) : bytes_(std::move(bytes)) {
    magic = take(4);
    version = number<uint32_t>();
    const auto tensor_count = number<uint64_t>();
    const auto value_count = number<uint64_t>();
    for (uint64_t i = 0; i < value_count; ++i) read_value();
    for (uint64_t i = 0; i < tensor_count; ++i) read_tensor();
    data_begin = (at_ + 31) / 32 * 32;
  }

  /// `size` bytes of a tensor.
  std::string data(const std::string& name, uint64_t size) const {
    return bytes_.substr(data_begin + tensors.at(name).offset, size);
  }
  uint64_t file_size() const { return bytes_.size(); }

  std::string magic;
  uint32_t version = 0;
  std::map<std::string, std::string> texts;
  std::map<std::string, double> numbers;  ///< flags too
  std::map<std::string, std::vector<std::string>> text_lists;
  std::map<std::string, std::vector<double>> number_lists;
  std::map<std::string, Tensor> tensors;
  std::vector<std::string> order;  ///< of the tensors
  uint64_t data_begin = 0;

 private:
  std::string take(uint64_t size) {
    if (at_ + size > bytes_.size()) throw std::runtime_error("the file ends early");
    at_ += size;
    return bytes_.substr(at_ - size, size);
  }

  template <typename Number>
  Number number() {
    Number value;
    std::memcpy(&value, take(sizeof value).data(), sizeof value);
    return value;
  }

  std::string text() { return take(number<uint64_t>()); }

  double scalar(uint32_t type) {
    switch (type) {
      case 4:
        return number<uint32_t>();
      case 5:
        return number<int32_t>();
      case 6:
        return number<float>();
      case 7:
        return number<uint8_t>();
      default:
        throw std::runtime_error("another type of value");
    }
  }

  void read_value() {
    const std::string key = text();
    const auto type = number<uint32_t>();
    if (type == 8) {
      texts[key] = text();
    } else if (type == 9) {
      const auto element = number<uint32_t>();
      const auto count = number<uint64_t>();
      for (uint64_t i = 0; i < count; ++i) {
        if (element == 8) {
          text_lists[key].push_back(text());
        } else {
          number_lists[key].push_back(scalar(element));
        }
      }
    } else {
      numbers[key] = scalar(type);
    }
  }

  void read_tensor() {
    const std::string name = text();
    Tensor tensor;
    tensor.sizes.resize(number<uint32_t>());
    for (uint64_t& size : tensor.sizes) size = number<uint64_t>();
    tensor.type = number<uint32_t>();
    tensor.offset = number<uint64_t>();
    tensors[name] = tensor;
    order.push_back(name);
  }

  std::string bytes_;
  uint64_t at_ = 0;
};

}  // namespace radgpt
