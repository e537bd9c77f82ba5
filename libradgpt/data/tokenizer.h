#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace radgpt {

/// `<unk>`: what encode never gives, since every byte has an id.
inline constexpr int32_t kUnknownId = 0;
/// Only ever a target: what the model predicts where an answer is over. Never an input.
inline constexpr int32_t kEndOfTextId = 2;
/// The newline is a piece of its own that never merges, so that
/// encode(a + "\n" + b) == encode(a) + [kNewlineId] + encode(b).
inline constexpr int32_t kNewlineId = 5;
/// `<reserved_106>`: opens the message of the user.
inline constexpr int32_t kUserId = 195;
/// `<reserved_107>`: opens the answer of the assistant.
inline constexpr int32_t kAssistantId = 196;
/// Byte b that no piece covers is the id kFirstByteId + b.
inline constexpr int32_t kFirstByteId = 1089;

/// Text ↔ ids by a SentencePiece model of Baichuan2's kind: BPE, no normalisation, no dummy prefix,
/// byte fallback, digits single, ids of the chat format at Baichuan2's places.
///
/// Gives the ids of the sentencepiece library with two exceptions, both for safety of what comes
/// from reports: text that spells a control or reserved symbol (`</s>`, `<reserved_106>`, `<SEP>`)
/// is encoded as the ordinary characters it is, and U+2581, sentencepiece's own mark for a space,
/// as bytes. So decode(encode(text)) == text for every valid UTF-8 text, and roles can only be
/// spliced in as ids. No begin-of-text id is added.
///
/// Const methods may be called from several threads at once.
class Tokenizer {
 public:
  /// Throws Error(kInput) naming `path` and the rule for a file that is not such a model.
  static Tokenizer load(const std::string& path);
  /// As load; `name` stands for the file in messages.
  static Tokenizer from_bytes(std::string model, const std::string& name);

  Tokenizer(Tokenizer&&) noexcept;
  Tokenizer& operator=(Tokenizer&&) noexcept;
  ~Tokenizer();

  /// Throws Error(kInput) for text that is not valid UTF-8.
  std::vector<int32_t> encode(std::string_view text) const;
  /// The prompt of one message of a user, [kUserId] encode(message) [kAssistantId]: what `generate`
  /// goes on from. Errors as encode.
  std::vector<int32_t> prompt(std::string_view message) const;
  /// Control and reserved ids vanish, the unknown id becomes " ⁇ ", bytes that are not UTF-8 become
  /// U+FFFD. Throws Error(kInput) for an id outside [0, size()).
  std::string decode(std::span<const int32_t> ids) const;
  /// The piece of an id as the model spells it (▁ for a space, `<0x0A>` for a byte), for tables.
  std::string piece(int32_t id) const;
  /// Number of ids.
  int32_t size() const;
  /// SHA-256 of the model file, hexadecimal.
  std::string digest() const;
  /// Writes the model file, byte for byte what was loaded. Throws Error(kEnvironment).
  void save(const std::string& path) const;

 private:
  struct Model;
  explicit Tokenizer(std::unique_ptr<Model> model);
  std::unique_ptr<Model> model_;
};

}  // namespace radgpt
