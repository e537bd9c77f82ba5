#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

namespace radgpt {

/// The 32 bytes of a SHA-256.
using Sha256Digest = std::array<uint8_t, 32>;

/// SHA-256 (FIPS 180-4) of bytes that arrive in pieces.
class Sha256 {
 public:
  Sha256();
  ~Sha256();
  Sha256(Sha256&&) noexcept;
  Sha256& operator=(Sha256&&) noexcept;

  void update(std::string_view bytes);
  /// The digest of everything so far; nothing may be added afterwards.
  Sha256Digest finish();

 private:
  struct State;
  std::unique_ptr<State> state_;
};

/// Of bytes that are all there.
Sha256Digest sha256(std::string_view bytes);
/// Of a regular file of any size, read in pieces. Errors: those of open_regular_file.
Sha256Digest sha256_of_file(const std::string& path);
/// 64 lower-case hexadecimal digits.
std::string to_hex(const Sha256Digest& digest);

/// CRC-32C (Castagnoli, RFC 3720 appendix B.4), as in TensorBoard's event files. `before` is the
/// checksum of the bytes that precede: crc32c(b, crc32c(a)) == crc32c(a + b).
uint32_t crc32c(std::string_view bytes, uint32_t before = 0);

/// CRC-32 (ITU-T V.42), as in zip archives; `before` as above. Made by libdeflate, several GB/s.
uint32_t crc32(std::string_view bytes, uint32_t before = 0);

}  // namespace radgpt
