#include "libradgpt/formats/pickle.h"

#include <algorithm>
#include <cstring>
#include <optional>
#include <utility>

#include "libradgpt/base/error.h"
#include "libradgpt/base/text.h"
#include "libradgpt/formats/pickle_opcodes.h"
#include "libradgpt/formats/pickle_values.h"
#include "libradgpt/formats/pickled_tensors.h"

namespace radgpt {
namespace {

using enum PickleOpcode;

constexpr size_t kLargestPickle = 64 << 20;
constexpr size_t kLongestString = 64 << 10;
constexpr size_t kMostOnStack = 1'000'000;
constexpr size_t kMostHeld = 2'000'000;
constexpr int kDeepest = 64;

struct Global {
  std::string_view name;
  PickleKind kind;
  DataType dtype;
};

constexpr Global kGlobals[] = {
    {"collections.OrderedDict", PickleKind::kMakeOrderedDict, {}},
    {"torch.BFloat16Storage", PickleKind::kStorageType, DataType::kBF16},
    {"torch.HalfStorage", PickleKind::kStorageType, DataType::kF16},
    {"torch.FloatStorage", PickleKind::kStorageType, DataType::kF32},
    {"torch._utils._rebuild_tensor_v2", PickleKind::kRebuildTensor, {}},
    {"torch._utils._rebuild_parameter", PickleKind::kRebuildParameter, {}},
};

class Interpreter {
 public:
  Interpreter(std::string_view bytes, const std::string& place) : bytes_(bytes), place_(place) {}

  std::vector<PickledTensor> run() {
    require(bytes_.size() <= kLargestPickle, place_, ": must have at most ", kLargestPickle,
            " bytes, got ", bytes_.size());
    rule(take<PickleOpcode>() == kProto && take<uint8_t>() == 2,
         "must begin as a pickle of protocol 2");
    for (opcode_at_ = at_; step(take<PickleOpcode>()); opcode_at_ = at_) {
    }
    rule(at_ == bytes_.size(), "must end with STOP, got more bytes behind it");
    rule(marks_.empty() && stack_.size() == 1, "STOP must leave one value and no mark");
    return pickled_tensors(values_, stack_.back(), place_);
  }

 private:
  template <typename... Parts>
  void rule(bool condition, const Parts&... parts) const {
    require(condition, place_, ": byte ", opcode_at_, ": ", parts...);
  }

  std::string_view take_bytes(size_t count) {
    rule(count <= bytes_.size() - at_, "must have ", count, " more bytes, got ",
         bytes_.size() - at_, " (is it cut short?)");
    at_ += count;
    return bytes_.substr(at_ - count, count);
  }
  template <typename Number>
  Number take() {
    Number number;
    std::memcpy(&number, take_bytes(sizeof number).data(), sizeof number);
    return number;
  }

  /// The values and containers' places in use stay bounded whatever a short pickle repeats.
  void hold(size_t count) {
    held_ += count;
    rule(held_ <= kMostHeld, "must hold at most ", kMostHeld, " values, got more");
  }
  void push_index(uint32_t index) {
    rule(stack_.size() < kMostOnStack, "must have at most ", kMostOnStack,
         " values on its stack, got more");
    stack_.push_back(index);
  }
  void push(PickleValue value) {
    hold(1);
    values_.push_back(std::move(value));
    push_index(static_cast<uint32_t>(values_.size() - 1));
  }
  void push_integer(int64_t number) { push({.kind = PickleKind::kInteger, .number = number}); }

  /// How many values lie above the last mark.
  size_t above_mark() const { return stack_.size() - (marks_.empty() ? 0 : marks_.back()); }
  void need(size_t count) const {
    rule(above_mark() >= count, "must have ", count,
         " values on the stack above the last mark, got ", above_mark());
  }
  uint32_t pop() {
    need(1);
    const uint32_t index = stack_.back();
    stack_.pop_back();
    return index;
  }
  PickleValue& top() {
    need(1);
    return values_[stack_.back()];
  }
  std::vector<uint32_t> pop_some(size_t count) {
    need(count);
    std::vector<uint32_t> items(stack_.end() - static_cast<ptrdiff_t>(count), stack_.end());
    stack_.resize(stack_.size() - count);
    return items;
  }
  std::vector<uint32_t> pop_to_mark() {
    rule(!marks_.empty(), "must have a mark on the stack, got none");
    std::vector<uint32_t> items = pop_some(above_mark());
    marks_.pop_back();
    return items;
  }

  /// One more than the deepest of the items.
  int depth_over(const std::vector<uint32_t>& items, int depth) const {
    for (const uint32_t item : items) depth = std::max(depth, 1 + values_[item].depth);
    rule(depth <= kDeepest, "must be nested at most ", kDeepest, " deep, got more");
    return depth;
  }
  void push_tuple(std::vector<uint32_t> items) {
    hold(items.size());
    const int depth = depth_over(items, 0);
    push({.kind = PickleKind::kTuple, .depth = depth, .items = std::move(items)});
  }
  void set_items(const std::vector<uint32_t>& items) {
    PickleValue& dict = top();
    rule(dict.kind == PickleKind::kDict || dict.kind == PickleKind::kOrderedDict,
         "items must be set in a dict, got ", describe(dict.kind));
    rule(items.size() % 2 == 0, "items of a dict must be pairs, got ", items.size(), " values");
    for (size_t i = 0; i < items.size(); i += 2) {
      const PickleKind key = values_[items[i]].kind;
      rule(key == PickleKind::kString, "a key must be a string, got ", describe(key));
    }
    hold(items.size());
    dict.depth = depth_over(items, dict.depth);
    dict.items.insert(dict.items.end(), items.begin(), items.end());
  }

  void put(size_t index) {
    need(1);
    rule(index <= memo_.size() && index < kMostOnStack, "memo index must be at most ",
         std::min(memo_.size(), kMostOnStack - 1), ", got ", index);
    if (index == memo_.size()) memo_.push_back(0);
    memo_[index] = stack_.back();
  }
  void get(size_t index) {
    rule(index < memo_.size(), "memo index must be below ", memo_.size(), ", got ", index);
    push_index(memo_[index]);
  }

  std::string_view take_line() {
    const size_t end = bytes_.find('\n', at_);
    rule(end != std::string_view::npos && end - at_ <= kLongestString,
         "GLOBAL must be followed by two lines, got none");
    const size_t length = end - at_;
    return take_bytes(length + 1).substr(0, length);
  }
  void push_global();
  void push_string();
  void push_long();
  void push_storage();
  void reduce();
  void build();
  bool push_constant(PickleOpcode opcode);
  bool build_container(PickleOpcode opcode);
  bool use_values(PickleOpcode opcode);
  bool step(PickleOpcode opcode);

  std::string_view bytes_;
  const std::string& place_;
  size_t at_ = 0;
  size_t opcode_at_ = 0;  ///< for messages
  size_t held_ = 0;
  std::vector<PickleValue> values_;
  std::vector<uint32_t> stack_;  ///< indices of values
  std::vector<size_t> marks_;    ///< sizes of the stack
  std::vector<uint32_t> memo_;
};

/// The global's name if it can be shown; files may put anything there.
std::string shown(const std::string& name) {
  const auto is_shown = [](char c) {
    return (c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || c == '_' ||
           c == '.';
  };
  constexpr size_t kLongestShown = 80;
  const bool can_be =
      name.size() <= kLongestShown && std::all_of(name.begin(), name.end(), is_shown);
  return can_be ? name : concat("a name of ", name.size(), " bytes");
}

void Interpreter::push_global() {
  const std::string module(take_line());
  const std::string name = module + "." + std::string(take_line());
  for (const Global& global : kGlobals) {
    if (global.name != name) continue;
    push({.kind = global.kind, .number = static_cast<int64_t>(global.dtype)});
    return;
  }
  rule(false, "GLOBAL must be one of those that weights need (BF16, F16 or F32 tensors), got ",
       shown(name), ", which is not run here");
}

void Interpreter::push_string() {
  const auto length = take<uint32_t>();
  rule(length <= kLongestString, "a string must have at most ", kLongestString, " bytes, got ",
       length);
  const std::string_view text = take_bytes(length);
  rule(!find_invalid_utf8(text), "a string must be UTF-8");
  push({.kind = PickleKind::kString, .text = text});
}

void Interpreter::push_long() {
  const auto length = take<uint8_t>();
  rule(length <= sizeof(int64_t), "an integer must have at most 8 bytes, got ", int{length});
  const std::string_view digits = take_bytes(length);
  const bool is_negative = !digits.empty() && static_cast<int8_t>(digits.back()) < 0;
  int64_t number = is_negative ? -1 : 0;
  std::memcpy(&number, digits.data(), digits.size());
  push_integer(number);
}

/// torch.save's persistent ids: ("storage", type, key, device, elements). The device says where
/// the storage was when it was saved; it does not matter.
void Interpreter::push_storage() {
  const uint32_t index = pop();
  const PickleValue& id = values_[index];
  constexpr PickleKind kKinds[] = {PickleKind::kString, PickleKind::kStorageType,
                                   PickleKind::kString, PickleKind::kString, PickleKind::kInteger};
  rule(id.kind == PickleKind::kTuple && id.items.size() == std::size(kKinds),
       "a persistent id must be a tuple of 5 values, got ", describe(id.kind), " of ",
       id.items.size());
  for (size_t i = 0; i < std::size(kKinds); ++i) {
    const PickleKind kind = values_[id.items[i]].kind;
    rule(kind == kKinds[i], "value ", i, " of a persistent id must be ", describe(kKinds[i]),
         ", got ", describe(kind));
  }
  rule(values_[id.items[0]].text == "storage", "a persistent id must name a storage");
  rule(values_[id.items[4]].number >= 0, "a storage must have no negative number of elements, got ",
       values_[id.items[4]].number);
  hold(id.items.size());
  push({.kind = PickleKind::kStorage, .depth = id.depth, .items = std::vector(id.items)});
}

void Interpreter::reduce() {
  const uint32_t arguments = pop();
  const uint32_t function = pop();
  const PickleKind kind = values_[function].kind;
  rule(values_[arguments].kind == PickleKind::kTuple, "REDUCE must have a tuple of arguments, got ",
       describe(values_[arguments].kind));
  const std::vector<uint32_t> items = values_[arguments].items;
  std::optional<PickleValue> made;
  if (kind == PickleKind::kMakeOrderedDict && items.empty()) {
    made = PickleValue{.kind = PickleKind::kOrderedDict};
  } else if (kind == PickleKind::kRebuildTensor) {
    made = rebuild_tensor(values_, items);
  } else if (kind == PickleKind::kRebuildParameter) {
    made = rebuild_parameter(values_, items);
  } else {
    rule(kind == PickleKind::kMakeOrderedDict,
         "REDUCE must apply to OrderedDict, _rebuild_tensor_v2 or _rebuild_parameter, got ",
         describe(kind));
  }
  rule(made.has_value(), describe(kind), " must have the arguments that torch.save gives it, got ",
       items.size(), " values of other kinds or sizes");
  hold(made->items.size());
  push(std::move(*made));
}

/// A model's state has its modules' versions beside the tensors, in the OrderedDict's `_metadata`.
void Interpreter::build() {
  const uint32_t state = pop();
  rule(top().kind == PickleKind::kOrderedDict && values_[state].kind == PickleKind::kDict,
       "BUILD must give a dict to an OrderedDict, got ", describe(values_[state].kind), " for ",
       describe(top().kind));
}

/// Pushes what an opcode alone or with its argument says; false for other opcodes.
bool Interpreter::push_constant(PickleOpcode opcode) {
  switch (opcode) {
    case kNone:
      push({.kind = PickleKind::kNone});
      return true;
    case kNewTrue:
    case kNewFalse:
      push({.kind = PickleKind::kBool});
      return true;
    case kBinInt:
      push_integer(take<int32_t>());
      return true;
    case kBinInt1:
      push_integer(take<uint8_t>());
      return true;
    case kBinInt2:
      push_integer(take<uint16_t>());
      return true;
    case kLong1:
      push_long();
      return true;
    case kBinUnicode:
      push_string();
      return true;
    case kGlobal:
      push_global();
      return true;
    default:
      return false;
  }
}

/// Makes or fills a tuple or dict; false for other opcodes.
bool Interpreter::build_container(PickleOpcode opcode) {
  switch (opcode) {
    case kMark:
      rule(marks_.size() < kMostOnStack, "must have at most ", kMostOnStack, " marks, got more");
      marks_.push_back(stack_.size());
      return true;
    case kEmptyDict:
      push({.kind = PickleKind::kDict});
      return true;
    case kSetItem:
      set_items(pop_some(2));
      return true;
    case kSetItems:
      set_items(pop_to_mark());
      return true;
    case kEmptyTuple:
      push_tuple({});
      return true;
    case kTuple:
      push_tuple(pop_to_mark());
      return true;
    case kTuple1:
      push_tuple(pop_some(1));
      return true;
    case kTuple2:
      push_tuple(pop_some(2));
      return true;
    case kTuple3:
      push_tuple(pop_some(3));
      return true;
    default:
      return false;
  }
}

/// Memo, persistent ids and calls of globals; false for other opcodes.
bool Interpreter::use_values(PickleOpcode opcode) {
  switch (opcode) {
    case kBinPut:
      put(take<uint8_t>());
      return true;
    case kLongBinPut:
      put(take<uint32_t>());
      return true;
    case kBinGet:
      get(take<uint8_t>());
      return true;
    case kLongBinGet:
      get(take<uint32_t>());
      return true;
    case kBinPersId:
      push_storage();
      return true;
    case kReduce:
      reduce();
      return true;
    case kBuild:
      build();
      return true;
    default:
      return false;
  }
}

/// False at STOP.
bool Interpreter::step(PickleOpcode opcode) {
  if (opcode == kStop) return false;
  const bool is_known = push_constant(opcode) || build_container(opcode) || use_values(opcode);
  rule(is_known, "must be one of the opcodes that weights need, got opcode ",
       static_cast<int>(opcode));
  return true;
}

}  // namespace

std::vector<PickledTensor> parse_tensor_pickle(std::string_view bytes, const std::string& place) {
  return Interpreter(bytes, place).run();
}

}  // namespace radgpt
