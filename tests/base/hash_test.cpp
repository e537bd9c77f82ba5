#include "libradgpt/base/hash.h"

#include <string>

#include "tests/base/temporary_folder.h"
#include "tests/catch.h"

namespace radgpt {
namespace {

TEST_CASE("Hash: SHA-256 gives the digests of FIPS 180-4") {
  CHECK(to_hex(sha256("")) == "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
  CHECK(to_hex(sha256("abc")) ==
        "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
}

TEST_CASE("Hash: SHA-256 of pieces is that of the whole") {
  Sha256 hash;
  hash.update("a");
  hash.update("");
  hash.update("bc");
  CHECK(hash.finish() == sha256("abc"));
}

TEST_CASE("Hash: SHA-256 of a file is that of its bytes") {
  const TemporaryFolder folder;
  const std::string bytes(3'000'001, 'x');  // more than two reads
  CHECK(sha256_of_file(folder.write("x", bytes)) == sha256(bytes));
  CHECK(sha256_of_file(folder.write("empty", "")) == sha256(""));
}

TEST_CASE("Hash: CRC-32C gives the check values of RFC 3720") {
  CHECK(crc32c("123456789") == 0xE3069283);
  CHECK(crc32c(std::string(32, '\0')) == 0x8A9136AA);
  CHECK(crc32c(std::string(32, '\xFF')) == 0x62A8AB43);
  CHECK(crc32c("") == 0);
}

TEST_CASE("Hash: CRC-32C goes on where it stopped") {
  CHECK(crc32c("56789", crc32c("1234")) == crc32c("123456789"));
}

TEST_CASE("CRC-32: the check value of its definition, at once and in pieces") {
  CHECK(crc32("123456789") == 0xCBF43926);
  CHECK(crc32("56789", crc32("1234")) == 0xCBF43926);
  CHECK(crc32("") == 0);
}

}  // namespace
}  // namespace radgpt
