#include "tests/simt/memory.h"

#include <cstdint>
#include <stdexcept>
#include <utility>

#include "libradgpt/base/error.h"
#include "tests/simt/buffer.h"
#include "tests/simt/scheduler.h"
#include "tests/simt/traffic.h"

namespace simt {

using radgpt::concat;

/// What passes between the running launch and the Memory that lives.
class Recorder {
 public:
  Bytes requested;

  void start(Memory* memory);
  bool recording() const { return memory_ != nullptr; }
  void begin_launch(const char* kernel);
  void begin_block();
  void end_launch();
  void note(Access access, const void* p, size_t bytes, Where where);

 private:
  Buffer* find(const unsigned char* p, size_t bytes);
  std::string stray(const unsigned char* p, size_t bytes) const;

  Memory* memory_ = nullptr;
  std::string kernel_;
  BlockNumber first_ = 1;  // block of the launch
  BlockNumber end_ = 1;    // behind its last one
  BlockNumber block_ = 0;  // the running one
  Buffer* last_ = nullptr;
};

namespace {

Recorder recorder;

const char* name(Access access) {
  if (access == Access::kAtomic) return "atomic_add";
  return access == Access::kRead ? "load" : "store";
}

}  // namespace

void Recorder::start(Memory* memory) {
  memory_ = memory;
  first_ = end_ = 1;
  last_ = nullptr;
}

void Recorder::begin_launch(const char* kernel) {
  kernel_ = kernel;
  first_ = end_;
  end_ += gridDim.x * gridDim.y * gridDim.z;
  if (!memory_) return;
  for (const auto& buffer : memory_->buffers_) buffer->take_traffic();  // of a launch that failed
}

void Recorder::begin_block() {
  block_ = first_ + (blockIdx.z * gridDim.y + blockIdx.y) * gridDim.x + blockIdx.x;
}

void Recorder::end_launch() {
  if (!memory_) return;
  Launch launch{kernel_, {}};
  for (const auto& buffer : memory_->buffers_) {
    if (!buffer->guards_hold()) {
      throw Fault(kernel_ + ": " + buffer->name() + " was written beside, not by store");
    }
    launch.buffers[buffer->name()] = buffer->take_traffic();
  }
  memory_->launches_.push_back(std::move(launch));
}

void Recorder::note(Access access, const void* p, size_t bytes, Where where) {
  if (access != Access::kWrite) requested.read += static_cast<int64_t>(bytes);
  if (access != Access::kRead) requested.written += static_cast<int64_t>(bytes);
  if (!scheduler.running()) return;
  if (reinterpret_cast<uintptr_t>(p) % bytes != 0) {
    scheduler.fault(name(access), concat(bytes, " bytes at ", p, ", which is not a multiple of it"),
                    where);
  }
  if (!memory_) return;
  const auto* byte = static_cast<const unsigned char*>(p);
  Buffer* buffer = find(byte, bytes);
  if (!buffer) scheduler.fault(name(access), stray(byte, bytes), where);
  const std::string wrong =
      buffer->note(access, static_cast<size_t>(byte - buffer->begin()), bytes, block_, first_);
  if (!wrong.empty()) scheduler.fault(name(access), wrong, where);
}

Buffer* Recorder::find(const unsigned char* p, size_t bytes) {
  const auto holds = [&](const Buffer& buffer) {
    return p >= buffer.begin() && p + bytes <= buffer.begin() + buffer.bytes();
  };
  if (last_ && holds(*last_)) return last_;
  for (const auto& buffer : memory_->buffers_) {
    if (holds(*buffer)) return last_ = buffer.get();
  }
  return nullptr;
}

// Says where [p, p + bytes) lies: at the buffer that begins before it, else at the first one.
std::string Recorder::stray(const unsigned char* p, size_t bytes) const {
  const Buffer* nearest = nullptr;
  for (const auto& buffer : memory_->buffers_) {
    const bool before = buffer->begin() <= p;
    if (!nearest || (before && (nearest->begin() > p || nearest->begin() < buffer->begin()))) {
      nearest = buffer.get();
    }
  }
  if (!nearest) return concat(bytes, " bytes at ", p, ", and there are no buffers");
  return concat(bytes, " bytes at ", nearest->name(), "[", p - nearest->begin(),
                "] in bytes, which has ", nearest->bytes());
}

void begin_traffic(const char* kernel) { recorder.begin_launch(kernel); }
void begin_block_traffic() { recorder.begin_block(); }
void end_traffic() { recorder.end_launch(); }

void note(Access access, const void* p, size_t bytes, Where where) {
  recorder.note(access, p, bytes, where);
}

Bytes requested_bytes() { return recorder.requested; }

Bytes& Bytes::operator+=(const Bytes& other) {
  read += other.read;
  written += other.written;
  return *this;
}

Traffic& Traffic::operator+=(const Traffic& other) {
  requested += other.requested;
  distinct += other.distinct;
  return *this;
}

Traffic Launch::total() const {
  Traffic sum;
  for (const auto& [name, traffic] : buffers) sum += traffic;
  return sum;
}

Memory::Memory() {
  if (recorder.recording()) throw std::logic_error("simt::Memory: another one lives");
  recorder.start(this);
}

Memory::~Memory() { recorder.start(nullptr); }

unsigned char* Memory::add(const std::string& name, size_t bytes, Use use) {
  for (const auto& buffer : buffers_) {
    if (buffer->name() == name) throw std::logic_error("simt::Memory: a second buffer " + name);
  }
  buffers_.push_back(std::make_unique<Buffer>(name, bytes, use));
  return buffers_.back()->begin();
}

const Buffer& Memory::buffer(const std::string& name) const {
  for (const auto& buffer : buffers_) {
    if (buffer->name() == name) return *buffer;
  }
  throw std::logic_error("simt::Memory: no buffer " + name);
}

std::pair<const unsigned char*, size_t> Memory::range(const std::string& name) const {
  return {buffer(name).begin(), buffer(name).bytes()};
}

Traffic Memory::traffic() const {
  Traffic sum;
  for (const Launch& launch : launches_) sum += launch.total();
  return sum;
}

Traffic Memory::traffic(const std::string& name) const {
  buffer(name);
  Traffic sum;
  for (const Launch& launch : launches_) sum += launch.buffers.at(name);
  return sum;
}

int64_t Memory::bytes_written(const std::string& name) const {
  return buffer(name).bytes_written();
}

bool Memory::every_byte_written(const std::string& name) const {
  return bytes_written(name) == static_cast<int64_t>(buffer(name).bytes());
}

}  // namespace simt
