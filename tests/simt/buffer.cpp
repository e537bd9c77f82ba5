#include "tests/simt/buffer.h"

#include <algorithm>
#include <cstring>
#include <new>
#include <utility>

#include "libradgpt/base/error.h"
#include "tests/simt/sanitizers.h"

namespace simt {

using radgpt::concat;

namespace {

constexpr size_t kAlignment = 256;
constexpr size_t kGuard = 256;
constexpr size_t kSector = 32;
constexpr int kPoison = 0xFF;

size_t rounded(size_t bytes, size_t step) { return (bytes + step - 1) / step * step; }

template <size_t count>
bool uniform(const BlockNumber* numbers) {
  bool same = true;
  for (size_t i = 1; i < count; ++i) same &= numbers[i] == numbers[0];
  return same;
}

bool uniform(const BlockNumber* numbers, size_t count) {
  switch (count) {
    case 16:
      return uniform<16>(numbers);
    case 8:
      return uniform<8>(numbers);
    case 4:
      return uniform<4>(numbers);
    default:
      return count == 1 || numbers[0] == numbers[1];
  }
}

std::string grid_place(BlockNumber i) {
  return concat("(", i % gridDim.x, ",", i / gridDim.x % gridDim.y, ",", i / gridDim.x / gridDim.y,
                ")");
}

}  // namespace

Buffer::Buffer(std::string name, size_t bytes, Memory::Use use)
    : name_(std::move(name)),
      bytes_(bytes),
      use_(use),
      memory_(static_cast<unsigned char*>(
          ::operator new (rounded(bytes, kAlignment) + 2 * kGuard, std::align_val_t{kAlignment}))),
      begin_(memory_ + kGuard),
      readers_(bytes),
      writers_(bytes),
      sectors_read_(rounded(bytes, kSector) / kSector),
      sectors_written_(sectors_read_.size()) {
  std::memset(memory_, kPoison, rounded(bytes, kAlignment) + 2 * kGuard);
  forbid(memory_, kGuard);
  forbid(begin_ + bytes, kGuard);
}

Buffer::~Buffer() {
  allow(memory_, rounded(bytes_, kAlignment) + 2 * kGuard);
  ::operator delete (memory_, std::align_val_t{kAlignment});
}

bool Buffer::guards_hold() const {
  const auto clean = [](const unsigned char* begin) {
    allow(begin, kGuard);
    const bool holds =
        std::all_of(begin, begin + kGuard, [](unsigned char byte) { return byte == kPoison; });
    forbid(begin, kGuard);
    return holds;
  };
  return clean(memory_) && clean(begin_ + bytes_);
}

int64_t Buffer::bytes_written() const {
  return std::count_if(writers_.begin(), writers_.end(), [](BlockNumber w) { return w != 0; });
}

std::string Buffer::note(Access access, size_t offset, size_t bytes, BlockNumber block,
                         BlockNumber first) {
  const bool reads = access != Access::kWrite;
  const bool writes = access != Access::kRead;
  bool right = !(writes && use_ == Memory::Use::kInput);
  // Nearly always all bytes have one history, so one of them tells.
  const bool alike = uniform(&writers_[offset], bytes) && uniform(&readers_[offset], bytes);
  for (size_t i = offset; i < offset + (alike ? 1 : bytes); ++i) {
    right &= ordered(access, i, block, first);
    right &= !(reads && use_ == Memory::Use::kOutput && writers_[i] == 0);
  }
  if (!right) return fault(access, offset, bytes, block, first);
  const BlockNumber writer = block * 2 + (access == Access::kAtomic);
  if (access == Access::kWrite) {
    std::fill_n(&writers_[offset], bytes, writer);
  } else if (access == Access::kAtomic || !alike || readers_[offset] < first) {
    for (size_t i = offset; i < offset + bytes; ++i) {
      if (access == Access::kRead && readers_[i] < first) readers_[i] = block;
      if (access == Access::kAtomic && writers_[i] / 2 < first) writers_[i] = writer;
    }
  }
  count(access, offset, bytes, first);
  return {};
}

// Blocks run one after the other, so the first one that touched a byte tells of another block.
bool Buffer::ordered(Access access, size_t i, BlockNumber block, BlockNumber first) const {
  const BlockNumber writer = writers_[i] / 2;
  const BlockNumber reader = readers_[i];
  const bool written = writer >= first && writer != block;
  if (access == Access::kRead) return !written;
  if (reader >= first && reader != block) return false;
  return !written || (access == Access::kAtomic && writers_[i] % 2 == 1);
}

std::string Buffer::fault(Access access, size_t offset, size_t bytes, BlockNumber block,
                          BlockNumber first) const {
  const std::string what = concat(bytes, " bytes at ", name_, "[", offset, "] in bytes, which ");
  if (access != Access::kRead && use_ == Memory::Use::kInput) return what + "is an input";
  for (size_t i = offset; i < offset + bytes; ++i) {
    if (!ordered(access, i, block, first)) {
      const BlockNumber writer = writers_[i] / 2;
      const bool written = writer >= first && writer != block;
      return concat(what, "block ", grid_place((written ? writer : readers_[i]) - first),
                    written ? " writes" : " reads", " too");
    }
  }
  return what + "nobody has written";
}

void Buffer::count(Access access, size_t offset, size_t bytes, BlockNumber first) {
  const auto add = [&](std::vector<BlockNumber>& sectors, int64_t& requested, int64_t& distinct) {
    requested += static_cast<int64_t>(bytes);
    for (size_t i = offset / kSector; i <= (offset + bytes - 1) / kSector; ++i) {
      if (sectors[i] >= first) continue;
      sectors[i] = first;
      distinct += static_cast<int64_t>(std::min(kSector, bytes_ - i * kSector));
    }
  };
  if (access != Access::kWrite) {
    add(sectors_read_, traffic_.requested.read, traffic_.distinct.read);
  }
  if (access != Access::kRead) {
    add(sectors_written_, traffic_.requested.written, traffic_.distinct.written);
  }
}

Traffic Buffer::take_traffic() { return std::exchange(traffic_, {}); }

}  // namespace simt
