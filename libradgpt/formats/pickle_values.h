#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>
#include <vector>

namespace radgpt {

/// What a value of a pickle may be. A mark is not a value.
enum class PickleKind {
  kNone,
  kBool,
  kInteger,
  kString,
  kTuple,
  kDict,
  kOrderedDict,
  // Globals.
  kMakeOrderedDict,
  kStorageType,
  kRebuildTensor,
  kRebuildParameter,
  // Made of globals.
  kStorage,
  kTensor,
};

/// How a message calls a kind: "a tuple".
std::string_view describe(PickleKind kind);

/// A value, without what it is made of: that lies in the same list of values and is named by its
/// index there, so that nothing is ever destroyed or walked through recursively.
struct PickleValue {
  PickleKind kind = PickleKind::kNone;
  int depth = 0;            ///< of nesting below it
  int64_t number = 0;       ///< of an integer, or a storage type's DataType
  std::string_view text{};  ///< of a string
  /// A tuple's elements; keys and values of a dict in turn; the 5 parts that name a storage; a
  /// tensor's storage, offset, shape and strides.
  std::vector<uint32_t> items{};
};

}  // namespace radgpt
