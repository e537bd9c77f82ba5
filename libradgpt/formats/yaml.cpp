#include "libradgpt/formats/yaml.h"

#include <yaml-cpp/eventhandler.h>
#include <yaml-cpp/exceptions.h>
#include <yaml-cpp/parser.h>

#include <algorithm>
#include <set>
#include <sstream>

#include "libradgpt/base/error.h"
#include "libradgpt/base/files.h"
#include "libradgpt/base/text.h"

namespace radgpt {
namespace {

constexpr std::string_view kByteOrderMark = "\xEF\xBB\xBF";

/// Turns byte positions of a text into places that an editor understands.
class Places {
 public:
  Places(std::string_view text, std::string file) : text_(text), file_(std::move(file)) {
    starts_.push_back(0);
    for (size_t i = 0; i < text.size(); ++i) {
      if (text[i] == '\n') starts_.push_back(i + 1);
    }
  }

  /// `line` from 0, `column` from 0 in bytes, as yaml-cpp counts.
  YamlNode node_at(int line, int column) const {
    YamlNode node;
    node.file = file_;
    node.line = line + 1;
    node.column = 1;
    const std::string_view rest = text_.substr(starts_.at(static_cast<size_t>(line)));
    for (const char byte : rest.substr(0, static_cast<size_t>(column))) {
      if ((static_cast<unsigned char>(byte) & 0xC0) != 0x80) ++node.column;
    }
    return node;
  }
  YamlNode node_at_byte(size_t byte) const {
    size_t line = 0;
    while (line + 1 < starts_.size() && starts_[line + 1] <= byte) ++line;
    return node_at(static_cast<int>(line), static_cast<int>(byte - starts_[line]));
  }
  /// The text from yaml-cpp's position on.
  std::string_view from(int line, int column) const {
    const size_t byte = starts_.at(static_cast<size_t>(line)) + static_cast<size_t>(column);
    return text_.substr(std::min(byte, text_.size()));
  }
  size_t line_count() const { return starts_.size(); }
  std::string_view line(size_t index) const {
    const size_t end = index + 1 < starts_.size() ? starts_[index + 1] : text_.size();
    return text_.substr(starts_[index], end - starts_[index]);
  }

 private:
  std::string_view text_;
  std::string file_;
  std::vector<size_t> starts_;
};

/// Whether a quote at the start of `source` has an end. yaml-cpp lets the end of the file do.
bool is_closed(std::string_view source) {
  const char quote = source.front();
  if (quote != '"' && quote != '\'') return true;
  for (size_t i = 1; i < source.size(); ++i) {
    if (source[i] == '\\' && quote == '"') {
      ++i;
    } else if (source[i] == quote) {
      return true;
    }
  }
  return false;
}

/// Builds the tree from yaml-cpp's events and refuses what a recipe has no use for. The events come
/// before aliases are followed, so that nothing can expand.
class TreeBuilder : public YAML::EventHandler {
 public:
  explicit TreeBuilder(const Places& places) : places_(places) {}

  YamlNode take() { return std::move(root_); }

  void OnDocumentStart(const YAML::Mark& mark) override {
    if (++documents_ > 1) refuse(mark, "must be one document, got a second one");
  }
  void OnDocumentEnd() override {}
  void OnNull(const YAML::Mark& mark, YAML::anchor_t anchor) override {
    add(start(mark, "?", anchor, YamlNode::Kind::kNull));
  }
  void OnAlias(const YAML::Mark& mark, YAML::anchor_t) override {
    refuse(mark, "aliases are not allowed, write the value out");
  }
  void OnScalar(const YAML::Mark& mark, const std::string& tag, YAML::anchor_t anchor,
                const std::string& value) override {
    // yaml-cpp reports quoted scalars with the tag "!", which can also be written.
    const std::string_view source = places_.from(mark.line, mark.column);
    const bool quoted = tag == "!" && source.find_first_of("\"'|>") == 0;
    if (quoted && !is_closed(source)) refuse(mark, "a quote is opened here and not closed");
    YamlNode node = start(mark, quoted ? "?" : tag, anchor, YamlNode::Kind::kScalar);
    if (value.find('\0') != std::string::npos) refuse(mark, "must not contain a NUL character");
    node.value = value;
    node.quoted = quoted;
    add(std::move(node));
  }
  void OnSequenceStart(const YAML::Mark& mark, const std::string& tag, YAML::anchor_t anchor,
                       YAML::EmitterStyle::value) override {
    open(mark, tag, anchor, YamlNode::Kind::kList);
  }
  void OnSequenceEnd() override { close(); }
  void OnMapStart(const YAML::Mark& mark, const std::string& tag, YAML::anchor_t anchor,
                  YAML::EmitterStyle::value) override {
    open(mark, tag, anchor, YamlNode::Kind::kMap);
  }
  void OnMapEnd() override { close(); }

 private:
  /// A list or map whose end has not been seen.
  struct Level {
    YamlNode node;
    std::vector<YamlNode> key;  ///< of a map: the key whose value is awaited
    std::set<std::string> keys;
  };

  [[noreturn]] void refuse(const YAML::Mark& mark, const char* rule) const {
    fail(ErrorKind::kInput, places_.node_at(mark.line, mark.column).place(), ": ", rule);
  }
  YamlNode start(const YAML::Mark& mark, const std::string& tag, YAML::anchor_t anchor,
                 YamlNode::Kind kind) const {
    if (anchor != YAML::NullAnchor) refuse(mark, "anchors are not allowed");
    if (tag != "?" && !tag.empty()) refuse(mark, "tags are not allowed");
    YamlNode node = places_.node_at(mark.line, mark.column);
    node.kind = kind;
    return node;
  }
  void open(const YAML::Mark& mark, const std::string& tag, YAML::anchor_t anchor,
            YamlNode::Kind kind) {
    if (levels_.size() >= kYamlMaxDepth) refuse(mark, "must not be nested deeper than 16 levels");
    levels_.push_back({start(mark, tag, anchor, kind), {}, {}});
  }
  void close() {
    YamlNode node = std::move(levels_.back().node);
    levels_.pop_back();
    add(std::move(node));
  }
  void add(YamlNode node) {
    if (levels_.empty()) {
      root_ = std::move(node);
      return;
    }
    Level& level = levels_.back();
    if (level.node.kind == YamlNode::Kind::kList) {
      level.node.items.push_back(std::move(node));
    } else if (level.key.empty()) {
      check_key(node, level);
      level.key.push_back(std::move(node));
    } else {
      if (node.kind == YamlNode::Kind::kNull) {
        // yaml-cpp places what is not there at the next token.
        node.line = level.key.back().line;
        node.column = level.key.back().column;
      }
      level.node.entries.emplace_back(std::move(level.key.back()), std::move(node));
      level.key.clear();
    }
  }
  static void check_key(const YamlNode& key, Level& level) {
    require(key.kind == YamlNode::Kind::kScalar, key.place(), ": a key must be text");
    require(key.value != "<<" || key.quoted, key.place(), ": merge keys are not allowed");
    require(level.keys.insert(key.value).second, key.place(), ": repeats a key of this map");
  }

  const Places& places_;
  std::vector<Level> levels_;
  YamlNode root_;
  int documents_ = 0;
};

void check_characters(std::string_view text, const Places& places) {
  if (const auto byte = find_invalid_utf8(text)) {
    fail(ErrorKind::kInput, places.node_at_byte(*byte).place(), ": must be UTF-8");
  }
  for (size_t i = 0; i < text.size(); ++i) {
    const auto byte = static_cast<unsigned char>(text[i]);
    const bool allowed = (byte >= 0x20 && byte != 0x7F) || byte == '\t' || byte == '\n' ||
                         (byte == '\r' && i + 1 < text.size() && text[i + 1] == '\n');
    if (!allowed) {
      fail(ErrorKind::kInput, places.node_at_byte(i).place(),
           ": must not contain control characters, got byte ", int{byte});
    }
  }
}

void check_lines(const Places& places) {
  for (size_t i = 0; i < places.line_count(); ++i) {
    const std::string_view line = places.line(i);
    const size_t indent = line.find_first_not_of(" \t\r\n");
    if (indent == std::string_view::npos) continue;
    const size_t tab = line.substr(0, indent).find('\t');
    if (tab != std::string_view::npos) {
      fail(ErrorKind::kInput, places.node_at(static_cast<int>(i), static_cast<int>(tab)).place(),
           ": indentation must be spaces, got a tab");
    }
    if (line.front() == '%') {
      fail(ErrorKind::kInput, places.node_at(static_cast<int>(i), 0).place(),
           ": directives are not allowed");
    }
  }
}

}  // namespace

std::string YamlNode::place() const {
  return line == 0 ? file : concat(file, ":", line, ":", column);
}

const YamlNode* YamlNode::find(std::string_view key) const {
  for (const auto& [name, value_of_name] : entries) {
    if (name.value == key) return &value_of_name;
  }
  return nullptr;
}

YamlNode parse_yaml(std::string_view text, const std::string& file) {
  require(text.size() <= kYamlMaxBytes, file, ": must be at most ", kYamlMaxBytes, " bytes, got ",
          text.size());
  if (text.starts_with(kByteOrderMark)) text.remove_prefix(kByteOrderMark.size());
  const Places places(text, file);
  check_characters(text, places);
  check_lines(places);
  std::istringstream stream{std::string(text)};
  TreeBuilder builder(places);
  try {
    YAML::Parser parser(stream);
    while (parser.HandleNextDocument(builder)) {
    }
  } catch (const YAML::Exception& error) {
    const bool placed = error.mark.line >= 0 && error.mark.column >= 0;
    const std::string place =
        placed ? places.node_at(error.mark.line, error.mark.column).place() : file;
    fail(ErrorKind::kInput, place, ": must be YAML, got ", error.msg);
  }
  return builder.take();
}

YamlNode read_yaml(const std::string& path) {
  return parse_yaml(read_file(path, kYamlMaxBytes), path);
}

}  // namespace radgpt
