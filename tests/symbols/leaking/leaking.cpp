// A library that shows what ours must not: proves that exported_symbols.sh would notice.
namespace radgpt {
int ours() { return 1; }
}  // namespace radgpt

namespace absl {
int leaked() { return radgpt::ours(); }
}  // namespace absl
