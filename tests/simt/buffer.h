#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "tests/simt/hooks.h"
#include "tests/simt/memory.h"

namespace simt {

/// The blocks of a Memory's launches are numbered from 1 on, those of a launch by their place in
/// the grid.
using BlockNumber = uint32_t;

/// One buffer of a Memory, and for each of its bytes who has touched it.
class Buffer {
 public:
  Buffer(std::string name, size_t bytes, Memory::Use use);
  Buffer(const Buffer&) = delete;
  Buffer& operator=(const Buffer&) = delete;
  ~Buffer();

  const std::string& name() const { return name_; }
  unsigned char* begin() const { return begin_; }
  size_t bytes() const { return bytes_; }
  bool guards_hold() const;
  int64_t bytes_written() const;

  /// What is wrong with the access to [offset, offset + bytes) by `block` in the launch whose first
  /// block is `first`; empty: nothing. Counts it.
  std::string note(Access access, size_t offset, size_t bytes, BlockNumber block,
                   BlockNumber first);
  /// Of the launch, which is over.
  Traffic take_traffic();

 private:
  bool ordered(Access access, size_t i, BlockNumber block, BlockNumber first) const;
  std::string fault(Access access, size_t offset, size_t bytes, BlockNumber block,
                    BlockNumber first) const;
  void count(Access access, size_t offset, size_t bytes, BlockNumber first);

  std::string name_;
  size_t bytes_;
  Memory::Use use_;
  unsigned char* memory_;  // guards and all
  unsigned char* begin_;
  // For each byte the block that was first, in the newest launch, to read or write it. A writer's
  // number is doubled, and one is added if it wrote atomically. Zero: nobody has.
  std::vector<BlockNumber> readers_;
  std::vector<BlockNumber> writers_;
  // For each sector `first` of the newest launch that read or wrote it.
  std::vector<BlockNumber> sectors_read_;
  std::vector<BlockNumber> sectors_written_;
  Traffic traffic_;
};

}  // namespace simt
