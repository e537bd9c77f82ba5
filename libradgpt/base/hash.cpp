#include "libradgpt/base/hash.h"

#include <libdeflate.h>
#include <openssl/evp.h>

#include <vector>

#include "libradgpt/base/error.h"
#include "libradgpt/base/files.h"

namespace radgpt {
namespace {

void require_crypto(int result) {
  if (result != 1) fail(ErrorKind::kEnvironment, "sha256: OpenSSL refused to compute a digest");
}

std::array<uint32_t, 256> crc32c_table() {
  constexpr uint32_t kReversedPolynomial = 0x82F63B78;
  std::array<uint32_t, 256> table{};
  for (uint32_t byte = 0; byte < 256; ++byte) {
    uint32_t remainder = byte;
    for (int bit = 0; bit < 8; ++bit) {
      remainder = (remainder >> 1) ^ ((remainder & 1) != 0 ? kReversedPolynomial : 0);
    }
    table[byte] = remainder;
  }
  return table;
}

}  // namespace

struct Sha256::State {
  EVP_MD_CTX* context = EVP_MD_CTX_new();
  ~State() { EVP_MD_CTX_free(context); }
};

Sha256::Sha256() : state_(std::make_unique<State>()) {
  require_crypto(EVP_DigestInit_ex(state_->context, EVP_sha256(), nullptr));
}
Sha256::~Sha256() = default;
Sha256::Sha256(Sha256&&) noexcept = default;
Sha256& Sha256::operator=(Sha256&&) noexcept = default;

void Sha256::update(std::string_view bytes) {
  require_crypto(EVP_DigestUpdate(state_->context, bytes.data(), bytes.size()));
}

Sha256Digest Sha256::finish() {
  Sha256Digest digest{};
  require_crypto(EVP_DigestFinal_ex(state_->context, digest.data(), nullptr));
  return digest;
}

Sha256Digest sha256(std::string_view bytes) {
  Sha256 hash;
  hash.update(bytes);
  return hash.finish();
}

Sha256Digest sha256_of_file(const std::string& path) {
  const InputFile file = open_regular_file(path);
  std::vector<char> buffer(size_t{1} << 20);
  Sha256 hash;
  while (const size_t count = read_some(file, buffer)) hash.update({buffer.data(), count});
  return hash.finish();
}

std::string to_hex(const Sha256Digest& digest) {
  constexpr char kDigits[] = "0123456789abcdef";
  std::string text;
  for (const uint8_t byte : digest) {
    text += kDigits[byte >> 4];
    text += kDigits[byte & 15];
  }
  return text;
}

uint32_t crc32c(std::string_view bytes, uint32_t before) {
  static const std::array<uint32_t, 256> table = crc32c_table();
  uint32_t remainder = ~before;
  for (const char byte : bytes) {
    remainder = (remainder >> 8) ^ table[(remainder ^ static_cast<uint8_t>(byte)) & 255];
  }
  return ~remainder;
}

uint32_t crc32(std::string_view bytes, uint32_t before) {
  return libdeflate_crc32(before, bytes.data(), bytes.size());
}

}  // namespace radgpt
